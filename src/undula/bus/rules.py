"""Room: the message bus. What both connectors, the real one and its twin, check before the wire.

In: endpoint and message. Out: nothing, or an error. Also the texts of the answers that a request
server gives by itself.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, TypeVar, cast

from undula.bus.endpoints import ENDPOINTS, Delivery, Endpoint
from undula.core.clock import now
from undula.core.errors import (
    BusError,
    OutcomeUnknownError,
    TimeoutUndulaError,
    UndulaError,
    WireError,
)
from undula.messages import ErrorReport, Message, Reply, Request

R = TypeVar("R", bound=Request)

OUTCOME_KEPT_S = 86_400
REPLY_KEPT_S = 120
REQUESTS_BOUND = 10_000
_REQUEST_ID = re.compile(r"[A-Za-z0-9_.:-]{1,128}")


def check_delivery(endpoint: Endpoint[Any], verb: str, *allowed: Delivery) -> None:
    """Refuse a verb that the endpoint's delivery has not. Raises: BusError."""
    if endpoint.delivery not in allowed:
        raise BusError(
            f"{verb} does not fit endpoint {endpoint.pattern}, whose delivery is "
            f"{endpoint.delivery}",
            remedy=f"{verb} is for {' and '.join(allowed)} endpoints",
        )


def request_endpoints(endpoints: Sequence[Endpoint[R]] | None) -> Sequence[Endpoint[R]]:
    """The endpoints given, or all of delivery `request`. Raises: BusError for another delivery."""
    if endpoints is None:
        found = [endpoint for endpoint in ENDPOINTS if endpoint.delivery == "request"]
        return cast("list[Endpoint[R]]", found)
    for endpoint in endpoints:
        check_delivery(endpoint, "answer_abandoned", "request")
    return endpoints


def check_message(endpoint: Endpoint[Any], message: Message) -> None:
    """Refuse a message that the endpoint does not carry. Raises: WireError."""
    if type(message) is not endpoint.message:
        raise WireError(
            f"endpoint {endpoint.pattern} carries {endpoint.message.__name__}, "
            f"not {type(message).__name__}",
            remedy="send the message that the endpoint names",
        )


def is_request_id(text: str) -> bool:
    """Whether a request id may become part of a broker key."""
    return _REQUEST_ID.fullmatch(text) is not None


def check_request(endpoint: Endpoint[Any], request: Request) -> None:
    """All checks before a request is sent. Raises: BusError, WireError, TimeoutUndulaError."""
    check_delivery(endpoint, "request", "request")
    check_message(endpoint, request)
    if not is_request_id(request.request_id):
        raise WireError(
            f"{request.request_id[:60]!r} is no request id",
            remedy="use undula.core.ids.new_id()",
        )
    if request.deadline <= now():
        raise TimeoutUndulaError(
            f"the deadline of request {request.request_id} has passed; it was not sent",
            remedy="ask again with a later deadline",
        )


def error_reply(request_id: str, error: UndulaError) -> Reply:
    """A reply that carries an error."""
    return Reply(request_id=request_id, error=ErrorReport.of(error))


def late(request_id: str) -> Reply:
    """The answer to a request that was taken after its deadline; it was not carried out."""
    return error_reply(
        request_id,
        TimeoutUndulaError(
            "the request came after its deadline and was not carried out",
            remedy="ask again; see `undula status` for what keeps the engine busy",
        ),
    )


def abandoned(request_id: str) -> Reply:
    """The answer to a request that a dead server had taken."""
    return error_reply(request_id, lost("the engine ended while it worked on the request"))


def lost(why: str) -> OutcomeUnknownError:
    """The request may or may not have been carried out."""
    return OutcomeUnknownError(
        why, remedy="look with `undula queue list` and `undula status` before asking again"
    )


def result_of(reply: Reply) -> Reply:
    """The reply, or its error raised."""
    if reply.error is not None:
        raise reply.error.to_exception()
    return reply

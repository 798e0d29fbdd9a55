"""Requests with a pass: who asks, proven for this one request.

In: a request and a token. Out: the request with a pass that is good for nothing else: not for
another request, and not for the same one again, since a repeated id gets the first outcome.
"""

from __future__ import annotations

from typing import TypeVar

from undula.bus.codec import encode
from undula.core.secret import Secret
from undula.core.tokens import pass_for
from undula.messages import Request

R = TypeVar("R", bound=Request)


def signed_content(request: Request) -> bytes:
    """The bytes that a pass is for: the whole request as it is sent, but for the pass.

    The same on both sides: what was decoded is encoded to the same bytes again.
    """
    return encode(request.model_copy(update={"token": ""}))


def signed(request: R, token: Secret) -> R:
    """The request with its pass. Raises: AccessError when `token` is none."""
    return request.model_copy(update={"token": pass_for(token, signed_content(request))})

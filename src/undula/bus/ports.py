"""The seam to the broker: what a connector does. Twin: `undula.bus.memory.MemoryConnector`.

The real part is `undula.bus.connector.BrokerConnector`; one contract suite runs on both. Every verb
checks endpoint, delivery and message type before the wire (`BusError`, `WireError`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from undula.bus.endpoints import Endpoint
from undula.messages import Message, Reply, Request

M = TypeVar("M", bound=Message)
R = TypeVar("R", bound=Request)

BEGIN = "0-0"
"""Cursor before the first entry of a stream or journal."""


class Subscription(Protocol):
    """A running subscription; `close` ends it and its thread."""

    def close(self) -> None:
        """No callback runs after this returns (unless called from the callback itself)."""


class Connector(Protocol):
    """One process's connection to the bus. Safe to use from several threads."""

    def put(self, endpoint: Endpoint[M], message: M, **names: str) -> None:
        """`latest`: keep and publish. `send`: publish."""

    def get(self, endpoint: Endpoint[M], **names: str) -> M | None:
        """`latest`: the kept value, None before the first."""

    def subscribe(
        self, endpoint: Endpoint[M], callback: Callable[[M], None], **names: str
    ) -> Subscription:
        """`latest` (first the kept value, if any) and `send`: call for each message, own thread.

        A malformed payload is logged and skipped; after a reconnect of a `latest` endpoint the kept
        value is delivered again.
        """

    def append(self, endpoint: Endpoint[M], message: M, **names: str) -> str:
        """`stream`: append, trim to the endpoint's bound, return the entry's id."""

    def read(
        self,
        endpoint: Endpoint[M],
        *,
        after: str = BEGIN,
        count: int = 1000,
        block_s: float | None = None,
        **names: str,
    ) -> list[tuple[str, M]]:
        """`stream` and `journal`: entries after the cursor; empty after `block_s` without any.

        `block_s=None` returns at once. A malformed entry is logged and skipped (its id is passed).
        """

    def last_id(self, endpoint: Endpoint[M], **names: str) -> str:
        """`stream` and `journal`: id of the newest entry, `BEGIN` when empty."""

    def expire(self, endpoint: Endpoint[M], after_s: float, **names: str) -> None:
        """Let a key vanish after so many seconds."""

    def request(self, endpoint: Endpoint[R], message: R) -> Reply:
        """Send, wait for the one reply until `message.deadline`.

        Raises: the error of the reply; OutcomeUnknownError when the deadline passes or the
        connection is lost in between (never sent again blindly).
        """

    def take_requests(
        self, endpoints: Sequence[Endpoint[R]], *, block_s: float
    ) -> list[tuple[Endpoint[R], R]]:
        """Server side: requests that nobody has taken yet, in order; empty after `block_s`.

        A malformed request that bears an id is answered with a WireError report and not returned. A
        request whose deadline has passed is answered with a timeout. A repeated id gets the first
        outcome again (kept a day), or joins the one in progress. NaN is refused.
        """

    def reply(self, request: Request, reply: Reply) -> None:
        """Server side: answer, exactly once; keep the outcome for a day.

        Raises: BusError when this connector has not taken the request, or has answered it.
        """

    def answer_abandoned(
        self,
        endpoints: Sequence[Endpoint[R]] | None = None,
        resolve: Callable[[R], Reply | None] | None = None,
    ) -> int:
        """Server side, once at the start: answer what a dead server took and left unanswered.

        Of `endpoints`, by default of all request endpoints.
        `resolve` may know the outcome (a queued scan, for instance); otherwise the answer is an
        OutcomeUnknownError report. Returns how many were answered.
        """

    def close(self) -> None:
        """Close all connections and subscriptions."""

"""The client's line to the engine: requests with id, user and deadline, and the plain answers.

In: what to ask. Out: the result of the reply, or the error it carries.
"""

from __future__ import annotations

import getpass
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from pydantic import ValidationError

from undula.bus.endpoints import Endpoint
from undula.bus.ports import Connector
from undula.core.clock import now
from undula.core.errors import InputError
from undula.core.ids import new_id
from undula.messages import Request

REQUEST_TIMEOUT_S = 10.0
MOVE_TIMEOUT_S = 3600.0

R = TypeVar("R", bound=Request)
T = TypeVar("T")


def login_name() -> str:
    """The person's login name, for the record; a text when the system has none."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"


class Link:
    """One connector, and how requests are made from it."""

    def __init__(self, connector: Connector, user: str | None = None) -> None:
        self.connector = connector
        self.user = user or login_name()

    def ask(
        self,
        endpoint: Endpoint[R],
        timeout_s: float = REQUEST_TIMEOUT_S,
        request_id: str | None = None,
        **fields: Any,
    ) -> dict[str, Any]:
        """The result of one request.

        Raises: InputError when the fields make no request; the engine's error; OutcomeUnknownError
        when no reply came within `timeout_s` seconds.
        """
        try:
            request = endpoint.message(
                request_id=request_id or new_id(),
                user=self.user,
                deadline=now() + timeout_s,
                **fields,
            )
        except ValidationError as exc:
            fault = exc.errors()[0]
            place = ".".join(str(part) for part in fault["loc"] if part not in ("float", "int"))
            raise InputError(
                f"{place} is {fault.get('input')!r}: {fault['msg'].lower()}",
                remedy="correct the value; NaN and infinity are never commands",
            ) from exc
        reply = self.connector.request(endpoint, request)
        if reply.error is not None:
            raise reply.error.to_exception()
        return reply.result or {}


class Background:
    """A call in its own thread, so that Ctrl-C never cuts a conversation in two."""

    def __init__(self, call: Callable[[], Any]) -> None:
        self._call = call
        self._result: Any = None
        self._error: BaseException | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="client-request", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._result = self._call()
        except BaseException as exc:  # handed to the waiting thread, whatever it is
            self._error = exc
        finally:
            self._ended.set()

    def done(self, timeout_s: float) -> bool:
        """Wait at most so long; True when the call has ended."""
        # not by join: where Ctrl-C interrupts that, the thread counts as ended while it still runs
        return self._ended.wait(timeout_s)

    def result(self) -> Any:
        """What the call returned; raises what it raised."""
        while not self.done(0.2):
            pass
        if self._error is not None:
            raise self._error
        return self._result

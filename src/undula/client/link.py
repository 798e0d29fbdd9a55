"""The client's line to the engine: requests with id, user and deadline, and the plain answers.

In: what to ask. Out: the result of the reply, or the error it carries.
"""

from __future__ import annotations

import contextvars
import getpass
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import ValidationError

from undula.bus.endpoints import Endpoint
from undula.bus.ports import Connector
from undula.bus.signing import signed
from undula.core.clock import now
from undula.core.errors import AccessError, InputError
from undula.core.ids import new_id
from undula.core.secret import Secret
from undula.core.tokens import claims_of
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


NO_TOKEN = Secret("")


@dataclass(frozen=True, slots=True)
class Acting:
    """The person for whom a program asks, e.g. the author of the cell that runs."""

    user: str
    token: Secret


_acting: contextvars.ContextVar[Acting | None] = contextvars.ContextVar("acting", default=None)


def acting() -> Acting | None:
    """For whom this context asks; None: for the person whose process it is."""
    return _acting.get()


@contextmanager
def acting_for(user: str, token: str | Secret = "") -> Iterator[None]:
    """Ask for somebody else in this context and in what it starts (`Background`).

    Without a token of theirs nothing is moved where people log in: the own token is not used.
    """
    before = _acting.set(Acting(user, Secret(token)))
    try:
        yield
    finally:
        _acting.reset(before)


class Link:
    """One connector, and how requests are made from it.

    Args:
        user: for the record where nobody logs in.
        token: the token of the person, asked at each request; None: none.
    """

    def __init__(
        self,
        connector: Connector,
        user: str | None = None,
        token: Callable[[], Secret] | None = None,
    ) -> None:
        self.connector = connector
        self.user = user or login_name()
        self._token = token

    def token(self) -> Secret:
        """The person's token now; empty where nobody logs in."""
        return self._token() if self._token else NO_TOKEN

    @property
    def person(self) -> str:
        """Who asks, as the services know them: by their log in where there is one."""
        asks = self._asks()
        try:
            return claims_of(asks.token).user if asks.token else asks.user
        except AccessError:
            return asks.user

    def _asks(self) -> Acting:
        return acting() or Acting(self.user, self.token())

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
        asks = self._asks()
        try:
            request = endpoint.message(
                request_id=request_id or new_id(),
                user=asks.user,
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
        if asks.token:
            request = signed(request, asks.token)
        reply = self.connector.request(endpoint, request)
        if reply.error is not None:
            raise reply.error.to_exception()
        return reply.result or {}


class Background:
    """A call in its own thread, so that Ctrl-C never cuts a conversation in two.

    Args:
        request_id: id of the request that it makes, where others speak of it.
    """

    def __init__(self, call: Callable[[], Any], request_id: str = "") -> None:
        self._call = call
        self.request_id = request_id
        self._result: Any = None
        self._error: BaseException | None = None
        self._ended = threading.Event()
        context = contextvars.copy_context()  # for whom it asks goes along
        self._thread = threading.Thread(
            target=context.run, args=(self._run,), name="client-request", daemon=True
        )
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

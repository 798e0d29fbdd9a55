"""The verbs `cmd` and `cmd/...`: commands on the shared prompt, with feedback.

In: a function's name and typed arguments, or text from who may send code. Out: results, or the
command's own exception as an error. On the server's loop. Not here: policy, crediting (`bridge`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

from undula.core.errors import CATEGORIES, AccessError, InputError
from undula.core.roles import Role
from undula.session.bridge.bridge import SessionBridge
from undula.session.bridge.model import Author, Call, Code, Command, Outcome, Path, Policy
from undula.session.rpc.errors import ZError, from_text
from undula.session.rpc.ports import Fields
from undula.session.rpc.verbs import Ask, verb

MayCode = Callable[[Author, Role], bool]
DEVICE = "dev"


def arguments(value: Any) -> Any:
    """Arguments as they came, with `{"dev": "M.samx"}` as the device at that path.

    >>> arguments([{"dev": "M.samx"}, 1.5])
    [Path(path='M.samx'), 1.5]
    """
    if isinstance(value, dict):
        if value.keys() == {DEVICE} and isinstance(value[DEVICE], str):
            return Path(value[DEVICE])
        return {key: arguments(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [arguments(inner) for inner in value]
    return value


CODES = {cls.__name__: category for category, cls in CATEGORIES.items()} | {
    "NoSuchDeviceError": InputError.category
}
"""Class names of errors that the prompt may show, and their codes."""


LONGEST_WAIT_S = 600.0
"""A client that has gone away leaves its wait behind: not for ever."""


def raise_for(outcome: Outcome) -> None:
    """Nothing for a command that ended well.

    Raises: ZError `exc` with the exception's class and text; the category and remedy of an error of
    the house, e.g. `limits`; a ZError that the command raised; `aborted`; `died`.
    """
    if outcome.status == "ok":
        return
    if outcome.status == "error":
        own = from_text(outcome.message) if outcome.error == "ZError" else None
        raise own or _of_ours(outcome) or ZError("exc", _words(outcome))
    what, _, remedy = outcome.message.partition(". Remedy: ")
    raise ZError(outcome.status, what or f"the command {outcome.status}", remedy=remedy.rstrip("."))


def _words(outcome: Outcome) -> str:
    return f"{outcome.error}: {outcome.message}" if outcome.message else outcome.error


def _of_ours(outcome: Outcome) -> ZError | None:
    """An error of the house keeps its category and remedy, as if a verb had raised it."""
    code = CODES.get(outcome.error)
    if code is None:
        return None
    what, _, remedy = outcome.message.partition(". Remedy: ")
    return ZError(code, what, remedy=remedy.rstrip("."))


class Cmd:
    """`cmd/...`: calls for users; text for who may send code."""

    def __init__(self, bridge: SessionBridge, may_code: MayCode) -> None:
        self._bridge, self._may_code = bridge, may_code

    def _command(
        self, ask: Ask, function: str, args: list[Any], kwargs: dict[str, Any], policy: Policy
    ) -> Command:
        call = Call(function, tuple(arguments(args)), {k: arguments(v) for k, v in kwargs.items()})
        return self._bridge.submit(call, ask.author, policy)

    def _code(self, ask: Ask, text: str, policy: Policy) -> Command:
        check_code(self._may_code, ask.author, ask.role)
        return self._bridge.submit(Code(text.rstrip("\n")), ask.author, policy)

    @verb("", needs=Role.USER)
    async def raw(
        self, ask: Ask, cmd: str, policy: Policy = "refuse", timeout_s: float | None = None
    ) -> str:
        """Type text at the prompt and wait: what it showed as result. For who may send code."""
        command = self._code(ask, cmd, policy)
        outcome = await self._bridge.wait(command.id, timeout_s)
        raise_for(outcome)
        return outcome.result

    @verb(needs=Role.USER)
    async def run(
        self,
        ask: Ask,
        function: str,
        *,
        args: list[Any] | None = None,
        kwargs: dict[str, Any] | None = None,
        policy: Policy = "refuse",
        timeout_s: float | None = None,
    ) -> Fields:
        """Call a function at the prompt and wait: `id`, `line`, `result`, `run_numbers` ..."""
        command = self._command(ask, function, args or [], kwargs or {}, policy)
        outcome = await self._bridge.wait(command.id, timeout_s)
        raise_for(outcome)
        return _told(command.id, outcome) | {"line": command.line}

    @verb(needs=Role.USER)
    async def submit(
        self,
        ask: Ask,
        function: str,
        *,
        args: list[Any] | None = None,
        kwargs: dict[str, Any] | None = None,
        policy: Policy = "refuse",
    ) -> Fields:
        """As `cmd/run`, without waiting: `id` and `line`; see `cmd/wait` and `cmd/finished`."""
        command = self._command(ask, function, args or [], kwargs or {}, policy)
        return {"id": command.id, "line": command.line}

    @verb(needs=Role.USER)
    async def code(self, ask: Ask, cmd: str, policy: Policy = "refuse") -> Fields:
        """As `cmd`, without waiting: `id` and `line`."""
        command = self._code(ask, cmd, policy)
        return {"id": command.id, "line": command.line}

    @verb()
    async def wait(self, ask: Ask, id: str, timeout_s: float | None = None) -> Fields:  # noqa: A002  # the field's name on the wire
        """How a command ended, also when it failed: `status`, `result`, `error`, `traceback` ...

        Answered within 10 minutes; after the error `timeout` the command goes on: wait again.
        """
        del ask
        bound = LONGEST_WAIT_S if timeout_s is None else min(timeout_s, LONGEST_WAIT_S)
        return _told(id, await self._bridge.wait(id, bound))

    @verb(needs=Role.USER)
    async def cancel(self, ask: Ask, id: str) -> bool:  # noqa: A002  # the field's name on the wire
        """Take a command back that has not begun; false when it does not wait."""
        del ask
        return self._bridge.take_back(id)

    @verb(needs=Role.USER)
    async def interrupt(self, ask: Ask) -> None:
        """Ctrl-C for what runs now."""
        await self._bridge.interrupt(ask.author)

    @verb()
    async def typing(self, ask: Ask, on: bool) -> None:
        """Your line holds text, or is empty again; say it anew every few seconds."""
        self._bridge.typing(f"{ask.peer.pid}", replace(ask.author, origin="terminal"), on)

    @verb("list")
    async def list_(self, ask: Ask) -> Fields:
        """What runs, what waits, who types, the last commands."""
        del ask
        return self._bridge.snapshot()


def check_code(may_code: MayCode, author: Author, role: Role) -> None:
    """Raises: AccessError for who may not send code."""
    if not may_code(author, role):
        raise AccessError(
            f"{author.name} may not send code",
            remedy="send a function and its arguments (cmd/run), or ask staff: rpc.code",
        )


def _told(command_id: str, outcome: Outcome) -> Fields:
    fields = asdict(outcome)
    fields["desc"] = fields.pop("message")
    return {"id": command_id, **fields}

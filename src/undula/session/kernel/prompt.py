"""The kernel as a prompt of the bridge: what it publishes, told command by command.

In: commands of the bridge, messages of the iopub channel. Out: started, output, finished, also for
what people type in their own front ends, credited by the id and the name in Jupyter's header.
"""

from __future__ import annotations

import ast
import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from undula.core.clock import now
from undula.core.errors import InputError
from undula.core.secret import Secret
from undula.session.bridge.model import Command, Outcome
from undula.session.bridge.ports import Listener
from undula.session.kernel.app_names import RUNS_MESSAGE, author_of
from undula.session.kernel.link import KernelLink, Message
from undula.session.kernel.places import KernelPlaces

MAX_TEXT = 100_000


@dataclass(slots=True)
class _Running:
    began: float
    result: str = ""
    error: dict[str, Any] = field(default_factory=dict)
    runs: list[int] = field(default_factory=list)

    def outcome(self) -> Outcome:
        return Outcome(
            "error" if self.error else "ok",
            result=self.result,
            error=str(self.error.get("ename", "")),
            message=str(self.error.get("evalue", ""))[:MAX_TEXT],
            traceback=tuple(str(line)[:MAX_TEXT] for line in self.error.get("traceback", ())),
            duration_s=asyncio.get_running_loop().time() - self.began,
            run_numbers=tuple(self.runs),
        )


class KernelPrompt:
    """One kernel for one listener. Made on the loop.

    Args:
        token: of the service itself, for what it asks beside the commands of people.
    """

    def __init__(self, places: KernelPlaces, token: Callable[[], Secret] | None = None) -> None:
        self._token = token
        self._listener: Listener | None = None
        self._running: dict[str, _Running] = {}
        self._sent: set[asyncio.Future[Message]] = set()
        self.link = KernelLink(
            places, "service:session", published=self._published, changed=self._changed
        )

    def tell(self, listener: Listener) -> None:
        """Who hears of the commands; to be said before the link is opened."""
        self._listener = listener

    # ---- asked by the bridge ---------------------------------------------------------------

    def send(self, command: Command) -> None:
        """Run it next. Questions of the command find nobody, and fail there."""
        content = {
            "code": command.line,
            "silent": False,
            "store_history": True,
            "user_expressions": {},
            "allow_stdin": False,
            "stop_on_error": False,
        }
        header = {"msg_id": command.id, "username": str(command.author)}
        metadata = {"undula": {"token": command.author.token}}
        future = self.link.post("execute_request", content, header=header, metadata=metadata)[1]
        self._sent.add(future)
        future.add_done_callback(lambda done: self._replied(command.id, done))

    def _replied(self, command_id: str, done: asyncio.Future[Message]) -> None:
        self._sent.discard(done)
        if done.cancelled() or done.exception() is not None:
            return  # the kernel has ended: told by `lost`
        if done.result()["content"].get("status") == "aborted" and self._listener is not None:
            self._listener.finished(command_id, Outcome("aborted", message="taken from the queue"))

    async def evaluate(self, wanted: dict[str, str], /) -> dict[str, Any]:
        """Plain values of expressions, beside whatever runs.

        Raises: InputError naming the expression that failed; TimeoutUndulaError.
        """
        content = {"code": "", "silent": True, "user_expressions": wanted, "allow_stdin": False}
        token = self._token().reveal() if self._token is not None else ""
        metadata = {"undula": {"token": token}}
        reply = await self.link.beside("execute_request", content, metadata=metadata)
        return {name: _value(name, found) for name, found in reply["user_expressions"].items()}

    async def interrupt(self) -> None:
        """Ctrl-C for the cell that runs."""
        await self.link.interrupt()

    # ---- heard from the kernel -------------------------------------------------------------

    def _changed(self, alive: bool) -> None:
        if self._listener is None:
            return
        if alive:
            self._listener.back()
        else:
            self._running.clear()
            self._listener.lost("the shared prompt's process ended; see undula logs kernel")

    def _published(self, message: Message) -> None:
        if self._listener is None:
            return
        kind, content = message["header"]["msg_type"], message["content"]
        parent = message["parent_header"]
        identity = str(parent.get("msg_id", ""))
        if kind == "execute_input":
            self._running[identity] = _Running(asyncio.get_running_loop().time())
            author = author_of(str(parent.get("username", "")))
            self._listener.started(Command(identity, author, str(content["code"]), now()))
            return
        running = self._running.get(identity)
        if running is None:
            return
        if kind == "stream":
            self._listener.output(identity, str(content["name"]), str(content["text"]))
        elif kind == "execute_result":
            running.result = str(content["data"].get("text/plain", ""))[:MAX_TEXT]
            self._listener.output(identity, "result", running.result)
        elif kind == "error":
            running.error = content
        elif kind == RUNS_MESSAGE:
            running.runs += content["numbers"]
        elif kind == "status" and content["execution_state"] == "idle":
            del self._running[identity]
            self._listener.finished(identity, running.outcome())


def _value(name: str, found: dict[str, Any]) -> Any:
    if found.get("status") != "ok":
        raise InputError(
            f"{name}: {found.get('ename')}: {found.get('evalue')}", remedy="see the shared prompt"
        )
    try:
        return ast.literal_eval(found["data"]["text/plain"])
    except (ValueError, SyntaxError) as exc:
        raise InputError(f"{name} is no plain value", remedy="ask for numbers and texts") from exc

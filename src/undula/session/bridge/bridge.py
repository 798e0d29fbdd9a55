"""The bridge: who may type what next, and which outcome belongs to whom.

Every command has its own id and author from the moment it is taken until it has ended, whatever
people and programs send between. The bridge sends one command at a time to the prompt and keeps the
others, so that `front` means what it says; what people type goes to the prompt directly and is only
observed. In: calls and code. Out: events as plain dictionaries, on the loop. Nothing here blocks.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Any

from undula.core.clock import now
from undula.core.errors import BusyError, InputError, TimeoutUndulaError, UndulaError
from undula.core.faults import reached
from undula.core.ids import new_id
from undula.core.log import get_logger
from undula.session.bridge.hiding import hidden
from undula.session.bridge.log import CommandLog
from undula.session.bridge.model import Author, Call, Code, Command, Outcome, Policy
from undula.session.bridge.ports import Prompt
from undula.session.bridge.render import render

MAX_WAITING = 1000
MAX_OUTPUT = 64_000
"""Characters of one command's output that are told; the prompt shows all of it."""
KEPT = 2000
"""Outcomes that can be asked for again."""
MAX_SHOWN = 1000
"""Characters of a line in the snapshot, which must fit into one reply; events tell all of it."""
TYPING_S = 30.0
"""Who said longer ago that a line holds text does not type any more."""

Callback = Callable[[dict[str, Any]], None]


class SessionBridge:
    """Commands in, events and outcomes out. All methods on the loop's thread.

    Args:
        log: where commands are kept; None: nowhere.
        busy: what occupies the beamline beside the prompt, e.g. `scan 1234 by anna`; "" for
            nothing. Only told, never a reason to refuse.
        typing_guard: refuse, under the policy `refuse`, while somebody has typed half a line.
    """

    def __init__(
        self,
        prompt: Prompt,
        log: CommandLog | None = None,
        *,
        busy: Callable[[], str] = str,
        typing_guard: bool = False,
    ) -> None:
        self._prompt = prompt
        self._log = log
        self._busy = busy
        self._typing_guard = typing_guard
        self._waiting: deque[Command] = deque()
        self._sent: Command | None = None
        self._running: OrderedDict[str, tuple[Command, float]] = OrderedDict()
        self._outcomes: OrderedDict[str, Outcome] = OrderedDict()
        self._ends: dict[str, list[asyncio.Future[Outcome]]] = {}
        self._told: dict[str, int] = {}
        self._typists: dict[str, tuple[Author, float]] = {}
        self._callbacks: list[Callback] = []

    # ---- asked -----------------------------------------------------------------------------

    def submit(self, what: Call | Code, author: Author, policy: Policy = "refuse") -> Command:
        """Take a command: run it now, or as the policy says.

        Raises: BusyError saying with what and whose; InputError for a call that no line can hold.
        """
        line = render(what) if isinstance(what, Call) else what.text
        if policy == "refuse":
            self._refuse_when_busy()
        if len(self._waiting) >= MAX_WAITING:
            raise BusyError(f"{MAX_WAITING} commands wait already", remedy="wait for some to end")
        command = Command(new_id(), author, line, now())
        self._note("cmd/accepted", command, policy=policy)
        if self._log is not None:
            self._log.accepted(command)
        reached("session.command_accepted")
        if policy == "front":
            self._waiting.appendleft(command)
        else:
            self._waiting.append(command)
        self._send_next()
        return command

    def _refuse_when_busy(self) -> None:
        current = next((c for c, _ in self._running.values()), None) or self._sent
        if current is None and self._waiting:
            current = self._waiting[0]
        if current is not None:
            beside = self._busy()
            scan = f", {beside}" if beside else ""
            raise BusyError(
                f"the prompt is busy with {hidden(current.line)[:200]} by {current.author}{scan}",
                remedy="wait for its end, or send it with the policy queue or front",
            )
        who = self._who_types()
        if self._typing_guard and who:
            raise BusyError(
                f"somebody is typing: {', '.join(who)}",
                remedy="wait, or send it with the policy queue",
            )

    def _who_types(self) -> list[str]:
        """Those who said so lately: a terminal that has died says nothing more."""
        since = time.monotonic() - TYPING_S
        return sorted({str(author) for author, said in self._typists.values() if said > since})

    async def wait(self, command_id: str, timeout_s: float | None = None) -> Outcome:
        """How a command ended, when it has ended.

        Raises: TimeoutUndulaError, the command goes on; InputError for an id that nobody knows.
        """
        found = self._outcomes.get(command_id)
        if found is not None:
            return found
        if not self._is_open(command_id):
            kept = self._log.outcome(command_id) if self._log is not None else None
            if kept is None:
                raise InputError(f"there is no command {command_id[:64]!r}", remedy="see cmd/list")
            return kept
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._ends.setdefault(command_id, []).append(future)
        try:
            return await asyncio.wait_for(future, timeout_s)
        except TimeoutError as exc:
            raise TimeoutUndulaError(
                f"the command has not ended within {timeout_s:g} s",
                remedy="it goes on: wait again, or interrupt it",
            ) from exc
        finally:
            self._wait_no_more(command_id, future)

    def _wait_no_more(self, command_id: str, future: asyncio.Future[Outcome]) -> None:
        waiting = self._ends.get(command_id, [])
        if future in waiting:
            waiting.remove(future)
            if not waiting:
                del self._ends[command_id]

    def _is_open(self, command_id: str) -> bool:
        waits = any(command.id == command_id for command in self._waiting)
        return waits or command_id in self._running or self._has_sent(command_id)

    def _has_sent(self, command_id: str) -> bool:
        return self._sent is not None and self._sent.id == command_id

    def take_back(self, command_id: str) -> bool:
        """Take a command out that still waits here; False when it does not."""
        for command in self._waiting:
            if command.id == command_id:
                self._waiting.remove(command)
                self._end(command, Outcome("aborted", message="taken back before it began"))
                return True
        return False

    async def interrupt(self, author: Author) -> None:
        """Ctrl-C for what runs now."""
        get_logger().info("prompt_interrupted", by=str(author))
        await self._prompt.interrupt()

    def typing(self, front_end: str, author: Author, has_text: bool) -> None:
        """A front end's line holds text, or is empty again."""
        since = time.monotonic() - TYPING_S
        self._typists = {
            one: (who, said) for one, (who, said) in self._typists.items() if said > since
        }
        before = self._typists.pop(front_end, None)
        if has_text:
            self._typists[front_end] = (author, time.monotonic())
        if has_text != (before is not None):
            about = {"author": author.name, "origin": author.origin, "on": has_text}
            self._say({"typ": "typing", **about})

    def subscribe(self, callback: Callback) -> Callable[[], None]:
        """Call `callback` with every event; returns what ends that."""
        self._callbacks.append(callback)
        return lambda: self._callbacks.remove(callback)

    def snapshot(self) -> dict[str, Any]:
        """What a late joiner needs: what runs, what waits, who types, the last commands."""
        running = [
            _short(_shown(command)) | {"started": began}
            for command, began in self._running.values()
        ]
        return {
            "running": running,
            "waiting": [_short(_shown(command)) for command in self._waiting],
            "typing": self._who_types(),
            "commands": list(map(_short, self._log.last(20))) if self._log is not None else [],
        }

    def words(self) -> str:
        """What the prompt does, for `undula status`: who runs something, how much waits."""
        current = next((command for command, _ in self._running.values()), None)
        doing = f"runs a command by {current.author}" if current is not None else "idle"
        return doing + (f", {len(self._waiting)} wait" if self._waiting else "")

    # ---- heard from the prompt -------------------------------------------------------------

    def started(self, command: Command) -> None:
        """A command runs now, sent from here or typed by a person."""
        if command.id in self._running:
            return
        self._running[command.id] = (command, now())
        if self._log is not None:
            self._log.started(command)
        self._note("cmd/started", command)

    def output(self, command_id: str, stream: str, text: str) -> None:
        """Text of a running command."""
        if command_id not in self._running:
            return
        said = self._told.get(command_id, 0)
        room = MAX_OUTPUT - said
        if room <= 0:
            return
        self._told[command_id] = said + len(text)
        cut = text[:room] + ("\n... more on the prompt\n" if len(text) > room else "")
        command, _ = self._running[command_id]
        self._note("cmd/output", command, stream=stream, text=hidden(cut))

    def finished(self, command_id: str, outcome: Outcome) -> None:
        """A command has ended."""
        running = self._running.pop(command_id, None)
        command = running[0] if running is not None else None
        if self._has_sent(command_id):
            command, self._sent = self._sent, None
        if command is not None:
            self._end(command, outcome)
        self._send_next()

    def lost(self, reason: str) -> None:
        """The prompt's process has ended: what ran died, what waited is not begun on another."""
        died = [command for command, _ in self._running.values()]
        if self._sent is not None and self._sent.id not in self._running:
            died.append(self._sent)
        waiting = list(self._waiting)
        self._running.clear()
        self._waiting.clear()
        self._sent = None
        for command in died:
            self._end(command, Outcome("died", message=reason))
        for command in waiting:
            self._end(command, Outcome("aborted", message=f"not begun: {reason}"))
        self._say({"typ": "kernel/died", "desc": reason})

    def back(self) -> None:
        """There is a prompt again."""
        self._say({"typ": "kernel/ready"})
        self._send_next()

    # ---- inside ----------------------------------------------------------------------------

    def _send_next(self) -> None:
        while self._sent is None and self._waiting:
            self._sent = self._waiting.popleft()
            try:
                self._prompt.send(self._sent)
                reached("session.command_sent")
            except UndulaError as error:
                command, self._sent = self._sent, None
                self._end(
                    command, Outcome("aborted", error=type(error).__name__, message=str(error))
                )

    def _end(self, command: Command, outcome: Outcome) -> None:
        self._told.pop(command.id, None)
        reached("session.command_finished")
        self._outcomes[command.id] = outcome
        while len(self._outcomes) > KEPT:
            self._outcomes.popitem(last=False)
        if self._log is not None:
            self._log.finished(command, outcome)
        self._note(
            "cmd/finished",
            command,
            status=outcome.status,
            result=hidden(outcome.result),
            error=outcome.error,
            desc=hidden(outcome.message),
            traceback=list(map(hidden, outcome.traceback)),
            duration_s=round(outcome.duration_s, 6),
            run_numbers=list(outcome.run_numbers),
        )
        for future in self._ends.pop(command.id, []):
            if not future.done():
                future.set_result(outcome)

    def _note(self, typ: str, command: Command, **more: Any) -> None:
        self._say({"typ": typ, **_shown(command), **more})

    def _say(self, event: dict[str, Any]) -> None:
        for callback in list(self._callbacks):
            try:
                callback(event)
            except Exception:  # one listener's fault takes nothing from the others
                get_logger().exception("listener_failed", event_type=event["typ"])


def _shown(command: Command) -> dict[str, Any]:
    return {
        "id": command.id,
        "author": command.author.name,
        "origin": command.author.origin,
        "line": hidden(command.line),
    }


def _short(shown: dict[str, Any]) -> dict[str, Any]:
    line = shown["line"]
    return shown if len(line) <= MAX_SHOWN else shown | {"line": f"{line[:MAX_SHOWN]} ..."}

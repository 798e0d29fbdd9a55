"""The prompt of a plain IPython in a terminal: commands typed into its own line, and observed.

In: commands, on the bridge's loop. Out: to the listener, when each began and how it ended, whoever
typed it. A line that somebody has begun is never touched: a command waits until it is empty and the
prompt is there. Called by: `start`. Twin: `session.kernel.prompt`.
"""

from __future__ import annotations

import asyncio
import signal
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from prompt_toolkit.document import Document

from undula.client.link import login_name
from undula.core.clock import now
from undula.core.errors import InputError, ServiceError, TimeoutUndulaError
from undula.core.ids import new_id
from undula.session.bridge.model import Author, Command, Outcome
from undula.session.bridge.ports import Listener
from undula.session.plain.tee import Tees

EVALUATE_S = 5.0
MAX_TRACEBACK = 200
FRONT_END = "terminal"
Typing = Callable[[str, Author, bool], None]


class PlainPrompt:
    """See `bridge.ports.Prompt`. IPython's side runs on the main thread, the other on the loop."""

    def __init__(self, shell: Any, loop: asyncio.AbstractEventLoop) -> None:
        self._shell, self._loop = shell, loop
        self._session: Any = getattr(shell, "pt_app", None)
        if self._session is None:
            raise InputError(
                "this IPython has no prompt that commands can be typed into",
                remedy="start it in a terminal, without --simple-prompt; undula shell has its own",
            )
        self._main = threading.main_thread()
        self.person = Author(login_name(), "terminal")
        self._listener: Listener | None = None
        self._typing: Typing | None = None
        self._has_text = False
        self._lock = threading.Lock()
        self._pending: Command | None = None
        self._typed: Command | None = None
        self._stack: list[tuple[Command, float]] = []
        self._runs: list[int] = []
        self._tees: Tees | None = None
        self._closed = False

    def tell(self, listener: Listener, typing: Typing) -> None:
        """Begin to observe; the listener and `typing` are called on the loop."""
        self._listener, self._typing = listener, typing
        self._shell.events.register("pre_run_cell", self._before)
        self._shell.events.register("post_run_cell", self._after)
        self._session.app.after_render += self._rendered

    def close(self) -> None:
        """Observe no more; a command that was not typed yet is not typed."""
        if self._closed:
            return
        self._closed = True
        if self._tees is not None:
            self._tees.end()
            self._tees = None
        self._shell.events.unregister("pre_run_cell", self._before)
        self._shell.events.unregister("post_run_cell", self._after)
        self._session.app.after_render -= self._rendered

    # -- on the loop ------------------------------------------------------------------------

    def send(self, command: Command) -> None:
        """Type it when the line is empty and the prompt is there."""
        if self._closed or not self._main.is_alive():
            raise ServiceError("this IPython has ended", remedy="start it anew")
        if not command.line.strip():
            raise InputError("the line is empty", remedy="send a command")
        with self._lock:
            self._pending = command
        self._wake()

    def _wake(self) -> None:
        app = self._session.app
        loop = app.loop
        if app.is_running and loop is not None:
            with suppress(RuntimeError):  # it was closed in between: the next prompt looks again
                loop.call_soon_threadsafe(self._type)

    async def evaluate(self, wanted: dict[str, str], /) -> dict[str, Any]:
        """Values of expressions in the user's names, on a thread beside whatever runs."""
        names = dict(self._shell.user_ns)

        def work() -> dict[str, Any]:
            return {name: _evaluated(text, names) for name, text in wanted.items()}

        try:
            return await asyncio.wait_for(asyncio.to_thread(work), EVALUATE_S)
        except TimeoutError as exc:
            raise TimeoutUndulaError(
                f"no value within {EVALUATE_S:g} s", remedy="ask for something simpler"
            ) from exc

    async def interrupt(self) -> None:
        """Ctrl-C for the running command; nothing when none runs."""
        if self._stack and self._main.ident is not None:
            signal.pthread_kill(self._main.ident, signal.SIGINT)

    # -- on the main thread -----------------------------------------------------------------

    def _rendered(self, app: Any) -> None:
        """The prompt was drawn: somebody may have typed, or it may have come back."""
        has_text = bool(self._session.default_buffer.text) and not app.is_done
        if has_text != self._has_text:
            self._has_text = has_text
            self._call(self._typing, FRONT_END, self.person, has_text)
        if self._pending is not None and app.loop is not None:
            app.loop.call_soon(self._type)
        if self._typed is not None and not app.is_done:
            self._not_begun()

    def _not_begun(self) -> None:
        """The prompt is back, but what was typed never ran: Ctrl-C came in between."""
        command, self._typed = self._typed, None
        if command is not None and self._listener is not None:
            outcome = Outcome("aborted", message="interrupted before it began")
            self._call(self._listener.finished, command.id, outcome)

    def _type(self) -> None:
        app, buffer = self._session.app, self._session.default_buffer
        ready = app.is_running and not app.is_done and app.current_buffer is buffer
        if self._closed or not ready or buffer.text:
            return
        with self._lock:
            command, self._pending = self._pending, None
        if command is None:
            return
        self._typed = command
        buffer.set_document(Document(command.line, len(command.line)), bypass_readonly=True)
        buffer.validate_and_handle()

    def _before(self, info: Any) -> None:
        typed, self._typed = self._typed, None
        if typed is not None and (self._stack or info.raw_cell.strip() != typed.line.strip()):
            typed = None
        command = typed or Command(new_id(), self.person, info.raw_cell, now())
        if not self._stack:
            self._runs = []
        self._stack.append((command, time.monotonic()))
        if self._listener is None:
            return
        self._call(self._listener.started, command)
        if len(self._stack) == 1:
            output, running = self._listener.output, command.id
            self._tees = Tees(lambda stream, text: self._call(output, running, stream, text))

    def _after(self, result: Any) -> None:
        if not self._stack:  # the cell that started the server
            return
        command, began = self._stack.pop()
        if not self._stack and self._tees is not None:
            self._tees.end()
            self._tees = None
        outcome = self._outcome(result, time.monotonic() - began)
        if self._listener is not None:
            self._call(self._listener.finished, command.id, outcome)

    def note_run(self, number: int) -> None:
        """A run was opened, by what runs now."""
        self._runs.append(number)

    def current(self) -> Command | None:
        """What runs now."""
        return self._stack[-1][0] if self._stack else None

    def _outcome(self, result: Any, duration_s: float) -> Outcome:
        runs = tuple(self._runs)
        error = None
        if result is not None:
            error = result.error_before_exec or result.error_in_exec
        if error is None:
            shown = "" if result is None else self._shown(result.result)
            return Outcome("ok", shown, duration_s=duration_s, run_numbers=runs)
        return Outcome(
            "error",
            error=type(error).__name__,
            message=str(error),
            traceback=_lines(error),
            duration_s=duration_s,
            run_numbers=runs,
        )

    def _shown(self, value: Any) -> str:
        if value is None:
            return ""
        try:
            data, _ = self._shell.display_formatter.format(value, include={"text/plain"})
            return str(data.get("text/plain", ""))
        except Exception as exc:  # the user's own representation may raise anything
            return f"<{type(value).__name__}: {type(exc).__name__}>"

    def _call(self, callback: Callable[..., None] | None, *arguments: Any) -> None:
        if callback is not None:
            with suppress(RuntimeError):  # the loop has ended with the server
                self._loop.call_soon_threadsafe(callback, *arguments)


def _evaluated(text: str, names: dict[str, Any]) -> Any:
    try:
        return eval(text, names)  # noqa: S307  # the user's own prompt, asked by the session
    except Exception as exc:  # whatever the expression raises
        raise InputError(
            f"{text} has no value: {type(exc).__name__}: {exc}", remedy="look at the name"
        ) from exc


def _lines(error: BaseException) -> tuple[str, ...]:
    """The traceback from the user's own first line on."""
    trace = error.__traceback__
    first = trace
    while first is not None and "IPython" in first.tb_frame.f_code.co_filename:
        first = first.tb_next
    lines = "".join(traceback.format_exception(type(error), error, first or trace)).splitlines()
    return tuple(lines[-MAX_TRACEBACK:])

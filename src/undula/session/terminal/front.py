"""One terminal on the shared prompt, on an asyncio loop.

The line stays editable whatever runs: what is typed meanwhile runs next. Ctrl-C interrupts what
runs, or clears the line; Ctrl-D leaves, and the prompt goes on without this terminal.
"""

from __future__ import annotations

import asyncio
import re
import signal
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Protocol

from IPython.core.inputtransformer2 import TransformerManager
from prompt_toolkit import PromptSession
from prompt_toolkit.application import Application
from prompt_toolkit.auto_suggest import AutoSuggestFromHistory
from prompt_toolkit.enums import DEFAULT_BUFFER
from prompt_toolkit.filters import has_focus
from prompt_toolkit.formatted_text import ANSI
from prompt_toolkit.history import InMemoryHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.output import ColorDepth
from prompt_toolkit.utils import is_dumb_terminal

from undula.core.errors import UndulaError
from undula.core.faults import reached
from undula.session.bridge.hiding import hidden
from undula.session.kernel.app_names import TAKE_BACK
from undula.session.kernel.link import KernelDiedError, KernelLink, Message
from undula.session.kernel.places import KernelPlaces
from undula.session.terminal.editing import KernelCompleter, SafeHistory, python_lexer
from undula.session.terminal.feed import CYAN, DIM, PLAIN, RED, Feed

AT_ONCE = re.compile(r"\s*(stop|pause|abort)\s*(\(.*\))?\s*")
"""Lines that must not wait for the cell that they are about."""
LEAVE = {"exit", "quit", "exit()", "quit()"}
AGAIN_S = 3.0
DRAW_S = 0.01
NEWLINE = "\n"
ROWS_FOR_A_PLOT = 28
BEGIN_S = 0.05
"""An interrupt in the moment in which a cell begins may fall between IPython's own steps."""
LONGEST_BEGUN = 2000
"""Characters that are shown of a line which is not complete."""


class NotAskedError(Exception):
    """A question ended with its cell or with the kernel."""


class Beside(Protocol):
    """What a terminal is told beside the kernel."""

    def bar(self, prompt: str, width: int) -> str:
        """The status bar's text."""

    def plot(self, width: int) -> list[str]:
        """Lines of the live plot, empty when nothing is scanned."""

    def why_died(self) -> str:
        """Why the kernel ended, as far as the supervisor knows."""

    def typing(self, has_text: bool) -> None:
        """The line holds text, or is empty again."""


class Front:
    """The terminal of one person.

    Args:
        user: who sits here.
        beside: what is known beside the kernel.
        history: file of this person's lines; None: none is kept.
        token: for services that ask who it is, read anew for every line.
    """

    def __init__(
        self,
        places: KernelPlaces,
        user: str,
        beside: Beside,
        *,
        history: Path | None = None,
        colour: bool = True,
        plot: bool = True,
        token: Callable[[], str] = str,
    ) -> None:
        self._user, self._beside, self._token = user, beside, token
        self._colour, self._plot = colour, plot
        self.link = KernelLink(
            places,
            f"terminal:{user}",
            published=self._published,
            asked=self._asked,
            changed=self._changed,
        )
        self._feed = Feed(self.link.session.session, colour)
        self._pending: dict[str, asyncio.Task[None]] = {}
        self._question: Message | None = None
        self._asking: tuple[str, Application[str]] | None = None
        self._warned = float("-inf")
        self._was_alive = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._unwanted: set[str] = set()
        self._unsaid = self._begun = ""
        self._dumb, self._reading = is_dumb_terminal(), False
        self._app: Application[str] | None = None
        self._check = TransformerManager()
        self._session: PromptSession[str] = PromptSession(
            history=SafeHistory(str(history)) if history is not None else InMemoryHistory(),
            auto_suggest=AutoSuggestFromHistory(),
            enable_history_search=True,
            completer=KernelCompleter(self.link),
            complete_while_typing=False,
            complete_in_thread=False,
            lexer=python_lexer() if colour else None,
            color_depth=None if colour else ColorDepth.DEPTH_1_BIT,
            multiline=True,
            prompt_continuation=lambda width, *_: "...: ".rjust(width),
            key_bindings=self._keys(),
            bottom_toolbar=self._toolbar,
            refresh_interval=0.5,
        )
        self._session.default_buffer.on_text_changed += lambda buffer: self._beside.typing(
            bool(buffer.text)
        )

    # ---- life ------------------------------------------------------------------------------

    async def run(self, greeting: str, running: dict[str, str] | None = None) -> int:
        """Until the person leaves. Raises: TimeoutUndulaError when there is no kernel.

        `running` are commands of others that run already: id to author.
        """
        for identity, author in (running or {}).items():
            self._feed.running[identity] = (author, False)
        await self.link.open()
        await self._count()
        try:
            # between two lines the terminal is in its usual mode: Ctrl-C comes as a signal
            loop = asyncio.get_running_loop()
            loop.add_signal_handler(signal.SIGINT, self._interrupt_soon)
            self._say(greeting + self._feed.paint(await self._news(), RED))
            self._write_out()
            await self._read_lines()
        finally:
            self._app = None
            self._write_out()
            self._beside.typing(False)
            await self.link.close()
        return 0

    async def _news(self) -> str:
        """What the kernel has to say of its start, e.g. a faulty start-up file; "" for nothing."""
        try:
            reply = await self.link.request("kernel_info_request", {}, on="control", timeout_s=5.0)
        except UndulaError:
            return ""
        return str(reply.get("banner", "")).partition("\n")[2]

    async def _count(self) -> None:
        """Begin with the number that the prompt has come to."""
        content = {"code": "", "silent": True, "user_expressions": {}, "allow_stdin": False}
        reply = await self.link.beside(
            "execute_request", content, metadata={"undula": {"token": self._token()}}
        )
        self._feed.counter = max(self._feed.counter, int(reply.get("execution_count", 0)) + 1)

    async def _read_lines(self) -> None:
        stashed = ""
        while True:
            self._app, self._reading = self._session.app, True
            try:
                text = await self._session.prompt_async(
                    self._message,
                    default=stashed,
                )
            except EOFError:
                return
            finally:
                self._reading = False
            stashed = ""
            if self._question is not None:
                stashed = text
                await self._answer()
            elif text.strip() in LEAVE:
                return
            elif text.strip():
                self._submit(text)

    def _message(self) -> ANSI:
        """The prompt; above it what a cell has printed of a line that goes on."""
        prompt = self._feed.paint(f"In [{self._feed.counter}]: ", CYAN)
        begun = self._begun.rpartition("\r")[2][-LONGEST_BEGUN:]
        return ANSI(f"{begun}{PLAIN if self._colour else ''}\n{prompt}" if begun else prompt)

    def _submit(self, text: str) -> None:
        self._feed.counter += 1  # until the kernel says its own
        at_once = AT_ONCE.fullmatch(text)
        if at_once is not None and self._feed.running:
            self._keep(self._send_beside(f"{at_once[1]}{at_once[2] or '()'}"))
            return
        if self._feed.others:
            waits = f"waits for {self._feed.others}; stop(), pause() and abort() act at once\n"
            self._say(self._feed.paint(waits, DIM))
        self._send(text)

    async def _send_beside(self, text: str) -> None:
        """Behind the scan that it is to stop, a `stop()` would come too late."""
        try:
            self._send(text, {"subshell_id": await self.link.subshell()})
        except UndulaError as error:
            self._say(self._feed.paint(f"{error}\n", RED))

    def _send(self, text: str, header: dict[str, Any] | None = None) -> None:
        content = {
            "code": text,
            "silent": False,
            "store_history": hidden(text) == text,
            "user_expressions": {},
            "allow_stdin": True,
            "stop_on_error": False,
        }
        metadata = {"undula": {"token": self._token(), **self.link.me}}
        try:
            identity, reply = self.link.post(
                "execute_request", content, header=header, metadata=metadata
            )
        except UndulaError as error:
            self._say(self._feed.paint(f"{error}\n", RED))
            return
        reached("terminal.line_sent")
        self._pending[identity] = asyncio.create_task(self._follow(identity, reply))

    async def _follow(self, identity: str, reply: asyncio.Future[Message]) -> None:
        try:
            content = (await reply)["content"]
        except KernelDiedError:
            return  # told once, for all
        finally:
            del self._pending[identity]
            self._unwanted.discard(identity)
        reached("terminal.reply_received")
        if content.get("status") == "aborted":
            self._say(self._feed.paint("not run: taken back before it began\n", RED))
        for payload in content.get("payload", ()):
            if payload.get("source") == "page":
                self._say(str(payload["data"].get("text/plain", "")).rstrip("\n") + "\n")
            elif payload.get("source") == "set_next_input":
                self._session.default_buffer.text = str(payload.get("text", ""))
        self._redraw()

    # ---- heard -----------------------------------------------------------------------------

    def _published(self, message: Message) -> None:
        text = self._feed.take(message)
        self._ask_no_more()
        if text:
            self._say(text)
        elif message["header"]["msg_type"] in ("status", "execute_input"):
            self._redraw()
        for identity in self._unwanted & set(self._feed.running):
            self._unwanted.discard(identity)
            asyncio.get_running_loop().call_later(BEGIN_S, self._end_one, identity)

    def _changed(self, alive: bool) -> None:
        if not alive:
            self._feed.clear()
            self._ask_no_more()
            why = self._beside.why_died()
            self._say(
                self._feed.paint(
                    f"The shared prompt has ended{': ' + why if why else ''}. It is restarted; its "
                    "variables are lost, scans go on.\n",
                    RED,
                )
            )
        elif self._was_alive:
            self._feed.counter = 1
            self._say("The shared prompt is back.\n")
        self._was_alive = True

    def _asked(self, message: Message) -> None:
        """A cell of ours asks: end the line that is edited, keeping what it holds."""
        self._question = message
        app = self._session.app
        if app.is_running:
            app.erase_when_done = True
            app.exit(result=self._session.default_buffer.text)
        elif self._dumb:
            self._say("your command asks something: press Enter, then answer\n")

    async def _answer(self) -> None:
        question, self._question = self._question, None
        self._session.app.erase_when_done = False
        if question is None:
            return
        identity, content = str(question["parent_header"]["msg_id"]), question["content"]
        if identity not in self._feed.running:
            return
        if self._begun:  # `print("name: ", end=""); input()`
            self._say("\n")
        asking: PromptSession[str] = PromptSession(history=InMemoryHistory())
        self._app, self._asking = asking.app, (identity, asking.app)
        try:
            text = await asking.prompt_async(
                str(content["prompt"]), is_password=bool(content["password"])
            )
            self.link.answer(question, text)
        except NotAskedError:
            self._say("The question has ended with its command.\n")
        except (EOFError, KeyboardInterrupt):
            await self._interrupt()
        except UndulaError as error:
            self._say(self._feed.paint(f"{error}\n", RED))
        finally:
            self._asking = None

    def _ask_no_more(self) -> None:
        """End a question that nobody waits for: what is typed then is a line again."""
        if self._asking is None:
            return
        identity, app = self._asking
        if identity not in self._feed.running and app.is_running and not app.is_done:
            app.exit(exception=NotAskedError())

    # ---- keys and screen -------------------------------------------------------------------

    def _keys(self) -> KeyBindings:
        keys = KeyBindings()

        @keys.add("enter", filter=has_focus(DEFAULT_BUFFER))
        def _(event: KeyPressEvent) -> None:
            buffer = event.current_buffer
            if buffer.complete_state:
                buffer.complete_state = None
                return
            status, indent = self._check.check_complete(buffer.text)
            at_end = not buffer.document.text_after_cursor.strip()
            empty_line = not buffer.document.current_line.strip()
            if status == "incomplete" or not at_end:
                if at_end and empty_line and "\n" in buffer.text:
                    buffer.validate_and_handle()  # an empty line ends a block
                    return
                buffer.insert_text("\n" + " " * (indent or 0))
                return
            buffer.validate_and_handle()

        @keys.add("c-c")
        @keys.add("<sigint>")
        def _(event: KeyPressEvent) -> None:
            buffer = event.current_buffer
            if buffer.text:
                buffer.reset()
                return
            self._interrupt_soon()

        @keys.add("c-d", filter=has_focus(DEFAULT_BUFFER))
        def _(event: KeyPressEvent) -> None:
            if not event.current_buffer.text:
                event.app.exit(exception=EOFError())

        return keys

    def _interrupt_soon(self) -> None:
        self._keep(self._interrupt())

    def _keep(self, work: Coroutine[Any, Any, None]) -> None:
        """Run it beside, and keep it until it is done."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _interrupt(self) -> None:
        """Interrupt what runs; a command of somebody else only when asked twice."""
        for identity in set(self._pending) - set(self._feed.running):
            self.link.post(TAKE_BACK, {"msg_id": identity}, on="control")
            self._unwanted.add(identity)  # it may begin in this moment
        if not self._feed.running:
            return
        now = asyncio.get_running_loop().time()
        own = any(own for _, own in self._feed.running.values())
        if self._feed.others and not own and now - self._warned > AGAIN_S:
            self._warned = now
            self._say(f"{self._feed.others} runs this; Ctrl-C again interrupts it\n")
            return
        try:
            await self.link.interrupt()
        except UndulaError as error:
            self._say(self._feed.paint(f"{error}\n", RED))

    def _end_one(self, identity: str) -> None:
        if identity in self._feed.running:
            self.link.post("interrupt_request", {}, on="control")

    def _toolbar(self) -> Any:
        size = self._session.app.output.get_size()  # the terminal's own, whatever LINES says
        width, height = size.columns, size.rows
        lines = self._beside.plot(width) if self._plot and height >= ROWS_FOR_A_PLOT else []
        return ANSI("\n".join([*lines, self._beside.bar(self._doing(), width)]))

    def _doing(self) -> str:
        if not self._was_alive or not self.link.alive:
            return "prompt restarts"
        if not self._feed.running:
            return f"{len(self._pending)} to run" if self._pending else "prompt idle"
        author, own = next(iter(self._feed.running.values()))
        return f"{'you' if own else author}: {self._feed.progress or 'running'}"

    def _redraw(self) -> None:
        if self._session.app.is_running:
            self._session.app.invalidate()

    def _say(self, text: str) -> None:
        """Show text above the line that is edited, soon: what comes together is drawn once."""
        if not self._unsaid and text:
            asyncio.get_running_loop().call_later(DRAW_S, self._write_out)
        self._unsaid += text

    def _write_out(self) -> None:
        """Write above the line. The terminal stays in raw mode: no key is echoed or lost."""
        if not self._unsaid:
            return
        text, self._unsaid, self._begun = self._begun + self._unsaid, "", ""
        app = self._app
        if app is None or not app.is_running:
            if self._dumb and self._reading:  # the prompt stands there, and cannot be erased
                line = f"In [{self._feed.counter}]: {self._session.default_buffer.text}"
                text = f"\n{text}{'' if text.endswith(NEWLINE) else NEWLINE}{line}"
            sys.stdout.write(text)
            sys.stdout.flush()
            return
        if self._asking is None:  # a line that goes on stands above the prompt until it is whole
            whole, newline, self._begun = text.rpartition("\n")
            text = whole + newline
        elif not text.endswith("\n"):
            text += "\n"
        app.renderer.erase()
        app.output.write_raw(text)
        app.output.flush()
        app.renderer.reset()
        # the row is not asked for: the status bar would be gone until the terminal has answered
        app.renderer.report_absolute_cursor_row(app.output.get_size().rows)
        app.invalidate()

"""Follow a scan at a terminal: show it, and answer Ctrl-C.

The first Ctrl-C stops motion and pauses, the second aborts with clean-up. Ctrl-C during a move
stops the axes at once. In: a `ScanHandle`, a `Display`. Out: how it ended.
"""

from __future__ import annotations

import contextvars
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from queue import SimpleQueue
from types import FrameType
from typing import TYPE_CHECKING, Any

from undula.bus.endpoints import QUEUE_STATUS, RUN_FITS
from undula.bus.ports import Connector
from undula.client import Background, Client, ScanHandle, Step
from undula.core.clock import Deadline
from undula.core.errors import InputError, StaleError, UndulaError
from undula.messages import QueueStatus

if TYPE_CHECKING:
    from undula.session.display import Display

FIT_LOOK_S = 0.3
LAST_FIT_S = 30.0
"""How long the summary of a run waits for the last fit, seconds."""
NOBODY_FITS_S = 2.0
"""The same when nobody has begun to fit."""


class FitsShown:
    """Puts the live fits of a run that wants some into its view, before it is drawn."""

    def __init__(self, connector: Connector, display: Display) -> None:
        self._connector, self._display = connector, display
        self._looked = 0.0
        self._uid = ""
        self._begun = False

    def before(self, step: Step) -> None:
        """Look for fits, a few times a second; at the end wait for the last one, some seconds."""
        document = step.document
        if document is not None and document.name == "start":
            wanted = document.doc.get("fit") not in (None, "", "none")
            self._uid, self._begun = str(document.doc["uid"]) if wanted else "", False
        if not self._uid:
            return
        ended = document is not None and document.name == "stop"
        if not ended:
            if time.monotonic() >= self._looked + FIT_LOOK_S:
                self._look(final=False)
            return
        deadline, begun = Deadline(LAST_FIT_S), Deadline(NOBODY_FITS_S)
        while not self._look(final=True) and not deadline.passed:
            if begun.passed and not self._begun:
                return
            time.sleep(0.05)

    def _look(self, *, final: bool) -> bool:
        self._looked = time.monotonic()
        found = self._connector.get(RUN_FITS, uid=self._uid)
        if found is None or not self._display.views:
            return False
        self._begun = True
        self._display.views[-1].fits = list(found.fits)
        return found.final or not final


@contextmanager
def on_ctrl_c(action: Callable[[int], None]) -> Iterator[None]:
    """Call `action(n)` in a thread of its own at the n-th Ctrl-C, and raise nothing.

    A thread, because a signal may come while this thread holds a lock that the action needs. Only
    the main thread may take signals: elsewhere this does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    count = 0

    def handler(_: int, __: FrameType | None) -> None:
        nonlocal count
        count += 1
        context = contextvars.copy_context()  # for whom it asks goes along
        threading.Thread(target=context.run, args=(action, count), daemon=True).start()

    before = signal.signal(signal.SIGINT, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@dataclass(slots=True)
class Held:
    """A Ctrl-C that came while a scan was asked for, to be answered once there is a scan."""

    pressed: bool = False

    def take(self) -> bool:
        """Whether it came; who takes it answers it."""
        pressed, self.pressed = self.pressed, False
        return pressed


@contextmanager
def held_ctrl_c() -> Iterator[Held]:
    """Keep a Ctrl-C: raised at the end if nobody takes it. The second one is raised at once.

    Otherwise it could fall between the request of a scan and its answer, and nobody would know the
    scan that runs then. Only the main thread may take signals: elsewhere this does nothing.
    """
    held = Held()
    if threading.current_thread() is not threading.main_thread():
        yield held
        return

    def handler(_: int, __: FrameType | None) -> None:
        if held.pressed:
            raise KeyboardInterrupt
        held.pressed = True

    before = signal.signal(signal.SIGINT, handler)
    try:
        yield held
    finally:
        signal.signal(signal.SIGINT, before)
    if held.take():
        raise KeyboardInterrupt("interrupted by Ctrl-C")


@dataclass(frozen=True, slots=True)
class Followed:
    """How it came to its end: `interrupted` is what a Ctrl-C did, "" without one."""

    ended: bool
    interrupted: str = ""


IN_A_TERMINAL = ("`undula queue resume` elsewhere", "`undula queue abort`")


class ScanInterrupt:
    """What Ctrl-C does during a scan; `texts` are what the person is to be told."""

    def __init__(self, client: Client, handle: ScanHandle, in_shell: bool = False) -> None:
        self._client, self._handle, self._in_shell = client, handle, in_shell
        self.texts: list[str] = []
        self.paused = ""
        """The text that says so: it holds until the scan has ended."""

    def __call__(self, count: int) -> None:
        """The first pauses, the second aborts; what fails is told."""
        try:
            if count == 1:
                self.texts.append(self._pause())
            else:
                self.texts.append("aborting, with clean-up ...")
                self._handle.cancel("Ctrl-C")
        except UndulaError as exc:
            self.texts.append(str(exc))

    def _pause(self) -> str:
        """Pause the scan when it runs; take it out of the queue when it waits there."""
        queue, item_id = self._client.queue, self._handle.item_id
        while True:
            status = queue.list()
            running = status.running
            if running is not None and item_id in (running.item_id, running.origin):
                return self._pause_running()
            mine = [i for i in status.waiting if item_id in (i.item_id, i.origin)]
            if not mine:
                return "the scan has ended already"
            try:
                for item in mine:
                    queue.remove(item, reason="Ctrl-C")
            except (InputError, StaleError):
                continue  # it has begun meanwhile, or somebody else has taken it out
            return "the scan was taken out of the queue before it began"

    def _pause_running(self) -> str:
        self._client.queue.pause()
        how = ("resume()", "abort()") if self._in_shell else IN_A_TERMINAL
        text = f"motion stopped, scan paused: {how[0]} goes on, {how[1]} ends it"
        self.paused = text if self._in_shell else f"{text};\nCtrl-C again aborts"
        return self.paused


def follow(
    client: Client,
    handle: ScanHandle,
    display: Display,
    leave_when_paused: bool = False,
    held: Held | None = None,
) -> Followed:
    """Show a scan until it has ended.

    Args:
        client: the client that asked for it.
        handle: the scan.
        display: where it is shown.
        leave_when_paused: return to the prompt once a Ctrl-C has paused it.
        held: a Ctrl-C that came while the scan was asked for is answered now.
    """
    interrupt = ScanInterrupt(client, handle, in_shell=leave_when_paused)
    told = 0
    fits = FitsShown(client.link.connector, display)
    try:
        with on_ctrl_c(interrupt):
            if held is not None and held.take():
                interrupt(1)
            for step in handle.steps():
                fits.before(step)
                display.step(step, client.queue.last if step.idle else None)
                for text in interrupt.texts[told:]:
                    if text != interrupt.paused or _runs(client, handle):
                        display.note(text)
                    told += 1
                if leave_when_paused and told and step.idle and _paused(client, handle):
                    return Followed(False, interrupt.texts[0])
            for text in interrupt.texts[told:]:
                if text != interrupt.paused:
                    display.note(text)
            for warning in handle.finished.warnings if handle.finished is not None else ():
                display.note(f"warning: {warning}")
    finally:
        display.close()
    return Followed(True, next(iter(interrupt.texts), ""))


def _runs(client: Client, handle: ScanHandle) -> bool:
    """It has not ended, as far as the queue has said."""
    status = client.queue.last
    if status is None or status.running is None:
        return False
    return handle.item_id in (status.running.item_id, status.running.origin)


def _paused(client: Client, handle: ScanHandle) -> bool:
    status = client.queue.last
    return status is not None and status.state == "paused" and _runs(client, handle)


def wait_for_move(client: Client, move: Background, tell: Callable[[str], None]) -> Any:
    """The readbacks of a move; Ctrl-C stops the axes at once and raises what the engine says.

    An axis that takes longer than it should is told, once.
    """
    told: dict[str, None] = {}
    late: SimpleQueue[str] = SimpleQueue()

    def stop(_: int) -> None:
        try:
            tell(str(client.stop()))
        except UndulaError as exc:
            tell(str(exc))

    def look(status: QueueStatus) -> None:
        for text in status.overdue:
            axis = text.partition(":")[0]
            if move.request_id and move.request_id[:8] in text and axis not in told:
                told[axis] = None
                late.put(text)

    with on_ctrl_c(stop), closing(client.link.connector.subscribe(QUEUE_STATUS, look)):
        while not move.done(0.2):
            while not late.empty():
                tell(f"overdue: {late.get()}")
        return move.result()

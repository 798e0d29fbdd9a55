"""Room: pipes. A graph of a device on a thread of its own, which alone touches its runner.

In: work, from any thread. Out: the same work done with the runner, in order; or refused, when the
graph cannot start or ends before it. The graph is started with the first work, kept warm until it
was idle for long, and started anew by the next work after it ended. Called by: `detector`.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from typing import Protocol

from undula.core.errors import DeviceError, TimeoutUndulaError, UndulaError
from undula.core.log import get_logger
from undula.pipes.runner.parent import QUIT_S
from undula.pipes.runner.runner import Runner

LOOK_S = 0.2


Work = Callable[[Runner], object]
Refused = Callable[[UndulaError], object]


class Owner(Protocol):
    """Whose graph it is. Everything but `name` is called on the thread."""

    name: str

    @property
    def busy(self) -> bool:
        """Whether the graph is needed now."""

    @property
    def waits(self) -> bool:
        """Whether somebody waits for a frame: it is not begun anew before that is judged."""

    def make_runner(self) -> Runner:
        """The runner, not yet started. Raises: UndulaError."""

    def graph_began(self, runner: Runner) -> None:
        """It is started: let it begin."""

    def graph_turn(self, runner: Runner) -> float:
        """Look at what came, after the work that was asked for; in so many seconds again."""

    def graph_ends(self, runner: Runner) -> None:
        """It is over, or broke; it is closed behind this."""

    def graph_broke(self, error: UndulaError) -> None:
        """Whoever waits must be told: no graph runs, and this is why."""


class GraphThread:
    """The thread. `runner` is there while the graph runs.

    Args:
        owner: whose graph it is.
        idle_s: the graph ends when it was not needed for so long, s.
    """

    def __init__(self, owner: Owner, idle_s: float) -> None:
        self._owner, self._idle_s = owner, idle_s
        self._idle = self._outdated = False
        self._work: queue.SimpleQueue[tuple[Work, Refused]] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self.runner: Runner | None = None

    @property
    def needed(self) -> bool:
        """Whether a scan has the graph, or somebody waits for a frame."""
        return self._owner.busy

    def ask(self, work: Work, refused: Refused = lambda _: None) -> None:
        """Let the thread do something with the runner; it is started with the first work.

        `refused` is called in its place when the graph cannot start, ends before it, or when the
        work itself raises an UndulaError.
        """
        with self._lock:  # a thread that ends takes nothing more, and refuses what it has
            self._work.put((work, refused))
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._serve, name=f"{self._owner.name}-graph", daemon=True
                )
                self._thread.start()
            elif self.runner is not None:
                self.runner.wake()

    def wait_for(self, work: Work, timeout_s: float) -> UndulaError | None:
        """Let it be done, if the graph runs, and wait until it is.

        Returns: why it was refused; a TimeoutUndulaError when it is not done after so long, and may
        still be done later.
        """
        done = threading.Event()
        found: list[UndulaError] = []

        def do(runner: Runner) -> None:
            work(runner)
            done.set()

        def refused(error: UndulaError) -> None:
            found.append(error)
            done.set()

        if self.runner is not None:
            self.ask(do, refused)
            if not done.wait(timeout_s):
                return TimeoutUndulaError(
                    f"its graph did not do within {timeout_s:g} s what was asked: a node hangs, or "
                    "is at work on something else",
                    remedy="see which, and end its process: undula pipes top",
                    device=self._owner.name,
                )
        return found[0] if found else None

    def renew(self) -> None:
        """End the graph; the next work, which must be asked for behind this, starts it anew.

        It ends now, or when the frame that somebody waits for is judged.
        """
        with self._lock:  # its end takes `runner` away under it, and closes what wakes it
            self._outdated = True
            if self.runner is not None:
                self.runner.wake()

    def end(self, timeout_s: float) -> None:
        """Stop the graph, and wait for its end; after so long its processes are killed."""
        with self._lock:
            thread, runner = self._thread, self.runner
            if thread is None or runner is None:
                return
            self._work.put((lambda runner: runner.stop(), lambda _: None))
            runner.wake()
        thread.join(timeout_s)
        with self._lock:  # its thread closes it only after that
            stuck = self.runner is runner
            if stuck:
                get_logger().warning("graph_killed", device=self._owner.name, waited_s=timeout_s)
                runner.kill(f"it did not end within {timeout_s:g} s, and was killed")
        if stuck:
            thread.join(QUIT_S)

    def _serve(self) -> None:
        while self._serve_once():
            pass

    def _serve_once(self) -> bool:
        """Run the graph; whether to start it anew, because work came when it had just ended."""
        owner = self._owner
        error: UndulaError = DeviceError(
            "its graph has ended", remedy="trigger it again: it is started anew", device=owner.name
        )
        self._idle = False
        try:
            error = self._run() or error
        except UndulaError as exc:
            error = exc
        except Exception as exc:  # whatever it is, who waits must be told
            get_logger().exception("graph_broke", device=owner.name)
            error = DeviceError(
                f"its graph ended: {type(exc).__name__}: {exc}",
                remedy="trigger it again: it is started anew; the log has more",
                device=owner.name,
            )
        refused: list[Refused] = []
        with self._lock:
            if self._idle and not self._work.empty():
                return True
            self._thread = None
            while not self._work.empty():
                refused.append(self._work.get_nowait()[1])
        if not self._idle:
            owner.graph_broke(error)
        for refuse in refused:
            refuse(error)
        return False

    def _run(self) -> UndulaError | None:
        """Until the graph is over; why, when it broke. Raises: whatever breaks it."""
        owner = self._owner
        self._outdated = False
        runner = owner.make_runner()
        runner.start()  # closes itself when it cannot
        try:
            self.runner = runner
            owner.graph_began(runner)
            look_s, needed_at = LOOK_S, time.monotonic()
            while not runner.over and not runner.failed:
                over = False
                if self._outdated:
                    over = not owner.waits
                elif self._do_all(runner) or owner.busy:
                    needed_at = time.monotonic()
                else:
                    over = time.monotonic() - needed_at > self._idle_s
                if over:
                    said = "graph_outdated" if self._outdated else "graph_idle"
                    get_logger().info(said, device=owner.name, idle_s=self._idle_s)
                    runner.status.state = "ended"
                    self._idle = True
                    return None
                runner.pump(look_s)
                look_s = owner.graph_turn(runner)
            if not runner.failed:
                return None
            return DeviceError(
                f"its graph ended: {runner.failed}",
                remedy="look at that node: undula pipes show, undula logs",
                device=owner.name,
            )
        finally:
            with self._lock:
                self.runner = None
            owner.graph_ends(runner)
            runner.close()

    def _do_all(self, runner: Runner) -> bool:
        """Do what was asked for; whether that was anything."""
        done = False
        while True:
            try:
                work, refused = self._work.get_nowait()
            except queue.Empty:
                return done
            done = True
            try:
                work(runner)
            except UndulaError as exc:
                get_logger().warning("graph_not_ready", device=self._owner.name, error=str(exc))
                refused(exc)
            except BaseException as exc:  # who waits hears of it, whatever it is
                refused(DeviceError(f"{type(exc).__name__}: {exc}", remedy="see undula logs"))
                raise

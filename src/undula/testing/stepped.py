"""Room: testing. A graph whose processes go on step by step, in one thread, in any order, and die.

In: a graph; who goes on next, who is killed, at which fault point. Out: what its runner makes of
that. Runner, workers, nodes and links are the real ones, over real sockets; only the processes are
objects of this one. Who is killed is hung up on everywhere, as the kernel does it, with nothing
said. So a test can try thousands of orders in which words, frames and deaths may come.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from undula.core import faults
from undula.pipes.graph.model import Graph
from undula.pipes.link.inlet import Inlet
from undula.pipes.link.outlet import Outlet
from undula.pipes.runner.control import KEPT_BYTES, Line
from undula.pipes.runner.placement import HERE, Site
from undula.pipes.runner.runner import Runner
from undula.pipes.runner.serving import made
from undula.pipes.runner.worker import Worker


class Struck(BaseException):
    """The fault point at which a process is killed."""


class StepProcess:
    """A process of a graph, which does something only in `step`."""

    pid = 0

    def __init__(self, tell_s: float) -> None:
        self._tell_s = tell_s
        ours, theirs = socket.socketpair()
        self.line = Line(ours, kept_bytes=KEPT_BYTES)
        self._line = Line(theirs, kept_bytes=KEPT_BYTES)
        self.worker: Worker | None = None
        self.code: int | None = None
        self._ended = threading.Event()
        self._point, self._left = "", 0

    def strike(self, point: str, passages: int) -> None:
        """Kill it when it passes this fault point for the n-th time from now on."""
        self._point, self._left = point, passages

    def step(self) -> bool:
        """Let it hear, work and tell once; False when there was nothing to do."""
        if self.code is not None:
            return False
        faults._name, faults._left = self._point, self._left
        try:
            return self._step()
        except Struck:
            self.kill()
            return True
        finally:
            self._left, faults._name = faults._left, ""

    def _step(self) -> bool:
        self._line.flush()
        if self.worker is not None:
            worked = self.worker.step()
            if self.worker.is_done:
                self.worker.close()
                self._end(0)
            return worked
        heard = self._line.heard()
        if heard:
            self._line.unread(heard[1:])
            self.worker = made(heard[0], self._line)
            if self.worker is None:
                self._end(1)
                return True
            self.worker.tell_s = self._tell_s
            self.worker.begin()
        elif self._line.ended:
            self._end(0)
        return bool(heard)

    def _end(self, code: int) -> None:
        self.code = code
        self._line.close()
        self._ended.set()

    def wait(self, timeout_s: float | None = None) -> int | None:
        """Its exit code, negative for a signal; None when it has not ended after so long."""
        self._ended.wait(timeout_s)
        return self.code

    def kill(self) -> None:
        """Hang up everywhere, without a word to anybody."""
        if self.code is not None:
            return
        for host in self.worker.hosts.values() if self.worker else ():
            for inlet in host.inlets.values():
                if isinstance(inlet, Inlet):
                    inlet._socket.close()
            for outlet in host._all_outlets():
                if isinstance(outlet, Outlet):
                    _hang_up(outlet)
        self._end(-9)


def _hang_up(outlet: Outlet) -> None:
    """What the kernel does with an outlet whose process died; its socket's file stays."""
    for connection in outlet._connections.values():
        connection.socket.close()
    outlet._door.close()
    outlet._epoll.close()
    outlet._slab.close()


class SteppedGraph:
    """A graph that runs as its caller wants.

    Args:
        graph: that was checked.
        types: classes of nodes by name.
        tell_s: processes say how they do so often, in each step by default, or when asked.
    """

    def __init__(self, graph: Graph, types: Mapping[str, Any], *, tell_s: float = 0.0) -> None:
        self._tell_s = tell_s
        self.processes: dict[str, StepProcess] = {}
        self.runner = Runner(graph, types, placement=self)

    def sites(self) -> Mapping[str, Site]:
        """This host alone."""
        return {HERE: Site()}

    def start(self, process: str, host: str) -> StepProcess:
        """One more process, which waits for its first step."""
        del host
        found = self.processes[process] = StepProcess(self._tell_s)
        return found

    @contextmanager
    def running(self) -> Iterator[Runner]:
        """Started: every process is ready, and no frame was made."""
        struck, faults._strike = faults._strike, _strike
        try:
            self.with_steps(self.runner.start)
            yield self.runner
        finally:
            self.with_steps(self.runner.close)
            faults._strike = struck

    def with_steps(self, work: Callable[[], object]) -> None:
        """Do what waits for answers of processes, while they go on."""
        thread = threading.Thread(target=work)
        thread.start()
        while thread.is_alive():
            for process in list(self.processes.values()):
                process.step()
            thread.join(0.0001)

    def go_on(self, rounds: int, without: str = "") -> bool:
        """Let everybody go on in turn until the graph is over; False when it is not by then.

        `without`: a process that does nothing meanwhile.
        """
        for _ in range(rounds):
            for name, process in list(self.processes.items()):
                if name != without:
                    process.step()
            self.runner.pump(0.0)
            if self.runner.over or self.runner.failed:
                return True
        return False


def _strike() -> None:
    raise Struck

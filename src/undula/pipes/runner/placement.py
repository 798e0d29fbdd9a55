"""Room: pipes. Where the processes of a graph run: a port, and its implementation for this host.

In: the name of a process, and of a host. Out: a process that runs there, with a line to it. The
runner asks nothing else. `LocalPlacement` is the one implementation shipped, `MemoryPlacement` its
twin: the same worker on a thread of this process. A graph that names a host which the placement
does not reach is refused before anything starts (`placeable`).
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from undula.pipes.errors import PipeError
from undula.pipes.graph.faults import Faults
from undula.pipes.graph.model import Graph
from undula.pipes.runner.control import KEPT_BYTES, Line
from undula.pipes.runner.parent import Child, fork_worker
from undula.pipes.runner.serving import serve

HERE = ""


@dataclass(frozen=True, slots=True)
class Site:
    """A host that processes can be placed on.

    Args:
        address: at which other hosts reach it, without a port.
        keys: folder there with its keys (`link.keys`); None: it takes part in no link to others.
        ports: its producers may listen at these: `*` any that is free, or a range, 7000-7099, that
            a firewall lets through. Each output with an edge to another host takes one.
    """

    address: str = "127.0.0.1"
    keys: Path | None = None
    ports: str = "*"


class Placed(Protocol):
    """A process that was placed."""

    @property
    def line(self) -> Line:
        """To it; its end is the death of the process."""

    @property
    def pid(self) -> int:
        """On its own host."""

    def wait(self, timeout_s: float | None = None) -> int | None:
        """Its exit code, negative for a signal; None when it still runs after so long."""

    def kill(self) -> None:
        """End it at once, whatever it does."""


class Placement(Protocol):
    """Starts the processes of a graph.

    What an implementation for other hosts (one on Ray, say) has to do:

    - `sites` names each host as graphs do, with an address that all the others reach, and a folder
      with its keys; each host knows the others' keys by the same names.
    - `start` runs `serve(line)` there, in a process of its own, with the same version of Undula;
      the beamline's own nodes come as text on the line. The line carries JSON lines both ways, in
      order, and must end on our side when the process or its host dies: that is how the runner
      knows. When it ends on their side, `serve` returns: nothing is left behind of a runner that
      died.
    - The line never lets the runner wait (`kept_bytes` of `Line`): a node that hangs is killed.
    - A path that the runner names (folder, spill) must mean the same there; edges between
      nodes of one host use Unix sockets in `folder`, all others ZeroMQ, on a port of `Site.ports`.
    - Frames never go through the placement.
    """

    def sites(self) -> Mapping[str, Site]:
        """Hosts that it reaches, by name; an empty name is this one."""

    def start(self, process: str, host: str) -> Placed:
        """Start one process of a graph. Raises: PipeError when that host cannot."""


class LocalPlacement:
    """Every process on this host, started from here.

    Args:
        kept_bytes: so much is kept for one that does not listen, before it is killed.
    """

    def __init__(self, kept_bytes: int = KEPT_BYTES) -> None:
        self._kept_bytes = kept_bytes

    def sites(self) -> Mapping[str, Site]:
        """This host alone."""
        return {HERE: Site()}

    def start(self, process: str, host: str = HERE) -> LocalProcess:
        """A process with a socket pair to it, in which its death is an end of file."""
        del process, host
        return LocalProcess(self._kept_bytes)


class LocalProcess:
    """A worker in a process of its own, forked from the one that has imported all it needs."""

    def __init__(self, kept_bytes: int = KEPT_BYTES) -> None:
        try:
            ours, self._child = _forked()
        except PipeError:  # the parent died just now: there is a new one
            ours, self._child = _forked()
        self.line = Line(ours, kept_bytes=kept_bytes)
        self.pid = self._child.pid

    def wait(self, timeout_s: float | None = None) -> int | None:
        """Its exit code, negative for a signal; None when it still runs after so long."""
        with suppress(TimeoutError):
            return self._child.wait(timeout_s)
        return None

    def kill(self) -> None:
        """End it at once."""
        self._child.kill()


def _forked() -> tuple[socket.socket, Child]:
    """Our end of a line, and the worker at its other end. Raises: PipeError."""
    ours, theirs = socket.socketpair()
    with theirs:
        try:
            return ours, fork_worker(theirs)
        except PipeError:
            ours.close()
            raise


class MemoryPlacement:
    """The twin: each worker on a thread of this process. To be killed is to be hung up on."""

    def sites(self) -> Mapping[str, Site]:
        """This host alone."""
        return {HERE: Site()}

    def start(self, process: str, host: str = HERE) -> MemoryProcess:
        """A thread with a socket pair to it."""
        del host
        return MemoryProcess(process)


class MemoryProcess:
    """A worker on a thread."""

    pid = 0

    def __init__(self, name: str) -> None:
        ours, self._theirs = socket.socketpair()
        self.line = Line(ours, kept_bytes=KEPT_BYTES)
        self._code: int | None = None
        self._killed = False
        self._thread = threading.Thread(target=self._run, name=f"pipes-{name}", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        line = Line(self._theirs)
        self._code = serve(line)
        line.close()

    def wait(self, timeout_s: float | None = None) -> int | None:
        """As a process would say it."""
        self._thread.join(timeout_s)
        if self._thread.is_alive():
            return None
        return -9 if self._killed else self._code

    def kill(self) -> None:
        """Hang up on it; it ends without another word."""
        self._killed = True
        with suppress(OSError):
            self._theirs.shutdown(socket.SHUT_RDWR)


def placeable(graph: Graph, sites: Mapping[str, Site]) -> None:
    """Raises: GraphError when the graph names a host that cannot be reached from here."""
    faults = Faults()
    judge_places(graph, sites, faults)
    faults.finish(graph.name)


def judge_places(graph: Graph, sites: Mapping[str, Site], faults: Faults) -> None:
    """Add each node that is on a host which cannot be reached from here.

    When all can be, each host that lacks keys for links to the others, once.
    """
    hosts = {name: node.host for name, node in graph.nodes.items()}
    away = {name: host for name, host in hosts.items() if host not in sites}
    reached = ", ".join(sorted(filter(None, sites))) or "none but this one"
    for name, host in away.items():
        faults.add(
            f"nodes.{name}.host",
            f"nothing here can start a process on {host!r} (within reach: {reached})",
            f"run it on this host, --place {name}=here (of a detector place: {{{name}: here}}),"
            " or leave host out; or use a placement that reaches it",
        )
    if away or len(set(hosts.values())) == 1:
        return
    first = {host: name for name, host in reversed(hosts.items())}
    for host, name in first.items():
        if sites[host].keys is None:
            faults.add(
                f"nodes.{name}.host", f"host {host or 'here'!r} has no keys for links to others",
                "make them there: undula pipes keys",
            )  # fmt: skip

"""Room: pipes. The ends of edges in one process: outlets of its nodes, inlets from producers.

In: the graph, where producers are, what the process before this one had done. Out: ends, in one
process by reference, on one host and between hosts by links. Called by: `worker`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from undula.core.errors import UndulaError
from undula.pipes.errors import PipeError
from undula.pipes.graph.model import EdgeSpec, Graph, NodeSpec
from undula.pipes.intervals import IntervalSet
from undula.pipes.ledger import EdgeLedger
from undula.pipes.link import Inlet, MemoryInlet, MemoryOutlet, Outlet, Receiving, Sending
from undula.pipes.link.holding import LOANS
from undula.pipes.link.slab import slot_size
from undula.pipes.runner.control import Line
from undula.pipes.runner.host import NodeHost

if TYPE_CHECKING:
    from undula.pipes.link.far_inlet import FarInlet
    from undula.pipes.link.far_outlet import FarOutlet

MAX_SLOTS = 4096


@dataclass(frozen=True, slots=True)
class Far:
    """For links to other hosts: the address of this one, and the folder of its keys.

    `ports`: it may listen at these (`*`: any, or 7000-7099). `turn`: how many processes of this
    name there were before.
    """

    address: str
    keys: Path
    ports: str = "*"
    turn: int = 0


class Ends:
    """Ends of the edges of one process.

    Args:
        graph: that was checked.
        process: the name of this one.
        hosts: its nodes, by name.
        line: to the runner, who hears where producers are.
        folder: for sockets.
        spill: folder for frames that a policy may put on disk, where their node says none.
        far: when nodes of the graph are on several hosts.
    """

    def __init__(
        self, graph: Graph, process: str, hosts: Mapping[str, NodeHost], line: Line, folder: Path,
        *, spill: Path, far: Far | None,
    ) -> None:  # fmt: skip
        self._graph, self._process, self._hosts = graph, process, hosts
        self._line, self._folder, self._spill, self._far = line, folder, spill, far
        self._far_inlets: dict[str, FarInlet] = {}
        self._to_connect: dict[str, str] = {}
        self._ledgers: dict[str, EdgeLedger] = {}
        self.between: list[FarOutlet | Outlet] = []
        """Outlets to other processes."""

    @property
    def are_far(self) -> bool:
        """Whether there may be links to other hosts, which are to be looked after."""
        return self._far is not None

    def host_of(self, edge: str) -> NodeHost:
        """The node that an edge ends at."""
        return next(host for host in self._hosts.values() if edge in host.into)

    def known(self, edge: str, passed: IntervalSet, failed: IntervalSet) -> None:
        """What the process before this one had done with, and what its node had raised on."""
        self._ledgers.setdefault(edge, EdgeLedger()).done(passed, failed)

    def producer_is(self, edge: str, path: str) -> None:
        """Where the producer of an edge is: a new one, if there was one before."""
        self._to_connect[edge] = path

    def pump(self) -> None:
        """Hear consumers in other processes, and look after connections to other hosts."""
        for outlet in self.between:
            outlet.pump(0.0)
        for name, inlet in self._far_inlets.items():
            try:
                inlet.pump()  # a broken connection is made anew, though its node has ended
            except UndulaError as exc:
                self.host_of(name).status.error = str(exc)

    def make(self, spec: NodeSpec, port: str, size: int) -> list[Sending]:
        """The outlets of a port, for frames of so many bytes: inside, on this host, elsewhere."""
        edges = self._graph.out_of(spec.name, port)
        inside = {e.name: e for e in edges if e.target in self._hosts}
        outside = {e.name: e for e in edges if e.target not in self._hosts}
        elsewhere = {n: e for n, e in outside.items()
                     if self._graph.nodes[e.target].host != spec.host}  # fmt: skip
        outside = {n: e for n, e in outside.items() if n not in elsewhere}
        made: list[Sending] = []
        if inside:
            memory = MemoryOutlet(
                frame_bytes=size, budget_bytes=_budget(spec, inside, size),
                expect={name: edge.policy for name, edge in inside.items()},
                spill_bytes=_spill(inside),
            )  # fmt: skip
            for name, edge in inside.items():
                self._hosts[edge.target].inlets[name] = MemoryInlet(
                    memory, name, edge.policy, ledger=self._ledgers.get(name)
                )
            made.append(memory)
        if outside:
            path = self._folder / f"{spec.name}.{port}"
            outlet = Outlet(
                path, frame_bytes=size, budget_bytes=_budget(spec, outside, size),
                expect={name: edge.policy for name, edge in outside.items()},
                spill=self._spill_of(spec), spill_bytes=_spill(outside),
            )  # fmt: skip
            self.between.append(outlet)
            made.append(outlet)
            self._line.say(outlet=str(path), edges=list(outside))
        if elsewhere:
            made.append(self._make_far(spec, elsewhere, size))
        return made

    def _make_far(self, spec: NodeSpec, edges: Mapping[str, EdgeSpec], size: int) -> Sending:
        """For consumers on other hosts."""
        from undula.pipes.link.far_outlet import FarOutlet
        from undula.pipes.link.keys import load_keys

        far = self._need_far()
        outlet = FarOutlet(
            f"tcp://{far.address}:{far.ports}", frame_bytes=size,
            budget_bytes=_budget(spec, edges, size),
            expect={name: edge.policy for name, edge in edges.items()},
            spill=self._spill_of(spec), spill_bytes=_spill(edges), keys=load_keys(far.keys),
        )  # fmt: skip
        self.between.append(outlet)
        self._line.say(outlet=outlet.address, edges=list(edges))
        return outlet

    def _spill_of(self, spec: NodeSpec) -> Path:
        return Path(spec.spill or self._spill).expanduser()

    def _need_far(self) -> Far:
        if self._far is None:
            raise PipeError(
                f"process {self._process} has an edge to another host, and no keys for it",
                remedy="run the graph with a placement that knows the keys of its hosts",
            )
        return self._far

    def connect(self) -> None:
        """Go over to producers that are there, where nothing of the one before is in hand."""
        for name, path in list(self._to_connect.items()):
            host = self.host_of(name)
            if name in self._far_inlets:
                self._far_inlets[name].lose()  # there is a new producer: the old one is dead
            if not host.idle_on(name):
                continue
            del self._to_connect[name]
            before = host.inlets.get(name)
            ledger = self._ledgers.setdefault(name, EdgeLedger())
            try:
                host.inlets[name] = self._inlet(path, host.into[name], ledger)
            except UndulaError as exc:  # it died meanwhile: the runner tells of its successor
                host.status.error = str(exc)
                continue
            if before is not None:
                before.close()

    def _inlet(self, path: str, edge: EdgeSpec, ledger: EdgeLedger) -> Receiving:
        if not path.startswith("tcp://"):
            return Inlet(Path(path), edge.name, edge.policy, ledger=ledger, wait=False)
        from undula.pipes.link.far_inlet import FarInlet
        from undula.pipes.link.keys import load_keys

        far = self._need_far()
        inlet = self._far_inlets[edge.name] = FarInlet(
            path, edge.name, edge.policy, ledger=ledger, wait=False, turn=far.turn,
            keys=load_keys(far.keys), host=self._graph.nodes[edge.source].host,
        )  # fmt: skip
        return inlet


def _budget(spec: NodeSpec, edges: Mapping[str, EdgeSpec], size: int) -> int:
    """Bytes for all slots: what the graph says, and as many as the policies need."""
    slot = slot_size(size)
    least = LOANS + 1 + sum(
        edge.policy.slots(slot, 1) for edge in edges.values() if edge.policy.kind != "lossless"
    )  # fmt: skip
    return max(least, min(spec.budget_bytes // slot, MAX_SLOTS)) * slot


def _spill(edges: Mapping[str, EdgeSpec]) -> int:
    return sum(edge.policy.disk_bytes for edge in edges.values())

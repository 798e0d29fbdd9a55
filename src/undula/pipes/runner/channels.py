"""Room: pipes. Where edges of a graph end in the runner itself: its channels.

In: the address of each producer, when it is there. Out: each frame to whoever listens, what the
edges counted to the book. Frames are confirmed when the listener has returned. Called by: `runner`,
`alive`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from selectors import EVENT_READ, BaseSelector
from typing import TYPE_CHECKING

from undula.pipes.book import Book
from undula.pipes.errors import PipeError
from undula.pipes.frame import Frame
from undula.pipes.graph.model import EdgeSpec, Graph
from undula.pipes.intervals import IntervalSet
from undula.pipes.ledger import EdgeLedger
from undula.pipes.link import Inlet
from undula.pipes.runner.placement import HERE, Site
from undula.pipes.runner.status import GraphStatus

if TYPE_CHECKING:
    from undula.pipes.link.far_inlet import FarInlet

LOOK_S = 0.25


class Channels:
    """The ends of edges that are here.

    Args:
        graph: whose channels they are.
        sites: where producers may be, by host.
        selector: that waits for frames too, under the name of the edge.
        book: that is told what the edges counted.
        status: of the channels, which are nodes too.
    """

    def __init__(
        self, graph: Graph, sites: Mapping[str, Site], selector: BaseSelector, book: Book,
        status: GraphStatus,
    ) -> None:  # fmt: skip
        self._graph, self._sites, self._selector = graph, sites, selector
        self._book, self._status = book, status
        self._inlets: dict[str, FarInlet | Inlet] = {}
        self._ledgers: dict[str, EdgeLedger] = {}
        self._far: set[str] = set()
        self._look_at = 0.0
        self._edges = {edge.name: edge for edge in graph.edges}
        self.heard: Callable[[str, Frame], object] | None = None

    def __contains__(self, edge: str) -> bool:
        return edge in self._inlets

    def join(self, edge: EdgeSpec, path: str) -> None:
        """A producer is there: take its frames, and first the last ones of the one before.

        Raises: UndulaError when that one spoke nonsense.
        """
        before = self._inlets.pop(edge.name, None)
        self._far.discard(edge.name)
        if before is not None:
            try:
                self._take_all(edge.name, before)
            finally:
                with suppress(KeyError, ValueError):
                    self._selector.unregister(before.fileno())
                before.close()
        try:
            inlet = self._inlet(edge, path, self._ledgers.setdefault(edge.name, EdgeLedger()))
        except PipeError:
            return  # it died meanwhile; its successor says so
        self._inlets[edge.name] = inlet
        if path.startswith("tcp://"):
            self._far.add(edge.name)
        self._selector.register(inlet.fileno(), EVENT_READ, edge.name)

    def _inlet(self, edge: EdgeSpec, path: str, ledger: EdgeLedger) -> FarInlet | Inlet:
        if not path.startswith("tcp://"):
            return Inlet(Path(path), edge.name, edge.policy, ledger=ledger, wait=False)
        from undula.pipes.link.far_inlet import FarInlet
        from undula.pipes.link.keys import load_keys

        return FarInlet(
            path, edge.name, edge.policy, ledger=ledger, wait=False,
            keys=load_keys(self._sites[HERE].keys or Path()),
            host=self._graph.nodes[edge.source].host,
        )  # fmt: skip

    def take(self, name: str) -> None:
        """Frames came on this edge, or its end.

        Raises: UndulaError when its producer speaks nonsense, or cannot be reached any more.
        """
        inlet = self._inlets[name]
        self._take_all(name, inlet)
        if inlet.ended != "no":
            with suppress(KeyError, ValueError):  # it was taken from after its end
                self._selector.unregister(inlet.fileno())

    def to_look_at(self) -> list[str]:
        """Edges that are to be looked at now, though nothing came on them.

        A connection to another host that is to be made anew, or to be given up, makes no descriptor
        readable; nor does a producer that has room for confirmations again.
        """
        now = time.monotonic()
        if now < self._look_at:
            return []
        self._look_at = now + LOOK_S
        return self._restless()

    def at_most(self, timeout_s: float | None) -> float | None:
        """A wait no longer than until `to_look_at` is to be asked again."""
        if not self._restless():
            return timeout_s
        return LOOK_S if timeout_s is None else min(timeout_s, LOOK_S)

    def _restless(self) -> list[str]:
        inlets = self._inlets.items()
        return [n for n, i in inlets if i.owing or (n in self._far and i.ended == "no")]

    def _take_all(self, name: str, inlet: FarInlet | Inlet) -> None:
        while frames := inlet.take():
            for frame in frames:
                if self.heard is not None:
                    self.heard(name, frame)
                inlet.confirm(frame)
            self._count(self._edges[name].target, frames)
            inlet.flush()
        self._book.learn(name, inlet.ledger.changes())

    def _count(self, channel: str, frames: list[Frame]) -> None:
        status = self._status.nodes[channel]
        status.frames += len(frames)
        status.latency_s = frames[-1].age_s(time.time())
        status.latency_max_s = max(status.latency_max_s, status.latency_s)

    def forget(self, settled: IntervalSet) -> None:
        """These frames are settled: they are counted no more."""
        for ledger in self._ledgers.values():
            ledger.close(settled)

    @property
    def ended(self) -> bool:
        """Whether each has seen the end."""
        return all(inlet.ended == "end" for inlet in self._inlets.values())

    def close(self) -> None:
        """Hang up everywhere."""
        for inlet in self._inlets.values():
            inlet.close()

"""Graphs of pipes from a client: what runs, how fast, what waits, what is seen.

In: the name of a detector with a graph. Out: `PipesOfGraph`, which shows itself as a table. Graphs
that a command runs by itself are seen by `undula pipes top`.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from undula.bus.endpoints import PIPES_STATUS
from undula.core.errors import InputError
from undula.messages import GraphTold, PipeNode

if TYPE_CHECKING:
    from undula.bus.ports import Subscription
    from undula.client.client import Client

SHOW_S = 0.5


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    words = [list(head), *([str(cell) for cell in row] for row in rows)]
    wide = [max(len(row[n]) for row in words) for n in range(len(head))]
    lines = ["  ".join(c.ljust(w) for c, w in zip(row, wide, strict=True)) for row in words]
    return "\n".join(line.rstrip() for line in lines)


def told_text(told: GraphTold) -> str:
    """Tables of nodes and edges."""
    nodes = [
        (n.name, n.state, n.frames, f"{n.rate_hz:.4g}", f"{n.could_hz:.4g}",
         f"{n.latency_s * 1e3:.3g}", n.failed, n.restarts, ", ".join(n.blocked_by), n.error)
        for n in told.nodes
    ]  # fmt: skip
    edges = [
        (e.name, e.policy, e.seen, e.passed, e.dropped, e.lost, e.failed, e.depth)
        for e in told.edges
    ]
    head = ("node", "state", "frames", "Hz", "could do", "latency ms", "failed", "restarts",
            "blocked by", "error")  # fmt: skip
    counted = ("edge", "policy", "seen", "passed", "dropped", "lost", "failed", "waiting")
    return f"{told.name}: {told.state}\n{_table(head, nodes)}\n\n{_table(counted, edges)}"


class PipesOfGraph:
    """The graph of one detector, as it was last heard of."""

    def __init__(self, client: Client, name: str) -> None:
        self._client, self.name = client, name

    @property
    def told(self) -> GraphTold:
        """What it said last. Raises: InputError when it never ran."""
        found = self._client.link.connector.get(PIPES_STATUS, name=self.name)
        if found is None:
            raise InputError(
                f"no graph of {self.name!r} has run yet",
                remedy="graphs start with the first scan of their detector; see client.pipes",
            )
        return found

    def __getitem__(self, node: str) -> PipeNode:
        """A node. Raises: InputError."""
        nodes = {n.name: n for n in self.told.nodes}
        if node not in nodes:
            raise InputError(
                f"{self.name} has no node {node!r}", remedy=f"it has {', '.join(nodes)}"
            )
        return nodes[node]

    @property
    def images(self) -> dict[str, Any]:
        """What each port gave lately, thinned to 64 a side, by NODE.PORT."""
        return {image.port: image.data for image in self.told.images}

    def follow(self, callback: Callable[[GraphTold], None]) -> Subscription:
        """Call `callback`, on another thread, a few times a second; `close()` ends it."""
        return self._client.link.connector.subscribe(PIPES_STATUS, callback, name=self.name)

    def top(self) -> None:
        """Show it again and again, until Ctrl-C."""
        clear = "\033[2J\033[H" if sys.stdout.isatty() else ""
        try:
            while True:
                sys.stdout.write(f"{clear}{self!r}\n")
                sys.stdout.flush()
                time.sleep(SHOW_S)
        except KeyboardInterrupt:
            return

    def __repr__(self) -> str:
        return told_text(self.told)


class Pipes(Mapping[str, PipesOfGraph]):
    """The graphs of a beamline's detectors that have run: `client.pipes["cam"]`."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def __getitem__(self, name: str) -> PipesOfGraph:
        return PipesOfGraph(self._client, self._client.devices.info(str(name)).name)

    def _names(self) -> list[str]:
        get = self._client.link.connector.get
        names = [info.name for info in self._client.devices.table()]
        return [name for name in names if get(PIPES_STATUS, name=name) is not None]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names())

    def __len__(self) -> int:
        return len(self._names())

    def __repr__(self) -> str:
        return "\n\n".join(repr(self[name]) for name in self) or "no graph has run yet"

"""Room: pipes. What a graph that runs says of itself: values, and their JSON. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

State = Literal["starting", "ready", "running", "blocked", "ended", "failed", "dead"]


@dataclass(slots=True)
class NodeStatus:
    """One node.

    `frames` were worked on (or made, by a source), `failed` raised; `busy_s` is the time in its own
    code, `latency_s` from a frame's host time to its result, the last and the greatest.
    `blocked_by` names the edges that hold it up; `restarts` counts its processes after the first.
    `error_at` is the frame at which it said `error`, 0 when it was at none.
    `left_out` came to a source that hears the network and were not handed on. `waits_for` is what a
    source waits for beside its frames, `away` that it is not there. Of its whole process, s:
    `since_s` it began until it had something to do last, of that `at_work_s` without waiting for
    anything to do, and `cpu_s` of all its threads. `measured` is what the node says of itself.
    """

    name: str
    state: State = "starting"
    process: str = ""
    pid: int = 0
    frames: int = 0
    failed: int = 0
    rate_hz: float = 0.0
    busy_s: float = 0.0
    latency_s: float = 0.0
    latency_max_s: float = 0.0
    blocked_by: list[str] = field(default_factory=list)
    blocked_s: float = 0.0
    error: str = ""
    error_at: int = 0
    restarts: int = 0
    left_out: int = 0
    waits_for: str = ""
    away: bool = False
    since_s: float = 0.0
    at_work_s: float = 0.0
    cpu_s: float = 0.0
    measured: dict[str, float] = field(default_factory=dict)

    @property
    def could_hz(self) -> float:
        """Frames a second that its own code could do; 0 when that is not known yet."""
        return self.frames / self.busy_s if self.busy_s > 0 else 0.0


@dataclass(slots=True)
class EdgeStatus:
    """One edge: what was counted, how many passed a second lately, and what is not confirmed."""

    name: str
    policy: str = "lossless"
    seen: int = 0
    passed: int = 0
    dropped: int = 0
    lost: int = 0
    failed: int = 0
    depth: int = 0
    rate_hz: float = 0.0


@dataclass(slots=True)
class GraphStatus:
    """A whole graph."""

    name: str
    state: State = "starting"
    nodes: dict[str, NodeStatus] = field(default_factory=dict)
    edges: dict[str, EdgeStatus] = field(default_factory=dict)

    def through(self, source: str, frames: int) -> bool:
        """Whether a source made so many frames, and none is on its way any more."""
        on_the_way = any(
            edge.seen > edge.passed + edge.dropped + edge.lost + edge.failed
            for edge in self.edges.values()
        )
        return self.nodes[source].frames >= frames and not on_the_way

    def waits_for(self) -> list[str]:
        """Nodes with frames on the way to them, when no source makes any more."""
        ends = {edge.name: edge.name.split(" -> ") for edge in self.edges.values()}
        fed = {target.partition(".")[0] for _, target in ends.values()}
        if any(node.state != "ended" for name, node in self.nodes.items() if name not in fed):
            return []
        found = (
            ends[edge.name][1].partition(".")[0]
            for edge in self.edges.values()
            if edge.seen > edge.passed + edge.dropped + edge.lost + edge.failed
        )
        return list(dict.fromkeys(found))

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> GraphStatus:
        """What `plain` gave."""
        return cls(
            str(plain["name"]),
            plain["state"],
            {name: NodeStatus(**node) for name, node in plain["nodes"].items()},
            {name: EdgeStatus(**edge) for name, edge in plain["edges"].items()},
        )

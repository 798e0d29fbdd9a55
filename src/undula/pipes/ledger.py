"""Room: pipes. The ledger: where every frame of a run went, by intervals. Pure.

In: sequence numbers, as an edge sees, passes, drops, loses or fails them. Out: sums, and the place
where a missing frame went missing. Each edge is counted at both of its ends, so that its ledger
survives the death of either; `merged` makes one of all that is known.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from undula.core.errors import WireError
from undula.pipes.intervals import IntervalSet

FATES = ("passed", "dropped", "lost", "failed")


class EdgeLedger:
    """What became of the frames of one edge.

    `seen`: came to the edge. `passed`: its consumer has done with them. `dropped`: its policy left
    them out. `lost`: they went with a process that died. `failed`: the consumer raised on them.
    What is seen and nothing else is still on its way.
    """

    __slots__ = ("dropped", "failed", "lost", "passed", "seen")

    def __init__(self) -> None:
        self.seen = IntervalSet()
        self.passed = IntervalSet()
        self.dropped = IntervalSet()
        self.lost = IntervalSet()
        self.failed = IntervalSet()

    @property
    def on_the_way(self) -> IntervalSet:
        """Seen, and nothing is known of it yet."""
        return self.seen - self.passed - self.dropped - self.lost - self.failed

    @property
    def counts(self) -> dict[str, int]:
        """How many of each, by name."""
        found = {name: len(getattr(self, name)) for name in ("seen", *FATES)}
        return found | {"on_the_way": len(self.on_the_way)}

    def dump(self) -> dict[str, list[list[int]]]:
        """As plain lists, for JSON."""
        return {
            name: [list(pair) for pair in getattr(self, name).intervals()]
            for name in ("seen", *FATES)
        }

    @classmethod
    def load(cls, plain: Mapping[str, Any]) -> EdgeLedger:
        """What `dump` gave. Raises: WireError."""
        found = cls()
        try:
            for name in ("seen", *FATES):
                setattr(found, name, IntervalSet(plain.get(name, ())))
        except (TypeError, ValueError) as exc:
            raise WireError(
                f"a ledger makes no sense: {exc}", remedy="let all nodes run the same version"
            ) from exc
        return found


def merged(views: Iterable[EdgeLedger]) -> EdgeLedger:
    """One ledger of what both ends know, and those who were there before them.

    A frame that passed at last is neither lost nor failed, though one that died had it before;
    one that was lost is not dropped.
    """
    found = EdgeLedger()
    for view in views:
        for name in ("seen", *FATES):
            getattr(found, name).update(getattr(view, name))
    for name in FATES:
        found.seen.update(getattr(found, name))
    found.failed -= found.passed
    found.lost = found.lost - found.passed - found.failed
    found.dropped = found.dropped - found.passed - found.failed - found.lost
    return found


@dataclass(frozen=True, slots=True)
class Edge:
    """An edge of a graph: where it comes from and goes to, as `node.port`."""

    source: str
    target: str

    @property
    def name(self) -> str:
        """`det.frames -> roi.frames`."""
        return f"{self.source} -> {self.target}"


@dataclass(frozen=True, slots=True)
class Missing:
    """Frames that did not arrive, and the place where they went missing."""

    edge: str
    frames: IntervalSet
    place: str

    @property
    def text(self) -> str:
        """One line for people."""
        count = len(self.frames)
        return f"{self.edge}: {count} frame{'s' * (count != 1)} {self.frames.text()} {self.place}"


@dataclass(slots=True)
class Report:
    """The ledger of a whole run."""

    triggers: int
    edges: dict[str, EdgeLedger]
    missing: list[Missing] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        """Every trigger's frame passed each edge, or its policy left it out."""
        return not self.missing

    @property
    def text(self) -> str:
        """For people: one line when all is there, else one for each place."""
        if self.complete:
            edges = f"{len(self.edges)} edge{'s' * (len(self.edges) != 1)}"
            return f"complete: {self.triggers} frames, each accounted for on {edges}"
        return "\n".join(["incomplete:", *(missing.text for missing in self.missing)])


def reconciled(
    triggers: int,
    edges: Sequence[Edge],
    views: Mapping[str, Sequence[EdgeLedger]],
    produced: Mapping[str, IntervalSet],
    follows: Mapping[str, Sequence[str]],
) -> Report:
    """The sums of a run, compared with its trigger count.

    Args:
        triggers: frames that the run asked for; they have the sequence numbers 1 to `triggers`.
        edges: of the graph.
        views: what each end of an edge counted, by the edge's name.
        produced: what a source says it made, by node.
        follows: for each node, or one of its outputs as `node.port`, the names of the edges whose
            frames it passes on one by one; none for a source, and for a node whose outputs are not
            one a frame (edges below it are then judged by what came to them, not by the triggers).
    """
    report = Report(triggers, {edge.name: merged(views.get(edge.name, ())) for edge in edges})
    wanted = IntervalSet([(1, triggers + 1)])
    walk = _Walk({edge.name: edge for edge in edges}, report.edges, produced, follows)
    for edge in edges:
        ledger = report.edges[edge.name]
        due = (wanted | ledger.seen) if walk.is_one_by_one(edge.name) else ledger.seen
        places: dict[str, IntervalSet] = {}
        for number in due - ledger.passed - ledger.dropped:
            place = walk.up(number, edge.name)
            if place:
                places.setdefault(place, IntervalSet()).add(number)
        report.missing += [Missing(edge.name, frames, place) for place, frames in places.items()]
    return report


@dataclass(frozen=True, slots=True)
class _Walk:
    """From an edge that a frame did not pass up to the place where it went missing."""

    edges: Mapping[str, Edge]
    ledgers: Mapping[str, EdgeLedger]
    produced: Mapping[str, IntervalSet]
    follows: Mapping[str, Sequence[str]]

    def above(self, name: str) -> Sequence[str]:
        """Names of the edges whose frames come to this one, one by one."""
        source = self.edges[name].source
        return self.follows.get(source) or self.follows.get(source.split(".")[0], ())

    def is_one_by_one(self, name: str) -> bool:
        """Whether each frame of a source is to come here, through whatever nodes."""
        walked: set[str] = set()
        while name not in walked:
            walked.add(name)
            if self.edges[name].source.split(".")[0] in self.produced:
                return True
            above = self.above(name)
            if not above:
                return False
            name = above[0]
        return False

    def up(self, number: int, name: str) -> str:
        """The place; empty when a policy further up left the frame out."""
        walked: set[str] = set()
        while name not in walked:
            walked.add(name)
            place = self._on(number, name)
            if place is not None:
                return place
            source = self.edges[name].source.split(".")[0]
            above = self.above(name)
            if any(number in self.ledgers[edge].dropped for edge in above):
                return ""
            gone = [edge for edge in above if number not in self.ledgers[edge].passed]
            if not gone:
                return f"passed to {source}, which did not hand it on"
            name = gone[0]
        return "missing in a cycle"

    def _on(self, number: int, name: str) -> str | None:
        """What this edge itself knows of a frame that did not pass; None: look further up."""
        edge, ledger = self.edges[name], self.ledgers[name]
        source, target = edge.source.split(".")[0], edge.target.split(".")[0]
        if number in ledger.failed:
            return f"failed in {target}"
        if number in ledger.lost:
            return f"went with {target} when it died"
        if number in ledger.seen:
            return f"still on the way to {target}"
        if source not in self.produced:
            return None
        if number in self.produced[source]:
            return f"made by {source}, and died with it"
        return f"never made by {source}"

"""Room: pipes. The ledger: where every frame of a run went, by intervals. Pure.

In: sequence numbers, as an edge sees, passes, drops, loses or fails them. Out: sums, what is new
since they were told last, and the place where a missing frame went missing. Each edge is counted at
both of its ends, so that its ledger survives the death of either; `merged` makes one of all that is
known. Not here: who went missing where (`judging`), the ledger of a whole graph (`book`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from undula.core.errors import WireError
from undula.pipes.intervals import IntervalSet, packed, unpacked

Fate = Literal["", "passed", "failed"]
FATES = ("passed", "dropped", "lost", "failed")
SETS = ("seen", *FATES)


class EdgeLedger:
    """What became of the frames of one edge.

    `seen`: came to the edge. `passed`: its consumer has done with them. `dropped`: its policy left
    them out. `lost`: they went with a process that died. `failed`: the consumer raised on them.
    What is seen and nothing else is still on its way. `closed`: frames that are settled on each
    edge of the graph; of them only the sums are kept, in `before`.
    """

    __slots__ = ("before", "closed", "dropped", "failed", "lost", "passed", "seen")

    def __init__(self) -> None:
        self.seen = IntervalSet()
        self.passed = IntervalSet()
        self.dropped = IntervalSet()
        self.lost = IntervalSet()
        self.failed = IntervalSet()
        self.closed = IntervalSet()
        self.before: dict[str, int] = dict.fromkeys(SETS, 0)

    @property
    def on_the_way(self) -> IntervalSet:
        """Seen, and nothing is known of it yet."""
        return self.seen - self.passed - self.dropped - self.lost - self.failed

    @property
    def counts(self) -> dict[str, int]:
        """How many of each, by name."""
        found = {name: len(getattr(self, name)) + self.before[name] for name in SETS}
        return found | {"on_the_way": len(self.on_the_way)}

    @property
    def pieces(self) -> int:
        """Intervals that are kept."""
        return sum(getattr(self, name).pieces for name in SETS)

    def changes(self) -> dict[str, list[list[int]]]:
        """What was counted since this was asked last, as plain lists, for JSON."""
        found = {name: packed(getattr(self, name).changes()) for name in SETS}
        return {name: intervals for name, intervals in found.items() if intervals}

    def learn(self, changes: Mapping[str, Any]) -> None:
        """What `changes` gave, here or at another end. Raises: WireError."""
        try:
            for name in SETS:
                told = IntervalSet(unpacked(changes.get(name, ())))
                getattr(self, name).update(told - self.closed)
        except (TypeError, ValueError) as exc:
            raise WireError(
                f"a ledger makes no sense: {exc}", remedy="let all nodes run the same version"
            ) from exc

    def done(self, passed: IntervalSet, failed: IntervalSet | None = None) -> None:
        """The one before this end had done with these frames: they are not to come again."""
        self.seen.update(passed)
        self.passed.update(passed)
        if failed is not None:
            self.seen.update(failed)
            self.failed.update(failed)

    def fate(self, number: int) -> Fate:
        """What became of a frame that comes again; '' when it is still to be worked on.

        One that was only in the hands of a process that died is; one on which the node raised is
        not: it has failed, and would do so again.
        """
        if number in self.passed or number in self.closed:
            return "passed"
        return "failed" if number in self.failed else ""

    def close(self, settled: IntervalSet) -> None:
        """These frames, and those before, are settled: forget them one by one."""
        self.closed = settled
        for name in SETS:
            getattr(self, name).remove(settled)


def merged(views: Iterable[EdgeLedger]) -> EdgeLedger:
    """One ledger of what both ends know, and those who were there before them.

    A frame that passed at last is neither lost nor failed, though one that died had it before;
    one that was lost is not dropped.
    """
    found = EdgeLedger()
    for view in views:
        for name in SETS:
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
    """Frames that did not arrive, and the place where they went missing.

    `known` is False when they may have arrived: the process that knew it died before it said so.
    `more` counts frames beyond those that are named one by one.
    """

    edge: str
    frames: IntervalSet
    place: str
    known: bool = True
    more: int = 0

    @property
    def count(self) -> int:
        """How many frames."""
        return len(self.frames) + self.more

    @property
    def text(self) -> str:
        """One line for people."""
        many = f"{self.count} frame{'s' * (self.count != 1)}"
        more = f" and {self.more} more" if self.more else ""
        return f"{self.edge}: {many} {self.frames.text()}{more} {self.place}"


@dataclass(slots=True)
class Report:
    """The ledger of a whole run.

    `missing` frames did not pass an edge; whether those of `unknown` did went with a process.
    """

    triggers: int
    edges: dict[str, EdgeLedger]
    missing: list[Missing] = field(default_factory=list)
    unknown: list[Missing] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        """Every trigger's frame passed each edge, or its policy left it out."""
        return not self.missing and not self.unknown

    @property
    def text(self) -> str:
        """For people: one line when all is there, else one for each place."""
        if self.complete:
            edges = f"{len(self.edges)} edge{'s' * (len(self.edges) != 1)}"
            frames = f"{self.triggers} frame{'s' * (self.triggers != 1)}"
            return f"complete: {frames}, each accounted for on {edges}"
        head = (
            "incomplete:" if self.missing else "no frame is known to be missing, but not known is:"
        )
        return "\n".join([head, *(m.text for m in (*self.missing, *self.unknown))])

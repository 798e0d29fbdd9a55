"""Room: pipes. Which frames of a run are missing, and the place where each went missing. Pure.

In: what is known of each edge, of what the sources made, and which counts went with a process that
died. Out: frames that did not pass, each with its place; apart from them those of which it is not
known, because a process died before it said so. What came to a later edge has passed those before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from undula.pipes.intervals import IntervalSet
from undula.pipes.ledger import Edge, EdgeLedger, Missing, Report, merged


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a graph.

    Args:
        edges: by name.
        ledgers: by the edge's name, one of all that is known of it.
        produced: what a source says it made, by node.
        follows: for each node, or one of its outputs as `node.port`, the names of the edges whose
            frames it passes on one by one; none for a source, and for a node whose outputs are not
            one a frame (edges below it are then judged by what came to them, not by the triggers).
        unheard: by edge, frames whose counts there may have gone with a process.
        unsaid: by source, frames that it may have made before it died, without saying so.
        safe: frames that nodes which keep them are done with, by node.
        cut_off: by edge, frames that were on their way when its producer died: lost, unless they
            passed.
    """

    edges: Mapping[str, Edge]
    ledgers: Mapping[str, EdgeLedger]
    produced: Mapping[str, IntervalSet]
    follows: Mapping[str, Sequence[str]]
    unheard: Mapping[str, IntervalSet] = field(default_factory=dict)
    unsaid: Mapping[str, IntervalSet] = field(default_factory=dict)
    safe: Mapping[str, IntervalSet] = field(default_factory=dict)
    cut_off: Mapping[str, IntervalSet] = field(default_factory=dict)

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


def reconciled(
    triggers: int,
    edges: Sequence[Edge],
    views: Mapping[str, Sequence[EdgeLedger]],
    produced: Mapping[str, IntervalSet],
    follows: Mapping[str, Sequence[str]],
    *,
    unheard: Mapping[str, IntervalSet] | None = None,
) -> Report:
    """The sums of a run, compared with its trigger count.

    Args:
        triggers: frames that the run asked for; they have the sequence numbers 1 to `triggers`.
        edges: of the graph.
        views: what each end of an edge counted, by the edge's name.
        produced, follows, unheard: see `Known`.
    """
    ledgers = {edge.name: merged(views.get(edge.name, ())) for edge in edges}
    known = Known({e.name: e for e in edges}, ledgers, produced, follows, unheard or {})
    prove(known)
    found = judged(known, IntervalSet([(1, triggers + 1)]))
    return Report(
        triggers, ledgers, [m for m in found if m.known], [m for m in found if not m.known]
    )


def prove(known: Known) -> None:
    """Count as passed what a later edge, or a file, has; where counts went with a process."""
    changed = True
    while changed:
        changed = False
        for name, unheard in known.unheard.items():
            ledger, target = known.ledgers[name], known.edges[name].target.split(".")[0]
            proofs = [known.ledgers[n].seen for n in known.edges if name in known.above(n)]
            if target in known.safe:
                proofs.append(known.safe[target])
            for proof in proofs:
                new = (proof & unheard) - ledger.passed - ledger.dropped - ledger.failed
                if new:
                    changed = True
                    ledger.passed.update(new)
                    ledger.seen.update(new)
                    ledger.lost.remove(new)


def judged(known: Known, wanted: IntervalSet) -> list[Missing]:
    """Of the frames that are `wanted`, and those that came, those that an edge did not pass."""
    found: list[Missing] = []
    for name, ledger in known.ledgers.items():
        due = (wanted | ledger.seen) if known.is_one_by_one(name) else ledger.seen
        walk = _Walk(known)
        places: dict[tuple[str, bool], IntervalSet] = {}
        for number in due - ledger.passed - ledger.dropped:
            place = walk.up(number, name)
            if place is not None:
                places.setdefault(place, IntervalSet()).add(number)
        found += [Missing(name, frames, *place) for place, frames in places.items()]
    return found


Place = tuple[str, bool]
"""Where a frame went missing, and whether that is known."""


@dataclass(frozen=True, slots=True)
class _Walk:
    """From an edge that a frame did not pass up to the place where it went missing."""

    known: Known

    def up(self, number: int, name: str) -> Place | None:
        """The place; None when a policy further up left the frame out."""
        known = self.known
        walked: set[str] = set()
        while name not in walked:
            walked.add(name)
            place = self._on(number, name)
            if place is not None:
                return place
            above = known.above(name)
            if any(number in known.ledgers[edge].dropped for edge in above):
                return None
            gone = [edge for edge in above if number not in known.ledgers[edge].passed]
            source = known.edges[name].source.split(".")[0]
            if not gone:
                if number in known.unheard.get(name, ()):
                    return self._unheard(name)
                return f"passed to {source}, which did not hand it on", True
            name = gone[0]
        return "missing in a cycle", True

    def _on(self, number: int, name: str) -> Place | None:
        """What this edge itself knows of a frame that did not pass; None: look further up."""
        edge, ledger = self.known.edges[name], self.known.ledgers[name]
        source, target = edge.source.split(".")[0], edge.target.split(".")[0]
        if number in ledger.failed:
            return f"failed in {target}", True
        if number in ledger.lost and number in self.known.cut_off.get(name, ()):
            return f"on its way to {target} when {source} died", False
        if number in ledger.lost:
            return f"went with {target} when it died", True
        if number in ledger.seen:
            return f"still on the way to {target}", True
        return self._in_source(number, name, source) if source in self.known.produced else None

    def _in_source(self, number: int, name: str, source: str) -> Place:
        """What became of a frame that is not known on an edge of its source."""
        known = self.known
        made, unsaid = number in known.produced[source], number in known.unsaid.get(source, ())
        if (made or unsaid) and number in known.unheard.get(name, ()):
            return self._unheard(name)
        if made:
            return f"made by {source}, and died with it", True
        if unsaid:
            return f"made or not by {source}: it died before it said so", False
        return f"never made by {source}", True

    def _unheard(self, name: str) -> Place:
        source, target = (
            end.split(".")[0]
            for end in (self.known.edges[name].source, self.known.edges[name].target)
        )
        return f"known neither as passed to {target} nor as left out: {source} died untold", False

"""Room: pipes. Which frames of a run are missing, and the place where each went missing. Pure.

In: what is known of each edge, of what the sources made, and which counts went with a process that
died. Out: frames that did not pass, each with its place; apart from them those of which it is not
known, because a process died before it said so. What came to a later edge has passed those before.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from undula.pipes.intervals import IntervalSet
from undula.pipes.ledger import Edge, EdgeLedger, Missing


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
        places: dict[Place, IntervalSet] = {}
        for place, frames in _places(known, due - ledger.passed - ledger.dropped, name):
            places.setdefault(place, IntervalSet()).update(frames)
        in_order = sorted(places.items(), key=lambda one: one[1].intervals())
        found += [Missing(name, frames, *place) for place, frames in in_order]
    return found


Place = tuple[str, bool]
"""Where a frame went missing, and whether that is known."""
Placed = Iterator[tuple[Place, IntervalSet]]
"""Frames that went missing, by the place; of one place perhaps in several parts."""


def _places(
    known: Known, frames: IntervalSet, name: str, walked: frozenset[str] = frozenset()
) -> Placed:
    """From an edge that some frames did not pass up to the places where they went missing.

    Those that a policy further up left out are missing nowhere.
    """
    if name in walked:
        yield ("missing in a cycle", True), frames
        return
    edge, ledger = known.edges[name], known.ledgers[name]
    source, target = edge.source.split(".")[0], edge.target.split(".")[0]
    cut_off = known.cut_off.get(name, IntervalSet()) & ledger.lost
    fates = (
        (ledger.failed, f"failed in {target}", True),
        (cut_off, f"on its way to {target} when {source} died", False),
        (ledger.lost, f"went with {target} when it died", True),
        (ledger.seen, f"still on the way to {target}", True),
    )
    for fate, words, sure in fates:
        here, frames = _parted(frames, fate)
        if here:
            yield (words, sure), here
    if not frames:
        return
    if source in known.produced:
        yield from _in_source(known, frames, name)
        return
    above = known.above(name)
    for one in above:
        frames = frames - known.ledgers[one].dropped
    for one in above:
        frames, gone = _parted(frames, known.ledgers[one].passed)
        if gone:
            yield from _places(known, gone, one, walked | {name})
    unheard, frames = _parted(frames, known.unheard.get(name))
    if unheard:
        yield _unheard(known, name), unheard
    if frames:
        yield (f"passed to {source}, which did not hand it on", True), frames


def _in_source(known: Known, frames: IntervalSet, name: str) -> Placed:
    """What became of frames that are not known on an edge of their source."""
    source = known.edges[name].source.split(".")[0]
    made, others = _parted(frames, known.produced[source])
    unsaid, never = _parted(others, known.unsaid.get(source))
    untold, died = _parted(made, known.unheard.get(name))
    untold_too, unsaid = _parted(unsaid, known.unheard.get(name))
    untold.update(untold_too)
    found = (
        (_unheard(known, name), untold),
        ((f"made by {source}, and died with it", True), died),
        ((f"made or not by {source}: it died before it said so", False), unsaid),
        ((f"never made by {source}", True), never),
    )
    yield from ((place, some) for place, some in found if some)


def _unheard(known: Known, name: str) -> Place:
    edge = known.edges[name]
    source, target = edge.source.split(".")[0], edge.target.split(".")[0]
    return f"known neither as passed to {target} nor as left out: {source} died untold", False


def _parted(frames: IntervalSet, by: IntervalSet | None) -> tuple[IntervalSet, IntervalSet]:
    """Those that another set has, and the others."""
    if not by:
        return IntervalSet(), frames
    others = frames - by
    return frames - others, others

"""Room: pipes. The book of a graph: what all its processes tell of its edges, added up. Pure.

In: what is new at each end of each edge, deaths, runs that begin. Out: the ledger of each edge, and
the report of a run. However long it is and however scattered the frames that an edge passes, the
book stays short: pages of frames that are settled on every edge are closed, that is judged, counted
and forgotten one by one. Called by: the runner, which also lets the processes forget them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from undula.pipes.intervals import IntervalSet, unpacked
from undula.pipes.judging import Known, judged, prove
from undula.pipes.ledger import SETS, Edge, EdgeLedger, Missing, Report, merged

LONG = 2000
LATE = 1000
MOST_NAMED = 1000
"""Intervals of frames that are named one by one, for each edge and place."""
FOREVER = 1 << 62


@dataclass(slots=True)
class _Untold:
    """Counts that went with a process: of frames up to `last`, once that is known."""

    last: int | None = None


@dataclass(slots=True)
class _Cut:
    """A source that died: what it had said, and what its successor begins with."""

    zones: IntervalSet = field(default_factory=IntervalSet)
    since: int | None = None


class Book:
    """What is known of all edges of a graph.

    Args:
        edges: of the graph.
        sources: names of its sources.
        follows: for nodes and outputs, the edges whose frames they pass on, see `judging.Known`.
        long: intervals that it may have before a page is closed.
        late: a frame may come behind so many later ones before its page is closed.
    """

    def __init__(
        self, edges: Iterable[Edge], sources: Iterable[str], follows: Mapping[str, Sequence[str]],
        *, long: int = LONG, late: int = LATE,
    ) -> None:  # fmt: skip
        self.long, self._late = long, late
        self.edges = {edge.name: edge for edge in edges}
        self._sources, self._follows = tuple(sources), follows
        self.closed = IntervalSet()
        """Frames that are settled on each edge, and no longer known one by one."""
        self._begin()

    def _begin(self) -> None:
        self._raw = {name: EdgeLedger() for name in self.edges}
        self._merged: dict[str, EdgeLedger] = {}
        self._produced = {name: IntervalSet() for name in self._sources}
        self._ended: set[str] = set()
        self._safe: dict[str, IntervalSet] = {}
        self._untold: dict[str, _Untold] = {}
        self._cut_off = {name: IntervalSet() for name in self.edges}
        self._cut: dict[str, _Cut] = {}
        self._named: dict[tuple[str, str, bool], Missing] = {}
        for ledger in self._raw.values():
            ledger.closed = self.closed

    def begin_run(self, first: int) -> IntervalSet:
        """Another run begins with this frame: the book is begun anew. Returns: what is closed."""
        self.closed = IntervalSet([(0, first)])
        self._begin()
        return self.closed

    # ---- what is told --------------------------------------------------------------------------

    def learn(self, edge: str, changes: Mapping[str, Any]) -> None:
        """What is new at one end of an edge. Raises: WireError."""
        if changes:
            self._raw[edge].learn(changes)
            self._merged.pop(edge, None)

    def made(self, source: str, intervals: Iterable[Sequence[int]]) -> None:
        """Frames that a source made."""
        new = IntervalSet(unpacked(intervals))
        cut = self._cut.get(source)
        if new and cut is not None and cut.since is not None:
            cut.zones.add_range(cut.since, new.intervals()[0][0])
            cut.since = None
        self._produced[source].update(new - self.closed)

    def ended(self, source: str) -> None:
        """A source has ended: it will make no further frame, and no page waits for it."""
        self._ended.add(source)

    def kept(self, node: str, frames: Iterable[int]) -> None:
        """Frames that a node which keeps them is done with."""
        safe = self._safe.setdefault(node, IntervalSet())
        for number in frames:
            safe.add(number)

    def died(
        self, nodes: Sequence[str], untold: Iterable[str], lossless: Iterable[str] = ()
    ) -> None:
        """A process died, with what it had counted since it spoke last.

        What was on its way from it on an edge that may lose frames, and will not be made again, is
        lost: see `resumed` for what a source makes again.

        Args:
            nodes: that were in it.
            untold: names of the edges of which only it knew what became of some frames.
            lossless: names of the edges that may lose nothing.
        """
        strict = set(lossless)
        for name in untold:
            self._untold[name] = _Untold()
            edge, raw = self.edges[name], self._raw[name]
            made_here = _node(edge.source) in self._produced
            if _node(edge.target) in nodes and (name in strict or not made_here):
                raw.seen.remove(raw.on_the_way)  # both ends: should they come again, that is told
                self._merged.pop(name, None)
        for name, edge in self.edges.items():
            node = _node(edge.source)
            if node in nodes and node not in self._produced and name not in strict:
                into = [n for n, e in self.edges.items() if _node(e.target) == node]
                self._lose(name, [self._raw[n].passed | self.closed for n in into])
        for node in nodes:
            self._ended.discard(node)  # its successor may make some again
            if node in self._produced:
                cut = self._cut.setdefault(node, _Cut())
                cut.since = max(self._produced[node].highest, self.closed.highest) + 1

    def left(self, nodes: Sequence[str], lossless: Iterable[str]) -> None:
        """A process died that had ended and told all: what its viewers have not taken is lost."""
        strict = set(lossless)
        for name, edge in self.edges.items():
            if _node(edge.source) in nodes and name not in strict:
                self._lose(name, ())

    def all_told(self) -> None:
        """All processes have spoken since: those that died knew of no frame beyond those known."""
        for untold in self._untold.values():
            if untold.last is None:
                untold.last = self.highest

    # ---- what is known -------------------------------------------------------------------------

    @property
    def highest(self) -> int:
        """The highest number of a frame that anybody has seen."""
        return max((self.made_by(source) for source in self._sources), default=0)

    def made_by(self, source: str) -> int:
        """The highest number of a frame of this source that anybody has seen."""
        out = [self._raw[n].seen for n, e in self.edges.items() if _node(e.source) == source]
        sets = (self._produced[source], self.closed, *out)
        return max(found.highest for found in sets)

    def resumed(self, source: str, lossless: Iterable[str]) -> int:
        """The frame behind which a source goes on that was started anew.

        On its `lossless` edges the consumers have done with all up to it. On others the source had
        told of them: what was on its way there is lost, since a viewer that sleeps on a frame must
        not let everything be made again that came since.
        """
        strict = set(lossless)
        out = [name for name, edge in self.edges.items() if _node(edge.source) == source]
        known = []
        for name in out:
            raw = self._raw[name]
            fate = raw.passed | self.closed
            if name not in strict:
                fate = fate | raw.seen | raw.dropped | raw.lost | raw.failed
            first = fate.intervals()[:1]
            known.append(first[0][1] - 1 if first and first[0][0] <= 1 else 0)
        last = min(known, default=0)
        for name in out:
            if name not in strict:
                self._lose(name, [IntervalSet([(0, last + 1)])])
        return last

    def _lose(self, edge: str, among: Iterable[IntervalSet]) -> None:
        """What is on its way on an edge whose producer died is lost, if it is in all of these."""
        gone = self._raw[edge].on_the_way
        for part in among:
            gone = gone & part
        if gone:
            self._raw[edge].lost.update(gone)
            self._cut_off[edge].update(gone)
            self._merged.pop(edge, None)

    def done_on(self, edge: str, lossless: Iterable[str]) -> IntervalSet:
        """Frames that a consumer which is started anew need not be handed again.

        Its predecessor had done with them, and what it made of them is where it should be: below a
        node that passes frames on one by one, those that the next lossless edges have not are
        missing still.
        """
        into = self.edges[edge].target.split(".")[0]
        done = self._raw[edge].passed | self.closed
        if sum(_node(e.target) == into for e in self.edges.values()) == 1:
            done = done | self._safe.get(into, IntervalSet())
        for below in lossless:
            source = self.edges[below].source
            if edge in (self._follows.get(source) or self._follows.get(_node(source), ())):
                raw = self._raw[below]
                done = done & (raw.passed | raw.dropped | raw.failed | self.closed)
        return done

    def is_safe(self, node: str, seq_num: int) -> bool:
        """Whether a node which keeps frames is done with one.

        A node that died between confirming a frame and saying so has confirmed it all the same.
        """
        if seq_num in self._safe.get(node, ()):
            return True
        into = [n for n, edge in self.edges.items() if _node(edge.target) == node]
        return bool(into) and all(seq_num in self._raw[name].passed for name in into)

    def failed(self, edge: str) -> IntervalSet:
        """Frames of an edge on which its node raised: they are not tried again."""
        return self.ledger(edge).failed

    def failed_on(self, seq_num: int, edges: Iterable[str]) -> list[str]:
        """Which of these edges have a node that raised on this frame."""
        return [n for n in edges if seq_num in self.ledger(n).failed]

    def failed_until(self, seq_num: int, edges: Iterable[str], after: int = 0) -> int | None:
        """The first frame on which a node of these edges raised; None: no one.

        Of those behind `after`, up to `seq_num`.
        """
        found = [
            max(start, after + 1) for name in edges
            for start, stop in self.ledger(name).failed.intervals() if stop > after + 1
        ]  # fmt: skip
        first = min(found, default=seq_num + 1)
        return first if first <= seq_num else None

    def waits_at(self, seq_num: int, edges: Iterable[str]) -> list[str]:
        """On which of these edges a frame is on its way."""
        return [n for n in edges if seq_num in self.ledger(n).on_the_way]

    def ledger(self, edge: str) -> EdgeLedger:
        """All that is known of an edge, in one."""
        found = self._merged.get(edge)
        if found is None:
            raw = self._raw[edge]
            found = self._merged[edge] = merged([raw])
            found.closed, found.before = raw.closed, raw.before
        return found

    # ---- pages ---------------------------------------------------------------------------------

    @property
    def waits(self) -> bool:
        """Whether all processes are to speak once more, since one died."""
        return any(untold.last is None for untold in self._untold.values())

    @property
    def is_long(self) -> bool:
        """Whether it is time to close a page."""
        return sum(raw.pieces for raw in self._raw.values()) > self.long

    def settled(self) -> IntervalSet:
        """Frames that are on their way on no edge; some may just be between two of them.

        Up to the slowest source that has not ended: what it has not made yet is still to come.
        Empty while it is not known what went with a process that died.
        """
        if self.waits or any(cut.since is not None for cut in self._cut.values()):
            return IntervalSet()
        made = {n: max(p.highest, self.closed.highest) for n, p in self._produced.items()}
        going = [last for name, last in made.items() if name not in self._ended]
        last = min(going, default=max(made.values(), default=0))
        found = IntervalSet([(1, last + 1 - self._late)]) - self.closed
        if not found:  # a source is silent: the edges of the others may be long by now
            return found
        for name in self.edges:
            found = found - self.ledger(name).on_the_way
        return found

    def close(self, page: IntervalSet) -> IntervalSet:
        """Judge and forget these frames, as far as they are still settled.

        Each process has told all that it knew when they were. Returns: all that is closed now.
        """
        page = page & self.settled()
        if page:
            known = self._known(page)
            prove(known)
            for missing in judged(known, page):
                self._name(missing)
            self.closed = self.closed | page
            for name, raw in self._raw.items():
                for kind in SETS:
                    raw.before[kind] += len(getattr(known.ledgers[name], kind))
                raw.close(self.closed)
            single = (*self._produced.values(), *self._safe.values(), *self._cut_off.values())
            for numbers in single:
                numbers.remove(page)
            self._merged.clear()
        return self.closed

    def _name(self, missing: Missing) -> None:
        key = (missing.edge, missing.place, missing.known)
        before = self._named.get(key)
        if before is None:
            before = replace(missing, frames=IntervalSet())
        frames = IntervalSet(before.frames.intervals())
        more = before.more
        for start, stop in missing.frames.intervals():
            if frames.pieces < MOST_NAMED:
                frames.add_range(start, stop)
            else:
                more += stop - start
        self._named[key] = replace(before, frames=frames, more=more)

    def _known(self, page: IntervalSet) -> Known:
        """What is known of the frames of a page, apart."""
        ledgers = {}
        for name in self.edges:
            whole, part = self.ledger(name), EdgeLedger()
            for kind in SETS:
                setattr(part, kind, getattr(whole, kind) & page)
            ledgers[name] = part
        unheard = {
            name: IntervalSet([(1, FOREVER if u.last is None else u.last + 1)]) & page
            for name, u in self._untold.items()
        }
        unsaid = {
            source: (cut.zones | IntervalSet([] if cut.since is None else [(cut.since, FOREVER)]))
            & page
            for source, cut in self._cut.items()
        }
        return Known(
            self.edges, ledgers, self._produced, self._follows, unheard, unsaid, self._safe,
            self._cut_off,
        )  # fmt: skip

    # ---- the end -------------------------------------------------------------------------------

    def report(self, triggers: int | None = None) -> Report:
        """The sums up to now, compared with the frames asked for; by default those made."""
        if triggers is None:
            triggers = max((self.made_by(s) for s in self._sources), default=0)
        everything = IntervalSet([(0, FOREVER)]) - self.closed
        known = self._known(everything)
        prove(known)
        open_page = judged(known, IntervalSet([(1, triggers + 1)]) - self.closed)
        found = self._with_named(open_page)
        for name, ledger in known.ledgers.items():
            ledger.before = dict(self._raw[name].before)
        return Report(
            triggers, dict(known.ledgers), [m for m in found if m.known],
            [m for m in found if not m.known],
        )  # fmt: skip

    def _with_named(self, open_page: Iterable[Missing]) -> list[Missing]:
        found = dict(self._named)
        for one in open_page:
            key = (one.edge, one.place, one.known)
            before = found.get(key)
            if before is None:
                found[key] = one
            else:
                found[key] = replace(before, frames=before.frames | one.frames)
        return list(found.values())


def _node(end: str) -> str:
    return end.split(".", maxsplit=1)[0]

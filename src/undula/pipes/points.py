"""Room: pipes. The frame of a point on its way through a graph, and the values that came of it.

In: frames that come to channels, and how the graph is doing. Out: whether the frame is through, is
late, or cannot come, and the values of the point: NaN, with the reason, where a node had nothing to
say. Pure but for the clock that is handed in. Called by: `graph_run`, on the graph's thread.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from undula.core.errors import DeviceError
from undula.pipes.coming import NOBODY, nothing_comes
from undula.pipes.for_scans import ScanGraph
from undula.pipes.frame import Array, Frame
from undula.pipes.intervals import IntervalSet
from undula.pipes.ledger import EdgeLedger
from undula.pipes.reasons import Progress, failed, failed_untold, late, not_kept, who_is_slow

ASK_FIRST_S, ASK_LAST_S = 0.02, 0.25
"""What is missing is asked for so soon, and then ever more seldom."""
SAY_S = 2.0
"""So long a node that failed may take to say why."""


@dataclass(frozen=True, slots=True)
class Doubt:
    """Nodes that seem to have made nothing of a frame, and the last question before it seemed so.

    Processes speak one after the other: one may have said that the next is done with the frame,
    when that one has not yet said that it has handed something on.
    """

    nodes: frozenset[str]
    asked: int


@dataclass(slots=True)
class Awaited:
    """The frame that is waited for: since when (monotonic, s), and how long it may take.

    `doubt`: it looks as if nothing more came of it.
    """

    seq_num: int
    since: float
    slow_s: float
    timeout_s: float
    ask_at: float = 0.0
    doubt: Doubt | None = None
    failed_at: float | None = None

    def __post_init__(self) -> None:
        self.ask_at = self.since + ASK_FIRST_S

    def asks(self, now: float) -> bool:
        """Whether the graph is to say now how it is doing: soon, and then ever more seldom."""
        due = now >= self.ask_at
        if due:
            most_s = ASK_FIRST_S if self.doubt else ASK_LAST_S
            self.ask_at = now + min(most_s, max(ASK_FIRST_S, now - self.since))
        return due


@dataclass(slots=True)
class Verdict:
    """What is to be done about the frame that is waited for.

    `through`: it is safe everywhere, `without` has the edges that brought nothing, and why.
    `error`: it will not come. `held_up`: who is slow. `away`: that is its source, which hears
    nothing. `ask`: let the graph say how it is doing.
    """

    through: bool = False
    without: dict[str, str] = field(default_factory=dict)
    error: DeviceError | None = None
    held_up: str = ""
    away: bool = False
    ask: bool = False


class Points:
    """Values of points, by data key, and why some are missing."""

    def __init__(self, scan: ScanGraph) -> None:
        self.scan = scan
        self._heard: dict[str, dict[int, Array]] = {edge: {} for edge in scan.values}
        self._shapes: dict[str, Array] = {}
        self.last: dict[str, Array] = {}
        self._without: dict[tuple[str, str], IntervalSet] = {}
        self._told = 0
        """The last frame on which a node failed, and that was told: it ends no further trigger."""
        self.place_of: Callable[[int], int] = lambda number: number
        """Of a frame among those of its run, from 1 on."""

    @property
    def numbers(self) -> list[str]:
        """Data keys of the values that are one number, as far as one can know."""
        return [
            value.key for value in self.scan.values.values()
            if (self.last[value.key].ndim if value.key in self.last else value.ndim) == 0
        ]  # fmt: skip

    def use(self, scan: ScanGraph) -> None:
        """The nodes of the graph are others from now on, and so may be its values."""
        self.scan = scan
        self._heard = {edge: {} for edge in scan.values}
        self._shapes, self.last = {}, {}

    def forget(self) -> None:
        """Another run begins."""
        self.last, self._without = {}, {}

    def forget_frames(self) -> None:
        """What came is of frames that nobody waits for any more."""
        self._told = 0
        for values in self._heard.values():
            values.clear()

    def hear(self, edge: str, frame: Frame) -> None:
        """A result came to a channel."""
        values = self._heard.get(edge)
        if values is not None:
            values[frame.seq_num] = np.array(frame.data)

    def judge(self, awaited: Awaited, progress: Progress, now: float) -> Verdict:
        """Whether the frame is through, cannot come, or is late."""
        number, waited_s = awaited.seq_num, now - awaited.since
        unsafe = [w for w in self.scan.writers if not progress.is_safe(w, number)]
        silent = [edge for edge, values in self._heard.items() if number not in values]
        at = progress.failed_until(number, self._told)  # an earlier one perhaps, nobody waited for
        if at is not None:
            return self._failed(awaited, progress, at, now)
        if not unsafe and not silent:
            return Verdict(through=True)
        if waited_s < ASK_FIRST_S:
            return Verdict()
        nothing_more, after = self._nothing_more(progress.ledgers, number, unsafe, silent)
        if nothing_more is not None and not after:
            return nothing_more
        if nothing_more is None:
            awaited.doubt = None
        elif awaited.doubt is not None and awaited.doubt.nodes == after:
            if progress.answered(after) > awaited.doubt.asked:
                return nothing_more
        else:
            awaited.doubt, awaited.ask_at = Doubt(after, progress.asked), now
        found = Verdict(ask=awaited.asks(now))
        if waited_s > min(awaited.slow_s, awaited.timeout_s):
            found.held_up = who_is_slow(self.scan, progress, number)
            away = bool(found.held_up) and progress.status.nodes[self.scan.source].away
            found.away = away and not progress.waits_at(number)
            if not found.held_up and waited_s > awaited.timeout_s:
                missing = [*unsafe, *silent]
                found.error = late(self.scan, progress, number, missing, awaited.timeout_s)
        return found

    def _failed(self, awaited: Awaited, progress: Progress, frame: int, now: float) -> Verdict:
        """A node raised on a frame; the node before it may say so earlier than itself."""
        error = failed(self.scan, progress, frame, self.place_of)
        if awaited.failed_at is None:
            awaited.failed_at, awaited.ask_at = now, now
        if error is None and now - awaited.failed_at > SAY_S:
            error = failed_untold(self.scan, progress, frame, self.place_of)
        if error is not None:
            self._told = frame
        return Verdict(error=error, ask=error is None and awaited.asks(now))

    def take(self, number: int, without: Mapping[str, str], place: int) -> None:
        """The frame is through: its values are those of the point.

        `place` is that of the frame in its run, from 1 on.
        """
        for edge, value in self.scan.values.items():
            came = self._heard[edge].pop(number, None)
            self._heard[edge].clear()
            if came is None:
                came = value.nothing(self._shapes.get(value.key))
                missing = self._without.setdefault((value.key, without[edge]), IntervalSet())
                missing.add(place)
            else:
                came = came.reshape(()) if came.size == 1 else came
                self._shapes[value.key] = came
            self.last[value.key] = came

    def without(self) -> dict[str, str]:
        """Values that frames of this run do not have: how many, which, and why, by data key."""
        found: dict[str, str] = {}
        for (key, why), numbers in self._without.items():
            text = f"none at {len(numbers)} of its frames ({numbers.text()}): {why}"
            found[key] = "; ".join(part for part in (found.get(key, ""), text) if part)
        return found

    def _nothing_more(
        self, ledgers: Mapping[str, EdgeLedger], number: int, unsafe: list[str], silent: list[str]
    ) -> tuple[Verdict | None, frozenset[str]]:
        """What to do when nothing more comes, once these nodes have spoken; None while it may."""
        graph, types = self.scan.graph, self.scan.types
        for writer in unsafe:
            none = nothing_comes(graph, types, ledgers, graph.into(writer)[0], number)
            if none is not None:
                return Verdict(error=not_kept(self.scan, writer, number, none.why)), none.after
        if unsafe:
            return None, NOBODY
        edges = {name: self.scan.values[name].edge for name in silent}
        found = {n: nothing_comes(graph, types, ledgers, e, number) for n, e in edges.items()}
        sure = {name: none for name, none in found.items() if none is not None}
        if len(sure) < len(found):
            return None, NOBODY
        without = {name: none.why for name, none in sure.items()}
        after = NOBODY.union(*(none.after for none in sure.values()))
        return Verdict(through=True, without=without), after

"""Room: pipes. The frame of a point on its way through a graph, and the values that came of it.

In: frames that come to channels, and how the graph is doing. Out: whether the frame is through, is
late, or cannot come, and the values of the point: NaN, with the reason, where a node had nothing to
say. Pure but for the clock that is handed in. Called by: `detector`, on the graph's thread.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from undula.core.errors import DeviceError
from undula.core.log import get_logger
from undula.pipes.coming import NOBODY, nothing_comes
from undula.pipes.for_scans import ScanGraph
from undula.pipes.frame import Array, Frame
from undula.pipes.intervals import IntervalSet
from undula.pipes.ledger import EdgeLedger
from undula.pipes.runner.status import GraphStatus, NodeStatus

ASK_FIRST_S, ASK_LAST_S = 0.02, 0.25
"""What is missing is asked for so soon, and then ever more seldom."""


class Progress(Protocol):
    """What a runner knows of a frame."""

    @property
    def ledgers(self) -> Mapping[str, EdgeLedger]:
        """Of each edge, as it was heard last."""

    status: GraphStatus
    asked: int
    """The number of the last question to all its processes how they are doing."""

    def answered(self, nodes: Iterable[str]) -> int:
        """The processes of all these nodes have spoken behind the question with this number."""

    def is_safe(self, node: str, seq_num: int) -> bool:
        """Whether a writer is done with it."""

    def failed_on(self, seq_num: int) -> list[str]:
        """Lossless edges whose node raised on it."""

    def waits_at(self, seq_num: int) -> list[str]:
        """Lossless edges where it is on its way."""


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

    def __post_init__(self) -> None:
        self.ask_at = self.since + ASK_FIRST_S


@dataclass(slots=True)
class Verdict:
    """What is to be done about the frame that is waited for.

    `through`: it is safe everywhere, `without` has the edges that brought nothing, and why.
    `error`: it will not come. `held_up`: who is slow. `ask`: let the graph say how it is doing.
    """

    through: bool = False
    without: dict[str, str] = field(default_factory=dict)
    error: DeviceError | None = None
    held_up: str = ""
    ask: bool = False


class Points:
    """Values of points, by data key, and why some are missing."""

    def __init__(self, scan: ScanGraph) -> None:
        self.scan = scan
        self._heard: dict[str, dict[int, Array]] = {edge: {} for edge in scan.values}
        self._shapes: dict[str, Array] = {}
        self.last: dict[str, Array] = {}
        self._without: dict[tuple[str, str], IntervalSet] = {}

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
        if not unsafe and not silent:
            return Verdict(through=True)
        if progress.failed_on(number):
            return Verdict(error=self._lost(progress, number, unsafe, silent, "it failed"))
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
        found = Verdict(ask=now >= awaited.ask_at)
        if found.ask:
            most_s = ASK_FIRST_S if awaited.doubt else ASK_LAST_S
            awaited.ask_at = now + min(most_s, max(ASK_FIRST_S, waited_s))
        if waited_s > min(awaited.slow_s, awaited.timeout_s):
            found.held_up = _who_is_slow(progress, number, self.scan.source)
            if not found.held_up and waited_s > awaited.timeout_s:
                late = f"not in {awaited.timeout_s:g} s"
                found.error = self._lost(progress, number, unsafe, silent, late)
        return found

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
                return Verdict(error=self._not_kept(writer, number, none.why)), none.after
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

    def _lost(
        self, progress: Progress, number: int, unsafe: list[str], silent: list[str], why: str
    ) -> DeviceError:
        nodes: Any = progress.status.nodes.values()
        errors = [f"{node.name}: {node.error}" for node in nodes if node.error]
        errors += [f"{node.name} waits for {node.waits_for}" for node in nodes if node.waits_for]
        return DeviceError(
            f"frame {number} did not come to {', '.join([*unsafe, *silent])}, {why}: "
            f"{'; '.join(errors) or 'no node says why'}",
            remedy="look at that node: undula pipes show, undula logs",
            device=self.scan.device,
        )

    def _not_kept(self, writer: str, number: int, why: str) -> DeviceError:
        return DeviceError(
            f"frame {number} did not come to {writer}: {why}",
            remedy=f"let {writer} hear the source, so that it has the frame of every point",
            device=self.scan.device,
        )


class SourceWatch:
    """Says in the log when the source of a graph hears nothing, and when it hears again."""

    def __init__(self, device: str) -> None:
        self._device, self._away = device, False

    def look(self, source: NodeStatus) -> None:
        """How the source does now."""
        if source.away == self._away:
            return
        self._away = source.away
        if source.away:
            get_logger().warning("source_away", device=self._device, waits_for=source.waits_for)
        else:
            get_logger().info("source_there", device=self._device)


def _who_is_slow(progress: Progress, number: int, source: str) -> str:
    """The edges where a frame is on its way, and of what lives behind them; or its source."""
    edges = progress.waits_at(number)
    first = progress.status.nodes[source]
    if not edges:
        return f"{source} waits for {first.waits_for}" if first.away else ""
    dead = [n.name for n in progress.status.nodes.values() if n.state == "dead"]
    again = f", {', '.join(dead)} is started again" if dead else ""
    return f"edge {', '.join(edges)} cannot keep up: frame {number} is on its way{again}"

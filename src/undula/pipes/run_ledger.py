"""Room: pipes. The ledger of one scan, of a graph that is kept warm from scan to scan. Pure.

In: the graph's report, and which frames the scan triggered. Out: sums of each edge and the frames
that are missing, as plain values for the run's stop document and its file.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from undula.pipes.intervals import IntervalSet
from undula.pipes.ledger import SETS, Missing, Report


@dataclass(slots=True)
class RunLedger:
    """What became of the frames `first` to `last`.

    `broken` are frames that an edge lost which may lose none, unless it leads to a viewer; `left`
    those that others lost, or that went with a graph which broke in mid-run: its successor took
    their points again. `earlier` counts the frames of such graphs, which are numbered anew each
    time. A frame still on its way to a viewer is neither, and `text` says so: it may sleep as long
    as it likes. Of `unknown` frames nobody can say whether they passed: who knew died before saying
    so.
    """

    first: int
    last: int
    edges: dict[str, dict[str, int]] = field(default_factory=dict)
    policies: dict[str, str] = field(default_factory=dict)
    broken: list[Missing] = field(default_factory=list)
    left: list[Missing] = field(default_factory=list)
    unknown: list[Missing] = field(default_factory=list)
    earlier: int = 0
    not_added_up: str = ""
    """Why not all is known at the end of the run: who did not answer; '' while that is not so."""

    @property
    def triggers(self) -> int:
        """Frames that the scan asked for."""
        return self.earlier + self.last - self.first + 1

    @property
    def complete(self) -> bool:
        """Every frame passed each edge, or its policy left it out."""
        return not (self.broken or self.left or self.unknown)

    @property
    def missing(self) -> int:
        """Frames that did not pass an edge, added up over the edges."""
        return sum(missing.count for missing in (*self.broken, *self.left))

    @property
    def text(self) -> str:
        """One line for people."""
        if self.complete:
            many = f"{len(self.edges)} edge{'s' * (len(self.edges) != 1)}"
            frames = f"{self.triggers} frame{'s' * (self.triggers != 1)}"
            text = f"complete: {frames}, each accounted for on {many}"
            return "; ".join([text, *self._on_the_way(), *self._why()])
        missing = [one.text for one in (*self.broken, *self.left, *self.unknown)]
        return "; ".join([*missing, *self._why()])

    def _on_the_way(self) -> Iterator[str]:
        """What viewers had not come to when the run ended."""
        for name, counts in self.edges.items():
            if many := counts["on_the_way"]:
                yield f"{many} of them were still on the way to {end_of(name)} at the end"

    def _why(self) -> list[str]:
        return [f"not added up: {self.not_added_up}"] if self.not_added_up else []

    def plain(self) -> dict[str, Any]:
        """For a stop document: edges as a table."""
        found: dict[str, Any] = {
            "triggers": self.triggers,
            "first_frame": self.first,
            "complete": self.complete,
            "missing": self.missing,
            "text": self.text,
            "edge": list(self.edges),
            "policy": [self.policies.get(name, "") for name in self.edges],
        }
        for name in (*SETS, "on_the_way"):
            found[name] = [counts[name] for counts in self.edges.values()]
        unknown = dict.fromkeys(self.edges, 0)
        for part in self.unknown:
            unknown[part.edge] += part.count
        found["unknown"] = list(unknown.values())
        return found


def together(parts: Sequence[RunLedger]) -> RunLedger | None:
    """One ledger of a run whose graph broke and was started anew; None when there is no part."""
    if not parts:
        return None
    *before, last = parts
    edges = {name: dict(counts) for name, counts in last.edges.items()}
    left, unknown = [], []
    for part in before:
        for name, counts in part.edges.items():
            sums = edges.setdefault(name, dict.fromkeys(counts, 0))
            for key, number in counts.items():
                sums[key] += number
        left += [_before(missing) for missing in (*part.broken, *part.left)]
        unknown += [_before(missing) for missing in part.unknown]
    return replace(
        last, edges=edges, left=left + last.left, unknown=unknown + last.unknown,
        earlier=sum(part.triggers for part in before),
    )  # fmt: skip


def _before(missing: Missing) -> Missing:
    return replace(missing, place=f"{missing.place}, before the graph was started anew")


def run_ledger(
    report: Report, policies: Mapping[str, str], first: int, last: int,
    viewers: Collection[str] = (),
) -> RunLedger:  # fmt: skip
    """The part of a graph's report that is about the frames `first` to `last`.

    Args:
        policies: of each edge, by its name.
        viewers: nodes that nobody waits for: what an edge to one of them lost breaks no run.
    """
    found = RunLedger(first, last, policies=dict(policies))
    span = IntervalSet([(first, last + 1)])
    unsure = {name: IntervalSet() for name in report.edges}
    for unknown in report.unknown:
        unsure[unknown.edge].update(unknown.frames)
    for name, ledger in report.edges.items():
        counts = {n: len(getattr(ledger, n) & span) + ledger.before[n] for n in SETS}
        counts["lost"] -= len(ledger.lost & span & unsure[name])  # it is told as unknown
        found.edges[name] = counts | {"on_the_way": len(ledger.on_the_way & span)}
    for unknown in report.unknown:
        if frames := unknown.frames & span:
            found.unknown.append(replace(unknown, frames=frames))
    for missing in report.missing:
        lossless = policies.get(missing.edge) == "lossless" and end_of(missing.edge) not in viewers
        frames = missing.frames & span
        if not lossless:
            frames = frames - report.edges[missing.edge].on_the_way
        if frames:
            (found.broken if lossless else found.left).append(replace(missing, frames=frames))
    return found


def end_of(edge: str) -> str:
    """The node that takes the frames of an edge.

    >>> end_of("det.frames -> roi.frames")
    'roi'
    """
    return edge.partition(" -> ")[2].partition(".")[0]

"""What was measured: numbers with their spread, a table, JSON, and which goals are reached.

In: lists of seconds, bytes ... Out: text. No clock, no process.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True, slots=True)
class Spread:
    """Median, least and greatest of `rounds` rounds."""

    median: float
    least: float
    greatest: float
    rounds: int

    @classmethod
    def of(cls, values: Iterable[float]) -> Spread:
        """Of at least one value."""
        found = sorted(values)
        return cls(statistics.median(found), found[0], found[-1], len(found))

    def __str__(self) -> str:
        if self.rounds == 1:
            return f"{self.median:.4g}"
        return f"{self.median:.4g} [{self.least:.4g}..{self.greatest:.4g}]"


@dataclass(frozen=True, slots=True)
class Row:
    """One quantity of one case; `peer` is the same of the peer, in the same unit."""

    bench: str
    case: str
    quantity: str
    unit: str
    undula: Spread
    peer: Spread | None = None

    @property
    def ratio(self) -> float | None:
        """Peer to Undula: how many times less Undula takes."""
        if self.peer is None or not self.undula.median:
            return None
        return self.peer.median / self.undula.median


@dataclass(frozen=True, slots=True)
class Goal:
    """A promise: with `at_least` a ratio to the peer, otherwise a value to stay below."""

    text: str
    bench: str
    case: str
    quantity: str
    bound: float
    at_least: bool = False


GOALS = (
    Goal("step scan, any device: >= 2x", "step", "any 0 ms", "per point", 2.0, at_least=True),
    Goal("step scan, synchronous: >= 3x", "step", "synchronous", "per point", 3.0, at_least=True),
    Goal("step scan, blocks: >= 10x", "step", "instant", "per point", 10.0, at_least=True),
    Goal(
        "10 monitors, synchronous: >= 3x",
        "shapes",
        "10 monitors, synchronous",
        "per point",
        3.0,
        at_least=True,
    ),
    Goal(
        "10 monitors, blocks: >= 10x",
        "shapes",
        "10 monitors, instant",
        "per point",
        10.0,
        at_least=True,
    ),
    Goal(
        "grid, synchronous: >= 3x",
        "shapes",
        "grid 25 x 40, synchronous",
        "per point",
        3.0,
        at_least=True,
    ),
    Goal(
        "grid, blocks: >= 10x", "shapes", "grid 25 x 40, instant", "per point", 10.0, at_least=True
    ),
    Goal("live < 10 ms median, synchronous", "live", "synchronous", "median", 10.0),
    Goal("live < 10 ms median, any", "live", "any 0 ms", "median", 10.0),
    Goal("live < 10 ms median, any 10 ms", "live", "any 10 ms", "median", 10.0),
    Goal("live < 10 ms median, blocks", "live", "instant", "median", 10.0),
    Goal("mv < 10 ms", "moves", "idle", "mv median", 10.0),
    Goal("mv during a block scan < 30 ms", "moves", "scan runs", "mv median", 30.0),
    Goal("services up < 5 s", "start", "idle beamline", "bring up", 5.0),
    Goal("idle memory < 400 MB", "start", "idle beamline", "PSS together", 400.0),
    Goal("EPICS: < 1 ms CPU added", "epics", "motor and counting card", "CPU added per point", 1.0),
    Goal(
        "500 signals at 10 Hz: a point at most 10 % longer",
        "values",
        "500 signals at 10 Hz",
        "all per point",
        0.9,
        at_least=True,
    ),
    Goal(
        "injected command < 15 ms",
        "prompt",
        "a person attached",
        "round trip median",
        15.0,
    ),
    Goal(
        "device query in a scan < 10 ms",
        "prompt",
        "scan runs in a cell",
        "query median",
        10.0,
    ),
    Goal("Ctrl-C < 100 ms", "prompt", "a cell sleeps", "Ctrl-C median", 100.0),
    Goal("100 000 runs: any filter < 100 ms", "history", "100000 runs", "slowest filter", 100.0),
    Goal("200 devices, 5 % dead: < 10 s", "loading", "200 devices, 10 dead", "until ready", 10.0),
    Goal(
        "8 MB frames: >= 0.7 of one process",
        "pipes",
        "8 MB: ROI, preview, compressed file",
        "per frame",
        0.7,
        at_least=True,
    ),
    Goal("1 KB messages: 100 k/s", "pipes", "1 KB messages", "per message", 10.0),
    Goal(
        "scalars in blocks: 20 M values/s",
        "pipes",
        "scalars in blocks of 1000 x 16, source to file",
        "per value",
        50.0,
    ),
    Goal(
        "kill -9 of a consumer: next frame < 10 ms",
        "pipes",
        "kill -9 of a consumer",
        "until the next frame",
        10.0,
    ),
)


def percentile(values: Sequence[float], part: float) -> float:
    """The value below which `part` (0..1) of them lie, nearest rank."""
    found = sorted(values)
    return found[min(len(found) - 1, int(part * len(found)))]


def judged(rows: Sequence[Row]) -> list[tuple[Goal, float, bool]]:
    """Each goal that was measured, its number, and whether it is reached."""
    known = {(row.bench, row.case, row.quantity): row for row in rows}
    found: list[tuple[Goal, float, bool]] = []
    for goal in GOALS:
        row = known.get((goal.bench, goal.case, goal.quantity))
        if row is None:
            continue
        if goal.at_least:
            value = row.ratio or 0.0
            found.append((goal, value, value >= goal.bound))
        else:
            found.append((goal, row.undula.median, row.undula.median < goal.bound))
    return found


def show(rows: Sequence[Row], console: Console) -> None:
    """Print the table: median [least..greatest] over the rounds."""
    table = Table("bench", "case", "quantity", "unit", "Undula", "peer", "peer / Undula")
    last = ""
    for row in rows:
        if last and row.bench != last:
            table.add_section()
        last = row.bench
        ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
        peer = "" if row.peer is None else str(row.peer)
        table.add_row(row.bench, row.case, row.quantity, row.unit, str(row.undula), peer, ratio)
    console.print(table)


def show_goals(rows: Sequence[Row], console: Console) -> None:
    """Print each measured goal with `reached` or `not reached`."""
    for goal, value, reached in judged(rows):
        number = f"{value:.2f}x" if goal.at_least else f"{value:.3g}"
        console.print(f"{'reached    ' if reached else 'NOT reached'}  {goal.text:36} {number:>8}")


def save(rows: Sequence[Row], about: dict[str, Any], path: Path) -> None:
    """Write everything as JSON."""
    goals = [
        {"goal": goal.text, "value": value, "reached": reached}
        for goal, value, reached in judged(rows)
    ]
    content = {
        "about": about,
        "rows": [{**asdict(row), "ratio": row.ratio} for row in rows],
        "goals": goals,
    }
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")

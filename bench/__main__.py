"""`python -m bench`: all benchmarks, one table, the goals.

Options: `--quick`, `--only NAME` (repeatable), `--json FILE`, `--rounds N`.
"""

from __future__ import annotations

import argparse
import os
import platform
import queue
import sys
import time
from pathlib import Path
from typing import Any

from rich.console import Console

from bench.epics import epics
from bench.frames import pipes
from bench.growth import devices, points, start
from bench.history import history
from bench.live_values import live_values
from bench.loading import loading
from bench.moves import moves
from bench.prompt import prompt
from bench.report import Row, save, show, show_goals
from bench.scans import cpu, live, step
from bench.shapes import shapes
from bench.subjects import Stock, undula
from undula.core.errors import UndulaError

TOGETHER = {
    "step": (step,), "shapes": (shapes,), "cpu": (cpu,), "live": (live,), "moves": (moves,),
    "growth": (points,),
}  # fmt: skip
ALONE = {
    "start": (start,), "growth": (devices,), "loading": (loading,), "epics": (epics,),
    "values": (live_values,), "prompt": (prompt,), "pipes": (pipes,),
    "history": (history,),
}  # fmt: skip
NAMES = (
    "step", "shapes", "cpu", "live", "moves", "start", "growth", "loading", "epics", "values",
    "prompt", "history", "pipes",
)  # fmt: skip


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="short scans; numbers are rough")
    parser.add_argument("--only", action="append", choices=NAMES, help="this one only")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all numbers there too")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of each (3)")
    return parser.parse_args()


def load() -> str:
    return " ".join(f"{number:.2f}" for number in os.getloadavg())


def measured(
    wanted: tuple[str, ...], rounds: int, quick: bool, console: Console
) -> tuple[list[Row], list[str]]:
    rows: list[Row] = []
    failed: list[str] = []

    def run(name: str, bench: Any, *subjects: Any) -> None:
        begin, before = time.monotonic(), load()
        try:
            found = bench(*subjects, rounds, quick)
        except (UndulaError, RuntimeError, OSError, queue.Empty) as exc:
            failed.append(name)
            console.print(f"{name}: {bench.__name__} FAILED, the others go on: {exc!r}")
            return
        took = time.monotonic() - begin
        console.print(f"{name}: {bench.__name__}, {took:.0f} s, load {before} -> {load()}")
        rows.extend(found)

    if set(wanted) & set(TOGETHER):
        with undula() as ours:
            stock = Stock()
            for name in (n for n in NAMES if n in wanted):
                for bench in TOGETHER.get(name, ()):
                    run(name, bench, ours, stock)
    for name in (n for n in NAMES if n in wanted):
        for alone in ALONE.get(name, ()):
            run(name, alone)
    rows.sort(key=lambda row: NAMES.index(row.bench))
    return rows, failed


def main() -> int:
    chosen = options()
    wanted = tuple(chosen.only or NAMES)
    console = Console(width=None if sys.stdout.isatty() else 140)
    about = {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cpus": os.cpu_count(),
        "rounds": chosen.rounds,
        "quick": chosen.quick,
        "load_before": load(),
        "time": time.time(),
    }
    console.print(", ".join(f"{key} {value}" for key, value in about.items() if key != "time"))
    rows, failed = measured(wanted, chosen.rounds, chosen.quick, console)
    about["load_after"], about["failed"] = load(), failed
    show(rows, console)
    console.print(f"median \\[least..greatest] over the rounds; load now {load()}")
    show_goals(rows, console)
    if chosen.json:
        save(rows, about, chosen.json)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

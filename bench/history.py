"""Benchmark of the history: each filter over 100 000 runs, as a client asks it."""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.report import Row, Spread
from undula.catalogue import RunRecord, SqliteCatalogue, parse_condition
from undula.catalogue.keys import tags_of
from undula.catalogue.schema import index_run
from undula.messages import RunNote

RUNS, QUICK_RUNS = 100_000, 5_000
MS = 1e3
LIMIT = 100
START = 1.7e9
FILTERS: dict[str, dict[str, Any]] = {
    "newest": {},
    "text found": {"text": "sample7"},
    "text in one run": {"text": "unheard-of"},
    "text not there": {"text": "nothing like that"},
    "two letters": {"text": "qz"},
    "device": {"device": "samx"},
    "plan": {"plan": "grid_scan"},
    "status": {"status": "fail"},
    "user": {"user": "user3"},
    "sample": {"sample": "sample7"},
    "proposal": {"proposal": "p12"},
    "group": {"group": "group 500"},
    "tag": {"tag": "good"},
    "since, half of them": {"since": START + RUNS * 30.0},
    "until, the first ten": {"until": START + 600.0},
    "a number of the metadata": {"where": (parse_condition("temperature_K>299.9"),)},
    "half of the numbers": {"where": (parse_condition("temperature_K<150"),)},
    "no such number": {"where": (parse_condition("temperature_K>1000"),)},
    "another text": {"where": (parse_condition("element!=Fe"),)},
    "text within a key": {"where": (parse_condition("note~remark 77777"),)},
    "two that exclude each other": {"plan": "grid_scan", "device": "samy"},
    "many at once": {
        "plan": "scan", "device": "samx", "user": "user3", "status": "success",
        "since": START + 600.0, "text": "fe2o3", "where": (parse_condition("temperature_K<200"),),
    },
}  # fmt: skip


def _runs(count: int) -> Iterator[tuple[RunRecord, list[RunNote]]]:
    chance = random.Random(5)
    devices = {name: {"kind": "detector", "config": {"x": list(range(20))}} for name in "abcdefgh"}
    for number in range(1, count + 1):
        grid = chance.random() < 0.3
        plan, axis = ("grid_scan", "samx") if grid else ("scan", chance.choice(["samx", "samy"]))
        sample, proposal = f"sample{chance.randrange(200)}", f"p{chance.randrange(50)}"
        note = "unheard-of" if number == count // 3 else f"remark {number} about what was done"
        metadata = {
            "sample": {"name": sample, "mass_mg": chance.random()}, "proposal": proposal,
            "dataset": f"map{chance.randrange(100)}", "temperature_K": chance.random() * 300,
            "element": chance.choice(["Fe", "Cu", "Ni"]), "note": note, "motors": [axis],
            "scan_group": {"name": f"group {number // 50}", "uid": f"g{number // 50}"},
            "detectors": ["diode", "cam"], "devices": devices, "num_points": 21,
        }  # fmt: skip
        run = RunRecord(
            uid=f"{chance.getrandbits(128):032x}", number=number, plan=plan,
            command=f"{plan} {axis} -1 {chance.random():.3f} 21 --time 0.1",
            user=f"user{chance.randrange(10)}", start_time=START + number * 60.0,
            path=f"/data/x07/{proposal}/{sample}/map/{number:05d}_{plan}.nxs",
            exit_status="fail" if chance.random() < 0.02 else "success",
            devices=[axis, "diode", "cam"], num_points=21, metadata=metadata,
        )  # fmt: skip
        tags = [RunNote(kind="tag", text="good")] if chance.random() < 0.1 else []
        yield run, tags


def _fill(catalogue: SqliteCatalogue, count: int) -> None:
    """As `open_run` and `add_notes` enter them, in one transaction in place of one a run."""
    with catalogue.writing() as db:
        for run, notes in _runs(count):
            catalogue.insert(db, run.model_copy(update={"tags": tags_of(notes)}))
            index_run(db, run, notes)


def history(rounds: int, quick: bool) -> list[Row]:
    """Milliseconds of each filter, newest 100 runs as records."""
    found: dict[str, list[float]] = {name: [] for name in FILTERS}
    opening: list[float] = []
    with tempfile.TemporaryDirectory(prefix="undula-bench-") as folder:
        path = Path(folder) / "catalogue.sqlite"
        catalogue = SqliteCatalogue(path)
        _fill(catalogue, QUICK_RUNS if quick else RUNS)
        catalogue.close()
        for _ in range(rounds):
            begin = time.perf_counter()
            catalogue = SqliteCatalogue(path)
            opening.append(time.perf_counter() - begin)
            for name, filters in FILTERS.items():
                begin = time.perf_counter()
                catalogue.runs(LIMIT, **filters)
                found[name].append(time.perf_counter() - begin)
            catalogue.close()
    case = f"{QUICK_RUNS if quick else RUNS} runs"
    slowest = [max(found[name][i] for name in FILTERS) for i in range(rounds)]
    rows = [Row("history", case, "slowest filter", "ms", Spread.of(s * MS for s in slowest))]
    rows.append(Row("history", case, "open it", "ms", Spread.of(s * MS for s in opening)))
    for name, times in found.items():
        rows.append(Row("history", case, name, "ms", Spread.of(s * MS for s in times)))
    return rows

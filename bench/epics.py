"""CPU per point of a scan on EPICS over loopback, against the bare round trips of the same records.

One motor and one counting card: two puts with their completion and six gets a point, by aioca.
Undula's share: step scan, RunEngine, the device classes, the document gate with its packing. The
motor is `undula.devices.epics.Motor` (aioca), and again `EpicsMotor` (ophyd, pyepics).
Each runs in a process of its own, clients only; the IOCs are others.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

from bench.report import Row, Spread
from undula.testing.iocs import client_environment, start_counting, start_motor

COUNT_S = 0.002
HEAD = """
import asyncio, json, pathlib, sys, threading, time
points, count_s = int(sys.argv[1]), float(sys.argv[2])
targets = [i % 2 * 0.01 for i in range(points)]
"""
OURS = (
    HEAD
    + """
import numpy as np
from bluesky.run_engine import RunEngine
from undula.devices.epics import EpicsMotor, Motor, Scaler
from undula.plans import VERBS, StepRun, step_scan
from undula.scans.documents import DocumentGate
from undula.scans.ports import MemoryDocuments
from undula.scans.quick_bluesky import quicken
quicken()
engine = RunEngine({}, context_managers=[])
for verb, function in VERBS.items():
    engine.register_command(verb, function)
motor = KIND("MOT:m1", name="mot")
if KIND is Motor:
    asyncio.run_coroutine_threadsafe(motor.connect(timeout=10), engine.loop).result(10)
else:
    motor.wait_for_connection(all_signals=True, timeout=10)
card = Scaler("CNT:scaler1", "card", channels={"clock": 1, "i0": 2, "it": 3}, separator=":")
asyncio.run_coroutine_threadsafe(card.connect(timeout=10), engine.loop).result(10)
card.set_count_time(count_s)
path = pathlib.Path("bench.nxs")
engine.subscribe(DocumentGate(MemoryDocuments(), lambda start: path, lambda: (None, "")))
def scan(chosen):
    run = StepRun([card], [motor], np.array(chosen)[:, None], len(chosen))
    cpu, wall = time.process_time(), time.perf_counter()
    engine(step_scan(run))
    return time.process_time() - cpu, time.perf_counter() - wall
scan(targets[:5])
cpu, wall = scan(targets)
print(json.dumps({"cpu_ms": 1e3 * cpu / points, "wall_ms": 1e3 * wall / points}))
"""
)
PEER = (
    HEAD
    + """
from aioca import caget, caput
card = "CNT:scaler1:"
names = [card + field for field in ("CNT", "S1", "S2", "S3", "T")]
async def main():
    await caput(card + "TP", count_s, wait=True)
    async def scan(chosen):
        cpu, wall = time.process_time(), time.perf_counter()
        for target in chosen:
            await caput("MOT:m1", target, wait=True, timeout=5)
            await caput(card + "CNT", 1, wait=True, timeout=5)
            await caget("MOT:m1.RBV")
            await asyncio.gather(*[caget(n) for n in names])
        return time.process_time() - cpu, time.perf_counter() - wall
    await scan(targets[:5])
    cpu, wall = await scan(targets)
    print(json.dumps({"cpu_ms": 1e3 * cpu / points, "wall_ms": 1e3 * wall / points}))
asyncio.run(main())
"""
)


def _run(script: str, points: int, env: dict[str, str]) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, "-c", script, str(points), str(COUNT_S)],
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(done.stderr[-500:])
    return dict(json.loads(done.stdout.strip().splitlines()[-1]))


def epics(rounds: int, quick: bool) -> list[Row]:
    """Client CPU and wall time per point, and what Undula adds to the bare round trips."""
    points = 50 if quick else 400
    cases = {"motor and counting card": "Motor", "ophyd motor and counting card": "EpicsMotor"}
    ours: dict[str, list[dict[str, float]]] = {case: [] for case in cases}
    peer: list[dict[str, float]] = []
    with start_motor("MOT:") as motor, start_counting("CNT:") as card:
        env = client_environment(motor, card)
        for _ in range(1 if quick else rounds):
            for case, kind in cases.items():
                ours[case].append(_run(OURS.replace("KIND", kind), points, env))
            peer.append(_run(PEER, points, env))
    return [row for case, runs in ours.items() for row in _rows(case, runs, peer)]


def _rows(case: str, ours: list[dict[str, float]], peer: list[dict[str, float]]) -> list[Row]:
    added = [a["cpu_ms"] - b["cpu_ms"] for a, b in zip(ours, peer, strict=True)]

    def row(quantity: str, key: str) -> Row:
        theirs = Spread.of(p[key] for p in peer)
        return Row("epics", case, quantity, "ms", Spread.of(o[key] for o in ours), theirs)

    return [
        row("CPU per point", "cpu_ms"),
        row("per point", "wall_ms"),
        Row("epics", case, "CPU added per point", "ms", Spread.of(added)),
    ]

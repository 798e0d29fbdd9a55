"""Benchmark of loading 200 EPICS devices of which 5 % are dead; peer: bare aioca, same live PVs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from bench.report import Row, Spread
from undula.devices.demo_ioc import running_ioc

PREFIX, DEAD = "many:", 10
MODULE = "undula.testing.many_records_ioc"

OURS = """
import json, sys, time
begin = time.monotonic()
from bluesky.run_engine import RunEngine
from undula.devices.description import load_device_file
from undula.devices.registry import Registry
imported_s = time.monotonic() - begin
engine = RunEngine({}, context_managers=[])
begin = time.monotonic()
registry = Registry(load_device_file(sys.argv[1]))
registry.connect(loop=engine.loop)
took_s = time.monotonic() - begin
dead = [n for n in registry.names() if not registry[n].connected]
print(json.dumps({"s": took_s, "dead": dead, "why": [registry[n].problem for n in dead]}))
"""
PEER = """
import asyncio, json, sys, time
import aioca
async def main():
    names = json.loads(sys.argv[1])
    begin = time.monotonic()
    await aioca.connect(names, timeout=10)
    print(json.dumps({"s": time.monotonic() - begin}))
asyncio.run(main())
"""


def _entry(name: str, cls: str, config: str) -> str:
    return (
        f"{name}:\n  deviceClass: ophyd.{cls}\n  deviceConfig: {{{config}}}\n"
        "  readoutPriority: baseline\n  enabled: true\n"
    )


def device_file(folder: Path) -> Path:
    """10 motors, 180 signals and 10 signals that nobody serves."""
    names = [f"v{i}" for i in range(180)] + [f"dead{i}" for i in range(DEAD)]
    motors = [_entry(f"m{i}", "EpicsMotor", f"prefix: '{PREFIX}m{i}'") for i in range(10)]
    signals = [_entry(n, "EpicsSignalRO", f"read_pv: '{PREFIX}{n}'") for n in names]
    path = folder / "many.yaml"
    path.write_text("".join(motors + signals))
    return path


def loaded(path: Path, env: dict[str, str]) -> dict[str, object]:
    """Load it in a process of its own: seconds, names of the dead, and why."""
    return _run([OURS, str(path)], env)


def _run(words: list[str], env: dict[str, str]) -> dict[str, object]:
    done = subprocess.run(
        [sys.executable, "-c", *words],
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return dict(json.loads(done.stdout.strip().splitlines()[-1]))


def loading(rounds: int, quick: bool) -> list[Row]:
    """Time until 200 devices are built, connected and described, the dead ones named."""
    fields = [".RBV", ".VAL", ".EGU", ".VELO", ".ACCL", ".HLM", ".LLM", ".DMOV", ".STOP", ".MOVN"]
    names = [f"{PREFIX}m{i}{f}" for i in range(10) for f in fields]
    names += [f"{PREFIX}v{i}" for i in range(180)]
    ours: list[float] = []
    peer: list[float] = []
    with running_ioc(MODULE, PREFIX, f"{PREFIX}v0") as ioc, tempfile.TemporaryDirectory() as folder:
        path = device_file(Path(folder))
        for _ in range(1 if quick else rounds):
            found = loaded(path, ioc.env)
            if len(found["dead"]) != DEAD:  # type: ignore[arg-type]  # a list of names
                raise RuntimeError(f"dead devices: {found['dead']}")
            ours.append(float(found["s"]))  # type: ignore[arg-type]  # seconds
            peer.append(float(_run([PEER, json.dumps(names)], ioc.env)["s"]))  # type: ignore[arg-type]
    case = "200 devices, 10 dead"
    return [Row("loading", case, "until ready", "s", Spread.of(ours), Spread.of(peer))]

"""Benchmarks of starting all services, and of growth with points and devices."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from bench.report import Row, Spread
from bench.subjects import (
    DEVICES,
    INSTANT,
    Stock,
    Undula,
    importable,
    resident_mb,
    seconds,
    services_pss_mb,
)  # fmt: skip
from undula.bus.endpoints import ENGINE_DEVICES
from undula.testing.beamline import LocalBeamline, local_beamline

US = 1e6
MS = 1e3
STOCK_ALONE = (
    "from bluesky.run_engine import RunEngine\n"
    "import bluesky.plans, ophyd\n"
    "engine = RunEngine({})\n"
    "from undula.core.procs import pss_bytes\n"
    "import os\n"
    "print(pss_bytes(os.getpid()))\n"
)


class _Up:
    """Bring a beamline up, ask it something, take it down."""

    def __init__(self, devices: Path) -> None:
        self._devices = devices
        self.up_s = self.table_s = self.kept_table_s = self.read_s = 0.0
        self.pss_mb: dict[str, float] = {}

    def measure(self) -> _Up:
        """One round."""
        with importable():
            context = local_beamline(self._devices)
            beamline: LocalBeamline | None = None

            def enter() -> None:
                nonlocal beamline
                beamline = context.__enter__()

            self.up_s = seconds(enter)
            try:
                if beamline is not None:
                    self._ask(beamline)
            finally:
                context.__exit__(None, None, None)
        return self

    def _ask(self, beamline: LocalBeamline) -> None:
        with beamline.connect() as client:
            self.pss_mb = services_pss_mb(beamline)
            names = list(client.devices)

            def often(call: object) -> float:
                return statistics.median(seconds(call) for _ in range(10))  # type: ignore[arg-type]  # a callable

            self.table_s = often(lambda: client.link.ask(ENGINE_DEVICES))
            self.kept_table_s = often(client.devices.table)
            self.read_s = often(lambda: client.read(*names))


def start(rounds: int, quick: bool) -> list[Row]:
    """Time until all services are ready, idle memory; peer: a Python with RunEngine alone."""
    del quick
    found: list[_Up] = []
    peer_s: list[float] = []
    peer_mb: list[float] = []
    for _ in range(rounds):
        found.append(_Up(DEVICES).measure())
        peer_s.append(seconds(lambda: peer_mb.append(_stock_alone_mb())))
    case = "idle beamline"
    rows = [
        Row("start", case, "bring up", "s", Spread.of(u.up_s for u in found), Spread.of(peer_s)),
        Row(
            "start", case, "PSS together", "MB",
            Spread.of(sum(u.pss_mb.values()) for u in found), Spread.of(peer_mb),
        ),
    ]  # fmt: skip
    for name in found[0].pss_mb:
        values = Spread.of(u.pss_mb[name] for u in found)
        rows.append(Row("start", case, f"PSS {name}", "MB", values))
    return rows


def _stock_alone_mb() -> float:
    done = subprocess.run(
        [sys.executable, "-c", STOCK_ALONE], capture_output=True, text=True, check=True
    )
    return int(done.stdout) / 1e6


def points(undula: Undula, stock: Stock, rounds: int, quick: bool) -> list[Row]:
    """Time per point and the engine's memory from 10^2 to 10^5 points; peer up to 10^3 (10^4)."""
    del rounds
    rows: list[Row] = []
    peer_most = 1000 if quick else 10_000
    for number in (100, 1000, 10_000) if quick else (100, 1000, 10_000, 100_000):
        peer = None
        if number <= peer_most:
            peer = Spread.of([stock.scan_s(INSTANT, number) / number * US])
        timed = undula.scan(INSTANT, number)
        case = f"{number} points"
        per_point = Spread.of([timed.all_s / number * US])
        rows.append(Row("growth", case, "all per point", "us", per_point, peer))
        rows.append(
            Row("growth", case, "file after end", "ms", _one(timed.file_s - timed.all_s, MS))
        )
        for name in ("engine", "publisher", "writer", "broker"):
            memory = Spread.of([resident_mb(undula.pids[name])])
            rows.append(Row("growth", case, f"resident {name}", "MB", memory))
    return rows


def _one(value: float, factor: float) -> Spread:
    return Spread.of([value * factor])


def devices(rounds: int, quick: bool) -> list[Row]:
    """Start, table and reading of all with 10 to 500 devices."""
    del rounds
    rows: list[Row] = []
    for number in (10, 200) if quick else (10, 50, 200, 500):
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            path = Path(folder) / "devices.yaml"
            path.write_text(_device_file(number), encoding="utf-8")
            up = _Up(path).measure()
        case = f"{number} devices"
        rows += [
            Row("growth", case, "bring up", "s", _one(up.up_s, 1)),
            Row("growth", case, "describe all", "ms", _one(up.table_s, MS)),
            Row("growth", case, "table as kept", "ms", _one(up.kept_table_s, MS)),
            Row("growth", case, "read all", "ms", _one(up.read_s, MS)),
            Row("growth", case, "PSS together", "MB", _one(sum(up.pss_mb.values()), 1)),
        ]
    return rows


def _device_file(number: int) -> str:
    return "\n".join(
        f"axis_{i:03}: {{deviceClass: undula.devices.sim.SimPositioner, "
        f"readoutPriority: baseline, enabled: true}}"
        for i in range(number)
    )

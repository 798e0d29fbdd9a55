"""Benchmark of 500 signals that change 10 times a second in a scan; peer: they stand still."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from bench.report import Row, Spread
from undula.devices.sim import SIMULATED_FILE
from undula.testing.beamline import local_beamline

SIGNALS = 500


def _rate(folder: Path, rate: float, points: int) -> float:
    """Microseconds per point of a step scan with a detector, any device."""
    entry = (
        "s{i}:\n  deviceClass: undula.testing.ticking.Ticking\n  deviceConfig: {{rate: {rate}}}\n"
        "  readoutPriority: on_request\n  enabled: true\n"
    )
    path = folder / f"signals_{rate:g}.yaml"
    signals = "".join(entry.format(i=i, rate=rate) for i in range(SIGNALS))
    path.write_text(SIMULATED_FILE.read_text() + signals)
    with local_beamline(devices=path) as beamline, beamline.connect() as client:
        client.scan("samx", 0, 1, 50, time=0.001, detectors=["diode"])
        begin = time.perf_counter()
        client.scan("samx", 0, 1, points, time=0.001, detectors=["diode"])
        return (time.perf_counter() - begin) / points * 1e6


def live_values(rounds: int, quick: bool) -> list[Row]:
    """Time of a point, with and without."""
    points = 500 if quick else 3000
    changing: list[float] = []
    still: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(1 if quick else rounds):
            still.append(_rate(Path(folder), 0.0, points))
            changing.append(_rate(Path(folder), 10.0, points))
    case = f"{SIGNALS} signals at 10 Hz"
    return [Row("values", case, "all per point", "us", Spread.of(changing), Spread.of(still))]

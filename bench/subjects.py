"""The two that are compared: Undula, all services and a live client, and the stock RunEngine.

In: case and number of points. Out: seconds. Both use the device classes of `devices.yaml`.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bluesky.plans as bp
from bluesky.run_engine import RunEngine

from undula.bus import broker
from undula.bus.link import Link
from undula.client import Client, ScanHandle
from undula.core.procs import pss_bytes
from undula.devices.description import load_device_file
from undula.devices.registry import Registry
from undula.testing.beamline import NAME, LocalBeamline, local_beamline

ROOT = Path(__file__).resolve().parents[1]
DEVICES = ROOT / "bench" / "devices.yaml"
SERVICES = ("engine", "publisher", "broker", "writer")
PATIENCE_S = 120.0
_TICK_S = 1.0 / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Case:
    """One axis and two monitors of `devices.yaml`, by the beginning of their names."""

    title: str
    prefix: str
    device_s: float = 0.0

    @property
    def axis(self) -> str:
        """Name of the axis."""
        return f"{self.prefix}_axis"

    @property
    def monitors(self) -> list[str]:
        """Names of the monitors."""
        return [f"{self.prefix}_m1", f"{self.prefix}_m2"]


INSTANT = Case("instant", "instant")
SYNC = Case("synchronous", "sync")
ANY = Case("any 0 ms", "any0")
SLOW = tuple(Case(f"any {ms} ms", f"any{ms}", ms / 1000) for ms in (1, 10, 100))


class Stock:
    """`bp.scan` of the stock RunEngine in this process, nothing attached."""

    def __init__(self, devices: Path = DEVICES) -> None:
        self.engine = RunEngine({})
        registry = Registry(load_device_file(devices))
        registry.connect(loop=self.engine.loop)
        self.devices: dict[str, Any] = {name: registry[name].obj for name in registry.names()}

    def scan_s(self, case: Case, points: int) -> float:
        """Seconds of one scan."""
        monitors = [self.devices[name] for name in case.monitors]
        begin = time.perf_counter()
        self.engine(bp.scan(monitors, self.devices[case.axis], 0, 1, points))
        return time.perf_counter() - begin


class Follower:
    """The live client: a process of its own, and what it tells about each run."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.follower"],
            stdout=subprocess.PIPE,
            env={**os.environ, "UNDULA_BEAMLINE": NAME},
            cwd=ROOT,
            text=True,
        )
        self._lines: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        threading.Thread(target=self._listen, daemon=True).start()
        self._lines.get(timeout=PATIENCE_S)

    def _listen(self) -> None:
        for line in self._process.stdout or ():
            self._lines.put(json.loads(line))

    def followed(self, uid: str) -> dict[str, Any]:
        """What it tells about that run. Raises: queue.Empty when it is silent."""
        while True:
            line = self._lines.get(timeout=PATIENCE_S)
            if line.get("uid") == uid:
                return line

    def close(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait(10.0)


@dataclass(frozen=True, slots=True)
class Timed:
    """One scan: seconds until `wait` returned, the live client had all, the file was complete."""

    waited_s: float
    live_s: float
    file_s: float
    follower: dict[str, Any]

    @property
    def all_s(self) -> float:
        """Until it had ended for the person who waits and for the one who watches."""
        return max(self.waited_s, self.live_s)


class Undula:
    """A beamline that runs with journal, file and a live client attached."""

    def __init__(self, beamline: LocalBeamline, client: Client, follower: Follower) -> None:
        self.beamline, self.client, self.follower = beamline, client, follower
        self.pids = {name: beamline.pid(name) for name in SERVICES}

    def scan(self, case: Case, points: int) -> Timed:
        """One scan, from the call to the end of all who take part."""
        begin = time.monotonic()
        handle = self.client.scan(case.axis, 0, 1, points, detectors=case.monitors)
        waited = time.monotonic() - begin
        return self.ended(handle, begin, waited)

    def ended(self, handle: ScanHandle, begin: float, waited_s: float) -> Timed:
        """Wait for follower and file of a scan that has ended. Raises: RuntimeError."""
        uid = handle.finished.run_uids[-1] if handle.finished else ""
        line = self.follower.followed(uid)
        if handle.file_closed(uid, PATIENCE_S) is None:
            raise RuntimeError("the file was not complete in time")
        return Timed(waited_s, line["stopped"] - begin, time.monotonic() - begin, line)

    def cpu_s(self) -> dict[str, float]:
        """CPU seconds so far of each service, user and system, in steps of the kernel's tick."""
        return {name: cpu_s(pid) for name, pid in self.pids.items()}

    def info(self, section: str) -> dict[str, str]:
        """A section of the broker's INFO."""
        where = broker.address(self.beamline.paths, self.beamline.settings, "service", "bench")
        link = Link(where)
        link.connect()
        try:
            text = bytes(link.call("INFO", section)).decode()
        finally:
            link.close()
        return dict(line.split(":", 1) for line in text.splitlines() if ":" in line)


def cpu_s(pid: int) -> float:
    """CPU seconds of a process so far."""
    words = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) * _TICK_S


def resident_mb(pid: int) -> float:
    """Resident memory of a process, MB."""
    words = Path(f"/proc/{pid}/statm").read_text(encoding="utf-8").split()
    return int(words[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def services_pss_mb(beamline: LocalBeamline) -> dict[str, float]:
    """Proportional memory of each service and of the supervisor, MB."""
    from undula.processes.supervisor_lock import holder

    pids = {name: beamline.pid(name) for name in SERVICES}
    pids["supervisor"] = holder(beamline.paths) or 0
    return {name: (pss_bytes(pid) or 0) / 1e6 for name, pid in pids.items()}


@contextlib.contextmanager
def importable() -> Iterator[None]:
    """Let the services import this package."""
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), *([before] if before else [])])
    try:
        yield
    finally:
        if before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before


@contextlib.contextmanager
def undula(devices: Path = DEVICES) -> Iterator[Undula]:
    """Bring a beamline up with a client and a live follower; take all down at the end."""
    with importable(), local_beamline(devices) as beamline, beamline.connect() as client:
        follower = Follower()
        try:
            yield Undula(beamline, client, follower)
        finally:
            follower.close()


def seconds(call: Callable[[], Any]) -> float:
    """How long a call takes."""
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin

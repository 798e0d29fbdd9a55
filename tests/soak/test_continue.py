"""Random scans, interrupted at random points in random ways and steered, then continued: joined,
each is as the same scan that nobody interrupted.

`make soak` takes some minutes, `UNDULA_SOAK_SECONDS` says how many seconds of rounds;
`UNDULA_SOAK_SEED=n make soak` draws the same rounds again.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from undula.client import Client
from undula.client.runs import Run
from undula.core.errors import InputError, UndulaError
from undula.testing.beamline import LocalBeamline, local_beamline
from undula.testing.iocs import Ioc, client_environment, start_counting
from undula.testing.law import patient, until

SEED = os.environ.get("UNDULA_SOAK_SEED") or str(time.time_ns() % 1_000_000)
SECONDS = float(os.environ.get("UNDULA_SOAK_SECONDS", "180"))
WAYS = ("abort", "pause and abort", "kill", "lost")
DEVICES = """
samx: {deviceClass: undula.devices.sim.SimPositioner, readoutPriority: on_request, enabled: true}
samy: {deviceClass: undula.devices.sim.SimPositioner, readoutPriority: on_request, enabled: true}
card:
  deviceClass: undula.devices.epics.Scaler
  deviceConfig: {prefix: "LS:scaler1", protocol: pva, separator: ":", channels: {i0: 2}}
  readoutPriority: on_request
  enabled: true
diode:
  deviceClass: undula.devices.sim.SimMonitor
  deviceConfig: {role: diode}
  readoutPriority: on_request
  enabled: true
"""

pytestmark = pytest.mark.soak


@dataclass(frozen=True)
class Round:
    """What happens in one round, drawn before it begins."""

    plan: str
    args: tuple[Any, ...]
    points: int
    time: float | None
    detectors: tuple[str, ...]
    interruptions: tuple[tuple[str, float], ...]
    steering: tuple[str, ...]

    @classmethod
    def drawn(cls, number: int) -> Round:
        """The same for the same seed and number."""
        dice = random.Random(f"{SEED}:{number}")
        plan = dice.choice(("scan", "rel_scan", "grid_scan", "list_scan", "count"))
        blocks = dice.random() < 0.3
        points = dice.randint(20_000, 60_000) if blocks else dice.randint(8, 60)
        args: tuple[Any, ...] = ("samx", -2, 2, points)
        if plan == "grid_scan":
            rows = dice.randint(2, 6)
            columns = max(2, points // rows)
            args, points = ("samy", 0, 1, rows, "samx", -1, 1, columns), rows * columns
        elif plan == "list_scan":
            points = min(points, 500)
            args = ("samx", [round(dice.uniform(-2, 2), 3) for _ in range(points)])
        elif plan == "count":
            args = (points,)
        ways = WAYS[:3] if blocks else WAYS
        cuts = [(dice.choice(ways), dice.random()) for _ in range(dice.randint(1, 3))]
        lost = any(way == "lost" for way, _ in cuts)
        return cls(
            plan,
            args,
            points,
            None if blocks else 0.02,
            ("card", "diode") if lost else ("diode",),
            tuple(cuts),
            tuple(dice.sample(("skip", "retake"), dice.randint(0, 2))),
        )

    def __str__(self) -> str:
        cuts = ", ".join(f"{way} at {part:.2f}" for way, part in self.interruptions)
        return f"{self.plan} of {self.points}, {cuts}; {' '.join(self.steering) or 'not steered'}"


@pytest.fixture(scope="module")
def ioc() -> Iterator[Ioc]:
    """Of its own: it is killed."""
    with start_counting("LS:") as card:
        yield card


@pytest.fixture(scope="module")
def beamline(ioc: Ioc, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalBeamline]:
    path = tmp_path_factory.mktemp("continue") / "devices.yaml"
    path.write_text(DEVICES)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in client_environment(ioc).items():
            patch.setenv(name, value)
        with local_beamline(devices=path, settings={"lost_deadline_s": 1.0}) as beamline:
            yield beamline


class Scene:
    """One beamline, and what is done to its scans."""

    def __init__(self, beamline: LocalBeamline, client: Client, ioc: Ioc) -> None:
        self.beamline, self.client, self.ioc = beamline, client, ioc

    def interrupt(self, way: str) -> None:
        """End the running scan in this way; it may have ended before."""
        if way == "kill":
            until(lambda: self.beamline.pid("engine") > 0, "the engine was not started anew")
            os.kill(self.beamline.pid("engine"), signal.SIGKILL)
        elif way == "lost":
            self.ioc.kill()
            until(lambda: self.client.queue.list().state == "idle", "the lost device ends nothing")
            self.ioc.start()
            until(lambda: self.client.devices.info("card").connected, "the IOC is not found again")
        else:
            self._aborted(way == "pause and abort")

    def _aborted(self, paused: bool) -> None:
        try:
            if paused:
                self.client.queue.pause()
            self.client.queue.abort("soak")
        except UndulaError:
            return  # it has ended

    def place(self, samx: float) -> None:
        """Where the simulated axes stand before a run; a new engine has forgotten it."""
        patient(lambda: self.client.mv(samx=samx, samy=0), "no engine comes back")

    def steer(self, how: str) -> None:
        """Skip or retake; it may come too early or too late."""
        try:
            getattr(self.client.queue, how)()
        except UndulaError:
            return

    def measure(
        self, ask: Any, until_point: int, way: str, steering: tuple[str, ...]
    ) -> Run | None:
        """A run, interrupted when it has so many points; its file is closed. None: none began."""
        handle = patient(ask, "no scan was accepted")

        def reached() -> bool:
            status = self.client.queue.list()
            return status.points_done >= until_point or status.state == "idle"

        until(reached, "it does not get on")
        for how in steering:
            self.steer(how)
        if way:
            self.interrupt(way)

        def ended() -> bool:
            handle.wait(0.5, check=False)
            return True

        until(ended, "it never ended")
        if not handle.finished.run_numbers:
            return None
        number = handle.finished.run_numbers[-1]
        until(lambda: self.client.runs[number].status != "running", "its file is not closed")
        return self.client.runs[number]

    def play(self, this: Round) -> str:
        """One round; a line about it."""
        options = {"time": this.time, "detectors": list(this.detectors), "wait": False}
        ask = lambda: self.client.run_plan(this.plan, *this.args, **options)  # noqa: E731
        self.place(0.25)
        first = self.measure(ask, this.points, "", ())
        assert first is not None
        run, left = None, this.points
        for way, part in this.interruptions:
            self.place(-1.0 if run and this.plan != "count" else 0.25)
            run = self.measure(ask, int(left * part), way, this.steering) or run
            if run is None:
                continue
            if is_whole(run):
                break
            left = len(run.joined().missing) if run.record.num_points else left
            ask = run.continued
        if run is None or not is_whole(run):
            self.place(-1.0 if run and this.plan != "count" else 0.25)
            run = self.measure(ask, left, "", ())
            assert run is not None
            assert run.status == "success", run.record.reason
        check_whole(run, first.data, this)
        parts = [p.number for p in run.joined().parts]
        return f"runs {parts}, {len(run.joined())} points, {len(run.joined().skipped)} skipped"


def is_whole(run: Run) -> bool:
    """It ended well, or was interrupted behind its last point: then it is not to be continued."""
    if run.status == "success" or not run.record.num_points:
        return run.status == "success"
    if run.joined().missing:
        return False
    with pytest.raises(InputError, match="nothing of it is missing"):
        run.continued()
    return True


def check_whole(run: Run, whole: Any, this: Round) -> None:
    """No point is missing or doubled, the order is kept, the readings are those of the whole."""
    joined = run.joined()
    skipped = joined.skipped
    assert joined.missing == []
    assert joined["point"].tolist() == [p for p in range(1, this.points + 1) if p not in skipped]
    keep = np.setdiff1d(np.arange(this.points), np.array(skipped, dtype=int) - 1)
    for key in ("samx", "samy"):
        if key in whole:
            assert np.array_equal(joined[key], whole[key][keep]), key
    expected = whole["diode"][keep]
    sigma = np.sqrt(joined["diode"] + expected + 1.0)
    assert np.mean(np.abs(joined["diode"] - expected) <= 5 * sigma) > 0.999
    rows = [p.data for p in joined.parts if "primary" in p.data.streams()]
    replaced = sum(int(data["replaced"].sum()) for data in rows if "replaced" in data)
    assert joined["retaken"].any() or not replaced
    if "retake" not in this.steering:
        assert not joined["retaken"].any()


def test_what_was_interrupted_is_whole_when_it_was_continued(
    beamline: LocalBeamline, ioc: Ioc, capsys: pytest.CaptureFixture[str]
) -> None:
    end, number = time.monotonic() + SECONDS, 0
    with beamline.connect() as client:
        scene = Scene(beamline, client, ioc)
        while time.monotonic() < end:
            this = Round.drawn(number)
            try:
                line = scene.play(this)
            except AssertionError as error:
                raise AssertionError(f"seed {SEED}, round {number}: {this}") from error
            with capsys.disabled():
                print(f"\n  {number}: {this}: {line}", end="", flush=True)
            number += 1
    assert number > 0

"""What each plan goes through: one house of simulated devices, and ways to interrupt a scan."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from undula.messages import ItemFinished
from undula.testing.plan_examples import EXAMPLES, TIME_S, Example
from undula.testing.scan_house import PATIENCE_S, ScanHouse

NAMES = ("samx", "samy", "samz", "theta", "slit", "slow", "energy")
AXES = {name: 7000.0 if name == "energy" else 0.0 for name in NAMES}
"""Each axis, and where it stands before a scan."""
AXIS = """
{name}: {{deviceClass: undula.devices.sim.SimPositioner, readoutPriority: on_request,
          enabled: true, deviceConfig: {{delay: 1, velocity: {velocity}, start: {at},
          unit: {unit}, role: none}}}}
"""
OTHERS = """
pushing: {deviceClass: undula.devices.sim.bec.SimMonitorAsync, readoutPriority: on_request,
          enabled: true}
temperature: {deviceClass: undula.devices.sim.SimPositioner, readoutPriority: baseline,
              enabled: true}
beam: {deviceClass: undula.devices.sim.SimPositioner, readoutPriority: on_request, enabled: true,
       deviceConfig: {start: 1}}
diode: {deviceClass: undula.devices.sim.SimMonitor, readoutPriority: monitored, enabled: true,
        softwareTrigger: true}
peak: {deviceClass: undula.devices.Calculated, readoutPriority: monitored, enabled: true,
       deviceConfig: {expression: "100 * exp(-samx**2)"}}
beam_ok: {deviceClass: undula.devices.condition.Condition, readoutPriority: on_request,
          enabled: true, deviceConfig: {ok: beam > 0, settle: 0, every: 0.01}}
"""


def _axis(name: str) -> str:
    unit = "eV" if name == "energy" else "mm"
    velocity = 1 if name == "slow" else 1000000
    return AXIS.format(name=name, at=AXES[name], unit=unit, velocity=velocity)


DEVICES = "".join(map(_axis, NAMES)) + OTHERS
EXACT = (*AXES, "peak")
"""Data keys without noise."""
Rows = list[dict[str, Any]]


class Gate:
    """Holds the RunEngine at an event of `primary`, until the test lets it go on."""

    def __init__(self, at: int) -> None:
        self._at, self._count, self._primary = at, 0, ""
        self.reached, self.go = threading.Event(), threading.Event()

    def __call__(self, name: str, doc: dict[str, Any]) -> None:
        if name == "descriptor" and doc["name"] == "primary":
            self._primary = doc["uid"]
        if name != "event" or doc["descriptor"] != self._primary:
            return
        self._count += 1
        if self._count == self._at:
            self.reached.set()
            assert self.go.wait(PATIENCE_S)


class Course:
    """Runs examples of plans, whole and interrupted."""

    def __init__(self, house: ScanHouse) -> None:
        self.house = house
        self.steering = house.runner.steering
        self._whole: dict[str, Rows] = {}
        self.at = dict(AXES)

    def place(self) -> None:
        """All axes to where examples begin."""
        started = []
        for name, at in {**AXES, "beam": 1.0}.items():
            axis = self.house.devices[name].obj
            axis.limits = (0.0, 0.0)  # none
            if axis.position != at or axis.moving:
                started.append(axis.set(at))
                started[-1].add_callback(lambda *_: self.house.notify())
        self.house.until(lambda: all(s.done for s in started), "an axis does not arrive")

    def ask(self, plan: str, **more: Any) -> str:
        """Queue the example of a plan."""
        example = EXAMPLES[plan]
        return self.house.ask(plan, *example.words, **self.options(example), **more)

    @staticmethod
    def options(example: Example) -> dict[str, Any]:
        """Count time for the detectors, where the call has none of its own."""
        return {**example.options, "count_time_s": TIME_S}

    def compare(self, plan: str, ended: ItemFinished) -> None:
        """It measured what it measures when nobody interrupts it."""
        rows, expected = self.rows(ended), self.whole(plan)
        if EXAMPLES[plan].exact:
            assert rows == expected
        else:
            assert rows

    def rows(self, ended: ItemFinished) -> Rows:
        """What was measured without noise, of all runs of a scan."""
        return [
            {k: row[k] for k in EXACT if k in row}
            for uid in ended.run_uids
            for row in self.house.points(uid)
        ]

    def whole(self, plan: str) -> Rows:
        """The rows of the example when nobody interrupts it."""
        if plan not in self._whole:
            self.place()
            self.ask(plan)
            ended = self.house.wait()
            assert ended.exit_status == "success", ended.reason
            self._whole[plan] = self.rows(ended)
        return self._whole[plan]

    def interrupt(
        self, plan: str, do: Callable[[], object], seen: Callable[[], bool], at: int = 1
    ) -> None:
        """Run the example, and do something while the RunEngine emits a point.

        Args:
            seen: whether what was done has had its effect, so that the RunEngine may go on.
            at: number of the point, from 1.
        """
        self.place()
        gate = Gate(at)
        token = self.house.engine.subscribe(gate)
        try:
            self.ask(plan)
            assert gate.reached.wait(PATIENCE_S), self.house.runner.status()
            thread = threading.Thread(target=do)
            thread.start()
            self.house.until(seen, "nothing was noticed")
        finally:
            gate.go.set()
            self.house.engine.unsubscribe(token)
        thread.join(PATIENCE_S)
        assert not thread.is_alive()

    def paused(self) -> None:
        """Wait until it is paused."""
        self.house.until(lambda: self.steering.state == "paused", "it does not pause")


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Course]:
    house = ScanHouse(tmp_path_factory.mktemp("course"), DEVICES)
    house.devices["pushing"].obj.push_rate_hz = 1000.0
    yield Course(house)
    house.close()


@pytest.fixture
def noted(course: Course, tmp_path: Path) -> Iterator[Callable[[], list[str]]]:
    """Hooks at every place; what they note, in order."""
    notes = tmp_path / "notes"
    notes.write_text("")
    hooks = course.house.plans / "hooks.py"
    hooks.write_text(HOOKS.format(notes=str(notes)))
    yield lambda: notes.read_text().splitlines()
    hooks.unlink()


HOOKS = """
def every(place):
    def hook(scan):
        with open({notes!r}, "a") as file:
            file.write(f"{{place}} {{scan.point}}\\n" if "point" in place else f"{{place}}\\n")
        yield Msg("null")
    return hook

for what in ("scan", "stage", "point"):
    before(what)(every(f"before {{what}}"))
    after(what)(every(f"after {{what}}"))
for what in ("pause", "resume", "abort", "close"):
    on(what)(every(f"on {{what}}"))
"""

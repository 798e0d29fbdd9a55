"""Every example of the catalogue runs, as it stands, on simulated devices; points as declared."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from undula.plans import FORMS
from undula.plans.reference import example_of
from undula.testing.scan_house import ScanHouse

AXIS = """{name}: {{deviceClass: undula.devices.sim.SimPositioner, readoutPriority: on_request,
  enabled: true, deviceConfig: {{limits: {limits}, delay: {delay}, unit: {unit}, start: {start},
  velocity: 20000}}}}
"""
AXES = (
    ("samx", [-50, 50], 1, "mm", 0), ("samy", [-50, 50], 0, "mm", 0),
    ("samz", [-50, 50], 0, "mm", 0), ("theta", [-50, 50], 0, "deg", 0),
    ("slit", [-50, 50], 0, "mm", 0), ("temperature", [0, 100], 0, "K", 20),
    ("energy", [6000, 9000], 0, "eV", 7100),
)  # fmt: skip
DEVICES = (
    "".join(
        AXIS.format(name=name, limits=limits, delay=delay, unit=unit, start=start)
        for name, limits, delay, unit, start in AXES
    )
    + """
diode: {deviceClass: undula.devices.sim.SimMonitor, readoutPriority: monitored, enabled: true,
        softwareTrigger: true}
"""
)
QUICK = {
    "count_times": [0.001, 0.001, 0.002], "count_time": 0.001, "longest": 0.002, "k_step": 1.0,
    "exp_time": 0.001, "num": 3, "interval": 0.001,
}  # fmt: skip
"""In place of values in the examples that would take too long here."""


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ScanHouse]:
    made = ScanHouse(Path(tmp_path_factory.mktemp("house")), DEVICES)
    yield made
    made.close()


def _read(node: ast.expr) -> Any:
    if isinstance(node, ast.Name):
        return node.id
    return [_read(n) for n in node.elts] if isinstance(node, ast.List) else ast.literal_eval(node)


@pytest.mark.parametrize("name", FORMS)
def test_the_example_of_a_plan_runs_and_gives_its_points(house: ScanHouse, name: str) -> None:
    plan, call = FORMS[name], ast.parse(FORMS[name].example, mode="eval").body
    assert isinstance(call, ast.Call)
    places = [a.name for a in plan.arguments if not a.keyword]
    args = [_read(arg) for arg in call.args]
    if not plan.repeated and not plan.words and not plan.first:
        args = [QUICK.get(n, v) if n != "num" else v for n, v in zip(places, args, strict=False)]
    elif plan.counters:
        args[-1] = 0.001  # the count time
    kwargs = {str(k.arg): QUICK.get(str(k.arg), _read(k.value)) for k in call.keywords}
    if name == "exafs_scan":
        kwargs |= {"count_time": 0.001, "longest": 0.002, "k_step": 1.0}
    if name == "monitor_scan":
        kwargs = {"duration": 0.05}  # nothing changes here: the first point alone
    kwargs.pop("time", None)
    expected = house.check(name, *args, **kwargs)
    ended = house.run(name, *args, count_time_s=None, **kwargs)

    assert (ended.exit_status, ended.reason) == ("success", "")
    assert len(ended.run_uids) == len(example_of(plan).parts or [1])
    if expected.num_points is not None:
        runs = [house.journal(uid) for uid in ended.run_uids]
        stops = [doc for run in runs for kind, doc in run if kind == "stop"]
        assert sum(stop["num_events"]["primary"] for stop in stops) == expected.num_points

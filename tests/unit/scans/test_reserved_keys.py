"""Keys that a run says itself: nobody gives them, by whatever way, and the next runs go on."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from undula.core.errors import InputError
from undula.testing.scan_house import ScanHouse

DEVICES = """
samx: {deviceClass: undula.devices.sim.SimPositioner, readoutPriority: on_request, enabled: true,
       deviceConfig: {limits: [-5, 5], delay: 0}}
diode: {deviceClass: undula.devices.sim.SimMonitor, readoutPriority: monitored, enabled: true,
        softwareTrigger: true}
"""
LARGEST = 2**63 - 1
PLAN = """
def mine(key: str, value: int):
    yield from bp.scan([D.diode], M.samx, 0, 1, 2, md={key: value})

def written(key: str, value: int):
    @bpp.stage_decorator([D.diode])
    @bpp.run_decorator(md={key: value, "num_points": 1})
    def inner():
        yield from bps.trigger_and_read([D.diode])
    yield from inner()
"""


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ScanHouse]:
    made = ScanHouse(tmp_path_factory.mktemp("house"), DEVICES)
    (made.plans / "mine.py").write_text(PLAN)
    yield made
    made.close()


@pytest.fixture(autouse=True)
def _the_next_run_has_the_next_number(house: ScanHouse) -> Iterator[None]:
    before = house.run("scan", "samx", 0, 1, 2).run_numbers[0]
    yield
    (house.plans / "hooks.py").unlink(missing_ok=True)
    after = house.run("scan", "samx", 0, 1, 2)
    assert after.exit_status == "success", after.reason
    assert before < after.run_numbers[0] <= before + 2


@pytest.mark.parametrize(
    "metadata",
    [
        {"scan_id": LARGEST}, {"scan_id": 5}, {"scan_id": "abc"}, {"scan_id": 2.5}, {"uid": 5},
        {"time": 5}, {"plan_name": "x"}, {"num_points": 3}, {"motors": ["samx"]}, {"parts": 2},
        {"a.b": 1}, {"a/b": 1}, {"": 1}, {"sample": {"a.b": 1}},
    ],
    ids=str,
)  # fmt: skip
@pytest.mark.parametrize("plan", ["scan", "list_grid_scan"])
def test_a_scan_that_gives_one_is_refused_before_it_waits(
    house: ScanHouse, metadata: dict[str, Any], plan: str
) -> None:
    arguments = {"scan": ("samx", 0, 1, 2), "list_grid_scan": ("samx", [0, 1])}[plan]
    with pytest.raises(InputError, match=r"says its .* itself|is no key of"):
        house.check(plan, *arguments, metadata=metadata)


@pytest.mark.parametrize("plan", ["mine", "written"])
@pytest.mark.parametrize(("key", "value"), [("scan_id", LARGEST), ("uid", 5), ("time", 5)])
def test_a_plan_that_gives_one_fails_at_its_line_before_its_run_begins(
    house: ScanHouse, plan: str, key: str, value: int
) -> None:
    ended = house.run(plan, key, value)
    assert (ended.exit_status, ended.run_numbers) == ("fail", [])
    assert f"each run says its {key} itself, at mine.py, line" in ended.reason
    assert f"Remedy: take {key} out of the metadata" in ended.reason


def test_a_plan_still_says_of_its_runs_what_bluesky_lets_it_say(house: ScanHouse) -> None:
    ended = house.run("written", "plan_pattern_args", 7)
    assert ended.exit_status == "success", ended.reason
    start = house.start(ended.run_uids[0])
    assert (start["plan_pattern_args"], start["num_points"]) == (7, 1)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("preprocessor(lambda plan: bpp.inject_md_wrapper(plan, {'scan_id': 5}))\n", "scan_id"),
        ("preprocessor(lambda plan: bpp.inject_md_wrapper(plan, {'a.b': 5}))\n", "'a.b' is no key"),
        ("preprocessor(lambda plan: bpp.inject_md_wrapper(plan, {'time': 5}))\n", "its time"),
        (
            "@before('scan')\ndef other(scan):\n"
            "    yield from bps.open_run(md={'scan_id': 5})\n    yield from bps.close_run()\n",
            "the hook other .before scan.: each run says its scan_id itself, at hooks.py, line 3",
        ),
    ],
)
def test_a_hook_or_preprocessor_that_gives_one_fails_the_scan(
    house: ScanHouse, text: str, why: str
) -> None:
    (house.plans / "hooks.py").write_text(text)
    ended = house.run("scan", "samx", 0, 1, 2)
    assert ended.exit_status == "fail"
    assert re.search(why, ended.reason), ended.reason


def test_a_plan_that_does_not_know_its_number_of_points_says_so_in_words(house: ScanHouse) -> None:
    (house.plans / "odd.py").write_text(
        "def odd():\n    yield from bps.open_run(md={'num_points': 'many'})\n"
        "    yield from bps.close_run()\n"
    )
    ended = house.run("odd")
    assert "num_points is 'many', at odd.py, line 2" in ended.reason

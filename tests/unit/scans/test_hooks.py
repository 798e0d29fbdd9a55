"""Hooks and preprocessors of a beamline: order, filters, checks, errors, and what they cost."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from undula.core.errors import ConfigError, InputError
from undula.messages import ItemFinished
from undula.testing.scan_house import ScanHouse

DEVICES = """
samx: {deviceClass: undula.devices.sim.SimPositioner, readoutPriority: on_request, enabled: true,
       deviceConfig: {limits: [-5, 5], delay: 0}}
samy: {deviceClass: undula.devices.sim.SimPositioner, readoutPriority: on_request, enabled: true,
       deviceConfig: {limits: [-5, 5], delay: 0}}
diode: {deviceClass: undula.devices.sim.SimMonitor, readoutPriority: monitored, enabled: true,
        softwareTrigger: true}
i0: {deviceClass: undula.devices.sim.SimMonitor, readoutPriority: on_request, enabled: true,
     softwareTrigger: true}
"""
ALL = """
def note(text):
    with open({notes!r}, "a") as file:
        file.write(text + "\\n")

def every(place):
    def hook(scan):
        note(f"{{place}} {{scan.point}}" if "point" in place else place)
        yield Msg("null")
    hook.__name__ = place.replace(" ", "_")
    return hook

for what in ("scan", "stage", "point"):
    before(what)(every(f"before {{what}}"))
    after(what)(every(f"after {{what}}"))
for what in ("pause", "resume", "abort", "close"):
    on(what)(every(f"on {{what}}"))
"""


STAMPS = itertools.count(1)
"""Each version of a file has its own, however quick the test is."""


class Hooked:
    """A house with a hooks file, and the notes that hooks take."""

    def __init__(self, house: ScanHouse, folder: Path) -> None:
        self.house, self.notes = house, folder / "notes"

    def write(self, text: str) -> None:
        file = self.house.plans / "hooks.py"
        file.write_text(text)
        os.utime(file, (next(STAMPS),) * 2)
        self.notes.write_text("")

    def noted(self) -> list[str]:
        return self.notes.read_text().splitlines()

    def ran(self, *words: Any, **fields: Any) -> ItemFinished:
        ended = self.house.run(*words, **fields)
        assert ended.exit_status == "success", ended.reason
        return ended

    def events(self, ended: ItemFinished, run: int = 0) -> list[dict[str, Any]]:
        journal = self.house.journal(ended.run_uids[run])
        primary = [d["uid"] for n, d in journal if n == "descriptor" and d["name"] == "primary"]
        rows: list[dict[str, Any]] = []
        for name, doc in journal:
            if name == "event" and doc["descriptor"] in primary:
                rows.append(doc["data"])
            elif name == "event_page" and doc["descriptor"] in primary:
                values = doc["data"]
                rows += [{k: v[i] for k, v in values.items()} for i in range(len(doc["seq_num"]))]
        return rows


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ScanHouse]:
    made = ScanHouse(tmp_path_factory.mktemp("house"), DEVICES)
    yield made
    made.close()


@pytest.fixture
def hooked(house: ScanHouse, tmp_path: Path) -> Iterator[Hooked]:
    yield Hooked(house, tmp_path)
    (house.plans / "hooks.py").unlink(missing_ok=True)


ORDER = [
    "before scan", "before stage", "after stage", "before point 1", "after point 1",
    "before point 2", "after point 2", "after scan", "on close",
]  # fmt: skip


@pytest.mark.parametrize(
    "words",
    [
        ("scan", "samx", 0, 1, 2),
        ("list_grid_scan", "samx", [0, 1]),
        ("count", 2),
        ("ascan", "samx", 0, 1, 1, 0),
    ],
    ids=lambda words: words[0],
)
def test_hooks_are_called_in_their_places(hooked: Hooked, words: tuple[Any, ...]) -> None:
    hooked.write(ALL.format(notes=str(hooked.notes)))
    ended = hooked.ran(*words)
    assert hooked.noted() == ORDER
    start = hooked.house.start(ended.run_uids[0])
    assert start["hooks"][0] == "before scan: before_scan"
    assert len(start["hooks_version"]) == 12
    assert len(hooked.events(ended)) == 2


def test_several_at_one_place_are_run_in_the_order_of_the_file(hooked: Hooked) -> None:
    hooked.write(
        f"def write(text):\n    open({str(hooked.notes)!r}, 'a').write(text + '\\n')\n"
        "@before('scan')\ndef one():\n    write('one')\n"
        "@before('scan')\ndef two(scan):\n    write(f'{scan.plan} {scan.axes} {scan.num_points}')\n"
    )
    hooked.ran("scan", "samx", 0, 1, 3)
    assert hooked.noted() == ["one", "scan ('samx',) 3"]


@pytest.mark.parametrize(
    ("options", "runs"),
    [
        ("plan='scan'", True),
        ("plan='count|*scan'", True),
        ("plan='mesh'", False),
        ("technique='xas'", True),
        ("technique='saxs'", False),
        ("detectors='i*'", True),
        ("detectors=['camera', 'eiger*']", False),
        ("plan='scan', detectors='camera'", False),
    ],
)
def test_hooks_are_chosen_by_plan_technique_and_detectors(
    hooked: Hooked, options: str, runs: bool
) -> None:
    hooked.write(f"@before('scan', {options})\ndef some():\n    yield Msg('null')\n")
    scan = hooked.house.check(
        "scan", "samx", 0, 1, 3, detectors=["i0"], metadata={"technique": "xas"}
    )
    found = hooked.house.additions.for_scan(scan)
    assert (found is not None) is runs


def test_a_hook_measures_beside_the_points_and_gets_its_answers(hooked: Hooked) -> None:
    hooked.write(
        "@before('point')\n"
        "def light(scan):\n"
        "    place = yield from bps.rd(M.samy)\n"
        "    yield from bps.mv(M.samy, place + scan.targets['samx'])\n"
        "@after('point')\n"
        "def dark(scan):\n"
        "    yield from bps.trigger_and_read([D.i0], name='reference')\n"
    )
    ended = hooked.ran("scan", "samx", 1, 2, 2)
    journal = hooked.house.journal(ended.run_uids[0])
    assert [d["name"] for n, d in journal if n == "descriptor"] == ["primary", "reference"]
    assert [name for name, _ in journal].count("event") == 4
    assert hooked.house.devices["samy"].position() == 3.0


def test_a_move_of_a_hook_is_checked_and_its_line_named(hooked: Hooked) -> None:
    hooked.write("@before('scan')\ndef far():\n    yield from bps.mv(M.samy, 99)\n")
    ended = hooked.house.run("scan", "samx", 0, 1, 2)
    assert (ended.exit_status, ended.run_uids) == ("fail", [])
    assert "[samy] the hook far (before scan): target 99 mm is above the high limit" in ended.reason
    assert "hooks.py, line 3: yield from bps.mv(M.samy, 99)" in ended.reason


def test_a_device_of_a_hook_is_leased(hooked: Hooked) -> None:
    hooked.write("@before('scan')\ndef go():\n    yield from bps.mv(M.samy, 1)\n")
    hooked.house.runner.leases.take(["samy"], "the move of Ada")
    try:
        ended = hooked.house.run("scan", "samx", 0, 1, 2)
    finally:
        hooked.house.runner.leases.release("the move of Ada")
    assert ended.exit_status == "fail"
    assert "the move of Ada" in ended.reason


@pytest.mark.parametrize(("policy", "status"), [("fail", "fail"), ("warn", "success")])
def test_an_error_fails_the_scan_or_is_told_and_passed_over(
    hooked: Hooked, policy: str, status: str
) -> None:
    hooked.write(
        f"@after('point', on_error={policy!r})\ndef bad(scan):\n    yield Msg('null')\n    1 / 0\n"
    )
    ended = hooked.house.run("scan", "samx", 0, 1, 3)
    assert ended.exit_status == status
    said = "ZeroDivisionError: division by zero, at hooks.py, line 4: 1 / 0"
    (info,) = hooked.house.additions.list().hooks
    assert said in (ended.reason if policy == "fail" else info.last_error)
    assert [warning.startswith("3 times: the hook bad") for warning in ended.warnings] == (
        [] if policy == "fail" else [True]
    )
    assert all(said in warning for warning in ended.warnings)
    stop = hooked.house.journal(ended.run_uids[0])[-1][1]
    assert stop["exit_status"] == status


def test_failures_that_differ_at_each_point_are_counted_and_not_kept(hooked: Hooked) -> None:
    hooked.write(
        "@after('point', on_error='warn')\ndef bad(scan):\n"
        "    raise ValueError(scan.point)\n    yield\n"
    )
    ended = hooked.ran("scan", "samx", 0, 1, 9)
    assert len(ended.warnings) == 6
    assert ended.warnings[-1] == "and 4 more"


INTO_THE_POINT = """
@preprocessor
def more(plan):
    def also(msg):
        if msg.command == "save":
            return (yield from bps.read(i0)), None
        return None, None
    return (yield from bpp.plan_mutator(plan, also))
"""


@pytest.mark.parametrize(
    ("hooks", "doubtful"),
    [
        ("", False),
        ("@before('point')\ndef more(scan):\n    yield from bps.trigger(D.i0)\n", False),
        ("@instead('point')\ndef more(scan, original):\n    yield from original()\n", False),
        ("@on('pause')\ndef more(scan):\n    yield from bps.read(D.i0)\n", False),
        ("@instead('scan')\ndef more(scan):\n    yield from bp.count([D.i0])\n", True),
        (INTO_THE_POINT, True),
    ],
    ids=[
        "no hook",
        "before point",
        "instead of point",
        "on pause",
        "instead of scan",
        "preprocessor",
    ],
)
def test_a_fit_is_doubtful_only_where_a_hook_can_read_into_the_points(
    hooked: Hooked, hooks: str, doubtful: bool
) -> None:
    asked: dict[str, Any] = {"metadata": {"fit": [{"model": "gaussian", "signal": "i0"}]}}
    hooked.write(hooks)
    if doubtful:
        (warning,) = hooked.house.check("scan", "samx", 0, 1, 3, **asked).warnings
        assert warning.startswith("the fit is of i0, which this plan does not read: it is made")
        return
    with pytest.raises(InputError, match="the fit is of i0, which this scan does not read"):
        hooked.house.check("scan", "samx", 0, 1, 3, **asked)


def test_instead_of_a_scan_its_plan_may_be_run_in_another_way(hooked: Hooked) -> None:
    hooked.write(
        "@instead('scan', plan='scan')\ndef twice(scan, original):\n"
        "    yield from bps.mv(M.samy, 2)\n    return (yield from original())\n"
    )
    ended = hooked.ran("scan", "samx", 0, 1, 3)
    assert len(hooked.events(ended)) == 3
    hooked.write("@instead('scan', plan='scan')\ndef none(scan):\n    yield Msg('null')\n")
    assert hooked.ran("scan", "samx", 0, 1, 3).run_uids == []


def test_instead_of_staging_devices_are_not_staged(hooked: Hooked) -> None:
    staged: list[str] = []
    diode = hooked.house.devices["diode"].obj
    before = getattr(diode, "stage", None)
    diode.stage = lambda: staged.append("diode") or []
    try:
        hooked.write("@instead('stage')\ndef own():\n    yield Msg('null')\n")
        hooked.ran("scan", "samx", 0, 1, 3)
        assert staged == []
        hooked.write("")
        hooked.ran("scan", "samx", 0, 1, 3)
        assert staged == ["diode"]
    finally:
        if before is None:
            del diode.stage
        else:
            diode.stage = before


def test_instead_of_a_point_it_is_taken_exactly_once(hooked: Hooked) -> None:
    hooked.write(
        "@instead('point')\ndef own(scan, original):\n"
        "    yield from bps.mv(M.samy, scan.point)\n    yield from original()\n"
    )
    ended = hooked.ran("scan", "samx", 0, 1, 3)
    assert [row["samx"] for row in hooked.events(ended)] == [0, 0.5, 1]
    for body, said in (
        ("yield Msg('null')", "did not take it"),
        ("yield from original(); yield from original()", "took it twice"),
    ):
        hooked.write(f"@instead('point')\ndef own(scan, original):\n    {body}\n")
        ended = hooked.house.run("scan", "samx", 0, 1, 3)
        assert said in ended.reason
    with pytest.raises(InputError, match="those of relative_list_scan are not known"):
        hooked.house.additions.for_scan(
            hooked.house.check("relative_list_scan", "samx", [0, 0.5, 1])
        )


def test_two_hooks_in_place_of_the_same_are_refused(hooked: Hooked) -> None:
    hooked.write(
        "@instead('scan')\ndef one(scan, original):\n    yield from original()\n"
        "@instead('scan', plan='scan')\ndef two(scan, original):\n    yield from original()\n"
    )
    with pytest.raises(InputError, match="the hooks one and two both stand instead of scan"):
        hooked.house.additions.for_scan(hooked.house.check("scan", "samx", 0, 1, 3))
    assert hooked.house.additions.for_scan(hooked.house.check("count", 3)) is not None


def test_a_broken_hooks_file_refuses_scans_until_there_was_a_good_one(
    tmp_path: Path,
) -> None:
    house = ScanHouse(tmp_path, DEVICES)
    try:
        hooked = Hooked(house, tmp_path)
        hooked.write("@before('scna')\ndef one():\n    yield\n")
        scan = house.check("count", 1)
        with pytest.raises(ConfigError, match=r"hooks\.py, line 1.*there is no place before scna"):
            house.additions.for_scan(scan)
        hooked.write("@before('scan')\ndef one():\n    yield\n")
        assert house.additions.for_scan(scan) is not None
        hooked.write("@before('scan')\ndef one(:\n")
        kept = house.additions.for_scan(scan)
        assert kept is not None
        assert kept.told == ["before scan: one"]
        assert "hooks.py, line 2" in house.additions.list().faults[0]
    finally:
        house.close()


def test_a_hooks_file_that_cannot_be_looked_at_keeps_its_guard(tmp_path: Path) -> None:
    house = ScanHouse(tmp_path, DEVICES)
    try:
        hooked = Hooked(house, tmp_path)
        hooked.write("@before('scan')\ndef guard():\n    yield\n")
        scan = house.check("count", 1)
        assert house.additions.for_scan(scan) is not None
        house.plans.rename(tmp_path / "away")
        house.plans.symlink_to("plans")  # it leads to itself, as a disk that does not answer
        kept = house.additions.for_scan(scan)
        assert kept is not None
        assert kept.told == ["before scan: guard"]
        assert "cannot be read" in house.additions.list().faults[0]
        house.plans.unlink()
        (tmp_path / "away").rename(house.plans)
        assert house.additions.for_scan(scan) is not None
        assert house.additions.list().faults == []
    finally:
        house.close()


def test_a_scan_without_hooks_at_its_points_stays_in_blocks(hooked: Hooked) -> None:
    def pages() -> int:
        ended = hooked.ran("scan", "samx", 0, 1, 30)
        return [name for name, _ in hooked.house.journal(ended.run_uids[0])].count("event_page")

    assert pages() > 0
    hooked.write("@before('scan')\ndef one():\n    yield Msg('null')\n")
    assert pages() > 0
    hooked.write("@before('point')\ndef one():\n    yield Msg('null')\n")
    assert pages() == 0


PREPROCESSORS = {
    "baseline_decorator": "preprocessor(bpp.baseline_decorator([M.samy]))",
    "SupplementalData": "preprocessor(bpp.SupplementalData(baseline=[M.samy], monitors=[]))",
    "a function": "@preprocessor\ndef own(plan):\n    return bpp.baseline_wrapper(plan, [M.samy])",
}


@pytest.mark.parametrize(
    "words",
    [("scan", "samx", 0, 1, 3), ("list_grid_scan", "samx", [0, 0.5, 1])],
    ids=lambda words: words[0],
)
@pytest.mark.parametrize("given", PREPROCESSORS)
def test_preprocessors_of_bluesky_go_around_every_plan(
    hooked: Hooked, given: str, words: tuple[Any, ...]
) -> None:
    hooked.write(PREPROCESSORS[given])
    ended = hooked.ran(*words)
    journal = hooked.house.journal(ended.run_uids[0])
    descriptors = {d["uid"]: d["name"] for n, d in journal if n == "descriptor"}
    streams = [descriptors[d["descriptor"]] for n, d in journal if n == "event"]
    assert streams == ["baseline", "primary", "primary", "primary", "baseline"]
    name = {"SupplementalData": "SupplementalData", "a function": "own"}.get(
        given, "baseline_decorator"
    )
    assert hooked.house.start(ended.run_uids[0])["preprocessors"] == [name]
    assert hooked.house.additions.list().preprocessors == [name]


@pytest.mark.parametrize("given", PREPROCESSORS)
def test_preprocessors_read_beside_the_baseline_of_the_beamline(tmp_path: Path, given: str) -> None:
    house = ScanHouse(tmp_path, DEVICES.replace("on_request", "baseline"))
    try:
        hooked = Hooked(house, tmp_path)
        hooked.write(PREPROCESSORS[given])
        ended = hooked.ran("scan", "samx", 0, 1, 3)
        journal = house.journal(ended.run_uids[0])
        streams = {d["name"]: set(d["data_keys"]) for n, d in journal if n == "descriptor"}
        assert {"baseline", "baseline_supplement", "primary"} == streams.keys()
        assert "samy" in streams["baseline_supplement"]
        assert "i0" in streams["baseline"]
    finally:
        house.close()


def test_a_hook_that_forgets_yield_from_is_a_fault_with_its_line(hooked: Hooked) -> None:
    hooked.write("@before('scan')\ndef light(scan):\n    bps.mv(M.samy, 5)\n")
    said = hooked.house.additions.list().faults[0]
    assert "hooks.py, line 3: bps.mv(M.samy, 5) makes a plan, which nobody runs" in said


def test_a_relative_set_shifts_every_point_and_its_limits_hold(hooked: Hooked) -> None:
    samx = hooked.house.devices["samx"]
    hooked.write("preprocessor(bpp.relative_set_decorator([M.samx]), plan='scan')")
    samx.obj.set(2.0)
    ended = hooked.ran("scan", "samx", 0, 1, 3)
    assert [row["samx"] for row in hooked.events(ended)] == [2, 2.5, 3]
    samx.obj.set(4.5)
    ended = hooked.house.run("scan", "samx", 0, 1, 3)
    assert "target 5.5 mm is above the high limit 5 mm" in ended.reason
    samx.obj.set(0.0)


def test_the_settings_name_preprocessors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_wrappers.py").write_text(
        "import bluesky.preprocessors as bpp\n\n\n"
        "def marked(plan):\n    return bpp.inject_md_wrapper(plan, {'marked': True})\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    names = ["own_wrappers:marked", "no_such_module:x"]
    house = ScanHouse(tmp_path, DEVICES, preprocessors=names[:1])
    try:
        ended = house.run("count", 2)
        start = house.start(ended.run_uids[0])
        assert (start["marked"], start["preprocessors"]) == (True, names[:1])
    finally:
        house.close()
    house = ScanHouse(tmp_path, DEVICES, preprocessors=names[1:])
    try:
        assert "No module named 'no_such_module'" in house.run("count", 2).reason
    finally:
        house.close()


def _turns(hooked: Hooked, ended: ItemFinished) -> list[tuple[str, int, int, int]]:
    events = [d["data"] for n, d in hooked.house.journal(ended.run_uids[0]) if n == "event"]
    names = [f"steering_{field}" for field in ("action", "point", "row", "next")]
    return [tuple(event[name] for name in names) for event in events if names[0] in event]  # type: ignore[misc]


def test_a_hook_in_place_of_a_point_cannot_be_passed_over(hooked: Hooked) -> None:
    hooked.write("@instead('point', on_error='warn')\ndef own(scan, original):\n    yield\n")
    assert "cannot be passed over" in hooked.house.additions.list().faults[0]


def test_a_point_whose_row_is_not_saved_is_told_as_left_out(hooked: Hooked) -> None:
    hooked.write(
        "count = [0]\n@preprocessor\ndef lossy(plan):\n"
        "    def change(msg):\n"
        "        count[0] += msg.command == 'save'\n"
        "        return Msg('null') if msg.command == 'save' and count[0] == 3 else msg\n"
        "    return bpp.msg_mutator(plan, change)\n"
    )
    ended = hooked.ran("scan", "samx", 0, 5, 6)
    assert [row["samx"] for row in hooked.events(ended)] == [0, 1, 3, 4, 5]
    assert _turns(hooked, ended) == [("skipped", 3, 3, 4)]


def test_a_hook_that_fails_within_an_event_of_its_own_leaves_the_scan_whole(hooked: Hooked) -> None:
    hooked.write(
        "@after('point', on_error='warn')\ndef ref(scan):\n    yield from bps.create('ref')\n"
        "    yield from bps.read(samy)\n    raise RuntimeError('no reference')\n"
    )
    ended = hooked.ran("scan", "samx", 0, 5, 6)
    assert len(hooked.events(ended)) == 6

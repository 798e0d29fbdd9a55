"""An engine that is killed in a plan: its run ends, the file is whole, and what is known goes on.

On one real beamline. The plans of one kind are the same code where an engine dies: one of each kind
here, all of them in `make soak`.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest
from typer.testing import CliRunner

from undula.cli.application import build
from undula.client import Client
from undula.client.runs import Run
from undula.core.errors import InputError
from undula.testing.beamline import LocalBeamline, local_beamline
from undula.testing.law import until
from undula.testing.typist import Typist

PATIENCE_S = 60.0
POINTS = 40
DEVICES = """
samx: {deviceClass: undula.devices.sim.SimPositioner, readoutPriority: on_request, enabled: true}
samy: {deviceClass: undula.devices.sim.SimPositioner, readoutPriority: on_request, enabled: true}
diode:
  deviceClass: undula.devices.sim.SimMonitor
  deviceConfig: {role: diode}
  readoutPriority: monitored
  enabled: true
"""
PLANS = """
def knife(axis: Movable, num: int = 40) -> Points:
    \"\"\"Denser in the middle.\"\"\"
    return Points({axis: np.linspace(-1, 1, num) ** 3})


def walk(axis: Movable, num: int = 40):
    \"\"\"A plan whose points nobody knows.\"\"\"
    yield from bp.scan([D.diode], axis, -1, 1, num)
"""
KNOWN: dict[str, tuple[Any, ...]] = {
    "scan": ("samx", -1, 1, POINTS),
    "knife": ("samx",),
}
SOAK: dict[str, tuple[Any, ...]] = {
    "grid_scan": ("samy", 0, 1, 4, "samx", -1, 1, 10),
    "rel_scan": ("samx", -1, 1, POINTS),
    "list_scan": ("samx", [x / POINTS for x in range(POINTS)]),
    "list_grid_scan": ("samy", [0, 1, 3, 4], "samx", [x / 10 for x in range(10)]),
    "log_scan": ("samx", -2, 0, POINTS),
    "spiral_square": ("samx", "samy", 0, 0, 1, 1, 8, 5),
    "x2x_scan": ("samx", "samy", -1, 1, POINTS),
    "inner_product_scan": (POINTS, "samx", -1, 1),
    "count": (POINTS,),
    "pointscan": ("samx", [x / POINTS for x in range(POINTS)], 0.02),
    "mesh": ("samx", -1, 1, 9, "samy", 0, 1, 3, 0.02),
    "ascan": ("samx", -1, 1, POINTS - 1, 0.02),
    "timescan": (0.02, POINTS),
    "scans.line_scan": ("samx", -1, 1),
}


@pytest.fixture(scope="module")
def beamline(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalBeamline]:
    path = tmp_path_factory.mktemp("killed") / "devices.yaml"
    path.write_text(DEVICES)
    with local_beamline(devices=path) as beamline:
        (beamline.paths.plans / "own.py").write_text(PLANS)
        yield beamline


@pytest.fixture(scope="module")
def client(beamline: LocalBeamline) -> Iterator[Client]:
    with beamline.connect() as client:
        yield client


def killed(client: Client, beamline: LocalBeamline, plan: str, *words: Any, **more: Any) -> Run:
    """The run of a plan in whose middle the engine was killed; its file is closed."""
    client.submit(plan, *words, time=0.02, **more)
    until(lambda: client.queue.list().points_done >= 5, "the scan does not begin")
    number = client.queue.list().run_number
    assert number is not None
    os.kill(beamline.pid("engine"), signal.SIGKILL)
    until(lambda: client.runs[number].status != "running", "it is not closed")
    until(lambda: client.queue.list().state == "idle", "no new engine")
    return client.runs[number]


def check_whole(run: Run) -> int:
    """Its stop document is written, its file has all that was acknowledged. Returns: its points."""
    documents = list(run.documents())
    assert documents[-1][0] == "stop"
    assert documents[-1][1]["exit_status"] == "fail"
    assert "engine" in documents[-1][1]["reason"]
    rows = sum(
        len(doc["seq_num"]) if name == "event_page" else 1
        for name, doc in documents
        if name in ("event", "event_page")
    )
    assert len(run.data["diode"]) == rows
    assert 0 < rows < POINTS
    return rows


ALL = {**KNOWN, **SOAK}


@pytest.mark.parametrize(
    "plan", [*KNOWN, *(pytest.param(plan, marks=pytest.mark.soak) for plan in SOAK)]
)
def test_a_run_whose_engine_was_killed_is_whole_and_goes_on(
    client: Client, beamline: LocalBeamline, plan: str
) -> None:
    more = {"steps": POINTS, "relative": False} if plan.startswith("scans.") else {}
    run = killed(client, beamline, plan, *ALL[plan], **more)
    rows = check_whole(run)
    rest = run.continued().wait(PATIENCE_S).run
    assert len(rest.data["diode"]) == POINTS - rows
    joined = run.joined()
    assert joined["point"].tolist() == list(range(1, POINTS + 1))
    assert joined.missing == []


def test_a_plan_whose_points_nobody_knows_is_whole_as_well_and_repeated(
    client: Client, beamline: LocalBeamline
) -> None:
    run = killed(client, beamline, "walk", "samx")
    check_whole(run)
    with pytest.raises(InputError, match="points of walk are not known"):
        run.continued()
    again = run.repeat().wait(PATIENCE_S).run
    assert len(again.data["diode"]) == POINTS
    assert again.record.metadata["plan_version"] == run.record.metadata["plan_version"]


def test_plans_of_a_file_are_known_to_the_command_line_and_the_prompt(
    client: Client, beamline: LocalBeamline
) -> None:
    def said(*words: str) -> str:
        module = {"plans": "plans", "plan": "scans"}[words[0]]
        done = CliRunner().invoke(build((module,)), [*words, "--beamline", beamline.paths.name])
        assert done.exit_code == 0, done.output
        return done.output

    assert "knife AXIS [num=40]" in said("plans")
    assert "points   known before it starts" in said("plans", "knife")
    assert "Denser in the middle." in said("plan", "knife", "--help")
    assert "Any plan by name" in said("plan", "nonesuch", "--help")
    assert "points     40" in said("plan", "knife", "samx", "--dry-run")
    said("plan", "knife", "samx", "num=5", "--no-plot")
    prompt = Typist(client)
    prompt("run('knife', samx, 4)")
    until(lambda: client.runs[-1].status != "running", "it does not close")
    assert client.runs[-1].data["samx"].tolist() == pytest.approx([-1, -1 / 27, 1 / 27, 1])
    assert client.runs[-1].record.metadata["plan_name"] == "knife"
    prompt("RE(Points({samx: [0, 1, 3]}))")
    until(lambda: client.runs[-1].status != "running", "it does not close")
    assert client.runs[-1].data["samx"].tolist() == [0, 1, 3]


def test_hooks_and_defaults_of_the_beamline_are_shown_and_in_the_run(
    client: Client, beamline: LocalBeamline
) -> None:
    def said(*words: str) -> str:
        module = "plans" if words[0] == "plans" else "scans"
        done = CliRunner().invoke(build((module,)), [*words, "--beamline", beamline.paths.name])
        assert done.exit_code == 0, done.output
        return done.output

    hooks, defaults = beamline.paths.plans / "hooks.py", beamline.paths.plans / "defaults.yaml"
    hooks.write_text(
        "@before('scan', plan='scan')\ndef aside(scan):\n"
        '    """Out of the way."""\n    yield from bps.mv(M.samy, 2)\n\n\n'
        "preprocessor(bpp.SupplementalData(baseline=[M.samy]))\n"
    )
    defaults.write_text("scan: {time: 0.01, metadata: {technique: line}}\n")
    try:
        assert "before scan  aside  plan scan  fail" in said("plans", "hooks")
        assert "preprocessor 1: SupplementalData" in said("plans", "hooks")
        assert "{'technique': 'line'}" in said("plans", "defaults")
        dry = said("scan", "samx", "0", "1", "3", "--dry-run")
        assert "hook       before scan: aside" in dry
        assert "default    count time 0.01 (by scan)" in dry
        run = client.scan("samx", 0, 1, 3).run
        told = run.record.metadata
        assert told["hooks"] == ["before scan: aside"]
        assert told["preprocessors"] == ["SupplementalData"]
        assert (told["technique"], told["count_time_s"]) == ("line", 0.01)
        assert client.devices.samy.position == 2
        streams = [doc["name"] for name, doc in run.documents() if name == "descriptor"]
        assert streams == ["baseline", "primary"]
        hooks.write_text("def broken(:\n")
        assert (
            "hooks.py, line 1"
            in CliRunner()
            .invoke(build(("plans",)), ["plans", "--beamline", beamline.paths.name])
            .output
        )
        assert client.scan("samx", 0, 1, 3).run.record.metadata["hooks"] == told["hooks"]
    finally:
        hooks.unlink()
        defaults.unlink()

"""Scans that name their sample: the changer mounts it first, also when the engine dies."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from undula.cli.application import build
from undula.client import Client
from undula.core.errors import BusyError, InputError, UndulaError
from undula.session.commands import Shell
from undula.testing.beamline import LocalBeamline, local_beamline
from undula.testing.law import until

PATIENCE_S = 60.0
DEVICES = """
samx: {{deviceClass: undula.devices.sim.SimPositioner, readoutPriority: on_request, enabled: true}}
diode:
  deviceClass: undula.devices.sim.SimMonitor
  readoutPriority: monitored
  enabled: true
changer:
  deviceClass: undula.devices.sim.SimSampleChanger
  deviceConfig: {{samples: [S1, S2, S3, BAD], mount_s: 1.5, fails: [BAD], state_file: {state}}}
  readoutPriority: on_request
  enabled: true
"""


@pytest.fixture(scope="module")
def robot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the robot keeps its state, as the hardware would."""
    return tmp_path_factory.mktemp("robot") / "robot.json"


@pytest.fixture(scope="module")
def beamline(robot: Path) -> Iterator[LocalBeamline]:
    """One beamline with a sample changer for all tests of this file."""
    file = robot.with_name("devices.yaml")
    file.write_text(DEVICES.format(state=robot))
    with local_beamline(file) as made:
        yield made


@pytest.fixture
def client(beamline: LocalBeamline) -> Iterator[Client]:
    """A client of it."""
    with beamline.connect() as made:
        yield made


def _moves(robot: Path) -> int:
    return int(json.loads(robot.read_text())["moves"]) if robot.exists() else 0


def test_a_scan_mounts_its_sample_and_its_run_says_so(client: Client, robot: Path) -> None:
    before = _moves(robot)
    first = client.queue.add("count", 1, sample="S1")
    until(lambda: client.queue.list().waiting_for.startswith("mounting S1"), "it is not told")
    with pytest.raises(BusyError, match="in use by scan"):
        client.mv(changer="S2")
    second = client.queue.add("count", 1, sample="S1")
    assert first.wait(PATIENCE_S).run.record.metadata["sample"] == "S1"
    assert second.wait(PATIENCE_S).run.record.metadata["sample"] == "S1"
    assert _moves(robot) == before + 1, "what is mounted is not mounted again"
    assert client.read("changer")["changer"]["changer"]["value"] == "S1"


def test_a_sample_that_the_changer_does_not_hold_is_refused_at_once(client: Client) -> None:
    with pytest.raises(InputError, match="no sample 'S9'"):
        client.queue.add("count", 1, sample="S9")
    assert client.queue.list().waiting == []


def test_every_scan_takes_its_sample_and_a_place_at_the_front(client: Client) -> None:
    commands = build(("scans",))

    def undula(*words: str, code: int = 0) -> str:
        done = CliRunner().invoke(commands, [*words, "--detach", "--beamline", "test"])
        assert done.exit_code == code, done.output
        return done.output

    shell = Shell(client)
    shell.namespace()
    client.queue.lock("an edit")
    try:
        undula("scan", "samx", "-1", "1", "5", "--sample", "S2")
        undula("count", "1", "--front")
        undula("plan", "scans.acquire", "--front", "--sample", "S1")
        shell.prompt.submit("ct", 0.01, sample="S3", front=True)
        assert "no sample 'S9'" in undula("plan", "ct", "1", "--sample", "S9", code=2)
        with pytest.raises(InputError, match="no sample 'S9'"):
            client.check("count", 1, sample="S9")
        waiting = client.queue.list().waiting
        assert [(item.plan, item.sample) for item in waiting] == [
            ("ct", "S3"), ("scans.acquire", "S1"), ("count", ""), ("scan", "S2"),
        ]  # fmt: skip
    finally:
        client.queue.clear()
        client.queue.unlock()


def test_a_fault_of_the_changer_makes_the_queue_wait(client: Client, robot: Path) -> None:
    bad = client.queue.add("count", 1, sample="BAD")
    good = client.queue.add("count", 1, sample="S2")
    ended = bad.wait(PATIENCE_S, check=False).finished
    assert ended is not None
    assert ended.exit_status == "fail"
    assert "BAD was not gripped" in ended.reason
    assert "BAD was not gripped" in client.queue.list().blocked
    client.enable("changer", False)
    client.enable("changer", True)
    client.queue.resume()
    assert good.wait(PATIENCE_S).run.record.metadata["sample"] == "S2"


def test_an_abort_while_it_mounts_lets_the_robot_finish(client: Client) -> None:
    scan = client.queue.add("count", 1, sample="S3")
    until(lambda: client.queue.list().waiting_for.startswith("mounting S3"), "it is not told")
    client.queue.abort("changed my mind")
    assert scan.wait(PATIENCE_S, check=False).finished.exit_status == "abort"
    assert scan.run_numbers == []
    assert client.queue.add("count", 1, sample="S3").wait(PATIENCE_S).run_numbers


def test_a_dead_engine_does_not_lose_its_sample(
    beamline: LocalBeamline, client: Client, robot: Path
) -> None:
    before = _moves(robot)
    scan = client.queue.add("count", 1, sample="S1")
    until(lambda: _moves(robot) == before + 1, "it does not mount")
    os.kill(beamline.pid("engine"), signal.SIGKILL)

    def ended() -> bool:
        try:
            return bool(client.queue.history(1)[0].item.item_id == scan.item_id)
        except UndulaError:
            return False

    until(ended, "the scan does not end")
    assert scan.wait(PATIENCE_S).run.record.metadata["sample"] == "S1"
    assert len(scan.run_numbers) == 1
    assert _moves(robot) == before + 1, "the robot was asked what it does, not told again"

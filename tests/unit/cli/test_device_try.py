"""`undula devices try`: one device of a device file, without any service."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from undula.cli.application import build
from undula.testing.fake_instruments import FakeElectrometer, FakeEsp

APP = build(("devices",))


@pytest.fixture
def instruments() -> Iterator[tuple[FakeEsp, FakeElectrometer]]:
    esp, meter = FakeEsp(), FakeElectrometer()
    yield esp, meter
    esp.end()
    meter.end()


@pytest.fixture
def file(instruments: tuple[FakeEsp, FakeElectrometer], tmp_path: Path) -> Path:
    esp, meter = instruments
    path = tmp_path / "devices.yaml"
    path.write_text(
        f"""
tx:
  deviceClass: undula.devices.instruments.EspAxis
  deviceConfig: {{address: "{esp.address}", tolerance: 0.01, timeout: 0.5}}
  readoutPriority: baseline
  enabled: true
ib:
  deviceClass: undula.devices.instruments.ScpiElectrometer
  deviceConfig: {{address: "{meter.address}", timeout: 0.5, bias: 3}}
  readoutPriority: monitored
  enabled: false
"""
    )
    return path


def _run(*words: object) -> tuple[int, str]:
    done = CliRunner().invoke(APP, ["devices", "try", *map(str, words)])
    return done.exit_code, done.output


def test_an_axis_moves_a_little_and_back(file: Path) -> None:
    code, said = _run(file, "tx", "--move", "--json")
    report = json.loads(said)
    assert code == 0
    assert [s["step"] for s in report["steps"]] == ["connect", "read", "move", "move back"]
    assert all(s["ok"] for s in report["steps"]), report
    assert "at 0.5 mm" in report["steps"][2]["found"]
    assert "at 0 mm" in report["steps"][3]["found"]


def test_nothing_moves_unless_somebody_says_so(file: Path) -> None:
    code, said = _run(file, "tx")
    assert code == 0, said
    assert "not moved" in said


def test_a_counter_is_triggered_and_set_up_though_it_is_disabled(file: Path) -> None:
    code, said = _run(file, "ib")
    assert code == 0, said
    assert [line.split()[:2] for line in said.splitlines()] == [
        ["ok", "connect"],
        ["ok", "read"],
        ["ok", "trigger"],
    ]


def test_a_silent_device_is_named_with_a_remedy(
    file: Path, instruments: tuple[FakeEsp, FakeElectrometer]
) -> None:
    instruments[0].hang()
    code, said = _run(file, "tx")
    assert code == 1
    assert said.startswith("failed")
    assert "no answer to 'TB?'" in said
    assert "Remedy" in said


def test_a_motor_that_is_not_enabled_says_so(
    file: Path, instruments: tuple[FakeEsp, FakeElectrometer]
) -> None:
    instruments[0].enabled = False
    code, said = _run(file, "tx", "--move")
    assert code == 1
    assert "MOTOR NOT ENABLED" in said


def test_a_name_that_is_not_there_is_wrong_input(file: Path) -> None:
    assert _run(file, "ty")[0] == 2
    assert _run(file)[0] == 2
    assert _run(file.with_name("no.yaml"), "tx")[0] == 2

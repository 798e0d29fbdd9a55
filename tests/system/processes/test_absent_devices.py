"""Devices that do not answer are named by `up`, `devices` and `doctor`, and taken in by a command.

Starts the real services once for all steps: more than 5 s.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

DEVICES = """
samx:
  deviceClass: ophyd_devices.SimPositioner
  deviceConfig: {limits: [-5, 5]}
  readoutPriority: baseline
  enabled: true
spare:
  deviceClass: ophyd_devices.SimPositioner
  deviceConfig: {limits: [-5, 5]}
  readoutPriority: baseline
  enabled: false
far:
  deviceClass: ophyd.EpicsMotor
  deviceConfig: {prefix: "X07MB-ES-NOT-THERE:MOTOR-WITH-LONG-NAME-1"}
  readoutPriority: baseline
  enabled: true
  connectionTimeout: 0.5
"""
WHY = "no answer from X07MB-ES-NOT-THERE:MOTOR-WITH-LONG-NAME-1."


def undula(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from undula.cli import main; main()", *words],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={
            **os.environ,
            "UNDULA_BEAMLINE": "t",
            "COLUMNS": "300",
            "EPICS_CA_ADDR_LIST": "127.0.0.1",
            "EPICS_CA_AUTO_ADDR_LIST": "NO",
        },
    )


def test_an_absent_device_is_named_with_reason_and_remedy(beamline, tmp_path: Path) -> None:
    file = tmp_path / "devices.yaml"
    file.write_text(DEVICES)
    up = undula("up", "--devices", str(file), "--data", str(tmp_path / "data"))
    assert up.returncode == 0, up.stderr
    assert "1 device does not answer, the others work:" in up.stdout
    assert f"  far  {WHY}" in up.stdout
    assert "at once: undula devices enable far" in up.stdout

    listed = {line.split()[0]: line for line in undula("devices").stdout.splitlines()}
    far = next(line for name, line in listed.items() if name.endswith("far"))
    assert f"disabled: {WHY}" in far
    assert far.endswith(" more")
    assert next(line for n, line in listed.items() if n.endswith("spare")).endswith("disabled")

    doctor = {one["name"]: one for one in json.loads(undula("doctor", "--json").stdout)}
    assert doctor["device far"]["verdict"] == "warning"
    assert doctor["device far"]["text"].startswith(WHY)
    assert "undula devices enable far" in doctor["device far"]["remedy"]

    refused = undula("mv", "spare", "1")
    assert refused.returncode != 0
    assert "undula devices enable spare" in refused.stderr
    enabled = undula("devices", "enable", "spare")
    assert enabled.returncode == 0, enabled.stderr
    assert "disabled" not in enabled.stdout
    assert undula("mv", "spare", "1").returncode == 0
    assert "disabled" in undula("devices", "disable", "spare").stdout
    still = undula("devices", "enable", "far")
    assert still.returncode == 1
    assert WHY in still.stderr
    assert ".. " not in still.stderr
    wrong = undula("devices", "enable")
    assert wrong.returncode == 2
    assert "undula devices enable samx" in wrong.stderr

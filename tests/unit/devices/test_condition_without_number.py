"""A condition never holds because a gauge gives no number."""

from __future__ import annotations

from pathlib import Path

import pytest

from undula.devices.description import load_device_file
from undula.devices.registry import Registry

FILE = """gauge:
  deviceClass: ophyd.Signal
  deviceConfig: {{value: {value}}}
  readoutPriority: baseline
  enabled: true
vacuum:
  deviceClass: undula.devices.condition.Condition
  deviceConfig: {{ok: "{ok}"}}
  readoutPriority: baseline
  enabled: true
"""
TEXTS = [
    "gauge < 1e-6",
    "not gauge > 1e-6",
    "gauge",
    "gauge * 2",
    "gauge != 5",
    "1 if gauge else 1",
]


@pytest.mark.parametrize("ok", TEXTS)
def test_it_does_not_hold_where_the_reading_is_not_a_number(tmp_path: Path, ok: str) -> None:
    path = tmp_path / "devices.yaml"
    path.write_text(FILE.format(value=".nan", ok=ok))
    devices = Registry(load_device_file(path))
    devices.connect()
    assert devices["vacuum"].connected, devices["vacuum"].problem
    assert not devices["vacuum"].obj.look().holds
    assert devices["vacuum"].read()["vacuum"]["value"] == 0


@pytest.mark.parametrize("ok", ["gauge < 1e-6", "not gauge > 1e-6", "gauge != 5"])
def test_it_holds_where_the_reading_says_so(tmp_path: Path, ok: str) -> None:
    path = tmp_path / "devices.yaml"
    path.write_text(FILE.format(value="1.0e-8", ok=ok))
    devices = Registry(load_device_file(path))
    devices.connect()
    assert devices["vacuum"].obj.look().holds
    assert devices["vacuum"].read()["vacuum"]["value"] == 1

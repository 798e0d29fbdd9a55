"""A large beamline loads although some of its devices are dead, and names them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from undula.devices.demo_ioc import RunningIoc, running_ioc

PREFIX = "many:"
SCRIPT = """
import json, sys
from bluesky.run_engine import RunEngine
from undula.devices.description import load_device_file
from undula.devices.registry import Registry
engine = RunEngine({}, context_managers=[])
registry = Registry(load_device_file(sys.argv[1]))
registry.connect(loop=engine.loop)
print(json.dumps({n: registry[n].problem for n in registry.names() if not registry[n].connected}))
"""


@pytest.fixture(scope="module")
def ioc() -> Iterator[RunningIoc]:
    with running_ioc("undula.testing.many_records_ioc", PREFIX, f"{PREFIX}v0") as running:
        yield running


def _entry(name: str, cls: str, config: str) -> str:
    return f"""{name}:
  deviceClass: ophyd.{cls}
  deviceConfig: {{{config}}}
  readoutPriority: baseline
  enabled: true
  connectionTimeout: 5
"""


def test_two_hundred_devices_load_and_the_dead_are_named(ioc: RunningIoc, tmp_path: Path) -> None:
    """The dead ones are waited for side by side, 5 s: a test of the deadline has to wait for it."""
    path = tmp_path / "many.yaml"
    motors = [_entry(f"m{i}", "EpicsMotor", f"prefix: '{PREFIX}m{i}'") for i in range(10)]
    names = [*(f"v{i}" for i in range(180)), *(f"dead{i}" for i in range(10))]
    values = [_entry(n, "EpicsSignalRO", f"read_pv: '{PREFIX}{n}'") for n in names]
    path.write_text("".join(motors + values))
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(path)],
        env={**os.environ, **ioc.env}, capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    problems = json.loads(done.stdout.strip().splitlines()[-1])
    assert sorted(problems) == sorted(f"dead{i}" for i in range(10))
    for name, problem in problems.items():
        assert f"{PREFIX}{name}" in problem, problem

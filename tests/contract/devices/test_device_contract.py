"""What every device promises, whatever library it comes from, seen through the registry.

About 30 s: two IOCs, a Tango server and two fake instruments serve, each library in a process.
"""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from undula.testing.fake_instruments import FakeElectrometer, FakeEsp
from undula.testing.iocs import client_environment, start_counting, start_motor
from undula.testing.tango_process import tango_server
from undula.testing.tango_server import AXIS, SENSOR

BODY = """
import asyncio, sys, threading, time
from undula.core.errors import UndulaError
from undula.devices.description import load_device_file
from undula.devices.making import discard
from undula.devices.registry import Registry
loop = asyncio.new_event_loop()
threading.Thread(target=loop.run_forever, daemon=True).start()
registry = Registry(load_device_file(sys.argv[1]))
registry.connect(loop=loop)
device = registry["it"]
assert device.connected, device.problem
keys, readings = device.describe(), device.read()
assert set(keys) == set(readings) and "it" in {k.split("_")[0].split("-")[0] for k in keys}
assert set(device.obj.hints["fields"]) <= set(keys)
now = time.time()
for key, reading in readings.items():
    assert abs(now - reading["timestamp"]) < 3600, (key, reading)
    about = keys[key]
    value = reading["value"]
    if about["dtype"] in ("number", "integer"):
        assert isinstance(float(value), float), (key, value)
    assert list(about["shape"]) == list(getattr(value, "shape", [])), (key, about)
assert device.unit or "EpicsSignal" in device.entry.device_class, "no unit"
"""
MOVES = """
def on_loop(call):
    async def run():
        return call()
    return asyncio.run_coroutine_threadsafe(run(), loop).result(60.0)
is_async = not device.synchronous
def start(target):
    return on_loop(lambda: device.obj.set(target)) if is_async else device.obj.set(target)
def outcome(status):
    ended = threading.Event()
    hear = lambda: status.add_callback(lambda *_: ended.set())
    on_loop(hear) if is_async else hear()
    assert ended.wait(60.0), "its status never ends"
    return status.success
def until(condition, what):
    end = time.monotonic() + 60.0
    while not condition():  # each look is a round trip to the device
        assert time.monotonic() < end, what
here = device.position()
device.put(here + 0.2, 60)
assert abs(device.position() - here - 0.2) < 0.02, device.position()
device.put(here, 60)

status = start(here + 15)
until(lambda: abs(device.position() - here) >= 0.02, "it does not move")
device.call(device.obj.stop()) if is_async else device.obj.stop()
assert not outcome(status), "stopped, and says success"
assert abs(device.position() - here) < 14

first = start(here + 5)
second = start(here)
outcome(first)
outcome(second)
until(lambda: abs(device.position() - here) < 0.02, "the second target does not hold")
low, high = device.limits() or device.reach()
try:
    device.put(high + 1, 5)
    raise SystemExit("moved beyond its limits")
except UndulaError as error:
    assert "it" in str(error), error
"""
COUNTS = """
device.set_count_time(0.05)
async def awaited(method):
    await method()
def act(method):
    if device.synchronous:
        status = method()
        return status.wait(60.0) if hasattr(status, "wait") else status
    return asyncio.run_coroutine_threadsafe(awaited(method), loop).result(60.0)
act(device.obj.stage)
act(device.obj.trigger)
counted = device.read()
assert repr(device.read()) == repr(counted), "read twice, counted twice"
act(device.obj.unstage)
"""
CARD = 'prefix: "CNT:scaler1", separator: ":"'
BLADES = """
top: &blade
  deviceClass: undula.devices.sim.SimPositioner
  deviceConfig: {delay: 1, velocity: 5, limits: [-10, 10]}
  readoutPriority: baseline
  enabled: true
bottom: *blade
"""
END = """
discard(device.obj)
for thread in threading.enumerate():
    if thread.name.startswith(("poll ", "move ")):
        thread.join(60.0)
left = [t.name for t in threading.enumerate() if t.name.startswith(("driver ", "poll ", "move "))]
assert not left, left
print("DONE")
"""


@pytest.fixture(scope="module")
def places() -> Iterator[tuple[dict[str, str], dict[str, str]]]:
    """Class path to its deviceConfig, and the environment of the clients."""
    with ExitStack() as stack:
        ioc = stack.enter_context(start_motor())
        tango = stack.enter_context(tango_server())
        counting = stack.enter_context(start_counting())
        esp, meter = FakeEsp(), FakeElectrometer()
        stack.callback(esp.end)
        stack.callback(meter.end)
        yield (
            {
                "undula.devices.sim.SimPositioner": "delay: 1, velocity: 5, limits: [-20, 20]",
                "undula.devices.sim.SimMonitor": "",
                "undula.devices.epics.EpicsMotor": 'prefix: "MOT:m1"',
                "ophyd_async.epics.motor.Motor": 'prefix: "MOT:m2"',
                "undula.devices.tango.TangoMotor": f'uri: "{tango.uri(AXIS)}"',
                "undula.devices.tango.TangoAttribute": f'uri: "{tango.uri(SENSOR, "temperature")}"',
                "undula.devices.instruments.EspAxis": f'address: "{esp.address}", tolerance: 0.01',
                "undula.devices.instruments.ScpiElectrometer": f'address: "{meter.address}"',
                "undula.devices.epics.Scaler": f"{CARD}, channels: {{clock: 1, i0: 2}}",
                "undula.devices.epics.Mca": 'prefix: "CNT:mca1", separator: ":"',
                "undula.devices.pseudo.SlitGap": "plus: top, minus: bottom",
                "ophyd.EpicsSignalRO": 'read_pv: "MOT:m1.VELO"',
            },
            client_environment(ioc, counting),
        )


@pytest.mark.parametrize(
    ("cls", "more"),
    [
        ("undula.devices.sim.SimPositioner", MOVES),
        ("undula.devices.sim.SimMonitor", COUNTS),
        ("undula.devices.epics.EpicsMotor", MOVES),
        ("ophyd_async.epics.motor.Motor", MOVES),
        ("undula.devices.tango.TangoMotor", MOVES),
        ("undula.devices.tango.TangoAttribute", ""),
        ("undula.devices.instruments.EspAxis", MOVES),
        ("undula.devices.instruments.ScpiElectrometer", COUNTS),
        ("undula.devices.epics.Scaler", COUNTS),
        ("undula.devices.epics.Mca", COUNTS),
        ("undula.devices.pseudo.SlitGap", MOVES),
        ("ophyd.EpicsSignalRO", ""),
    ],
)
def test_a_device_keeps_its_promises(
    cls: str, more: str, places: tuple[dict[str, str], dict[str, str]], tmp_path: Path
) -> None:
    configs, env = places
    path = tmp_path / "devices.yaml"
    path.write_text(
        f"it:\n  deviceClass: {cls}\n  deviceConfig: {{{configs[cls]}}}\n"
        "  readoutPriority: baseline\n  enabled: true\n" + BLADES
    )
    done = subprocess.run(
        [sys.executable, "-c", BODY + textwrap.dedent(more) + END, str(path)],
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert "DONE" in done.stdout, done.stdout + done.stderr

"""The motor records of the tests: a target that comes while one stops is reached all the same."""

from __future__ import annotations

import subprocess
import sys

from undula.testing.iocs import start_motor

CLIENT = """
from caproto.threading.client import Context
names = ["MOT:m1", "MOT:m1.STOP", "MOT:m1.RBV", "MOT:m1.DMOV"]
value, stop, readback, done = Context().get_pvs(*names)
for pv in (value, stop, readback, done):
    pv.wait_for_connection(timeout=30)
for turn in range(8):
    target = (-1) ** turn * 3.0
    value.write([target], wait=False)
    stop.write([1], wait=True)
    value.write([-target], wait=True, timeout=30)
    assert abs(readback.read().data[0] + target) < 1e-3, (turn, readback.read().data)
    assert done.read().data[0] == 1
print("reached")
"""


def test_a_target_that_comes_while_a_motor_stops_is_reached() -> None:
    with start_motor() as ioc:
        done = subprocess.run(
            [sys.executable, "-c", CLIENT],
            env=ioc.env, capture_output=True, text=True, timeout=100, check=False,
        )  # fmt: skip
    assert done.stdout == "reached\n", done.stderr

"""A Tango device server for tests, with or without a database: an axis that takes time, a sensor.

In: two numbers, the port and the descriptor on which it says that it is ready, and the name of
its instance where it is registered in the database of `TANGO_HOST` as `undula/INSTANCE`; it ends
with its standard input. Out: without a database `test/undula/axis` (Position, Velocity, State,
Stop, Fail, Block, Think) and `test/undula/sensor` (temperature in degC with alarms, spectrum,
label, setpoint, Reset, Unplug); with one what is registered of the classes `Axis` and `Sensor`.
Written from the public description of Tango's motor-like interfaces; run as a process of its own.
"""

from __future__ import annotations

import os
import socket
import sys
import threading
import time

import numpy as np
import tango
from tango.server import Device, attribute, command, run
from tango.test_context import MultiDeviceTestContext

AXIS, SENSOR = "test/undula/axis", "test/undula/sensor"
Qualified = tuple[float, float, tango.AttrQuality]


class Axis(Device):
    """Moves at `Velocity`."""

    def init_device(self) -> None:
        """At rest at 0."""
        super().init_device()
        self._from = self._to = 0.0
        self._began, self._velocity, self._fault = 0.0, 10.0, ""
        self._blocked, self._thinks_s = False, 0.0

    def _at(self) -> float:
        if self._blocked:
            return self._from
        gone = (time.monotonic() - self._began) * self._velocity
        distance = self._to - self._from
        return (
            self._to if gone >= abs(distance) else self._from + gone * (1 if distance > 0 else -1)
        )

    def dev_state(self) -> tango.DevState:
        """MOVING while it moves, FAULT after Fail."""
        if self._fault:
            return tango.DevState.FAULT
        return tango.DevState.ON if self._at() == self._to else tango.DevState.MOVING

    def dev_status(self) -> str:
        """What is the matter."""
        return self._fault or "well"

    @attribute(dtype=float, unit="mm", min_value="-20", max_value="20")
    def Position(self) -> Qualified:  # noqa: N802  # Tango's usual name
        """Where it is."""
        at, quality = self._at(), tango.AttrQuality
        return at, time.time(), quality.ATTR_VALID if at == self._to else quality.ATTR_CHANGING

    @Position.write
    def write_position(self, target: float) -> None:
        """Move there."""
        self._from, self._to, self._began = self._at(), target, time.monotonic()

    @attribute(dtype=float, unit="mm/s")
    def Velocity(self) -> float:  # noqa: N802  # Tango's usual name
        """How fast it moves; said after as long as Think asked for."""
        time.sleep(self._thinks_s)
        return self._velocity

    @command(dtype_in=float)
    def Think(self, seconds: float) -> None:  # noqa: N802  # Tango's usual name
        """Take so long to say the velocity, as a slow controller does; 0: at once."""
        self._thinks_s = seconds

    @command
    def Stop(self) -> None:  # noqa: N802  # Tango's usual name
        """Stay where it is."""
        self._from = self._to = self._at()

    @command(dtype_in=bool)
    def Block(self, blocked: bool) -> None:  # noqa: N802  # Tango's usual name
        """Get stuck: it says that it moves and does not; False frees it, at rest."""
        self._from = self._to = self._at()
        self._blocked = blocked

    @command(dtype_in=str)
    def Fail(self, why: str) -> None:  # noqa: N802  # Tango's usual name
        """Go into fault; '' gets out of it."""
        self._fault = why
        self._from = self._to = self._at()


class Sensor(Device):
    """Values of several kinds."""

    def init_device(self) -> None:
        """At 21 degC."""
        super().init_device()
        self._temperature, self._setpoint, self._plugged = 21.0, 0.0, True

    @attribute(dtype=float, unit="degC", max_alarm="80", max_warning="60")
    def temperature(self) -> float | Qualified:
        """A temperature: a warning above 60, in alarm above 80, invalid without its sensor."""
        if not self._plugged:
            return self._temperature, time.time(), tango.AttrQuality.ATTR_INVALID
        return self._temperature

    @attribute(dtype=(float,), max_dim_x=8, unit="counts")
    def spectrum(self) -> np.ndarray | tuple[np.ndarray, float, tango.AttrQuality]:
        """Eight channels; invalid without its sensor."""
        if not self._plugged:
            return np.arange(8.0), time.time(), tango.AttrQuality.ATTR_INVALID
        return np.arange(8.0)

    @attribute(dtype=str)
    def label(self) -> str:
        """A text."""
        return "sample 7"

    @attribute(dtype=float, unit="degC", min_value="0", max_value="100")
    def setpoint(self) -> float:
        """What it should be."""
        return self._setpoint

    @setpoint.write
    def write_setpoint(self, value: float) -> None:
        """The temperature follows at once."""
        self._setpoint = self._temperature = value

    @command
    def Reset(self) -> None:  # noqa: N802  # Tango's usual name
        """Back to 21 degC, plugged in."""
        self._temperature, self._plugged = 21.0, True

    @command
    def Unplug(self) -> None:  # noqa: N802  # Tango's usual name
        """There is no temperature until Reset."""
        self._plugged = False


def free_port() -> int:
    """A port on loopback that nobody has."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def main(port: int, ready: int, instance: str = "") -> None:
    """Serve until standard input ends."""
    if instance:
        _serve_registered(port, ready, instance)
        return
    devices = (
        {"class": Axis, "devices": [{"name": AXIS}]},
        {"class": Sensor, "devices": [{"name": SENSOR}]},
    )
    with MultiDeviceTestContext(devices, host="127.0.0.1", port=port, process=False):
        os.write(ready, b"1")
        ended = threading.Event()

        def listen() -> None:
            sys.stdin.read()
            ended.set()

        threading.Thread(target=listen, daemon=True).start()
        ended.wait()


def _serve_registered(port: int, ready: int, instance: str) -> None:
    """Serve what the database has of `undula/INSTANCE`."""

    def listen() -> None:
        sys.stdin.read()
        os._exit(0)

    threading.Thread(target=listen, daemon=True).start()
    run(
        (Axis, Sensor),
        args=["undula", instance, "-ORBendPoint", f"giop:tcp:127.0.0.1:{port}"],
        post_init_callback=lambda: os.write(ready, b"1"),
    )


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:4])
    os._exit(0)  # its ORB would otherwise wait for its clients

"""Both limits change, or none."""

from __future__ import annotations

from typing import Any

import pytest
from ophyd import Signal

from undula.core.errors import DeviceError
from undula.devices.description import DeviceEntry
from undula.devices.loaded import LoadedDevice
from undula.devices.motor import MotorView


class _Refusing(Signal):
    """A field that its server does not let anybody write."""

    def put(self, *_: Any, **__: Any) -> None:
        raise PermissionError("write access denied")


class _Axis:
    name, egu, position = "ax", "mm", 0.0

    def __init__(self, low: Signal, high: Signal) -> None:
        self.low_limit_travel, self.high_limit_travel = low, high

    def describe(self) -> dict[str, Any]:
        return {"ax": {"dtype": "number", "shape": [], "source": "test"}}

    def set(self, _: float) -> None:
        raise AssertionError("it shall not move")

    def stop(self) -> None:
        raise AssertionError("it does not move")


@pytest.mark.parametrize("refusing", ["low", "high"])
def test_a_half_written_pair_of_limits_is_undone(refusing: str) -> None:
    kinds = {"low": Signal, "high": Signal, refusing: _Refusing}
    axis = _Axis(kinds["low"](name="low", value=-20.0), kinds["high"](name="high", value=20.0))
    entry = DeviceEntry(name="ax", deviceClass="x", readoutPriority="baseline", enabled=True)
    device = LoadedDevice(entry)
    device.obj, device.connected = axis, True
    for low, high in ((-5.0, 5.0), (-60.0, -30.0), (30.0, 60.0)):
        with pytest.raises(DeviceError, match=f"{refusing}_limit was not set"):
            MotorView(device).set_limits(low, high)
        assert device.limits() == (-20.0, 20.0)

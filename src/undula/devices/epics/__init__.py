"""Room: EPICS devices. Motor record, scaler record, areaDetector with HDF5 plugin, mca record.

In: device entries whose `deviceClass` is `undula.devices.epics.NAME`. Out: ophyd and ophyd-async
objects that say what their record says. Light to import: the EPICS clients (extra `epics`) are
loaded with the first class that needs them. Not here: test IOCs (`undula.testing`).
"""

from __future__ import annotations

import importlib
from typing import Any

from undula.devices.epics.stopping import MOTOR_CLASSES, stop_pvs

__all__ = ["MOTOR_CLASSES", "stop_pvs"]

_HOMES = {
    "EpicsMotor": "motor",
    "Motor": "async_motor",
    "Scaler": "scaler",
    "Mca": "mca",
    "AreaDetector": "cameras",
    "AndorDetector": "cameras",
    "AravisDetector": "cameras",
    "KinetixDetector": "cameras",
    "MerlinDetector": "cameras",
    "PilatusDetector": "cameras",
    "VimbaDetector": "cameras",
}


def __getattr__(name: str) -> Any:
    """A device class, imported when it is asked for."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)

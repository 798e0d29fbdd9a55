"""Room: the devices of a beamline. Description (YAML), registry, drivers (sim/, epics/).

In: a device file. Out: connected Bluesky-protocol objects and what is known about them.
Called by: `scans`. Imports: ophyd, `messages`, `core`. Not here: scans, the bus.

A device file may name computed devices and groups directly here: `undula.devices.Calculated`.
"""

from __future__ import annotations

import importlib
from typing import Any

_CLASSES = {
    "Calculated": "computed",
    "ComputedSignal": "computed",
    "MeasurementGroup": "groups",
    "Energy": "pseudo",
    "PseudoAxis": "pseudo_axis",
    "SlitGap": "pseudo",
    "SlitOffset": "pseudo",
    "TableHeight": "pseudo",
    "TablePitch": "pseudo",
}


def __getattr__(name: str) -> Any:
    """Imported when it is named: the stopper process needs next to nothing of this room."""
    if name not in _CLASSES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_CLASSES[name]}"), name)

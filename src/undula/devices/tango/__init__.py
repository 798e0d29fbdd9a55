"""Room: Tango devices. Attributes, commands, and devices that move, from their addresses.

In: entries whose `deviceClass` is `undula.devices.tango.NAME`. Out: Bluesky-protocol objects over
PyTango (extra `tango`), which is loaded with the first class that needs it. Not here: the test
server (`undula.testing.tango_server`).
"""

from __future__ import annotations

import importlib
from typing import Any

_HOMES = {"TangoAttribute": "attribute", "TangoCommand": "command", "TangoMotor": "motor"}


def __getattr__(name: str) -> Any:
    """A device class, imported when it is asked for."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)

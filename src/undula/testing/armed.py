"""Fault points in the process of the test itself: an error or a signal that comes just there."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from undula.core import faults


@contextlib.contextmanager
def armed(fault: str) -> Iterator[None]:
    """While it holds, `NAME:COUNT:WHAT` strikes once here, e.g. `import.archived:1:ENOSPC`."""
    wanted = {"UNDULA_TEST": "1", "UNDULA_FAULT": fault}
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    faults.arm()
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        faults.arm()

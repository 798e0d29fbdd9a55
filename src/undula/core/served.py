"""Which beamline this process works for.

Said once by an entry point that makes devices; asked by what a device file makes, whose constructor
gets what stands in that file and nothing else.
"""

from __future__ import annotations

from pathlib import Path

from undula.core.paths import BeamlinePaths

_served: list[BeamlinePaths] = []


def work_for(paths: BeamlinePaths) -> None:
    """Say that this process works for a beamline; the last word holds."""
    _served[:] = [paths]


def own_pictures() -> Path | None:
    """The folder for what is looked at in full; None in a process of no beamline."""
    return _served[0].pipes if _served else None


def own_nodes() -> Path | None:
    """The folder of the beamline's own nodes, there or not; None in a process of no beamline."""
    return _served[0].nodes if _served else None

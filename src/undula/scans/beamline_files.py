"""Every fault of the YAML by which a beamline says how its files and metadata are.

In: the beamline's folder. Out: its layouts, or one error with all faults. Called by: `cli` and
`processes`; the engine looks by itself.
"""

from __future__ import annotations

from pathlib import Path

from undula.core.described import merged
from undula.core.errors import ConfigError
from undula.scans.file_layouts import FileLayouts
from undula.scans.metadata_schema import FILE, MetadataCheck


def check_files(state: Path) -> FileLayouts:
    """The layouts of a beamline. Raises: ConfigError with every fault of all files."""
    layouts, faults = FileLayouts(state, quiet=True), list[ConfigError]()
    for look in (layouts.check, MetadataCheck(state / FILE).schema):
        try:
            look()
        except ConfigError as exc:
            faults.append(exc)
    if faults:
        raise merged(faults)
    return layouts

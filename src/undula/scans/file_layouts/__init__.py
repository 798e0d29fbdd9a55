"""Room: scans. How the file of a run is laid out: shipped layouts, the beamline's own, its fields.

In: YAML files. Out: what goes into a start document as `file_layout`. The files are read again when
they change. One that is wrong refuses the next scan with all its faults; a scan that waits already
goes by what was right before. Not here: HDF5 (`files.layout_fill`).
"""

from undula.scans.file_layouts.choose import choose, roles_of
from undula.scans.file_layouts.store import FileLayouts, shipped

__all__ = ["FileLayouts", "choose", "roles_of", "shipped"]

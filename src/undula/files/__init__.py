"""Room: HDF5/NeXus parts. Layout, growth, snapshot, repair, archive of a journal.

In: event-model documents. Out: files. Called by: `writer`, `client`. Imports: h5py, `messages`.
Not here: where documents come from (`writer`).
"""

from undula.files.archive import archive_path, read_archive, verify, write_archive
from undula.files.ending import sound_stop
from undula.files.nexus import NexusFile
from undula.files.process import Process, ProcessSource, no_processes, read_processes
from undula.files.reading import RunData, open_run
from undula.files.repair import clear_writing_mark
from undula.files.snapshot import Snapshots, snapshot_path

__all__ = [
    "NexusFile",
    "Process",
    "ProcessSource",
    "RunData",
    "Snapshots",
    "archive_path",
    "clear_writing_mark",
    "no_processes",
    "open_run",
    "read_archive",
    "read_processes",
    "snapshot_path",
    "sound_stop",
    "verify",
    "write_archive",
]

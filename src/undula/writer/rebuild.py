"""Room: writer. A run's file made anew from its documents, for `undula runs rebuild`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from undula.core.errors import StorageError
from undula.files import NexusFile, read_archive, read_processes, sound_stop
from undula.messages import RunDocument


def rebuild(source: Path | Iterable[RunDocument], target: Path) -> Path:
    """Build the NeXus file of a run from its archive (`*.docs`) or its documents.

    A damaged file of the same run at `target` is replaced by rename at the end; a foreign file is
    left alone and the new one is called `NAME_1`. A run without a stop document ends as `fail`.
    What programs worked out from the run is taken over from the present file, where it can be read.

    Returns: the path of the file. Raises: StorageError.
    """
    documents = read_archive(source) if isinstance(source, Path) else iter(source)
    file: NexusFile | None = None
    stop: dict[str, Any] | None = None
    last = 0.0
    try:
        for document in documents:
            if document.name == "start":
                file = NexusFile.create(target, document.doc, hold=True)
            elif document.name == "stop":
                stop = sound_stop(document.doc)
            elif file is not None:
                file.write(document.name, document.doc)
            last = float(document.doc.get("time") or last) if _has_time(document) else last
        for process in read_processes(target):
            if file is not None and file.replaces:
                file.add_process(process)
        if file is None:
            raise StorageError(
                "there is no start document to rebuild from",
                remedy="give the archive (.docs) or the whole journal of the run",
            )
        reason = "no stop document: the run was cut short"
        return file.close(stop or {"time": last, "exit_status": "fail", "reason": reason})
    finally:
        if file is not None and not file.closed:
            file.abandon()


def _has_time(document: RunDocument) -> bool:
    return isinstance(document.doc.get("time"), int | float)

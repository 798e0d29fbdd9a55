"""Room: catalogue. What the files of a data folder say: the highest number, each run, its notes."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

from undula.core.errors import StorageError
from undula.core.log import get_logger
from undula.messages import RunNote

_NUMBER = re.compile(r"(\d{1,9})(?=[_.-]|$)")
_SUFFIXES = (".nxs", ".nxs.docs")


def highest_number(folder: Path) -> int:
    """The highest leading number of a run's file below `folder`; 0 when there is none."""
    highest = 0
    for _, _, names in os.walk(folder):
        for name in names:
            if name.endswith(_SUFFIXES):
                found = _NUMBER.match(name.lstrip("."))
                if found:
                    highest = max(highest, int(found.group(1)))
    return highest


def notes_path(path: Path) -> Path:
    """Where the comments and tags of a run are, beside its file.

    >>> notes_path(Path("a/00001_scan.nxs")).name
    '00001_scan.nxs.notes'
    """
    return path.with_name(f"{path.name}.notes")


def write_notes(path: Path, notes: Iterable[RunNote]) -> Path:
    """All notes of the run of file `path`, one JSON object a line. Raises: StorageError."""
    target = notes_path(path)
    hidden = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        with hidden.open("w", encoding="utf-8") as file:
            for note in notes:
                file.write(note.model_dump_json() + "\n")
            file.flush()
            os.fsync(file.fileno())
        hidden.replace(target)
    except OSError as exc:
        hidden.unlink(missing_ok=True)
        raise StorageError(
            f"the notes cannot be written to {target}: {exc.strerror}",
            remedy="correct disk space and rights; the catalogue has them",
            where=str(target),
        ) from exc
    return target


def read_notes(path: Path) -> list[RunNote]:
    """Comments and tags beside the file `path`, without damaged lines; [] when there are none."""
    notes = []
    try:
        lines = notes_path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return []
    for line in lines:
        try:
            notes.append(RunNote.model_validate_json(line))
        except ValueError:
            get_logger().warning("note_unreadable", path=str(notes_path(path)))
    return notes


def _text(entry: Any, name: str) -> str:
    return str(entry[name].asstr()[()]) if name in entry else ""


def read_run(path: Path) -> dict[str, Any] | None:
    """The fields of a RunRecord from a file; None when it is no run's main file."""
    if path.name.startswith(".") or path.name.endswith(".live.nxs"):
        return None
    import h5py  # here: listing the history opens no file

    try:
        with h5py.File(path, "r") as file:
            entry = file["entry"]
            start = json.loads(_text(entry, "collection/metadata/start_document"))
            number = int(_text(entry, "entry_identifier"))
            ended = _text(entry, "end_time")
            status = _text(entry, "exit_status")
            rows = entry.get("collection/primary/seq_num")
            if "data" not in entry or path.name != Path(str(file.attrs["file_name"])).name:
                return None
    except (OSError, KeyError, ValueError, TypeError):
        return None
    archive = path.with_name(path.name + ".docs")
    return {
        "uid": str(start["uid"]),
        "number": number,
        "plan": str(start.get("plan_name", "")),
        "command": str(start.get("command", "")),
        "user": str(start.get("user", "")),
        "item_id": str(start.get("item_id", "")),
        "path": str(path),
        "start_time": float(start["time"]),
        "end_time": datetime.fromisoformat(ended).timestamp() if ended else None,
        "exit_status": status if status in ("success", "abort", "fail") else "fail",
        "reason": "" if ended else "the file was never closed",
        "devices": list(start.get("devices") or [])
        or [*(start.get("motors") or []), *(start.get("detectors") or [])],
        "num_points": int(rows.shape[0]) if rows else None,
        "metadata": start,
        "archive_path": str(archive) if archive.exists() else "",
    }

"""Room: catalogue. What the files of a data folder say: the highest number, and each run."""

from __future__ import annotations

import json
import os
import re
from datetime import datetime
from pathlib import Path
from typing import Any

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

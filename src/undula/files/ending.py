"""How a run ended, as its stop document says; whatever it leaves out is filled in."""

from __future__ import annotations

import math
from typing import Any

from undula.core.clock import now
from undula.files.documents import Document

STATUSES = ("success", "abort", "fail")


def sound_stop(stop: Document) -> dict[str, Any]:
    """The stop document with a known `exit_status`, a `reason` and a finite `time`.

    A run whose end is not told ends as failed: its file must be closed all the same.

    >>> sound_stop({"exit_status": "done", "time": 1.0})["reason"]
    "its stop document says exit_status 'done'"
    """
    time, status = stop.get("time"), stop.get("exit_status")
    finite = isinstance(time, int | float) and math.isfinite(time)
    sound = {**stop, "time": float(time) if finite and time is not None else now()}
    if status not in STATUSES:
        sound["exit_status"] = "fail"
        sound["reason"] = stop.get("reason") or f"its stop document says exit_status {status!r}"
    sound["reason"] = str(sound.get("reason") or "")
    return sound

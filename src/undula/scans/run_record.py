"""Room: scans. What the history knows of a run from its start document on. Pure.

In: a start document, the scan that makes the run. Out: a `RunRecord`. Called by: `scans.runner`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from undula.catalogue import RunRecord
from undula.scans.checked_scan import CheckedScan


def record_of(
    start: dict[str, Any], path: Path, item_id: str, scan: CheckedScan | None
) -> RunRecord:
    """The record of a run that opens.

    Args:
        path: of its file.
        item_id: of the queue item that makes it.
        scan: as it was checked; None: nobody knows.
    """
    return RunRecord(
        uid=start["uid"],
        number=start["scan_id"],
        plan=str(start.get("plan_name", "")),
        command=str(start.get("command", "")),
        user=str(start.get("user", "")),
        item_id=item_id,
        path=str(path),
        start_time=start["time"],
        devices=list(scan.devices) if scan else [],
        num_points=_expected(scan, start),
        metadata=dict(start),
    )


def _expected(scan: CheckedScan | None, start: dict[str, Any]) -> int | None:
    """Points of a run: of its own where a plan makes several."""
    if scan is None:
        return None
    return start.get("num_points") if scan.parts else scan.num_points

"""What the check of a scan found, as the answer to who asked: numbers, and where it would go.

In: a `CheckedScan`. Out: plain data for the reply. Pure but for the name of the file.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from undula.core.settings import BeamlineSettings
from undula.scans.checked_scan import CheckedScan
from undula.scans.places import run_path

SHOWN_POINTS = 1000
DRAWN_POINTS = 2000
DRAWN_RUNS = 20


def described(scan: CheckedScan, settings: BeamlineSettings) -> dict[str, Any]:
    """The result of a scan request; of a dry run with its points and with what to draw."""
    request, path = scan.request, scan.trajectory
    pattern = run_path(settings, request.metadata, request.plan, 0)
    result: dict[str, Any] = {
        "item_id": request.request_id,
        "command": request.command,
        "num_points": scan.num_points,
        "estimate_s": scan.estimate_s,
        "data_bytes": scan.data_bytes,
        "warnings": list(scan.warnings),
        "axes": list(scan.axes),
        "detectors": list(scan.detectors),
        "path": str(pattern.with_name(pattern.name.replace("00000", "NNNNN"))),
    }
    if request.dry_run and path is not None:
        result["points"] = path.points[:SHOWN_POINTS].tolist()
        result["extents"] = [[float(c.min()), float(c.max())] for c in path.points.T]
    if request.dry_run:
        parts = scan.parts or (scan,)
        result["trajectory"] = [drawn for p in parts[:DRAWN_RUNS] if (drawn := to_draw(p))]
    return result


def to_draw(scan: CheckedScan) -> dict[str, Any] | None:
    """The trajectory of one run, or the bounds of one that finds its points on the way.

    Of more than `DRAWN_POINTS` points some are left out, evenly. None for a run without motion.
    """
    form, path = scan.form, scan.trajectory if scan.trajectory is not None else scan.bounds
    if form is None or path is None:
        return None
    points = path.points
    if len(points) > DRAWN_POINTS:
        points = points[np.linspace(0, len(points) - 1, DRAWN_POINTS).astype(int)]
    return {
        "plan": form.plan,
        "axes": list(path.axes),
        "points": points.tolist(),
        "num_points": form.num,
        "conditions": dict(form.conditions),
        "known": form.trajectory is not None,
    }

"""Room: catalogue. What a run that was made elsewhere is known by, and what is told of it. Pure.

In: a run of the history. Out: the messages of its opening and its end. Called by: `scans.notes` for
an import while the beamline is up, the writer for one that it finishes.
"""

from __future__ import annotations

from undula.catalogue.model import RunRecord
from undula.core.errors import InputError
from undula.messages import RunFileClosed, RunOpened

IMPORTED = "imported"
"""Key of the start document: where the run came from, its first scan_id, when, by whom, and the
wanted path of its file."""


def announcement(run: RunRecord) -> tuple[RunOpened, RunFileClosed]:
    """What the beamline is told of a run from elsewhere. Raises: InputError for any other."""
    if IMPORTED not in run.metadata or run.exit_status == "open":
        raise InputError(f"run {run.number} was not imported", remedy="see undula runs")
    opened = RunOpened(
        uid=run.uid,
        number=run.number,
        plan_name=run.plan,
        command=run.command,
        path=run.path,
        time=run.start_time,
        imported=True,
    )
    closed = RunFileClosed(
        uid=run.uid,
        number=run.number,
        path=run.path,
        exit_status=run.exit_status,
        reason=run.reason,
        num_events={"primary": run.num_points or 0},
    )
    return opened, closed

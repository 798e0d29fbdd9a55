"""Runs measured again: repeated as they were, or continued from their next missing point.

In: runs of the history, what was asked for them, their files. Out: the fields of a scan request; a
chain of runs as one data set. Whether a run may be continued the engine decides.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from undula.core.errors import InputError
from undula.core.run_keys import OF_THE_RUN
from undula.messages import Continues, ScanRequest
from undula.scans.continued import continuation_of, continued_uid, refuse_unfit

if TYPE_CHECKING:
    from undula.catalogue import Catalogue, RunRecord
    from undula.client.data import JoinedTables
    from undula.files.joined import RunPart
    from undula.files.points import Joined

OF_THE_MOMENT = frozenset(
    {"request_id", "user", "token", "deadline", "sent", "dry_run", "queue", "continues"}
)
"""Fields of a request that are not repeated."""
MARK = "  # continues run "
"""What the command of a continued run ends with."""


def asked_for(run: RunRecord, catalogue: Catalogue) -> ScanRequest:
    """The request that made a run. Raises: InputError when it is not kept."""
    item = catalogue.item(run.item_id) if run.item_id else None
    try:
        return ScanRequest.model_validate(item.payload["request"] if item else None)
    except (ValidationError, KeyError) as exc:
        raise InputError(
            f"what was asked for run {run.number} is not kept",
            remedy=f"type it again: {run.command}",
        ) from exc


def repeated(run: RunRecord, catalogue: Catalogue) -> dict[str, Any]:
    """The fields of a request that measures a run as it was; relative scans around where one is."""
    request = asked_for(run, catalogue)
    fields = request.model_dump(exclude=set(OF_THE_MOMENT))
    fields["metadata"] = {k: v for k, v in request.metadata.items() if k not in OF_THE_RUN}
    if request.source is not None:  # its call holds the arguments: the text of then is run again
        fields |= {"source": request.source, "args": [], "kwargs": {}}
    fields["command"] = request.command.split(MARK)[0]
    names = run.metadata.get("detectors")
    if run.metadata.get("plan_declared") and isinstance(names, list) and names:
        fields["detectors"] = names  # those that were usual then may not be so now
    return fields


def continued(run: RunRecord, catalogue: Catalogue) -> dict[str, Any]:
    """The fields of a request that goes on with a run from its next missing point.

    Raises: InputError, BusyError when it is open, complete, continued already, or of a plan whose
    points are not known.
    """
    refuse_unfit(run)
    if later := continuation_of(run, catalogue):
        raise InputError(
            f"run {run.number} was continued by run {later.number}",
            remedy=f"continue that one: undula runs continue {later.number}",
        )
    fields = repeated(run, catalogue)
    chain = chain_of(run, catalogue)
    total, origin = total_of(chain), origin_of(chain[0])
    written = fields["source"] is not None and not run.metadata.get("plan_declared")
    if total is None or written:
        raise InputError(
            f"run {run.number} cannot be continued: the points of {run.plan} are not known "
            "beforehand",
            remedy=f"repeat it: undula runs repeat {run.number}",
        )
    known = _joined(chain, total)
    missing, left_out = known.missing, len(known.given_up)
    if not missing and left_out:
        raise InputError(
            f"nothing of run {run.number} is missing: {left_out} of its {total} points were left "
            "out on purpose",
            remedy=f"measure all of it again: undula runs repeat {run.number}",
        )
    if not missing:
        raise InputError(
            f"run {run.number} has all its {total} points: nothing of it is missing",
            remedy=f"look at them: runs[{run.number}].joined()",
        )
    fields["continues"] = Continues(
        uid=run.uid, number=run.number, first_point=missing[0], total=total, origin=origin
    )
    fields["darks"] = fields["darks"] if not chain[0].num_points else 0
    fields["command"] += f"{MARK}{run.number}"
    return fields


def chain_of(run: RunRecord, catalogue: Catalogue) -> list[RunRecord]:
    """All runs that are one measurement with this one, the first one first."""
    chain = [run]
    while uid := continued_uid(chain[0]):
        chain.insert(0, catalogue.run(uid))
    while later := continuation_of(chain[-1], catalogue):
        chain.append(later)
    return chain


def total_of(chain: Sequence[RunRecord]) -> int | None:
    """Points of the whole trajectory; None when nobody knew them beforehand."""
    total = chain[0].metadata.get("num_points")
    return total if isinstance(total, int) else None


def origin_of(first: RunRecord) -> list[float] | None:
    """Where the axes stood before the first run; None when it moved none, or did not keep it."""
    origin = first.metadata.get("origin")
    return [float(v) for v in origin.values()] if isinstance(origin, dict) else None


def joined_data(run: RunRecord, catalogue: Catalogue) -> JoinedTables:
    """All runs of a measurement as one data set. Raises: InputError when no point was measured."""
    from undula.client.data import JoinedTables

    chain = chain_of(run, catalogue)
    parts = _parts(chain)
    if not parts:
        raise InputError(
            f"run {run.number} has no points",
            remedy=f"repeat it: undula runs repeat {run.number}"
            if run.exit_status == "success"
            else f"continue it: undula runs continue {run.number}",
        )
    return JoinedTables(parts, total_of(chain))


def _joined(chain: Sequence[RunRecord], total: int) -> Joined:
    from undula.files.joined import part_of
    from undula.files.points import join

    return join([part_of(p.data, p.first_point) for p in _parts(chain)], total)


def _parts(chain: Sequence[RunRecord]) -> list[RunPart]:
    """The runs that have a file; one that was killed before its first point may have none."""
    from undula.files.joined import RunPart
    from undula.files.reading import open_run

    return [
        RunPart(run.number, open_run(run.path), _first_point(run))
        for run in chain
        if run.num_points or Path(run.path).exists()
    ]


def _first_point(run: RunRecord) -> int:
    said = run.metadata.get("continues")
    return int(said.get("first_point", 1)) if isinstance(said, dict) else 1

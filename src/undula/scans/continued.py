"""Whether a run may be continued: it is known, has ended, not by itself, and nobody continued it.

In: a request that says which run it goes on with. Out: nothing, or an error. Asked when the request
comes and again when its scan starts, since another may have been quicker.
"""

from __future__ import annotations

from undula.catalogue import Catalogue, RunRecord
from undula.catalogue.filters import Condition
from undula.core.errors import BusyError, InputError
from undula.messages import ScanRequest


def check_continued(request: ScanRequest, catalogue: Catalogue) -> None:
    """Raises: InputError, BusyError when the run that it continues is not to be continued so."""
    asked = request.continues
    if asked is None:
        return
    run = catalogue.run(asked.uid)
    refuse_unfit(run)
    if run.plan != request.plan:
        raise InputError(
            f"run {run.number} was made by {run.plan}, not by {request.plan}",
            remedy=f"continue it as it was: undula runs continue {run.number}",
        )
    refuse_other(run, request, catalogue)
    if later := continuation_of(run, catalogue):
        raise InputError(
            f"run {run.number} was continued by run {later.number}",
            remedy=f"continue that one: undula runs continue {later.number}",
        )


def refuse_other(run: RunRecord, request: ScanRequest, catalogue: Catalogue) -> None:
    """Raises: InputError when another scan is asked for than the one that made the run."""
    item = catalogue.item(run.item_id) if run.item_id else None
    kept = item.payload.get("request") if item is not None else None
    if not isinstance(kept, dict):
        return  # what was asked then is not known any more
    asked = request.model_dump()
    # the call of a plan of one's own is in its source, and holds the arguments
    what = ("source",) if request.source is not None else ("args", "kwargs")
    other = [name for name in (*what, "count_time_s") if asked[name] != kept.get(name)]
    if other:
        raise InputError(
            f"run {run.number} was made by another scan: {', '.join(other)} differ",
            remedy=f"continue it as it was: undula runs continue {run.number}",
        )


def refuse_unfit(run: RunRecord) -> None:
    """Raises: BusyError for a run that is open; InputError for one that ended as it was to."""
    if run.exit_status == "open":
        raise BusyError(
            f"run {run.number} is still open",
            remedy="resume it, or abort it first: undula queue resume, undula queue abort",
        )
    if run.exit_status == "success":
        early = run.reason.startswith("completed by")
        raise InputError(
            f"run {run.number} was {run.reason}: it was ended early on purpose"
            if early
            else f"run {run.number} ended as success{f': {run.reason}' if run.reason else ''}; "
            "nothing of it is missing",
            remedy=f"measure all of it again: undula runs repeat {run.number}"
            if early
            else f"repeat it: undula runs repeat {run.number}",
        )


def continuation_of(run: RunRecord, catalogue: Catalogue) -> RunRecord | None:
    """The run that goes on with this one; None when there is none."""
    found = catalogue.runs(1, where=(Condition(key="continues.uid", value=run.uid),))
    return found[0] if found else None


def continued_uid(run: RunRecord) -> str:
    """Uid of the run that this one goes on with; '' when it begins anew."""
    said = run.metadata.get("continues")
    return str(said.get("uid", "")) if isinstance(said, dict) else ""

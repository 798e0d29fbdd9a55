"""What edits of the scan queue carry: places, options, and a scan with other arguments. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from undula.client.arguments import names, plain, plain_call
from undula.core.errors import InputError
from undula.core.fault_words import faults_of
from undula.messages import Place, QueueItem, QueueOptions, ScanRequest
from undula.scans.scan_line import written

OWN_WORDS = {"count_time_s": "time", "needs_approval": "approval"}
"""Fields that people know by another word."""
SIMPLE_PLACES = ("end", "front", "up", "down")


def wrong_value(exc: ValidationError) -> InputError:
    """The first wrong value, in words.

    >>> try:
    ...     QueueOptions(repeats=-1)
    ... except ValidationError as exc:
    ...     print(wrong_value(exc))
    repeats: -1 is less than 0. Remedy: give 0 or more.
    """
    place, what, remedy = faults_of(exc)[0]
    return InputError(f"{OWN_WORDS.get(str(place[0]), place[0])}: {what}", remedy=remedy)


class QueuedScan(BaseModel):
    """A waiting item, and the scan that it will be."""

    model_config = ConfigDict(frozen=True)

    item: QueueItem
    scan: ScanRequest


def place_of(at: str | int | None = None, *, before: str = "", after: str = "") -> Place:
    """A place in the queue. Raises: InputError for one that there is not.

    >>> place_of("front").at, place_of(3).number, place_of("2").number, place_of(before="a").item_id
    ('front', 3, 2, 'a')
    """
    if sum(bool(one) for one in (at, before, after)) > 1:
        raise InputError("two places were named", remedy="give one")
    if before or after:
        return Place(at="before" if before else "after", item_id=before or after)
    if at is None:
        return Place()
    if isinstance(at, int) or at.isdecimal():
        if int(at) < 1:
            raise InputError(f"there is no place {at}", remedy="1 is the front")
        return Place(at="to", number=int(at))
    word = {"top": "front", "bottom": "end"}.get(at, at)
    if word not in SIMPLE_PLACES:
        raise InputError(
            f"{at!r} is no place", remedy="write up, down, front, end or a number; 1 is the front"
        )
    return Place.model_validate({"at": word})


def options_of(words: Mapping[str, Any], seen: int | None) -> QueueOptions:
    """The options that these words of `queue.add` mean. Raises: InputError.

    >>> options_of({"at": "front", "repeats": 3, "sample": "S3"}, 7).repeats
    3
    """
    place = place_of(
        words.get("at") or words.get("to"),
        before=words.get("before") or "",
        after=words.get("after") or "",
    )
    try:
        return QueueOptions(
            place=place,
            repeats=1 if words.get("repeats") is None else words["repeats"],
            sample=words.get("sample") or "",
            hold=words.get("hold"),
            needs_approval=bool(words.get("approval")),
            seen=seen,
        )
    except ValidationError as exc:
        raise wrong_value(exc) from exc


def edited(scan: ScanRequest, args: Sequence[Any], changes: Mapping[str, Any]) -> ScanRequest:
    """A scan with other arguments; its line for the record says them. Raises: InputError."""
    new = dict(changes)
    update: dict[str, Any] = {}
    if "time" in new:
        update["count_time_s"] = new.pop("time")
    if "detectors" in new:
        update["detectors"] = names(new.pop("detectors"))
    for field in ("shutter", "darks", "metadata"):
        if field in new:
            update[field] = plain(new.pop(field))
    if "sample" in new:
        before = scan.queue.sample
        update["queue"] = scan.queue.model_copy(update={"sample": new.pop("sample") or ""})
        if before and scan.metadata.get("sample") == before:  # it was put there by the item
            kept = {key: value for key, value in scan.metadata.items() if key != "sample"}
            update.setdefault("metadata", kept)
    plan = new.pop("plan", scan.plan)
    update |= _asked(scan, plan, *plain_call(plan, args, new))
    after = scan.model_copy(update=update)
    try:
        after = ScanRequest.model_validate(after.model_dump())
    except ValidationError as exc:
        raise wrong_value(exc) from exc
    if after.source is not None:
        return after
    return after.model_copy(update={"command": written(after)})


def _asked(scan: ScanRequest, plan: str, args: list[Any], new: dict[str, Any]) -> dict[str, Any]:
    """The fields that say what is measured, with other arguments.

    Of a plan that somebody typed only what changes goes along: the engine knows its call.
    """
    source = scan.source
    if source is not None and plan == scan.plan and not source.by_name:
        return {"args": args, "kwargs": new}
    if plan != scan.plan and source is not None:
        return {"plan": plan, "args": args, "kwargs": new, "source": None}
    kwargs = {**scan.kwargs, **new}
    if source is not None and plan == scan.plan and not args:  # the engine knows their places
        return {"kwargs": kwargs, "source": None if new else source}
    return {
        "plan": plan,
        "args": args or scan.args,
        "kwargs": {key: value for key, value in kwargs.items() if value is not None},
        "source": None if args or new else source,
    }

"""Which runs a key in brackets means: `runs[12]`, `runs[-1]`, `runs["3f2a"]`, `runs[12:15]`.

In: a key, the history. Out: records. Called by: `client.runs` only. Numbers are run numbers,
negative ones are places from the newest run, in a slice as well.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from numbers import Integral
from typing import TYPE_CHECKING, Any

from undula.core.errors import InputError

if TYPE_CHECKING:
    from undula.catalogue import Catalogue, RunRecord

ARCHIVE_WAIT_S = 15.0
"""How long the archive of a scan that has ended is waited for."""
LOOK_EVERY_S = 0.1


def one_of(catalogue: Catalogue, key: Any) -> RunRecord:
    """The run that a number, a uid or the beginning of one means. Raises: InputError."""
    if isinstance(key, str):
        return catalogue.run(key)
    number = _whole(key)
    return catalogue.nth_last(number) if number < 0 else catalogue.run(number)


def several_of(catalogue: Catalogue, part: slice) -> list[RunRecord]:
    """The runs of a slice, the oldest first: `12:15` has 12, 13, 14; `-3:` the last three.

    Raises: InputError when its ends are no whole numbers, or one is a number and one a place.
    """
    start, stop = (None if end is None else _whole(end) for end in (part.start, part.stop))
    step = 1 if part.step is None else _whole(part.step)
    if step == 0:
        raise InputError("the step of a slice is 0", remedy="every second run: runs[10:20:2]")
    if start is not None and stop is not None and (start < 0) != (stop < 0):
        raise InputError(
            f"runs[{start}:{stop}] has a number and a place from the newest run",
            remedy="give two run numbers, runs[10:20], or two places, runs[-5:-1]",
        )
    if (start or 0) < 0 or (stop or 0) < 0:
        numbers = catalogue.numbers()[slice(start, stop)]
    else:
        numbers = catalogue.numbers(start, stop)
    return catalogue.numbered(numbers[::step])


def _whole(value: Any) -> int:
    if isinstance(value, Integral) and not isinstance(value, bool):
        return int(value)
    raise InputError(
        f"{value!r} is no number of a run",
        remedy="give a whole number, runs[12], or the beginning of a uid",
    )


def archived(
    run: RunRecord, catalogue: Catalogue, sleep: Callable[[float], None] = time.sleep
) -> RunRecord:
    """The run with its archive, which is written a moment after its scan has ended.

    Raises: InputError while the scan runs, or when there is no archive after `ARCHIVE_WAIT_S`.
    """
    left_s = ARCHIVE_WAIT_S
    while not run.archive_path:
        run = catalogue.run(run.uid)
        if run.archive_path:
            break
        if left_s <= 0 or not _over(run, catalogue):
            raise InputError(
                f"run {run.number} has no archive yet",
                remedy="it is written when the run is closed; until then: ScanHandle.documents()",
            )
        sleep(LOOK_EVERY_S)
        left_s -= LOOK_EVERY_S
    return run


def _over(run: RunRecord, catalogue: Catalogue) -> bool:
    """Nothing more is measured for it: only the writer has still to see to it."""
    if run.exit_status != "open":
        return True
    item = catalogue.item(run.item_id) if run.item_id else None
    return item is not None and item.exit_status != "waiting"

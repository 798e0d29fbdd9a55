"""How long the queue will take, as far as anybody knows. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from undula.messages import QueueItem
from undula.messages.queue import UNTIL_STOPPED


def time_left(
    running: QueueItem | None, points_done: int, waiting: Iterable[QueueItem]
) -> tuple[float, int]:
    """Seconds that are known, and the number of scans whose time is not.

    >>> one = QueueItem(item_id="a", command="", plan="", user="", submitted=0, estimate_s=10.0)
    >>> running = one.model_copy(update={"num_points": 4})
    >>> endless = one.model_copy(update={"repeats": 0})
    >>> time_left(running, 3, [one, one.model_copy(update={"repeats": 3}), endless])
    (42.5, 1)
    """
    known, unknown = 0.0, 0
    if running is not None and running.estimate_s is None:
        unknown += 1
    elif running is not None and running.estimate_s is not None:
        share = points_done / running.num_points if running.num_points else 0.0
        known += running.estimate_s * max(0.0, 1.0 - share)
    for item in waiting:
        if item.estimate_s is None or item.repeats == UNTIL_STOPPED:
            unknown += 1
        else:
            known += item.estimate_s * item.repeats
    return known, unknown

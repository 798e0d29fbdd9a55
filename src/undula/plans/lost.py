"""What a step scan does when a device is lost in mid-point: pause, and take the point again.

In: the messages of a point, and who knows of losses. Out: the same messages, as often as it takes.
The RunEngine pauses; who resumes it is the runner's matter.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator
from typing import Any, Protocol

from bluesky.utils import IllegalMessageSequence, Msg, RunEngineControlException

from undula.plans.steps import SteeredError

SEEN_WITHIN_S = 0.3
"""A driver may fail before the loss of its connection is known."""


class Losses(Protocol):
    """Counts how often a device of the scan was lost."""

    @property
    def count(self) -> int:
        """Losses so far; cheap."""
        ...

    def since(self, count: int) -> bool:
        """Whether there were more than `count`; if so, the plan is going to pause for them."""
        ...


class NoLosses:
    """Devices that are always there."""

    count = 0

    def since(self, count: int) -> bool:
        """Never."""
        return count < self.count


def retaken(
    point: Callable[[], Generator[Msg, Any, Any]], losses: Losses, again: Callable[[], None]
) -> Generator[Msg, Any, Any]:
    """The messages of `point`; after an error with a lost device all of them once more.

    Args:
        again: called before the point is taken again.
    Raises: the point's error when no device was lost meanwhile.
    """
    while True:
        before = losses.count
        try:
            return (yield from point())
        except (RunEngineControlException, SteeredError):
            raise
        except Exception:  # a driver may raise anything when its connection is lost
            yield Msg("sleep", None, SEEN_WITHIN_S)
            if not losses.since(before):
                raise
        with contextlib.suppress(IllegalMessageSequence):  # when no event was begun
            yield Msg("drop")
        yield Msg("checkpoint")  # nothing of this attempt is to be repeated by the RunEngine
        yield Msg("pause")
        again()

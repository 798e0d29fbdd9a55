"""The queue as its author saw it last, and which of its items they mean by a place or an id.

In: what a person names. Out: the id of a waiting item. Called by: `client.queue`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from undula.core.errors import InputError, StaleError
from undula.core.shown import counted
from undula.messages import QueueItem, QueueStatus

PLACE_DIGITS = 4
"""A longer number is the beginning of an id."""
WHOLE_ID = 36

Item = str | int | Any
"""An item: its id or the beginning of it, its place (1 is the front), a `QueueItem`, a handle."""


class SeenQueue:
    """What was seen last.

    Args:
        look: the queue now; whoever looks sets `status`.
    """

    def __init__(self, look: Callable[[], QueueStatus]) -> None:
        self._look = look
        self.status: QueueStatus | None = None
        """None before the first look."""
        self.strict = False
        """A place is one of the queue as it was seen, and of no other."""

    def known(self) -> QueueStatus:
        """As it was seen last; looked at when it never was."""
        return self.status or self._look()

    def id_of(self, item: Item) -> str:
        """The id of an item that a person means.

        Raises: InputError for none, or several; StaleError for a place that was not seen.
        """
        if not isinstance(item, str | int):
            return str(item.item_id)
        place = int(item) if isinstance(item, int) or item.isdecimal() else None
        if self.strict and place is not None and len(str(item)) <= PLACE_DIGITS:
            return self._at(place)
        waiting = self.known().waiting
        known = (
            place if place is not None else any(i.item_id.startswith(str(item)) for i in waiting)
        )
        if not known or (place or 0) > len(waiting):
            waiting = self._look().waiting  # it was added since the last look
        if place is not None and 0 < place <= len(waiting):
            return waiting[place - 1].item_id
        if place is not None and len(str(item)) <= PLACE_DIGITS:
            raise _no_place(place, waiting)
        return whole_id(str(item), waiting)

    def _at(self, place: int) -> str:
        """The id at a place of the queue as it was seen. Raises: StaleError."""
        waiting = self.status.waiting if self.status else []
        if 0 < place <= len(waiting):
            return waiting[place - 1].item_id
        current = self._look().waiting
        if not 0 < place <= len(current):
            raise _no_place(place, current)
        here = current[place - 1]
        name = f"{here.command or here.plan} of {here.user}"
        raise StaleError(
            f"you have not seen what is at place {place} now: {name}",
            remedy=f"look first: undula queue; or name it by its id: {here.item_id[:8]}",
        )


def _no_place(place: int, waiting: list[QueueItem]) -> InputError:
    if not waiting:
        return InputError(
            f"there is no place {place}: no scan waits",
            remedy="see undula queue list; what has ended is in undula queue history",
        )
    return InputError(
        f"{counted(len(waiting), 'waiting scan')}, there is no place {place}",
        remedy="take the place, or the id, from undula queue list",
    )


def whole_id(beginning: str, waiting: list[QueueItem]) -> str:
    """The id that begins so; as given when it is long enough to be one. Raises: InputError."""
    found = [item.item_id for item in waiting if item.item_id.startswith(beginning)]
    exact = [one for one in found if one == beginning]
    if len(exact or found) == 1:
        return (exact or found)[0]
    if len(beginning) >= WHOLE_ID and not found:
        return beginning  # it has ended, or runs: the engine says so
    raise InputError(
        f"the ids of {len(found)} waiting scans begin with {beginning!r}"
        if found
        else f"no waiting scan has an id that begins with {beginning!r}",
        remedy="take the id, or the place, from undula queue list",
    )

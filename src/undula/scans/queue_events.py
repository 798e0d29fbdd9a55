"""What happens to the scan queue, and what it then wants done: values only.

An edit says who makes it, when, and which revision of the queue they saw (None: whatever it is).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from undula.messages import Place, QueueItem

AT_THE_END = Place()


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """Base of all events."""

    user: str = ""
    time: float = 0.0
    seen: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Submitted(Edit):
    """Items are added; those that are known already change nothing."""

    items: tuple[QueueItem, ...]
    place: Place = AT_THE_END
    again: bool = False
    """They had been taken out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved(Edit):
    """An item goes to another place."""

    item_id: str
    place: Place


@dataclass(frozen=True, slots=True, kw_only=True)
class Edited(Edit):
    """A waiting item measures something else from now on; its new arguments were checked."""

    item: QueueItem


@dataclass(frozen=True, slots=True, kw_only=True)
class Duplicated(Edit):
    """A copy of a waiting item is added."""

    item_id: str
    copy_id: str
    place: Place = AT_THE_END


@dataclass(frozen=True, slots=True, kw_only=True)
class Removed(Edit):
    """Waiting items are taken out; None: all."""

    item_ids: tuple[str, ...] | None
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeated(Edit):
    """It is run so many times; 0: until it is stopped."""

    item_id: str
    repeats: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Held(Edit):
    """An item does not start until it is released."""

    item_id: str
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Released(Edit):
    """A held item may start."""

    item_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Approved(Edit):
    """Somebody who may says that an item may run."""

    item_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Locked(Edit):
    """Nothing starts until its owner, or staff, unlocks the queue."""

    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unlocked(Edit):
    """A lock is lifted: one's own, or that of `owner` (who may was asked before)."""

    owner: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StopAfter(Edit):
    """The queue is to wait after the running item; at once when nothing runs."""

    off: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class GoOn(Edit):
    """A queue that waits goes on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dropped(Edit):
    """Motion was stopped: nothing that waits will start."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Next(Edit):
    """The engine could run something."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended(Edit):
    """The running item has ended. `halt`: why the queue is to wait now; '' when it goes on."""

    exit_status: Literal["success", "abort", "fail"]
    halt: str = ""


QueueEvent = (
    Submitted
    | Moved
    | Edited
    | Duplicated
    | Removed
    | Repeated
    | Held
    | Released
    | Approved
    | Locked
    | Unlocked
    | StopAfter
    | GoOn
    | Dropped
    | Next
    | Ended
)


@dataclass(frozen=True, slots=True)
class Start:
    """Run this item."""

    item: QueueItem


@dataclass(frozen=True, slots=True)
class EndItem:
    """This item will not run: enter it as removed."""

    item: QueueItem
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Copy:
    """This new item measures what another one does."""

    source_id: str
    item: QueueItem


Do = Start | EndItem | Copy

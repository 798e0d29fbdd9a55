"""The scan queue, as pure logic: what waits, what runs, what comes next. No clock, no device."""

from __future__ import annotations

from dataclasses import dataclass, replace

from undula.core.errors import InputError
from undula.messages import QueueItem


@dataclass(frozen=True, slots=True)
class ScanQueue:
    """Waiting items in order, and the one that runs."""

    waiting: tuple[QueueItem, ...] = ()
    running: QueueItem | None = None

    def submitted(self, item: QueueItem) -> ScanQueue:
        """The queue with `item` at its end; an item that is known already changes nothing."""
        if item.item_id in self.ids():
            return self
        return replace(self, waiting=(*self.waiting, item))

    def ids(self) -> set[str]:
        """Ids of all items."""
        ids = {item.item_id for item in self.waiting}
        return ids | {self.running.item_id} if self.running else ids

    def started(self) -> ScanQueue:
        """The head runs now. The queue itself when something runs or nothing waits."""
        if self.running is not None or not self.waiting:
            return self
        head, *rest = self.waiting
        return ScanQueue(waiting=tuple(rest), running=head)

    def finished(self) -> ScanQueue:
        """Nothing runs any more."""
        return replace(self, running=None)

    def removed(self, item_id: str) -> ScanQueue:
        """Without a waiting item. Raises: InputError when it runs or is unknown."""
        if self.running is not None and self.running.item_id == item_id:
            raise InputError(f"item {item_id} runs already", remedy="abort it: undula queue abort")
        if item_id not in self.ids():
            raise InputError(f"no item {item_id} waits", remedy="see undula queue list")
        return replace(self, waiting=tuple(i for i in self.waiting if i.item_id != item_id))

"""The scan queue from a client: add, look, remove; pause, resume, skip, retake, complete, abort."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from threading import Event
from typing import TYPE_CHECKING, Any

from undula.bus.endpoints import ENGINE_QUEUE, QUEUE_STATUS
from undula.client.link import Link
from undula.client.shown import cut
from undula.messages import QueueItem, QueueStatus

if TYPE_CHECKING:
    from undula.client.scans import ScanHandle

LONGEST = 40
"""Characters of a command in the queue at a prompt: a line has 80 columns."""
SETTLE_S = 2.0
"""How long resume and abort wait until the queue shows it."""


class QueueView:
    """What runs and what waits; each action returns the queue as it is afterwards."""

    def __init__(self, link: Link, submit: Callable[..., ScanHandle]) -> None:
        self._link = link
        self._submit = submit

    def add(self, plan: str, *args: Any, **options: Any) -> ScanHandle:
        """Check a scan and put it at the end: `queue.add("scan", samx, -1, 1, 21, time=0.1)`.

        Returns at once; `.wait()` waits for its end, `.cancel()` takes it out.

        Args:
            plan: its name; `args` and `options` as in `Client.submit`.
        Raises: InputError, LimitError ... when the engine refuses it.
        """
        return self._submit(plan, *args, **options)

    def _do(self, action: str, **fields: Any) -> QueueStatus:
        result = self._link.ask(ENGINE_QUEUE, action=action, **fields)
        return QueueStatus.model_validate(result["status"])

    def _do_and_see(
        self, action: str, shown: Callable[[QueueStatus], bool], **fields: Any
    ) -> QueueStatus:
        """Act, and wait a little until the queue shows that it was done."""
        seen = Event()

        def look(status: QueueStatus) -> None:
            if shown(status):
                seen.set()

        subscription = self._link.connector.subscribe(QUEUE_STATUS, look)
        try:
            status = self._do(action, **fields)
            if shown(status):
                return status
            seen.wait(SETTLE_S)
        finally:
            subscription.close()
        return self.list().model_copy(update={"did": status.did})

    @property
    def last(self) -> QueueStatus | None:
        """The status last published, without asking the engine; None before the first."""
        return self._link.connector.get(QUEUE_STATUS)

    def list(self) -> QueueStatus:
        """The queue now."""
        return self._do("list")

    @property
    def status(self) -> QueueStatus:
        """The queue now."""
        return self.list()

    def pause(self) -> QueueStatus:
        """Pause now: motion stops, the point is taken again on resume."""
        return self._do("pause")

    def pause_at_point(self) -> QueueStatus:
        """Pause at the next point."""
        return self._do("pause_at_point")

    def resume(self) -> QueueStatus:
        """Go on."""
        return self._do_and_see("resume", _goes_on)

    def skip(self) -> QueueStatus:
        """Leave out the point under way, or the next one while it is paused, and go on.

        `did` of the returned status says which. Raises: BusyError, e.g. for a plan whose points are
        not known beforehand.
        """
        return self._do_and_see("skip", _goes_on)

    def retake(self, point: int | None = None) -> QueueStatus:
        """Take a point again and go on; both are kept, the earlier one marked as replaced.

        Args:
            point: its number, from 1; None: the last one that was taken.
        Raises: BusyError, InputError.
        """
        return self._do_and_see("retake", _goes_on, point=point)

    def complete(self) -> QueueStatus:
        """End the running scan early, as good: at the end of its point, or now while paused."""
        return self._do_and_see("complete", _goes_on)

    def stop_all(self, reason: str = "") -> QueueStatus:
        """End the running scan, with clean-up, and take out all that waits."""
        return self._do("stop_all", reason=reason)

    def abort(self, reason: str = "") -> QueueStatus:
        """End the running scan, with clean-up; the file keeps what was measured."""
        running = self.list().running
        return self._do_and_see(
            "abort",
            lambda status: status.running is None or status.running != running,
            reason=reason,
        )

    def remove(self, item: str | QueueItem) -> QueueStatus:
        """Take a waiting scan out."""
        item_id = item.item_id if isinstance(item, QueueItem) else item
        return self._do("remove", item_id=item_id)

    def clear(self) -> QueueStatus:
        """Take all waiting scans out."""
        return self._do("clear")

    def __iter__(self) -> Iterator[QueueItem]:
        return iter(self.list().waiting)

    def __len__(self) -> int:
        return len(self.list().waiting)

    def __repr__(self) -> str:
        return queue_text(self.list(), LONGEST)


def _goes_on(status: QueueStatus) -> bool:
    return status.state not in ("pausing", "paused")


def queue_text(status: QueueStatus, longest: int = 10_000) -> str:
    """The queue in a few lines; commands cut to `longest` characters."""
    head: str = status.state
    if status.running is not None:
        head += f": {cut(status.running.command, longest)}"
        if status.run_number is not None:
            head += f", run {status.run_number}"
        total = status.running.num_points
        head += f", {status.points_done}" + (f" of {total}" if total else "") + " points"
    lines = [status.did, head] if status.did else [head]
    if status.waiting_for:
        lines.append(f"waiting for {status.waiting_for}")
    if status.message:
        ended = status.state == "idle" and "new scans are accepted" not in status.message
        lines.append(f"the last scan ended: {status.message}" if ended else status.message)
    lines += [
        f"  {n}. {cut(item.command, longest)}  ({item.user}, {item.item_id[:8]})"
        for n, item in enumerate(status.waiting, 1)
    ]
    return "\n".join(lines)

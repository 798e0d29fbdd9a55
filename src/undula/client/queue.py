"""The scan queue from a client: add, look, edit, steer.

In: calls; an item is named by its id (or handle), or as it was shown: an item, or its place.
Out: the queue as it is afterwards. Each edit tells the engine what its author saw last, so that
nothing is done to what has become something else meanwhile: `StaleError` then says what changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

from undula.bus.endpoints import ENGINE_QUEUE, QUEUE_STATUS
from undula.client.batch import read_batch, write_batch
from undula.client.link import REQUEST_TIMEOUT_S, Link
from undula.client.queue_edits import QueuedScan, edited, options_of, place_of
from undula.client.queue_lists import CheckedScans, EndedItems, id_of, queue_html, readable
from undula.client.queue_text import queue_text
from undula.client.seen_queue import Item, SeenQueue
from undula.core.errors import InputError, StaleError, StorageError
from undula.messages import CheckedItem, EndedItem, QueueItem, QueueOptions, QueueStatus
from undula.messages.queue import HISTORY_PAGE

if TYPE_CHECKING:
    from undula.client.scans import ScanHandle

LONGEST = 40
"""Characters of a command in the queue at a prompt: a line has 80 columns."""
SETTLE_S = 2.0
"""How long resume and abort wait until the queue shows it."""
BATCH_TIMEOUT_S = 600.0
"""As many scans as there are, one after the other."""
CHECK_TIMEOUT_S = 60.0
"""An edit is checked as a scan is, and a history may be long: seconds until the reply."""


class QueueView:
    """What runs and what waits; each action returns the queue as it is afterwards."""

    def __init__(self, link: Link, submit: Callable[..., ScanHandle]) -> None:
        self._link = link
        self._submit = submit
        self._seen = SeenQueue(self.list)

    def add(self, plan: Any, *args: Any, **options: Any) -> ScanHandle:
        """Check a scan and queue it: `queue.add("scan", samx, -1, 1, 21, time=0.1)`.

        Returns at once; `.wait()` waits for its end, `.cancel()` takes it out.

        Args:
            plan: its name; `args` and `options` as in `Client.submit`.
            options: and `at="front"`, `before=ITEM`, `after=ITEM`, `to=PLACE`; `repeats=3` (0:
                until stopped; the handle is of the first time); `sample="S3"` mounts it before;
                `hold="why"`; `approval=True` waits until somebody approves it.
        Raises: InputError, LimitError ... when the engine refuses it.
        """
        words = [word for word in QUEUE_WORDS if word in options and not self._is_own(plan, word)]
        if words:
            options["queue"] = self.options(**{word: options.pop(word) for word in words})
        return self._submit(plan, *args, **options)

    def _is_own(self, plan: Any, word: str) -> bool:  # noqa: ARG002  # for plans that are functions
        """It is an argument of the plan itself."""
        return False

    def options(self, **words: Any) -> QueueOptions:
        """How a scan waits and runs, from the words of `add`. Raises: InputError."""
        beside = {word: self._id(words[word]) for word in ("before", "after") if words.get(word)}
        return options_of({**words, **beside}, self._revision())

    def recall(self, seen: QueueStatus | None) -> None:
        """Go on from what its author saw before, e.g. in an earlier command of a terminal.

        From now on a place is one of the queue as it was seen last, and of no other: StaleError
        for one that was not in it. None: nothing was seen yet, and a place says nothing.
        """
        self._seen.status, self._seen.strict = seen, True

    @property
    def seen(self) -> QueueStatus | None:
        """The queue as its author saw it last; None before the first look."""
        return self._seen.status

    # ---- look -------------------------------------------------------------------------------

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

    def show(self, item: Item) -> QueuedScan:
        """What a waiting item measures. Raises: InputError when none is meant."""
        return self._stored(self._id(item))[0]

    def stored(self) -> Sequence[QueuedScan]:
        """All waiting items, with what they measure."""
        return self._stored(None)

    def _stored(self, item_id: str | None) -> Sequence[QueuedScan]:
        result = self._link.ask(ENGINE_QUEUE, action="show", item_id=item_id)
        return [QueuedScan.model_validate(found) for found in result["items"]]

    def history(self, limit: int = 20, before: Any = "") -> EndedItems:
        """Items that have ended, the last one first: how, and which runs they made.

        Args:
            limit: how many; they come page by page, so others are answered in between.
            before: those that ended before it: an item of an earlier history, the beginning of an
                id, or a time (UTC epoch s): `queue.history(20, before=seen[-1])`.
        Raises: InputError when it is the beginning of no id, or of several.
        """
        until = float(before) if isinstance(before, int | float) else None
        last = "" if until is not None else id_of(before)
        found, count = list[EndedItem](), 0
        while count < limit:
            wanted = min(limit - count, HISTORY_PAGE)
            fields: dict[str, Any] = {"limit": wanted, "before": last, "until": until}
            page = self._link.ask(ENGINE_QUEUE, CHECK_TIMEOUT_S, action="history", **fields)
            ended = page["ended"]
            found += readable(ended)
            count += len(ended)
            if len(ended) < wanted:
                break
            last = ended[-1]["ended"]["item_id"]
        return EndedItems(found)

    # ---- edit -------------------------------------------------------------------------------

    def remove(self, item: Item, reason: str = "") -> QueueStatus:
        """Take a waiting scan out."""
        return self._edit("remove", item, reason=reason)

    def clear(self) -> QueueStatus:
        """Take all waiting scans out; `did` of what is returned names them, and whose they were."""
        return self._edit("clear")

    def put_back(self, *items: str | Any) -> QueueStatus:
        """Queue anew, at the end, what was taken out: `put_back()`, `put_back("3f2a")`.

        Args:
            items: of the history, or beginnings of their ids; none: what was taken out last.
        Raises: InputError when one was not taken out; LimitError ... as for new scans. All or none.
        """
        ids = [id_of(one) for one in items]
        return self._do("put_back", CHECK_TIMEOUT_S, item_ids=ids)

    def move(
        self,
        item: Item,
        at: str | int | None = None,
        *,
        before: Item | None = None,
        after: Item | None = None,
    ) -> QueueStatus:
        """`move(3, "up")`, `"down"`, `"front"`, `"end"`, `move(3, 1)`, `move(3, before=1)`."""
        moved = self._id(item)
        beside = {
            w: self._id(i) for w, i in (("before", before), ("after", after)) if i is not None
        }
        return self._edit("move", moved, place=place_of(at, **beside))

    def edit(self, item: Item, *args: Any, **changes: Any) -> QueueStatus:
        """Change what a waiting scan does: `edit(2, samx, -2, 2, 41, time=0.5)`.

        Args:
            args: all positional arguments of the plan anew; none: they stay.
            changes: `time`, `detectors`, `shutter`, `darks`, `metadata`, `sample`, `plan`, and
                keywords of the plan; None takes one away.
        Raises: InputError, LimitError ... as for a new scan, and the item stays as it was.
        """
        seen = self._revision()
        found = self.show(item)
        scan = edited(found.scan, args, changes)
        return self._do(
            "edit", CHECK_TIMEOUT_S, item_id=found.item.item_id, scans=[scan], seen=seen
        )

    def duplicate(self, item: Item, at: str | int | None = None) -> QueueStatus:
        """Add a copy of a waiting scan, at the end or `at` the front or a place."""
        return self._edit("duplicate", item, place=place_of(at))

    def repeat(self, item: Item, times: int = 0) -> QueueStatus:
        """Run a waiting scan so many times; 0: until it is stopped, by remove or abort."""
        return self._edit("repeat", item, repeats=times)

    def hold(self, item: Item, reason: str = "") -> QueueStatus:
        """Keep a waiting scan from starting; those behind it go first."""
        return self._edit("hold", item, reason=reason)

    def release(self, item: Item) -> QueueStatus:
        """Let a held scan start when its turn comes."""
        return self._edit("release", item)

    def approve(self, item: Item) -> QueueStatus:
        """Say that a scan may run that waits for it; who did so is kept."""
        return self._edit("approve", item)

    # ---- batches ----------------------------------------------------------------------------

    def check(self) -> CheckedScans:
        """All that waits, as it would run: points, time, limits, files, warnings. Nothing moves.

        Relative scans are checked from where the scans before leave the axes.
        """
        result = self._link.ask(ENGINE_QUEUE, BATCH_TIMEOUT_S, action="check")
        self._seen.status = QueueStatus.model_validate(result["status"])
        return CheckedScans(CheckedItem.model_validate(found) for found in result["checked"])

    def load(self, path: str | Path, dry_run: bool = False) -> CheckedScans:
        """Queue the scans of a CSV or YAML file, all or none, behind what waits.

        Returns: what the check says of each. Raises: InputError; its `details` have every fault,
        with its line and what to do.
        """
        file = Path(path).expanduser()
        batch = read_batch(_text_of(file), file.suffix)
        result: dict[str, Any] = {"checked": []}
        if batch.rows:
            result = self._link.ask(
                ENGINE_QUEUE,
                BATCH_TIMEOUT_S,
                action="load",
                scans=[row.scan for row in batch.rows],
                dry_run=dry_run or bool(batch.faults),
            )
        checked = CheckedScans(CheckedItem.model_validate(found) for found in result["checked"])
        for row, found in zip(batch.rows, checked, strict=True):
            if found.error is not None:
                batch.fault(row.line, found.error.to_exception())
        if batch.faults:
            error = InputError(
                f"{file.name}: {len(batch.faults)} of its lines are wrong",
                remedy="correct them; nothing was queued",
            )
            error.details = [*batch.told(), str(error)]
            raise error
        return checked

    def save(self, path: str | Path, *, replace: bool = False) -> int:
        """Write what waits into a CSV or YAML file that loads again. Returns how many scans.

        Raises: StorageError also when a file stands there, unless it is to be replaced.
        """
        file, scans = Path(path).expanduser(), self.stored()
        text = write_batch(scans, file.suffix)
        try:
            with file.open("w" if replace else "x", encoding="utf-8") as out:
                out.write(text)
        except FileExistsError as exc:
            raise StorageError(
                f"{file} is there already",
                remedy="choose another name, or replace it: --replace (replace=True)",
            ) from exc
        except OSError as exc:
            raise StorageError(
                f"{file} cannot be written: {exc.strerror}", remedy="choose another place"
            ) from exc
        return len(scans)

    # ---- steer ------------------------------------------------------------------------------

    def lock(self, reason: str = "") -> QueueStatus:
        """Nothing starts until you, or staff, unlock the queue; it still takes scans."""
        return self._do("lock", reason=reason)

    def unlock(self, owner: str = "") -> QueueStatus:
        """Lift your lock; staff lift that of `owner`."""
        return self._do("unlock", owner=owner)

    def stop_after(self, off: bool = False) -> QueueStatus:
        """Wait for `resume` after the running scan; with `off` go on after it, after all."""
        return self._do("stop_after", off=off)

    def pause(self) -> QueueStatus:
        """Pause now: motion stops, the point is taken again on resume."""
        return self._do("pause")

    def pause_at_point(self) -> QueueStatus:
        """Pause at the next point."""
        return self._do("pause_at_point")

    def resume(self) -> QueueStatus:
        """Go on with a paused scan, or with a queue that waits for it."""
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

    # ---- parts ------------------------------------------------------------------------------

    def _edit(self, action: str, item: Item | None = None, **fields: Any) -> QueueStatus:
        if item is not None:
            fields["item_id"] = self._id(item)
        return self._do(action, seen=self._revision(), **fields)

    def _do(self, action: str, timeout_s: float = REQUEST_TIMEOUT_S, **fields: Any) -> QueueStatus:
        try:
            result = self._link.ask(ENGINE_QUEUE, timeout_s, action=action, **fields)
        except StaleError:
            self._seen.status = None  # whoever reads the error knows what changed
            raise
        status = QueueStatus.model_validate(result["status"])
        self._seen.status = status
        return status

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
        return self.list().model_copy(update={"did": status.did, "changed": status.changed})

    def _revision(self) -> int:
        return self._seen.known().revision

    def _id(self, item: Item) -> str:
        """The id of an item that a person means. Raises: InputError for none, or several."""
        return self._seen.id_of(item)

    def __iter__(self) -> Iterator[QueueItem]:
        return iter(self.list().waiting)

    def __len__(self) -> int:
        return len(self.list().waiting)

    def _repr_html_(self) -> str:
        return queue_html(self.list())

    def __repr__(self) -> str:
        return queue_text(self.list(), LONGEST)


def _goes_on(status: QueueStatus) -> bool:
    return status.state not in ("pausing", "paused")


def _text_of(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        why = exc.strerror if isinstance(exc, OSError) else "it is no text"
        raise InputError(f"{file} cannot be read: {why}", remedy="name a file of text") from exc


QUEUE_WORDS = ("at", "before", "after", "to", "repeats", "sample", "hold", "approval")
"""Options of `add` that are for the queue."""

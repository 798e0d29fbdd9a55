"""Room: catalogue. What a history must be able to do; twin: the same class on `:memory:`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol

from undula.catalogue.filters import Condition
from undula.catalogue.model import QueueItemRecord, RunRecord, RunStatus
from undula.messages import ItemFinished, RunNote


class Catalogue(Protocol):
    """The history of runs and the stored queue. Safe to use from several threads."""

    def allocate_number(self, data_folder: Path) -> int:
        """A run number never given before, above every number of a file in `data_folder`.

        It is on the disk before this returns. The engine calls it when a run opens, and who takes
        over a run that was made elsewhere.
        """

    def open_run(self, run: RunRecord) -> None:
        """Enter a run. Raises: StorageError when uid or number is there already."""

    def open_runs(self) -> list[RunRecord]:
        """Runs that are not closed, by number."""

    def close_run(
        self,
        uid: str,
        *,
        exit_status: RunStatus,
        reason: str,
        end_time: float,
        path: str,
        num_events: dict[str, int],
        archive_path: str,
    ) -> None:
        """Enter how a run ended; a repeated call is harmless. Raises: InputError if unknown."""

    def runs(
        self,
        limit: int = 100,
        text: str | None = None,
        *,
        device: str | None = None,
        plan: str | None = None,
        since: float | None = None,
        until: float | None = None,
        status: RunStatus | None = None,
        group: str | None = None,
        tag: str | None = None,
        sample: str | None = None,
        proposal: str | None = None,
        user: str | None = None,
        where: tuple[Condition, ...] = (),
    ) -> list[RunRecord]:
        """Newest first, all of what is given must hold (`RunFilter` says what each is).

        `text` is looked for in command, plan, user, path, reason, metadata, tags and comments, in
        small and capital letters alike; `group` is the name or uid of a scan group.
        """

    def numbers(self, first: int | None = None, end: int | None = None) -> list[int]:
        """Numbers of the runs from `first` to before `end`, ascending; no run is read."""

    def numbered(self, numbers: Sequence[int]) -> list[RunRecord]:
        """The runs of these numbers, in their order; those that there are."""

    def metadata_keys(self) -> list[str]:
        """Keys of the metadata that any run has, in a dict dotted (`scan.edge`), sorted."""

    def add_notes(self, uid: str, notes: Iterable[RunNote]) -> RunRecord:
        """Keep comments and tags; returns the run as it is then. Raises: InputError if unknown."""

    def notes(self, uid: str) -> list[RunNote]:
        """Comments and tags of a run in the order in which they were said."""

    def run(self, key: int | str) -> RunRecord:
        """By number or uid (or its unique beginning). Raises: InputError when there is none."""

    def nth_last(self, index: int) -> RunRecord:
        """-1 is the newest run, -2 the one before. Raises: InputError when there are fewer."""

    def store_item(self, item: QueueItemRecord) -> QueueItemRecord:
        """Keep a queue item; position 0 means at the end. Returns it with its position."""

    def keep_queue(self, items: Sequence[QueueItemRecord], state: dict[str, Any]) -> None:
        """Keep items as they wait now, and what else is known of the queue, all or nothing.

        An item that has ended stays so; how often it was begun (`starts`) is kept.
        """

    def queue_state(self) -> dict[str, Any]:
        """What `keep_queue` was given last; {} before."""

    def ended_items(
        self,
        limit: int = 20,
        *,
        before: str = "",
        until: float | None = None,
        whole: bool = True,
    ) -> list[QueueItemRecord]:
        """Items that have ended, the last one first.

        Args:
            before: id of one of them: those that stand behind it in this list.
            until: ended then or before, UTC epoch s.
            whole: with what was asked for, not only the item of the queue.
        """

    def ids_of_ended(self, beginning: str, most: int) -> list[str]:
        """Ids, at most so many, of items that have ended, by their beginning."""

    def items(self) -> list[QueueItemRecord]:
        """Items that wait, in order."""

    def item(self, item_id: str) -> QueueItemRecord | None:
        """An item, waiting or ended; None when it was never stored."""

    def remove_item(self, item_id: str) -> bool:
        """Forget an item altogether. False: there was none."""

    def finish_item(self, finished: ItemFinished) -> None:
        """Enter how an item ended; it no longer waits. A repeated call is harmless."""

    def finish_items(self, finished: Sequence[ItemFinished]) -> None:
        """The same of many together, all or none. Raises: InputError where one is not known."""

    def rebuild_from_files(self, folder: Path) -> int:
        """Enter every run whose file is in `folder` and that is not known. Returns how many."""

    def close(self) -> None:
        """Close the storage."""

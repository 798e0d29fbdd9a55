"""Room: writer. Runs that were made elsewhere, kept so that no death leaves half of one.

In: the checked documents of a run. Out: file, archive, entry in the history. The documents lie
first as a whole in a folder of their own; from then on the run is kept, and whoever comes next
(another import, the writer at its start) finishes what a dead import began. One works at a time.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from undula.catalogue import Catalogue, RunRecord
from undula.catalogue.imported import IMPORTED
from undula.core.errors import InputError, StorageError, UndulaError
from undula.core.faults import reached
from undula.core.log import get_logger
from undula.core.settings import BeamlineSettings
from undula.files import archive_path, read_archive, sound_stop, verify, write_archive
from undula.messages import RunDocument
from undula.writer.follower import protect, record_of
from undula.writer.rebuild import rebuild

Tell = Callable[[RunRecord], None]


@dataclass(frozen=True, slots=True)
class Imported:
    """A run that was taken over."""

    number: int
    uid: str
    path: Path


def nobody_hears(_: RunRecord) -> None:
    """The beamline is down: there is nobody to tell."""


class Imports:
    """Keeps runs from elsewhere.

    Args:
        folder: where their documents lie until a run is in the history.
        tell: called with each run that is in the history now; may be called again after a death.
    """

    def __init__(
        self,
        folder: Path,
        settings: BeamlineSettings,
        catalogue: Catalogue,
        tell: Tell = nobody_hears,
    ) -> None:
        self._folder = folder
        self._settings = settings
        self._catalogue = catalogue
        self._tell = tell

    def known(self, uid: str) -> RunRecord | None:
        """The run of this uid in the history."""
        try:
            record = self._catalogue.run(uid)
        except InputError:
            return None
        return record if record.uid == uid else None

    def keep(self, uid: str, documents: Iterable[RunDocument]) -> Imported:
        """Keep a run; its start document has its number and `IMPORTED`.

        Raises: StorageError, InputError; then nothing is left behind.
        """
        with self._alone(wait=True):
            kept = archive_path(self._folder / uid)
            try:
                write_archive(self._folder / uid, documents)
                reached("import.kept")
                return self._finish(kept, undo=True)
            finally:
                kept.unlink(missing_ok=True)

    def finish(self) -> list[Imported]:
        """Take into the history what a dead import began; nothing while another one works.

        What cannot be finished now is logged, and tried again the next time.
        """
        found: list[Imported] = []
        if not self._folder.is_dir():
            return found
        with self._alone(wait=False) as alone:
            if not alone:
                return found
            for part in self._folder.glob(".*.part"):
                part.unlink(missing_ok=True)  # not whole: of this run there is nothing yet
            for kept in sorted(self._folder.glob("*.docs")):
                try:
                    found.append(self._finish(kept))
                    kept.unlink()
                except (UndulaError, OSError) as error:
                    get_logger().error(
                        "import_not_finished",
                        path=str(kept),
                        error=str(error),
                        remedy="correct it and start the writer again; or remove this file, and "
                        "import the run again",
                    )
        return found

    @contextmanager
    def _alone(self, *, wait: bool) -> Iterator[bool]:
        """Hold the folder; False when somebody else does. A death lets go of it."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            handle = os.open(self._folder, os.O_RDONLY)
        except OSError as exc:
            raise StorageError(
                f"{self._folder} cannot be used: {exc.strerror}",
                remedy="import as somebody of the beamline's group",
            ) from exc
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            except BlockingIOError:
                yield False
                return
            yield True
        finally:
            os.close(handle)

    def _finish(self, kept: Path, *, undo: bool = False) -> Imported:
        """File, archive, entry; every step may be repeated. `undo`: a failure takes them away."""
        start, stop, num_events = _summary(kept)
        number, uid = int(start["scan_id"]), str(start["uid"])
        record = self.known(uid)
        if record is None:
            record = self._make(kept, start, stop, num_events, undo=undo)
            reached("import.entered")
        self._tell(record)
        reached("import.told")
        return Imported(number, uid, Path(record.path))

    def _make(
        self,
        kept: Path,
        start: dict[str, Any],
        stop: dict[str, Any],
        num_events: dict[str, int],
        *,
        undo: bool,
    ) -> RunRecord:
        made: list[Path] = []
        try:
            path = rebuild(kept, Path(start[IMPORTED]["path"]))
            made += [path, archive_path(path)]
            reached("import.file_made")
            if write_archive(path, read_archive(kept)) != verify(archive_path(path)):
                raise StorageError(f"the archive of {path} is incomplete", remedy="import it again")
            for file in made:
                protect(file, self._settings)
            reached("import.archived")
            record = record_of(start, int(start["scan_id"]), path).model_copy(
                update={
                    "exit_status": stop["exit_status"],
                    "reason": str(stop.get("reason") or ""),
                    "end_time": float(stop["time"]),
                    "num_points": _points(num_events),
                    "archive_path": str(archive_path(path)),
                }
            )
            self._catalogue.open_run(record)
        except BaseException:  # whatever it is, it goes on to the caller
            for file in made if undo else ():
                file.unlink(missing_ok=True)
            raise
        return record


def _summary(kept: Path) -> tuple[dict[str, Any], dict[str, Any], dict[str, int]]:
    """Start and stop document, and events by stream."""
    ends: dict[str, dict[str, Any]] = {"start": {}, "stop": {}}
    streams: dict[str, str] = {}
    events: dict[str, int] = {}
    for document in read_archive(kept):
        doc = document.doc
        if document.name in ends:
            ends[document.name] = doc
        elif document.name == "descriptor":
            streams[doc["uid"]] = str(doc.get("name") or "primary")
            events.setdefault(streams[doc["uid"]], 0)
        elif document.name in ("event", "event_page"):
            count = len(doc["seq_num"]) if document.name == "event_page" else 1
            events[streams[doc["descriptor"]]] += count
    return ends["start"], sound_stop(ends["stop"]), events


def _points(num_events: dict[str, int]) -> int:
    others = {k: v for k, v in num_events.items() if k != "baseline"}
    return num_events.get("primary", max(others.values(), default=0))

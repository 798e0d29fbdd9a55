"""Room: scans. Comments, tags and later fits of runs, kept by the engine with author and time.

In: requests. Out: the run and its notes, also told on the bus; runs from elsewhere are told, too.
The catalogue has them; beside the file of a run that is closed lies a copy (`NAME.nxs.notes`), from
which a lost catalogue gets them back. The file itself is never touched. While a run is open the
writer makes the copy, at the close.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from undula.analysis.text import fit_line
from undula.bus.endpoints import RUNS_CLOSED, RUNS_NOTED, RUNS_OPENED, Endpoint
from undula.catalogue import Catalogue, RunRecord
from undula.catalogue.imported import announcement
from undula.catalogue.scan_folder import write_notes
from undula.core.errors import InputError
from undula.messages import FitResult, Message, RunImportRequest, RunNote, RunNoted, RunNotesRequest

MOST_TAGS = 50
Tell = Callable[[Endpoint[Any], Message], None]
_TAG = re.compile(r"\w[\w.+-]{0,62}")


def check_tags(tags: list[str]) -> None:
    """Raise InputError for a word that is unfit as a tag.

    >>> check_tags(["good", "to-repeat"])
    """
    for tag in tags:
        if not _TAG.fullmatch(tag):
            raise InputError(
                f"{tag!r} is unfit as a tag",
                remedy="use 1 to 63 letters, digits, '_', '-', '.' or '+', beginning with a letter "
                "or digit; say more in a comment",
            )


def _of_fit(fit: FitResult | None, author: str) -> RunNote:
    if fit is None or not fit.parameters:
        raise InputError("there is no fit to be kept", remedy="give its result, with parameters")
    return RunNote(kind="fit", text=fit_line(fit), fit=fit, author=author)


class RunNotes:
    """Keeps what people say about runs afterwards.

    Args:
        tell: says it to everybody on the bus.
    """

    def __init__(self, catalogue: Catalogue, tell: Tell = lambda _endpoint, _message: None) -> None:
        self._catalogue = catalogue
        self._tell = tell

    def answer(self, request: RunNotesRequest | RunImportRequest) -> dict[str, Any]:
        """Carry out a request: `run` and `notes`. Raises: InputError, StorageError."""
        if isinstance(request, RunImportRequest):
            return self._imported(request)
        run = self._run(request.run)
        notes = self._wanted(request, run)
        if notes:
            run = self._catalogue.add_notes(run.uid, notes)
            if run.exit_status != "open" and run.path and Path(run.path).parent.is_dir():
                write_notes(Path(run.path), self._catalogue.notes(run.uid))
            noted = RunNoted(uid=run.uid, number=run.number, notes=notes, tags=run.tags)
            self._tell(RUNS_NOTED, noted)
        return {
            "run": run.model_dump(),
            "notes": [note.model_dump() for note in self._catalogue.notes(run.uid)],
        }

    def _imported(self, request: RunImportRequest) -> dict[str, Any]:
        """Who asks, as attested; tell everybody of an imported run. Raises: InputError."""
        if request.run:
            opened, closed = announcement(self._catalogue.run(request.run))
            self._tell(RUNS_OPENED, opened)
            self._tell(RUNS_CLOSED, closed)
        return {"user": request.user}

    def _run(self, key: int | str) -> RunRecord:
        if isinstance(key, int) and key < 0:
            return self._catalogue.nth_last(key)
        return self._catalogue.run(key)

    @staticmethod
    def _wanted(request: RunNotesRequest, run: RunRecord) -> list[RunNote]:
        if request.action == "comment":
            text = request.text.strip()
            if not text:
                raise InputError("the comment is empty", remedy="write what is to be remembered")
            return [RunNote(kind="comment", text=text, author=request.user)]
        if request.action == "show":
            return []
        if request.action == "fit":
            return [_of_fit(request.fit, request.user)]
        check_tags([*request.add, *request.remove])
        strange = [tag for tag in request.remove if tag not in run.tags]
        if strange and not request.add:  # beside new ones it is as it was to be
            raise InputError(
                f"run {run.number} has no tag {strange[0]!r}",
                remedy=f"it has {', '.join(run.tags) or 'none'}",
            )
        if len({*run.tags, *request.add}) > MOST_TAGS:
            raise InputError(
                f"run {run.number} would have more than {MOST_TAGS} tags", remedy="use comments"
            )
        given = [tag for tag in dict.fromkeys(request.add) if tag not in run.tags]
        gone = [tag for tag in dict.fromkeys(request.remove) if tag not in request.add]
        return [
            *(RunNote(kind="untag", text=tag, author=request.user) for tag in gone),
            *(RunNote(kind="tag", text=tag, author=request.user) for tag in given),
        ]

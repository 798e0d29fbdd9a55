"""Room: scans. Comments and tags on runs, kept by the engine with their author and time.

In: requests. Out: the run and its notes. The catalogue has them; beside the file of a run that is
closed lies a copy (`NAME.nxs.notes`), from which a lost catalogue gets them back. The file itself
is never touched. While a run is open the writer makes the copy, at the close.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from undula.catalogue import Catalogue, RunRecord
from undula.catalogue.scan_folder import write_notes
from undula.core.errors import InputError
from undula.messages import RunNote, RunNotesRequest

MOST_TAGS = 50
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


class RunNotes:
    """Keeps what people say about runs afterwards."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    def answer(self, request: RunNotesRequest) -> dict[str, Any]:
        """Carry out a request: `run` and `notes`. Raises: InputError, StorageError."""
        run = self._run(request.run)
        notes = self._wanted(request, run)
        if notes:
            run = self._catalogue.add_notes(run.uid, notes)
            if run.exit_status != "open" and run.path and Path(run.path).parent.is_dir():
                write_notes(Path(run.path), self._catalogue.notes(run.uid))
        return {
            "run": run.model_dump(),
            "notes": [note.model_dump() for note in self._catalogue.notes(run.uid)],
        }

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
        check_tags([*request.add, *request.remove])
        strange = [tag for tag in request.remove if tag not in run.tags]
        if strange:
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

"""Comments, tags and later fits of a run from a client; the engine keeps them with author and time.

In: what to say about which run. Out: the run's record and all its notes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from undula.bus.endpoints import ENGINE_RUNS
from undula.client.link import Link
from undula.core.errors import InputError
from undula.messages import FitResult, RunNote

if TYPE_CHECKING:
    from undula.catalogue import RunRecord

Noted: TypeAlias = "tuple[RunRecord, list[RunNote]]"


def say(link: Link, run: int | str, **fields: Any) -> Noted:
    """One request about the notes of a run. Raises: InputError, StorageError, AccessError."""
    from undula.catalogue import RunRecord  # here: most programs look at no run

    result = link.ask(ENGINE_RUNS, run=run, **fields)
    notes = [RunNote.model_validate(note) for note in result["notes"]]
    return RunRecord.model_validate(result["run"]), notes


def comment(link: Link, run: int | str, text: str) -> Noted:
    """Keep a comment on a run."""
    return say(link, run, action="comment", text=text)


def tag(link: Link, run: int | str, *words: str) -> Noted:
    """Give tags (`good` or `+good`) and take tags away (`-bad`)."""
    add, remove = signs(words)
    return say(link, run, action="tag", add=add, remove=remove)


def keep_fit(link: Link, run: int | str, fit: FitResult) -> Noted:
    """Keep a fit that was made afterwards."""
    return say(link, run, action="fit", fit=fit)


def signs(words: tuple[str, ...]) -> tuple[list[str], list[str]]:
    """Tags to give and tags to take away. Raises: InputError when there are none.

    >>> signs(("good", "+alignment", "-bad"))
    (['good', 'alignment'], ['bad'])
    """
    if not words:
        raise InputError("no tag was given", remedy="say +good to give one, -bad to take one away")
    add = [word.removeprefix("+") for word in words if not word.startswith("-")]
    return add, [word[1:] for word in words if word.startswith("-")]

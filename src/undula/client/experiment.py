"""What is measured, said once for all further runs: proposal, sample, data set.

In: names. Out: changes of the beamline's metadata, and where the next file will go. Called by: the
prompt (`newproposal("p1234")`) and the command line (`undula newproposal p1234`).
"""

from __future__ import annotations

import re

from undula.client.metadata import Metadata
from undula.core.errors import InputError

LEVELS = ("proposal", "sample", "dataset")
_SAFE = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,62}[A-Za-z0-9_-])?")


def begin(metadata: Metadata, level: str, *words: str) -> str:
    """From now on it is this proposal, sample or data set; what is below it begins anew.

    Args:
        level: one of `LEVELS`.
        words: its name.
    Returns: what is so now, for people. Raises: InputError for a name that is unfit for a folder.
    """
    name = words[0] if len(words) == 1 else " ".join(map(str, words))
    if not isinstance(name, str) or not _SAFE.fullmatch(name):
        raise InputError(
            f"{name!r} is unfit as the name of a {level}",
            remedy="use 1 to 64 letters without accents, digits, '-', '_' or '.', beginning with a "
            "letter or digit: it becomes a folder",
        )
    below = LEVELS[LEVELS.index(level) + 1 :]
    now = metadata.change({level: name}, remove=below)
    return f"{level} {name}\n  next file  {now.next_file}"


def end_proposal(metadata: Metadata) -> str:
    """The proposal is over: further runs are of none, until the next one begins.

    Returns: what is so now, for people. Raises: InputError when there is none.
    """
    said = dict(metadata).get("proposal")
    if said is None:
        raise InputError("there is no proposal to end", remedy="newproposal NAME begins one")
    now = metadata.change({}, remove=LEVELS)
    return f"ended proposal {said}\n  next file  {now.next_file}"

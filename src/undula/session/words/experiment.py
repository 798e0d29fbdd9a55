"""What is measured, said once for all further runs: `newproposal`, `newsample`, `newdataset`.

In: names. Out: changes of the beamline's metadata, and where the next file will go.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable

from undula.client import Client
from undula.core.errors import InputError

LEVELS = ("proposal", "sample", "dataset")
_SAFE = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,62}[A-Za-z0-9_-])?")


def experiment_words(client: Client) -> dict[str, Callable[..., None]]:
    """The three functions by name."""

    def newproposal(*name: str) -> None:
        """newproposal("p1234"): whose measurement it is; sample and data set begin anew."""
        _say(client, "proposal", *name)

    def newsample(*name: str) -> None:
        """newsample("Fe2O3"): what is measured from now on; the data set begins anew."""
        _say(client, "sample", *name)

    def newdataset(*name: str) -> None:
        """newdataset("map1"): a name for what belongs together, of the same sample."""
        _say(client, "dataset", *name)

    return {"newproposal": newproposal, "newsample": newsample, "newdataset": newdataset}


def _say(client: Client, level: str, *words: str) -> None:
    name = words[0] if len(words) == 1 else " ".join(map(str, words))
    if not isinstance(name, str) or not _SAFE.fullmatch(name):
        raise InputError(
            f"{name!r} is unfit as the name of a {level}",
            remedy="use 1 to 64 letters without accents, digits, '-', '_' or '.', beginning with a "
            "letter or digit: it becomes a folder",
        )
    below = LEVELS[LEVELS.index(level) + 1 :]
    now = client.metadata.change({level: name}, remove=below)
    sys.stdout.write(f"{level} {name}\n  next file  {now.next_file}\n")

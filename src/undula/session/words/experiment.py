"""What is measured, at the prompt: `newproposal`, `newsample`, `newdataset`, `endproposal`.

In: names. Out: what is so now, on the screen.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

from undula.client import Client
from undula.client.experiment import begin, end_proposal


def experiment_words(client: Client) -> dict[str, Callable[..., None]]:
    """The four functions by name."""

    def newproposal(*name: str) -> None:
        """newproposal("p1234"): whose measurement it is; sample and data set begin anew."""
        _say(begin(client.metadata, "proposal", *name))

    def newsample(*name: str) -> None:
        """newsample("Fe2O3"): what is measured from now on; the data set begins anew."""
        _say(begin(client.metadata, "sample", *name))

    def newdataset(*name: str) -> None:
        """newdataset("map1"): a name for what belongs together, of the same sample."""
        _say(begin(client.metadata, "dataset", *name))

    def endproposal() -> None:
        """endproposal(): further runs are of no proposal, sample or data set."""
        _say(end_proposal(client.metadata))

    return {
        "newproposal": newproposal,
        "newsample": newsample,
        "newdataset": newdataset,
        "endproposal": endproposal,
    }


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")

"""Room: pipes. What the sources of a graph were given, so that one that is started anew goes on.

In: when the graph began, triggers and their indices, what sources want to remember. Out: what a
process with sources is told when it begins. Called by: `runner`, which keeps it; `alive`, for each
process that is ready.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from undula.pipes.book import Book
from undula.pipes.runner.indices import TriggerIndices


@dataclass(slots=True)
class Begun:
    """How the sources of a graph were told to begin, and what they owe since.

    `at`: monotonic, s; 0 before they began. `given`: triggers, by source. `first`: the first frame
    of this run; 0 before another one began.
    """

    at: float = 0.0
    triggered: bool = False
    stopping: bool = False
    first: int = 0
    before: int = 0
    """Numbers below that of the first frame that is made: nobody asked for them."""
    given: dict[str, int] = field(default_factory=dict)
    indices: dict[str, TriggerIndices] = field(default_factory=dict)
    remembered: dict[str, dict[str, int]] = field(default_factory=dict)

    def sources(
        self, names: Iterable[str], book: Book, lossless: Sequence[str], *, again: bool
    ) -> dict[str, dict[str, Any]]:
        """Words for these sources: what they have made, and what they owe.

        Args:
            lossless: edges whose frames are given again until they are taken.
            again: their process was started anew.
        """
        return {
            name: {
                "resume": book.resumed(name, lossless),
                "given": self.given.get(name, 0),
                "indices": self.indices.get(name, TriggerIndices()).plain(),
                "again": again,
                "made": book.made_by(name),
                "remembered": self.remembered.get(name, {}),
            }
            for name in names
        }

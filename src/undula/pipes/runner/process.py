"""Room: pipes. What the runner knows of each process of a graph; and a round of questions to all.

In: words of the processes. Out: whether all have spoken since a round began. Called by: `alive`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count

from undula.pipes.book import Book
from undula.pipes.intervals import IntervalSet
from undula.pipes.runner.control import Line
from undula.pipes.runner.placement import Placed

_numbers = count(1)


@dataclass(slots=True)
class Process:
    """One process of the graph, and the one before it when it was started anew."""

    name: str
    nodes: list[str]
    process: Placed
    line: Line
    ready: bool = False
    over: bool = False
    restarts: int = 0
    forgiven: int = 0
    told: bool = False
    asked: int = 0
    """The number of the last question to it how it is doing."""
    answered: int = 0
    """What it said last was said behind this question."""
    writing: bool = False
    """The runner waits until it has room for more words."""
    given_up: bool = False
    finished: bool = False
    """The one before it had ended: its sources make nothing more."""


@dataclass(slots=True)
class Round:
    """All processes are asked what they know, so that a page of the book can be closed."""

    number: int = 0
    page: IntervalSet = field(default_factory=IntervalSet)
    told: set[str] = field(default_factory=set)

    def begin_if(self, book: Book, processes: Sequence[Process]) -> bool:
        """Begin when none is under way, there is need for one, and all can answer."""
        if self.number or not (book.is_long or book.waits):
            return False
        if not all(process.ready for process in processes):
            return False
        self.number, self.page = next(_numbers), book.settled()
        self.told.clear()
        return bool(self.page) or book.waits or self._stop()

    def _stop(self) -> bool:
        self.number = 0
        return False

    def heard(self, process: Process, asked: object) -> None:
        """A process said how it is doing, when it was `asked` in this round."""
        if self.number and asked is not True and asked == self.number:
            self.told.add(process.name)

    def is_done(self, processes: Sequence[Process]) -> bool:
        """Whether all have answered."""
        return bool(self.number) and all(p.over or p.name in self.told for p in processes)

    def end(self) -> IntervalSet:
        """The page that may be closed now."""
        self.number = 0
        return self.page

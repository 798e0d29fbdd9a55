"""Room: pipes. What nodes of a graph are asked, until they answer. Pure, but for the lines.

In: questions to nodes, answers by their numbers, processes that are started anew. Out: each
question said to the process that has the node now; those that are still open. Called by: `runner`,
which waits for the answers; not for those of viewers, which may sleep.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any

from undula.pipes.runner.process import Process

_numbers = count(1)


@dataclass(slots=True, eq=False)
class Question:
    """One question to a node, asked since `since` (monotonic, s).

    `answer`: None while there is none, '' when it was done, else why not.
    """

    number: int
    node: str
    words: Mapping[str, Any]
    since: float
    waited_for: bool
    asked: Process | None = None
    answer: str | None = None


class Asking:
    """The questions that are open.

    Args:
        process_of: the process that has a node now.
    """

    def __init__(self, process_of: Callable[[str], Process]) -> None:
        self._process_of = process_of
        self._open: dict[int, Question] = {}

    def ask(self, node: str, *, waited_for: bool = True, **words: Any) -> Question:
        """Ask a node; nobody waits for the answer of one that may sleep."""
        made = Question(next(_numbers), node, words, time.monotonic(), waited_for)
        if not waited_for:
            same = (node, words["do"])
            for earlier in [one for one in self.asleep() if (one.node, one.words["do"]) == same]:
                made.since = min(made.since, earlier.since)
                self.forget([earlier])
        self._open[made.number] = made
        self._say(made)
        return made

    def _say(self, question: Question) -> None:
        process = self._process_of(question.node)
        if process is not question.asked:
            question.asked = process
            process.line.say(name=question.node, ask=question.number, **question.words)

    def answered(self, number: int, refused: str) -> Question | None:
        """An answer came: '' or why not. Returns: to what; None when nobody asks any more."""
        found = self._open.pop(number, None)
        if found is not None:
            found.answer = refused
        return found

    def ask_again(self) -> None:
        """Ask those that were started anew; one that nobody waits for has begun by that."""
        for question in list(self._open.values()):
            if question.waited_for:
                self._say(question)
            elif self._process_of(question.node) is not question.asked:
                self.forget([question])

    def forget(self, questions: Iterable[Question]) -> None:
        """Whatever is answered to these comes too late."""
        for question in questions:
            self._open.pop(question.number, None)

    def asleep(self) -> list[Question]:
        """Those that nobody waits for."""
        return [one for one in self._open.values() if not one.waited_for]

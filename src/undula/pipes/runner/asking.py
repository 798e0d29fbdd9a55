"""Room: pipes. What nodes of a graph are asked, until they answer.

In: questions to nodes, answers by their numbers, processes that are started anew. Out: each
question said to the process that has the node now; those that are still open. Called by: `runner`.
Viewers may sleep: nobody waits for their answers.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any

from undula.pipes.errors import PipeError
from undula.pipes.runner.process import Process

ENDED = "its graph has ended"
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
    then: Callable[[str], object] | None = None
    """Called with the answer, where nobody waits in `Asking.wait`."""
    asked: Process | None = None
    answer: str | None = None


class Asking:
    """The questions that are open.

    Args:
        process_of: the process that has a node now.
        pump: hears the processes for so many seconds at most.
        failed: why the graph ends; '' while it does not.
    """

    def __init__(
        self, process_of: Callable[[str], Process], pump: Callable[[float], object],
        failed: Callable[[], str],
    ) -> None:  # fmt: skip
        self._process_of, self._pump, self._failed = process_of, pump, failed
        self._open: dict[int, Question] = {}
        self._ended = False

    def ask(
        self, node: str, *, waited_for: bool = True, then: Callable[[str], object] | None = None,
        **words: Any,
    ) -> Question:  # fmt: skip
        """Ask a node; nobody waits for the answer of one that may sleep.

        Raises: PipeError behind `end`.
        """
        if self._ended:
            raise refusal(node, self._failed() or ENDED)
        made = Question(next(_numbers), node, words, time.monotonic(), waited_for, then)
        if not waited_for:
            same = (node, words["do"])
            for earlier in [one for one in self.asleep() if (one.node, one.words["do"]) == same]:
                made.since = min(made.since, earlier.since)
                self.forget([earlier])
        self._open[made.number] = made
        self._say(made)
        return made

    def ask_to_begin(
        self, nodes: Iterable[str], viewers: Collection[str],
        changes: Mapping[str, Mapping[str, Any]],
    ) -> list[Question]:  # fmt: skip
        """Ask nodes to forget the run before, some with other parameters, all at once.

        Returns: the questions that are waited for; those to viewers are not.
        """
        asked: list[Question] = []
        for node in nodes:
            words: list[dict[str, Any]] = [{"do": "clear"}]
            if node in changes:
                words.insert(0, {"do": "change", "parameters": dict(changes[node])})
            waited_for = node not in viewers
            questions = [self.ask(node, waited_for=waited_for, **one) for one in words]
            asked += questions if waited_for else ()
        return asked

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
        """Ask those that were started anew; whoever nobody waits for has forgotten by that."""
        for question in list(self._open.values()):
            process = self._process_of(question.node)
            if question.then is not None and (process.given_up or self._failed()):
                self._tell(question, self._failed() or f"the process of {question.node} has ended")
            elif question.waited_for or question.words["do"] != "clear":
                self._say(question)
            elif process is not question.asked:
                self.forget([question])

    def end(self) -> None:
        """The graph is over: who is told of an answer hears of that instead."""
        self._ended = True
        for question in list(self._open.values()):
            if question.then is not None:
                self._tell(question, self._failed() or ENDED)

    def _tell(self, question: Question, refused: str) -> None:
        self.forget([question])
        if question.then is not None:
            question.then(refused)

    def forget(self, questions: Iterable[Question]) -> None:
        """Whatever is answered to these comes too late."""
        for question in questions:
            self._open.pop(question.number, None)

    def asleep(self) -> list[Question]:
        """Those that nobody waits for."""
        return [one for one in self._open.values() if not one.waited_for]

    def wait(self, questions: Iterable[Question], within_s: float) -> None:
        """Until all are answered. Raises: PipeError: what a node says, or who did not answer."""
        asked = list(questions)
        end = time.monotonic() + within_s
        while not self._failed() and (waiting := [one for one in asked if one.answer is None]):
            given_up = any(self._process_of(one.node).given_up for one in waiting)
            left_s = end - time.monotonic()
            if given_up or left_s <= 0 or any(one.answer for one in asked):
                break
            self._pump(left_s)
        self.forget(asked)
        for one in asked:
            if one.answer:
                raise refusal(one.node, one.answer)
        for one in asked:
            if one.answer is None:
                raise self._unanswered(one.node, within_s)

    def _unanswered(self, node: str, within_s: float) -> PipeError:
        process, failed = self._process_of(node), self._failed()
        if failed or process.given_up:
            why = failed or f"the process of {node} has ended"
            return PipeError(why, remedy="see undula logs", where=node)
        others = ", ".join(name for name in process.nodes if name != node)
        beside = f", which it shares with {others}" if others else ""
        pid = process.process.pid
        return PipeError(
            f"{node} did not answer within {within_s:g} s: its process {pid}{beside} is at work "
            "on something else, or hangs",
            remedy=f"wait until it is done (undula pipes top), or end it: kill {pid}; it is "
            "started anew by itself",
            where=node,
        )


def refusal(node: str, answer: str) -> PipeError:
    """Why a node did not do what it was asked, as an error."""
    what, _, remedy = answer.partition(". Remedy: ")
    remedy = remedy.rstrip(".") or "see its state: undula pipes top"
    return PipeError(what, remedy=remedy, where=node)

"""Room: pipes. What people ask of the nodes of a graph that runs, one behind the other.

In: wishes. Out: each asked of its node, and told to who waits for it. The graph's thread waits for
no node, which may be a viewer at work for long: a scan goes on meanwhile. Called by: `live_graph`,
on the graph's thread.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from undula.core.errors import UndulaError
from undula.pipes.runner.runner import Runner

Then = Callable[[UndulaError | None], object]
Ask = Callable[[Runner, Then], object]


@dataclass(slots=True, eq=False)
class Wish:
    """Something that a node is asked by `ask`; `did` is called when it has done it.

    `over` is set behind that; `error` says why it was not done.
    """

    ask: Ask
    did: Callable[[], object]
    over: threading.Event = field(default_factory=threading.Event)
    error: UndulaError | None = None

    def end(self, error: UndulaError | None) -> None:
        """It is done, or it is not because of an error."""
        self.error = error
        self.over.set()


class Wishes:
    """Those that are not yet done, the one that is asked first."""

    def __init__(self) -> None:
        self._turns: deque[Wish] = deque()

    def __len__(self) -> int:
        return len(self._turns)

    def add(self, wish: Wish, runner: Runner) -> None:
        """Ask it, behind the others."""
        self._turns.append(wish)
        if len(self._turns) == 1:
            self._begin(runner)

    def _begin(self, runner: Runner) -> None:
        wish = self._turns[0]
        try:
            wish.ask(runner, partial(self._answered, runner, wish))
        except UndulaError as exc:
            self._answered(runner, wish, exc)

    def _answered(self, runner: Runner, wish: Wish, error: UndulaError | None) -> None:
        try:
            if error is None:
                wish.did()
        except UndulaError as exc:
            error = exc
        self._turns.popleft()
        wish.end(error)
        if self._turns:
            self._begin(runner)

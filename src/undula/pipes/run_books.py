"""Room: pipes. The books of a detector's run: which frames are its own, and what became of them.

In: a runner, asked on its thread. Out: the ledger of the run, as it stands or at its end. Called
by: `detector`, `graph_run`. How a ledger is made of what the edges counted is in `run_ledger`.
"""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import replace

from undula.pipes.graph import Graph
from undula.pipes.run_ledger import RunLedger, end_of, run_ledger, together
from undula.pipes.runner.runner import Runner

LEDGER_S = 2.0
"""So long the sums at the end of a run may take to agree."""
VIEWERS_S = 0.25
"""So long a viewer may take to say what it has done: it may as well sleep."""
AGAIN_S = 0.02


class RunBooks:
    """Frames `first` to `last` are those of the run; `last` counts all since the graph began.

    A graph that broke in mid-run and was started anew numbers its frames from 1 on again: the run
    then has one part for each.
    """

    def __init__(self) -> None:
        self.first, self.last = 1, 0
        self.ledger_s = LEDGER_S
        self.open = False
        """The run has had its first trigger."""
        self.not_added_up = ""
        """Why not all is known at its end: who did not answer; '' while that is not so."""
        self._part: RunLedger | None = None
        self._before: list[RunLedger] = []
        self._viewers: Collection[str] = ()

    @property
    def ledger(self) -> RunLedger | None:
        """As it was added up last, over all parts; None before that."""
        found = together([*self._before, *([self._part] if self._part else [])])
        return found and replace(found, not_added_up=self.not_added_up)

    def place_of(self, number: int) -> int:
        """Of frame `number` among those of the run, from 1 on."""
        return sum(part.triggers for part in self._before) + number - self.first + 1

    def restart(self) -> None:
        """The graph begins, and counts anew."""
        if self._part is not None:
            self._before.append(self._part)
            self._part = None
        self.last, self.open = 0, False

    def forget(self) -> None:
        """Another run is to come."""
        self._part, self._before, self.open = None, [], False
        self.not_added_up = ""

    def begin(self, first: int) -> None:
        """The first frame of the run will be this one."""
        self.first, self.open = first, True

    def keep(self, runner: Runner, graph: Graph) -> None:
        """The ledger as it stands, if the run has had a frame."""
        if not self.open or self.last < self.first:
            return
        policies = {edge.name: edge.policy.text for edge in graph.edges}
        self._part = run_ledger(
            runner.outcome(self.last).report, policies, self.first, self.last, runner.viewers
        )

    @property
    def is_through(self) -> bool:
        """When it was added up last, no frame of the run was on its way any more.

        But to viewers: they may sleep on one as long as they like.
        """
        return self._part is not None and not self._on_the_way(self._viewers)

    def _on_the_way(self, but_to: Collection[str]) -> bool:
        """Whether a frame was on its way to a node that is none of these."""
        counts = {} if self._part is None else self._part.edges
        return any(end_of(n) not in but_to for n, edge in counts.items() if edge["on_the_way"])

    def add_up(self, runner: Runner, graph: Graph) -> None:
        """The ledger once all that is on its way is through; viewers are waited for but shortly."""
        begun, self._viewers = time.monotonic(), runner.viewers
        self.keep(runner, graph)  # as it stands: who waits may not wait for all to be heard
        while True:
            left_s, viewers_s = (begun + s - time.monotonic() for s in (self.ledger_s, VIEWERS_S))
            heard = runner.tell(max(0.0, left_s), viewers_s=max(0.0, viewers_s))
            self.keep(runner, graph)
            if not heard or self._part is None or self._part.complete:
                return
            left = self._on_the_way(runner.viewers if viewers_s <= 0 else ())
            if left_s <= 0 or not left:
                return
            runner.pump(AGAIN_S)

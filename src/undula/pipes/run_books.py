"""Room: pipes. The books of a detector's run: which frames are its own, and what became of them.

In: a runner, asked on its thread. Out: the ledger of the run, as it stands or at its end. Called
by: `detector`. How a ledger is made of what the edges counted is in `run_ledger`.
"""

from __future__ import annotations

import time

from undula.pipes.graph import Graph
from undula.pipes.run_ledger import RunLedger, run_ledger
from undula.pipes.runner.runner import Runner

LEDGER_S = 2.0
"""So long the sums at the end of a run may take to agree."""
AGAIN_S = 0.02


class RunBooks:
    """Frames `first` to `last` are those of the run; `last` counts all since the graph began."""

    def __init__(self) -> None:
        self.first, self.last = 1, 0
        self.open = False
        """The run has had its first trigger."""
        self.ledger: RunLedger | None = None

    def restart(self) -> None:
        """The graph begins, and counts anew."""
        self.last, self.open = 0, False

    def forget(self) -> None:
        """Another run is to come."""
        self.ledger, self.open = None, False

    def begin(self, first: int) -> None:
        """The first frame of the run will be this one."""
        self.first, self.open = first, True

    def keep(self, runner: Runner, graph: Graph) -> None:
        """The ledger as it stands, if the run has had a frame."""
        if not self.open or self.last < self.first:
            return
        policies = {edge.name: edge.policy.text for edge in graph.edges}
        self.ledger = run_ledger(runner.outcome(self.last).report, policies, self.first, self.last)

    def add_up(self, runner: Runner, graph: Graph) -> None:
        """The ledger once all that is on its way through lossless edges is through."""
        end = time.monotonic() + LEDGER_S
        while True:
            heard = runner.tell(max(0.0, end - time.monotonic()))
            self.keep(runner, graph)
            if not heard or self.ledger is None or self.ledger.complete:
                return
            on_the_way = any(counts["on_the_way"] for counts in self.ledger.edges.values())
            if time.monotonic() >= end or not on_the_way:
                return
            runner.pump(AGAIN_S)

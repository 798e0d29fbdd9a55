"""Room: pipes. How a graph ended.

In: the ledger of a run, the last status. Out: whether all is well. Called by: `runner`, and whoever
ran the graph.
"""

from __future__ import annotations

from dataclasses import dataclass

from undula.pipes.ledger import Report
from undula.pipes.runner.status import GraphStatus


@dataclass(slots=True)
class Outcome:
    """How a graph ended: the ledger of the run, the last status, why it stopped if it failed."""

    report: Report
    status: GraphStatus
    failed: str = ""

    @property
    def ok(self) -> bool:
        """It ended by itself or as asked, and every frame is accounted for."""
        return not self.failed and self.report.complete

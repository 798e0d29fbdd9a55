"""The runner: nodes in processes, supervised; what they do, shown; the ledger of the whole run."""

from undula.pipes.runner.outcome import Outcome
from undula.pipes.runner.runner import Runner
from undula.pipes.runner.status import EdgeStatus, GraphStatus, NodeStatus

__all__ = ["EdgeStatus", "GraphStatus", "NodeStatus", "Outcome", "Runner"]

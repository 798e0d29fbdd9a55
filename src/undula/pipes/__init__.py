"""Room: pipes. Frames at memory speed through a graph of workers, every frame accounted for.

`frame` is what flows; `link` is how it gets from one node to the next, by the rules of `policy`;
`ledger` says where every frame went. Frames never travel on the bus: only their references do.
"""

from undula.pipes.errors import GraphError, PipeError
from undula.pipes.frame import Frame
from undula.pipes.ledger import EdgeLedger
from undula.pipes.policy import Policy, parse_policy

__all__ = ["EdgeLedger", "Frame", "GraphError", "PipeError", "Policy", "parse_policy"]

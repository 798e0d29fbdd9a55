"""Room: pipes. Where numbers and small arrays leave a graph for the run.

Whoever runs the graph takes this node's inputs itself: in a scan they are data of the points, by
the names of the ports that they come from. It is a node so that a graph can say what is to be read.
"""

from __future__ import annotations

from undula.pipes.frame import Frame
from undula.pipes.nodes.base import Node, Port, Results


class Channel(Node):
    """Numbers and small arrays that become data of the run, under the names of their ports.

    In a scan every edge that ends here is read at each point. Any number of edges may end here.
    """

    name = "channel"
    inputs = (Port("values", "numbers and small arrays", ndim=None),)
    missing = "the point has NaN, and the ledger of the run says why"

    def accumulate(self, frame: Frame) -> None:
        """The newest value."""
        self.last = frame.seq_num

    def result(self) -> Results:
        """Nothing: it is an end."""
        return None

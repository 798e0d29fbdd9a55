"""Room: pipes. How large a grid may be before nodes that have its shape have no room for it. Pure.

In: the grids of runs; how often the processes of such nodes, and of those behind them, were started
anew. Out: the points of the largest grid they have room for. A node makes room when it hands on its
first frame, for frames as large as that one: a process that is started anew makes it by the grid
of then. Called by: `graph_run`; `detector`, which begins the graph anew for a larger one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from undula.pipes.graph.model import Graph


class MapRoom:
    """Points for which there is room; `nodes` are those that it is about."""

    def __init__(self) -> None:
        self.nodes: Collection[str] = ()
        self._made: dict[str, tuple[int, int]] = {}
        """By node: how often its process was started anew when it made room, for so many points."""
        self._points = 0

    def restart(self) -> None:
        """The graph begins: nobody has made room yet."""
        self.nodes, self._made, self._points = (), {}, 0

    def begin(self, points: int, restarts: Mapping[str, int], handed_on: Collection[str]) -> None:
        """A run begins with a grid of so many points.

        Args:
            restarts: of the process of each node, until now.
            handed_on: nodes that handed a frame on in the run before.
        """
        self._made = {
            node: (often, self._room_of(node, often)) for node, often in restarts.items()
            if node in handed_on or self._made.get(node, (-1, 0))[0] == often
        }  # fmt: skip
        self.nodes, self._points = tuple(restarts), points

    def points(self, restarts: Mapping[str, int]) -> int:
        """Of the largest grid that all have room for; 0: nobody has made room yet."""
        return min((self._room_of(node, often) for node, often in restarts.items()), default=0)

    def _room_of(self, node: str, restarts: int) -> int:
        """By the grid of the present run, unless its process made room in an earlier one."""
        often, points = self._made.get(node, (-1, 0))
        return points if often == restarts else self._points


def behind(graph: Graph, nodes: Iterable[str]) -> list[str]:
    """These nodes, and all that their frames come to, without those that hand nothing on.

    How large their frames are may depend on those of these nodes.
    """
    found, waiting = set(nodes), list(nodes)
    while waiting:
        for edge in graph.out_of(waiting.pop()):
            if edge.target not in found:
                found.add(edge.target)
                waiting.append(edge.target)
    return [node for node in graph.nodes if node in found and graph.out_of(node)]

"""Room: pipes. What the log says of a graph that a scan uses: who is away, who sleeps.

In: how nodes are doing, on the graph's thread. Out: one line when something begins, and one when it
is over. Called by: `detector`.
"""

from __future__ import annotations

from collections.abc import Mapping

from undula.core.log import get_logger
from undula.pipes.runner.status import NodeStatus

ASLEEP = "it sleeps, and has not begun this run: it does when it wakes"


class SourceWatch:
    """Says in the log when the source of a graph hears nothing, and when it hears again."""

    def __init__(self, device: str) -> None:
        self._device, self._away = device, False

    def look(self, source: NodeStatus) -> None:
        """How the source does now."""
        if source.away == self._away:
            return
        self._away = source.away
        if source.away:
            get_logger().warning("source_away", device=self._device, waits_for=source.waits_for)
        else:
            get_logger().info("source_there", device=self._device)


class ViewerWatch:
    """Says in the log which viewers sleep while a run has begun without them, and which woke."""

    def __init__(self, device: str) -> None:
        self._device = device
        self._asleep: set[str] = set()

    def look(self, asleep: Mapping[str, int], nodes: Mapping[str, NodeStatus]) -> None:
        """Those that have not begun the run now, with their process ids; all nodes."""
        for node, pid in asleep.items():
            nodes[node].error = f"{ASLEEP} (process {pid})"
            if node not in self._asleep:
                get_logger().warning("viewer_asleep", device=self._device, node=node, pid=pid)
        for node in self._asleep - asleep.keys():
            if nodes[node].error.startswith(ASLEEP):
                nodes[node].error = ""
            get_logger().info("viewer_awake", device=self._device, node=node)
        self._asleep = set(asleep)

"""Room: pipes. How a graph runs: what its processes say of their nodes, and the sums of its edges.

In: words of the processes, the book. Out: the status, small pictures, nodes that stopped by
themselves. Called by: `alive`, `runner`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any

from undula.messages import GraphTold
from undula.pipes.book import Book
from undula.pipes.graph.model import Graph
from undula.pipes.runner.process import Process
from undula.pipes.runner.status import EdgeStatus, GraphStatus, NodeStatus
from undula.pipes.runner.told import told

RATE_S = 0.2
"""Rates of edges are reckoned over so long at least."""
MERGING = 20
"""Ledgers are added up for the status so seldom that it takes one part in so many of the time."""


class Watched:
    """What is known of a graph that runs.

    Args:
        graph: that was checked.
        where: process of each node that has one.
        book: that learns what each edge counted.
    """

    def __init__(self, graph: Graph, where: Mapping[str, str], book: Book) -> None:
        self._book = book
        self._images: dict[str, dict[str, Any]] = {}
        self._merge_at = 0.0
        self._rated_at, self._rated = time.monotonic(), dict[str, int]()
        self._first = 0
        self.causes: dict[str, str] = {}
        """What nodes said that went wrong in this run: each first, in the order it was heard."""
        self.news = True
        """Something is known of it since `told` was asked last."""
        self.status = GraphStatus(graph.name)
        for name in graph.order():
            self.status.nodes[name] = NodeStatus(name, process=where.get(name, ""))
        for edge in graph.edges:
            self.status.edges[edge.name] = EdgeStatus(edge.name, edge.policy.text)

    def take(self, process: Process, words: Mapping[str, Any]) -> list[tuple[str, str]]:
        """A process said how it is doing. Returns: nodes that stopped by themselves, and why."""
        for edge, changes in words["ledgers"]:
            self._book.learn(edge, changes)
        stopped = list(self._nodes(process, words["nodes"]))
        self._images.update(words["images"])
        self.news = True
        for name, depth in words["depths"].items():
            self.status.edges[name].depth = depth
        if process.over or words.get("asked") or time.monotonic() >= self._merge_at:
            self.merge()
        return stopped

    def _nodes(
        self, process: Process, nodes: Mapping[str, dict[str, Any]]
    ) -> Iterator[tuple[str, str]]:
        for name, plain in nodes.items():
            produced = plain.pop("produced")
            if produced:
                self._book.made(name, produced)
            stopped_by = plain.pop("stopped_by")
            first = plain.pop("first")
            status = NodeStatus(**plain)
            status.restarts = process.restarts
            before = self.status.nodes[name]
            if first < self._first or not status.error:  # it has not heard of this run yet
                status.error, status.error_at = before.error, before.error_at
            elif status.error:
                self.causes.setdefault(name, status.error)
            self.status.nodes[name] = status
            if status.state == "ended":
                self._book.ended(name)
            if stopped_by:
                yield name, stopped_by

    def begin_run(self, first: int) -> None:
        """Another run begins with this frame: what went wrong before is not its."""
        self._first = first
        self.causes = {}
        for status in self.status.nodes.values():
            status.error, status.error_at = "", 0
        self.merge()

    def note(self, node: str, error: str) -> None:
        """Something went wrong with a node that it did not say itself."""
        self.status.nodes[node].error = error
        self.causes.setdefault(node, error)
        self.news = True

    def merge(self) -> None:
        """Add up what both ends of each edge counted."""
        started = time.monotonic()
        for name, edge in self.status.edges.items():
            for key, count in self._book.ledger(name).counts.items():
                if key != "on_the_way":
                    setattr(edge, key, count)
        ended = time.monotonic()
        self._rate(ended)
        self._merge_at = ended + MERGING * (ended - started)

    def _rate(self, now: float) -> None:
        """How many frames passed each edge a second, since that was reckoned last."""
        span_s = now - self._rated_at
        if span_s < RATE_S:
            return
        for name, edge in self.status.edges.items():
            edge.rate_hz = max(0, edge.passed - self._rated.get(name, 0)) / span_s
            self._rated[name] = edge.passed
        self._rated_at = now

    def told(self, name: str, graph: Graph) -> GraphTold:
        """How it runs, as a message under this name; `graph` has the parameters of now."""
        self.news = False
        return told(name, graph, self.status, self._images)

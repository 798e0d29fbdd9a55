"""Room: pipes. Frames that a node has worked on, until they may be confirmed to the node before.

In: frames that were worked on, what a node that keeps frames is done with, how many of its results
are safe. Out: confirmations, in the order in which frames were worked on. Called by: `host`.

A frame is confirmed as soon as all results that were handed on until it had been worked on are
safe: with the next process of this host; confirmed by nodes on another host, or in the same
process, which would die with this one. Until then the node before has it still. Results are counted
per outlet (`published`, `safe`), whatever their numbers are: a node may be behind its frames, or
make several of one. Pure, but for the outlets and inlets that it is given.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from typing import Any

from undula.pipes.frame import Frame
from undula.pipes.graph.model import Graph
from undula.pipes.link import Receiving, Sending

Failure = tuple[int, Exception]


class Confirming:
    """Frames of one node.

    Args:
        node: that works on them.
    """

    def __init__(self, node: Any) -> None:
        self._node = node
        self._port = node.inputs[0].name if node.keeps and node.inputs else None
        self._kept: dict[int, list[tuple[Receiving, Frame]]] = {}
        self._worked_on: list[tuple[Receiving, Frame]] = []
        self._waiting: deque[tuple[Receiving, Frame, Sequence[int]]] = deque()
        self.safe: list[int] = []
        """Frames that a node which keeps them is done with, since the runner heard of it."""
        self.copies_behind = False
        """Whether a node whose confirmations are waited for has copies of the frames it keeps."""

    def keeps(self, port: str) -> bool:
        """Whether the node keeps the frames of an input until it names them."""
        return port == self._port

    def came_again(self, inlet: Receiving, frame: Frame) -> bool:
        """Whether it is kept already: the node before made it again."""
        kept = self._kept.get(frame.seq_num)
        if kept is not None:
            kept.append((inlet, frame))
        return kept is not None

    def keep(self, inlet: Receiving, frame: Frame) -> None:
        """The node has it, and will say when it is done with it."""
        self._kept[frame.seq_num] = [(inlet, frame)]

    def worked_on(self, inlet: Receiving, frame: Frame) -> None:
        """The node is done with it; its results are still to be handed on."""
        self._worked_on.append((inlet, frame))

    def ask(self) -> list[Failure]:
        """Ask the node which frames it is done with. Returns: those that it could not work on.

        Raises: whatever the node's own code raises.
        """
        if self._port is None:
            return []
        failed: list[Failure] = list(self._node.failed())
        for number in self._node.done():
            if number in self._kept:
                self._worked_on += self._kept.pop(number)
                self.safe.append(number)
        for number, _ in failed:
            self.give_up(number)
        if self._node.copies:
            self._make_room()
        return failed

    def _make_room(self) -> None:
        """Give back the oldest frames that a node has copies of, before it holds the edge up."""
        while self._kept:
            number = next(iter(self._kept))
            if len(self._kept) <= self._kept[number][0][0].room // 2:
                return
            self._worked_on += self._kept.pop(number)

    def handed_on(self, outlets: Sequence[Sending]) -> None:
        """All results of what was worked on until now were published at these outlets.

        Those of an outlet that is made later are of later frames.
        """
        if self._worked_on:
            places = [outlet.published for outlet in outlets]
            self._waiting.extend((inlet, frame, places) for inlet, frame in self._worked_on)
            self._worked_on.clear()

    def confirm(self, outlets: Sequence[Sending]) -> None:
        """Confirm each frame whose results, and all before them, are safe at these outlets."""
        waiting = self._waiting
        if not waiting:
            return
        safe = [outlet.safe for outlet in outlets]
        while waiting:
            inlet, frame, places = waiting[0]
            if any(place > reached for place, reached in zip(places, safe, strict=False)):
                break
            waiting.popleft()
            inlet.confirm(frame)
        if self.copies_behind:
            self._give_back()

    def _give_back(self) -> None:
        """Confirm the oldest where a node behind may wait for later ones, which have no room."""
        waiting = self._waiting
        held = Counter(inlet for inlet, _, _ in waiting)
        while any(count > inlet.room // 2 for inlet, count in held.items()):
            inlet, frame, _ = waiting.popleft()
            held[inlet] -= 1
            inlet.confirm(frame)

    def fail(self, number: int) -> None:
        """What was made of a frame cannot be handed on."""
        failed = [one for one in self._worked_on if one[1].seq_num == number]
        self._worked_on = [one for one in self._worked_on if one[1].seq_num != number]
        for inlet, frame in failed:
            inlet.fail(frame)

    def give_up(self, number: int) -> None:
        """A frame that was kept will not be worked on."""
        for inlet, frame in self._kept.pop(number, ()):
            inlet.fail(frame)
            inlet.flush()

    def give_up_all(self) -> None:
        """The node never said what became of those that it keeps."""
        for number in list(self._kept):
            self.give_up(number)

    def has_of(self, inlet: Receiving) -> bool:
        """Whether a frame of this inlet is still to be confirmed, that is not kept."""
        having = [one for one, _ in self._worked_on] + [one for one, _, _ in self._waiting]
        return any(one is inlet for one in having)

    @property
    def keeping(self) -> bool:
        """Whether the node has frames that it will be done with by itself."""
        return bool(self._kept)

    @property
    def busy(self) -> bool:
        """Whether a frame is still to be confirmed."""
        return bool(self._worked_on or self._waiting or self._kept)


def waited_for(graph: Graph, name: str) -> set[str]:
    """Nodes whose confirmations a node waits for, itself or by way of others.

    Those at its edges without loss that are in the same process, or on another host.
    """
    where = {node: process for process, nodes in graph.processes().items() for node in nodes}
    found: set[str] = set()
    ahead = [name]
    while ahead:
        one = ahead.pop()
        for edge in graph.out_of(one):
            near = where.get(edge.target) == where.get(one)
            far = graph.nodes[edge.target].host != graph.nodes[one].host
            if edge.policy.kind == "lossless" and (near or far) and edge.target not in found:
                found.add(edge.target)
                ahead.append(edge.target)
    return found

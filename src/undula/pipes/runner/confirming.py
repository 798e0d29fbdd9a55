"""Room: pipes. Frames that a node has worked on, until they may be confirmed to the node before.

In: frames that were worked on, what a node that keeps frames is done with, what the nodes behind it
in its process still have in hand. Out: confirmations, in order. Called by: `host`.

A node and those behind it in the same process die together. So a frame is confirmed only when these
are done with it too: until then the node before, in another process, has it still.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from undula.pipes.frame import Frame
from undula.pipes.link import MemoryOutlet, Receiving

Failure = tuple[int, Exception]


class Confirming:
    """Frames of one node.

    Args:
        node: that works on them.
        feedback: names of its edges that go back: it waits for nobody there, who waits for it.
    """

    def __init__(self, node: Any, feedback: Iterable[str]) -> None:
        self._node, self._feedback = node, frozenset(feedback)
        self._port = node.inputs[0].name if node.keeps and node.inputs else None
        self._kept: dict[int, list[tuple[Receiving, Frame]]] = {}
        self._worked_on: list[tuple[Receiving, Frame]] = []
        self.safe: list[int] = []
        """Frames that a node which keeps them is done with, since the runner heard of it."""
        self.copies_inside = False
        """Whether a node of this process keeps frames, of which it has copies."""

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
        """The node is done with it."""
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

    def confirm(self, outlets: Iterable[MemoryOutlet]) -> None:
        """Confirm what was worked on, but for what consumers at these outlets have in hand."""
        lowest = [outlet.lowest_held(self._feedback) for outlet in outlets]
        held = min((number for number in lowest if number is not None), default=None)
        waiting = []
        for inlet, frame in self._worked_on:
            if held is not None and frame.seq_num >= held:
                waiting.append((inlet, frame))
            else:
                inlet.confirm(frame)
        while self.copies_inside and waiting and len(waiting) > waiting[0][0].room // 2:
            inlet, frame = waiting.pop(0)  # it may wait for later ones, which would have no room
            inlet.confirm(frame)
        self._worked_on = waiting

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
        return any(one is inlet for one, _ in self._worked_on)

    @property
    def keeping(self) -> bool:
        """Whether the node has frames that it will be done with by itself."""
        return bool(self._kept)

    @property
    def busy(self) -> bool:
        """Whether a frame is still to be confirmed."""
        return bool(self._worked_on or self._kept)

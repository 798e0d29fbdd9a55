"""Room: pipes. Where frames come into a node, and those that it is still to work on.

In: the ends of its edges. Out: frames one after the other, each with its edge; what is to be said
of them when nobody works on them any more. Called by: `host`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from contextlib import suppress

from undula.core.errors import UndulaError
from undula.pipes.frame import Frame
from undula.pipes.graph.model import EdgeSpec
from undula.pipes.link import Receiving

AT_ONCE = 64
"""Frames that are taken from an edge at once."""


class Taking:
    """What comes to one node.

    Args:
        into: its edges by name.
    """

    def __init__(self, into: Mapping[str, EdgeSpec]) -> None:
        self._into = into
        self._steered = any(edge.feedback for edge in into.values())
        self.inlets: dict[str, Receiving] = {}
        """The end of each edge, once its producer is there."""
        self.queue: deque[tuple[EdgeSpec, Receiving, Frame]] = deque()
        """Frames that were taken."""

    def fill(self) -> str:
        """Take what is there. Returns: what is wrong with an edge, in words; '' if nothing is."""
        wrong = ""
        for name, inlet in self._in_turn():
            try:
                frames = inlet.take(AT_ONCE, 0.0)
            except UndulaError as exc:
                wrong = str(exc)
                continue
            self.queue.extend((self._into[name], inlet, frame) for frame in frames)
        return wrong

    def _in_turn(self) -> Iterable[tuple[str, Receiving]]:
        """Inlets in the order in which they are heard: what comes back from below goes first."""
        if not self._steered:
            return self.inlets.items()
        return sorted(self.inlets.items(), key=lambda one: not self._into[one[0]].feedback)

    def fail(self) -> None:
        """The node stopped: what it was still to work on will not be."""
        for _, inlet, frame in self.queue:
            inlet.fail(frame)
        self.queue.clear()
        self.flush()

    def drain(self) -> None:
        """Behind the end: a source that died with its last frame sent makes it again.

        What a feedback edge still brings is taken: there is nothing left that it could steer. So is
        what comes to a viewer: such a source chooses others for it than the one before.
        """
        for name, inlet in self.inlets.items():
            edge = self._into[name]
            taken = edge.feedback or edge.policy.kind != "lossless"
            done = inlet.confirm if taken else inlet.fail
            with suppress(UndulaError):  # it went away meanwhile, or its successor is not there yet
                for frame in inlet.take(AT_ONCE, 0.0):  # what is known is confirmed by itself
                    done(frame)

    def flush(self) -> None:
        """Let the producers know what was confirmed."""
        for inlet in self.inlets.values():
            inlet.flush()

    @property
    def owing(self) -> bool:
        """Whether a producer is still to be told of something that was confirmed."""
        return any(inlet.owing for inlet in self.inlets.values())

    def has_of(self, inlet: Receiving) -> bool:
        """Whether a frame of this inlet is still to be worked on."""
        return any(one is inlet for _, one, _ in self.queue)

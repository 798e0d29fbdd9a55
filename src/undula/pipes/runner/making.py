"""Room: pipes. A source at work: which of its frames are due, and which trigger each answers.

In: a source, triggers, runs that begin. Out: frames, when they are due or were triggered. Called by
`host`, which hands them on, and catches what a source's own code raises.
"""

from __future__ import annotations

import math
import select
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from undula.pipes.frame import Frame
from undula.pipes.intervals import IntervalSet
from undula.pipes.runner.indices import TriggerIndices


class Making:
    """What a source makes.

    Args:
        node: the source.
        remember: called with what a successor must know, before frames go anywhere.
    """

    def __init__(self, node: Any, remember: Callable[[dict[str, int]], object]) -> None:
        self._node, self._say = node, remember
        self.produced = IntervalSet()
        """Numbers of all frames that it made."""
        self.allowed: int | None = None
        """Frames that it may still make, where triggers are given; None: all that are due."""
        self._live = not node.inputs and node.fileno() >= 0
        self._early: deque[Frame] = deque()
        self._dry = False
        self._remembered: dict[str, int] = {}
        self._last_made = self._triggered = 0
        self._indices = TriggerIndices()
        self._run_is_new = False
        self._begun_at = self._counts_since = 0.0

    def begin(self, words: Mapping[str, Any], *, triggered: bool, at: float) -> None:
        """Go on where the one before it was. Raises: whatever the node's own code raises.

        Args:
            words: what the runner says of this source.
            triggered: make a frame for each trigger only.
            at: when all sources began, monotonic, s.
        """
        node, self._begun_at = self._node, at
        if triggered and not words["given"]:
            node.arm()
        if triggered:
            self._last_made = words["resume"]
            self._triggered = words["given"]
            self._indices = TriggerIndices(words["indices"])
            self.allowed = max(0, words["given"] - words["resume"])
        if words["again"]:
            node.recall(words["remembered"], words["made"])
        if words["resume"]:
            node.resume(words["resume"])
        if self.allowed:
            self._counts_since = time.monotonic()
            node.fire(self._triggered)

    def begin_run(self, first: int) -> None:
        """Another run of a warm graph, whose first frame has this number: earlier ones are none."""
        self.allowed, self._run_is_new = 0, True
        self._early.clear()
        self._last_made = max(self._last_made, first - 1)

    def trigger(self, number: int, index: int | None) -> None:
        """It may make one frame more; what it had before the first trigger is none.

        Args:
            number: of the frame, from 1 on over all runs.
            index: of the trigger in its run, from 0 on; None: as the source itself says.
        """
        if index is not None:
            self._indices.give(number, index)
        if not self.allowed:  # else the frame of the trigger before is still being taken
            self._counts_since = time.monotonic()
        self.allowed = (self.allowed or 0) + 1
        self._triggered += 1
        if self._triggered == 1:
            self._node.drain()
        elif self._run_is_new:
            self._node.begin_run(number - 1)
        self._run_is_new = False
        self._node.fire(number)

    def take(self) -> list[Frame] | None:
        """Frames that are due; None when nothing came. Raises: whatever the node's code raises."""
        frames = [] if self._early else self._node.take(time.time())
        self._dry = self._live and not frames and not self._early
        if self._dry:
            return None
        words = dict(self._node.remember())
        if words != self._remembered:
            self._remembered = words
            self._say(words)
        found = self._triggered_ones(frames)
        for frame in found:
            index = self._indices.of(frame.seq_num)
            frame.trigger = frame.trigger if index is None else index
            self.produced.add(frame.seq_num)
        return found

    def _triggered_ones(self, frames: list[Frame]) -> list[Frame]:
        """Of frames that were taken those that a trigger was given for; the others wait for theirs.

        A source that hears the network has used up as many triggers as its numbers went on: frames
        that it names as missing had theirs. Any other has used up one.
        """
        if self.allowed is None:
            return frames
        if not self._live:
            self.allowed -= 1
            self._counts_since = time.monotonic()
            return frames
        self._early.extend(frames)
        found: list[Frame] = []
        while self._early and self.allowed > 0:
            frame = self._early.popleft()
            self.allowed -= max(0, frame.seq_num - self._last_made)
            self._last_made = max(self._last_made, frame.seq_num)
            found.append(frame)
        return found

    def due_in_s(self) -> float:
        """Seconds until the next frame is due; infinite while no trigger is given.

        Raises: whatever the node's own code raises.
        """
        if self.allowed is None:
            due = float(self._node.due_s()) - (time.monotonic() - self._begun_at)
        elif self.allowed <= 0:
            return math.inf
        elif self._live:
            due = 0.0 if self._early else float(self._node.due_s())
        else:
            due = float(self._node.takes_s()) - (time.monotonic() - self._counts_since)
        if self._dry and due <= 0 and not select.select([self._node], [], [], 0)[0]:
            return math.inf  # there was nothing the last time, and nothing came since
        return due

    @property
    def wants_frames(self) -> bool:
        """Whether it would take a frame that comes now."""
        return self._live and (self.allowed is None or self.allowed > 0)

    @property
    def ended(self) -> bool:
        """There will be no further frame. Raises: whatever the node's own code raises."""
        return bool(self._node.ended) and not self._early

"""Room: pipes. What a node has to say of the frames it takes, as frames for its outputs.

In: a node that has taken a frame. Out: results that wait to be handed on, each with its port; which
frames it had nothing to say of; what it gave lately. Called by: `host`, which hands them on.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from undula.pipes.errors import PipeError
from undula.pipes.frame import Frame
from undula.pipes.graph.model import EdgeSpec, NodeSpec
from undula.pipes.ledger import EdgeLedger
from undula.pipes.runner.lately import Lately

NUMBERS = "biufc"
"""Kinds of dtypes that a frame may have."""
VIEW_S = 0.1
"""A result that only viewers want, and that covers many frames, is made so often at most."""


class Results:
    """Results of one node.

    Args:
        spec: of the node.
        node: itself.
        out: its edges.
    """

    def __init__(self, spec: NodeSpec, node: Any, out: Sequence[EdgeSpec]) -> None:
        self._spec, self._node, self._out = spec, node, out
        self.held: deque[tuple[str, Frame, int]] = deque()
        """Results that wait: port, frame, and how many of the port's outlets have it."""
        self.absorbed: dict[str, EdgeLedger] = {}
        """By port, frames of which the node had nothing to say."""
        self.only_viewers = all(edge.policy.kind == "latest" for edge in out)
        self.behind = False
        """Viewers have not had the result of the last frame."""
        self.lately = Lately(spec.name, out)
        self._viewed_at = 0.0

    def take(self, frame: Frame, *, last: bool = False) -> None:
        """Ask the node for what it has to say; a viewer's sum not for every frame."""
        node = self._node
        if node.covers != "frame" and self.only_viewers and not last:
            now = time.monotonic()
            self.behind = now - self._viewed_at < VIEW_S
            if self.behind:
                return
            self._viewed_at = now
        while True:
            results: Mapping[str, Any] = node.result() or {}
            if node.covers == "frame" and not node.queued:
                for edge in self._out:
                    if edge.source_port not in results:
                        absorbed = self.absorbed.setdefault(edge.source_port, EdgeLedger())
                        absorbed.dropped.add(frame.seq_num)
            for port, value in results.items():
                if any(edge.source_port == port for edge in self._out):
                    self.held.append((port, self._frame(port, frame, value), 0))
                elif not self._out and (self.lately.shows_now(port) or self._is_own(value, frame)):
                    self.lately.show(port, self._frame(port, frame, value))  # an end: a preview
            if not node.queued or not results:
                return

    def _is_own(self, value: Any, frame: Frame) -> bool:
        """Whether a result need not be copied to outlive the frame."""
        changes = self._node.covers != "frame" and not self._node.fresh
        return not (
            isinstance(value, Frame) or changes
            or np.may_share_memory(np.asarray(value), frame.data)
        )  # fmt: skip

    def _frame(self, port: str, frame: Frame, value: Any) -> Frame:
        if isinstance(value, Frame):
            shared = np.may_share_memory(value.data, frame.data)  # whose slot is reused
            return replace(value, data=value.data.copy()) if shared else value
        data = np.asarray(value)
        if data.dtype.kind not in NUMBERS:
            raise PipeError(
                f"{self._spec.kind} gave {port} a value that is no number: {value!r:.40}",
                remedy="let it give a number, or an array of numbers",
                where=f"{self._spec.name}.{port}",
            )
        changes = self._node.covers != "frame" and not self._node.fresh
        if changes or np.may_share_memory(data, frame.data):
            data = np.array(data)  # its own: the node goes on with its array, the slot is reused
        made = replace(
            frame, data=data, compression="none", checksum=None, again=False, slot=-1,
            first=frame.seq_num, count=1,
        )  # fmt: skip
        covered = getattr(self._node, "covered", None)
        if covered is not None and covered.frames:
            made.first, made.count = covered.first, covered.frames
        return made

    def size_of(self, port: str, frame: Frame) -> int:
        """Bytes that a frame of this port may have, by its first one and what the node says."""
        largest: int = self._node.largest_bytes(port)
        if frame.compression == "bslz4":  # others may compress less
            from undula.files import bslz4

            largest = max(largest, bslz4.bound_bytes(frame.shape, frame.dtype))
        return max(self._spec.frame_bytes or 0, frame.data.nbytes, largest)

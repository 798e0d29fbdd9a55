"""Room: pipes. Frames with the positions that belong to them, by trigger or by time. Pure.

In: frames (or what was computed of them), and positions of axes. Out: both, in the order of the
frames, with a word on how good the position is: a frame that is missing shifts nothing.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from undula.core.errors import InputError
from undula.pipes.frame import Frame
from undula.pipes.nodes.base import AS_INPUT, Node, Port, Results, Shape, parameter

MEASURED, INTERPOLATED, NO_POSITION, NO_ROOM = 0, 1, 2, 3
QUALITY = "0 measured, 1 interpolated, 2 no position, 3 no room to wait for it"
KEPT_POSITIONS = 100_000
MOST_AXES = 64
FRAME_BYTES = 500
"""What a frame that waits takes beside its data: a result of 8 bytes is no small thing to keep."""

Positions = npt.NDArray[np.float64]


@dataclass(slots=True)
class _At:
    """Positions of all axes at one moment."""

    place: float
    values: Positions


class PositionJoin(Node):
    """Each frame with the positions of the axes at its moment.

    By `trigger`: the positions that came with the same trigger. By `time`: between the positions
    before and after it, interpolated; no farther apart than `reach_s`. A frame waits for its
    positions until `patience` further frames came, or the stream ended; then it goes on without,
    `quality` 2 and positions NaN. When more than `keep_bytes` of frames wait, the oldest goes on
    before its time, `quality` 3: memory has an end, and no frame is lost. So each frame goes on
    exactly once, in the order in which frames came; positions without a frame are left out.

    `quality` is 0: measured at this trigger or time, 1: interpolated, 2: no position, 3: no
    position, as there was no room to wait for it.
    """

    name = "join"
    inputs = (
        Port("frames", "frames, or results of them, any shape", ndim=None),
        Port("positions", "positions at one moment, (axes,)", ndim=None, kinds="iuf"),
    )
    outputs = (
        Port("frames", "the frames, as they came", ndim=None, unit=AS_INPUT),
        Port("positions", "positions of each frame, (axes,)", ndim=1, kinds="f", unit=AS_INPUT),
        Port(
            "quality",
            QUALITY,
            ndim=0,
            kinds="i",
        ),
    )
    missing = "takes no part: no frame and no position is shifted to its place"
    masked = "pixels are not looked at; a position that is NaN is handed on as measured"
    queued = True
    keeps = copies = True
    passes = MappingProxyType({"frames": "frames", "positions": "frames", "quality": "frames"})
    by: Literal["trigger", "time"] = parameter("trigger", "what frame and position share")
    clock: Literal["host", "hardware"] = parameter("host", "whose time, by `time`")
    patience: int = parameter(100, "frames after which one goes on without position", ge=0)
    keep_bytes: int = parameter(
        512_000_000, "frames that wait for their positions, together", ge=1, unit="B"
    )
    reach_s: float = parameter(
        1.0, "positions are interpolated over so long at most", gt=0, unit="s"
    )

    @classmethod
    def shapes(cls, values: Any, inputs: Mapping[str, Shape]) -> Mapping[str, Shape]:
        """The frames as they came, and a row of positions."""
        found = {"positions": inputs["positions"] or (1,)} if "positions" in inputs else {}
        return found | ({"frames": inputs["frames"]} if "frames" in inputs else {})

    def clear(self) -> None:
        """Forget frames and positions."""
        self._frames: deque[Frame] = deque()
        self._bytes = 0
        self._triggers: dict[int, Positions] = {}
        self._times: list[_At] = []
        self._axes = 0
        self._ready: deque[tuple[Frame, Positions | None, int]] = deque()
        self._given = [*getattr(self, "_given", ()), *getattr(self, "_held", ())]
        """Frames that wait no longer, since `done` was asked."""
        self._held: dict[int, None] = {}
        self._finished = False

    def changed(self, names: frozenset[str]) -> None:
        """Another way to join: begin anew."""
        if names & {"by", "clock"}:
            self.clear()

    def accumulate(self, frame: Frame) -> None:
        """Take a frame, at the port `frames`."""
        self._place(frame)  # so that a frame without one is refused before it is taken
        self._frames.append(frame)
        self._bytes += frame.data.nbytes + FRAME_BYTES
        self._held[frame.seq_num] = None
        self._settle()
        if self._frames and self._frames[-1] is frame:  # its data are valid only until we return
            self._frames[-1] = replace(frame, data=frame.data.copy(), slot=-1)

    def receive(self, port: str, frame: Frame) -> None:
        """Take a frame or positions."""
        if port == "frames":
            self.accumulate(frame)
            return
        values = np.atleast_1d(np.asarray(frame.data, np.float64)).copy()
        place = self._place(frame)
        wrong = self._axes and len(values) != self._axes
        if values.ndim != 1 or len(values) > MOST_AXES or wrong:
            raise InputError(
                f"positions of shape {frame.data.shape} at frame {frame.seq_num} are not those of "
                f"{self._axes or 'some'} axes",
                remedy="send the positions of all axes together, (axes,)",
            )
        self._axes = len(values)
        if self.by == "trigger":
            self._triggers[int(place)] = values
            if len(self._triggers) > KEPT_POSITIONS:
                del self._triggers[next(iter(self._triggers))]
        else:
            at = bisect_left(self._times, place, key=lambda known: known.place)
            self._times.insert(at, _At(place, values))
            del self._times[: max(0, len(self._times) - KEPT_POSITIONS)]
        self._settle()

    def _place(self, frame: Frame) -> float:
        if self.by == "trigger":
            return frame.seq_num - 1 if frame.trigger is None else frame.trigger
        at = frame.time if self.clock == "host" else frame.hardware_time
        if at is None:
            raise InputError(
                f"frame {frame.seq_num} has no hardware time", remedy="join by trigger or host time"
            )
        return at

    def _settle(self) -> None:
        """Let frames go whose position is known, or who have waited long enough."""
        while self._frames:
            head = self._frames[0]
            found = self._position(self._place(head))
            too_much = self._bytes > self.keep_bytes and len(self._frames) > 1
            patient = len(self._frames) <= self.patience and not self._finished
            if found is None and patient and not too_much:
                return
            self._frames.popleft()
            self._bytes -= head.data.nbytes + FRAME_BYTES
            none = NO_ROOM if patient else NO_POSITION
            self._ready.append((head, *(found or (None, none))))

    def _position(self, place: float) -> tuple[Positions, int] | None:
        if self.by == "trigger":
            values = self._triggers.get(int(place))
            return None if values is None else (values, MEASURED)
        at = bisect_left(self._times, place, key=lambda known: known.place)
        if at == len(self._times):
            return None
        after = self._times[at]
        if after.place == place:
            return after.values, MEASURED
        if at == 0:
            return None
        before = self._times[at - 1]
        if after.place - before.place > self.reach_s:
            return None
        part = (place - before.place) / (after.place - before.place)
        return before.values + part * (after.values - before.values), INTERPOLATED

    def done(self) -> list[int]:
        """The frames that were handed on with their positions, since it was asked last."""
        given, self._given = self._given, []
        return given

    def largest_bytes(self, port: str) -> int:
        """Of as many axes as there may be: how many is known only when the first come."""
        return 8 * MOST_AXES if port == "positions" else 0

    def finish(self) -> None:
        """Frames that still wait go on without position."""
        self._finished = True
        self._settle()

    def result(self) -> Results:
        """The next frame with its positions; None when all others wait."""
        if not self._ready:
            return None
        frame, values, quality = self._ready.popleft()
        self._held.pop(frame.seq_num, None)
        self._given.append(frame.seq_num)
        if values is None:
            values = np.full(max(self._axes, 1), np.nan)
        return {
            "frames": frame,
            "positions": _like(frame, values),
            "quality": _like(frame, np.asarray(quality)),
        }


def _like(frame: Frame, data: npt.NDArray[np.generic]) -> Frame:
    """Other data of the same moment."""
    return Frame(
        frame.seq_num, data, frame.stream, frame.trigger, frame.time, frame.hardware_time,
        replayed=frame.replayed,
    )  # fmt: skip

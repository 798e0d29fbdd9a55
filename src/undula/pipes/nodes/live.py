"""Room: pipes. Sources that hear the network: what comes is kept, within bounds, until it is taken.

In: frames, put in by a thread that listens. Out: frames, in the order in which they came. What does
not fit is counted and left out; its number is missing from the stream, so that the ledger names it.

A sender that begins to number anew is a new epoch: its numbers go on behind the last one. A source
whose process was started anew numbers as the one before it did, since that one said how.
"""

from __future__ import annotations

import math
import os
import threading
from abc import abstractmethod
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from undula.core.errors import UndulaError, WireError
from undula.pipes.errors import PipeError
from undula.pipes.frame import Frame
from undula.pipes.nodes.base import Shape, Source, parameter

LATE = 64
"""A number that is smaller than the last by less than this, and did not come yet, is only late."""


class LiveSource(Source):
    """A source whose frames come when they come. Subclasses say `_listen`, which runs in a thread.

    Frames are numbered by the sender's own numbers, the first one that comes being `first`. When
    these go back, the sender began anew, and its first number goes on behind our last one.
    """

    missing = "their numbers are left out, so that the ledger names them; `overruns` counts ours"
    masked = "every pixel is taken as it came"
    first: int | None = parameter(
        None, "the sender's number of the first frame; none: that of the first one that comes"
    )
    frames: int = parameter(
        0, "ends at this number of the stream, or a later one; 0: when it is stopped", ge=0
    )
    shape: tuple[int, ...] | None = parameter(
        None, "of its frames, (y, x): the graph is checked with it, and others are refused",
        examples=[[2048, 2048]],
    )  # fmt: skip
    keep_bytes: int = parameter(256_000_000, "frames that wait to be taken", ge=1, unit="B")

    def clear(self) -> None:
        """Hang up; listen anew when the first frame is asked for."""
        self.close()
        self.overruns = 0
        """Frames that came and were left out, because too many waited."""
        self.refused = 0
        """What came after the first frame and made no sense."""
        self.last_refusal = ""
        self.before = 0
        """Frames that came before `first`, or before the first trigger."""
        self.twice = 0
        """Frames that came twice."""
        self.epochs = 1
        """How often the sender began to number."""
        self._waiting: deque[Frame] = deque()
        self._bytes = 0
        self._origin = self.first
        self._last = self._known = 0
        self._came: deque[int] = deque(maxlen=LATE)
        self._stamp: object = None
        self._armed = False
        self._over = False
        self._fault: UndulaError | None = None
        self._stopped = threading.Event()
        self._lock = threading.Lock()
        self._room = threading.Event()
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._thread: threading.Thread | None = None

    @classmethod
    def shapes(cls, values: Any, inputs: Mapping[str, Shape]) -> Mapping[str, Shape]:
        """What it was told."""
        return {} if values.shape is None else {"frames": values.shape}

    def _fits(self, frame: Frame) -> Frame:
        """A frame that is of the shape it must have. Raises: WireError."""
        if self.shape is not None and frame.shape != self.shape:
            raise WireError(
                f"a frame is of {frame.shape}, and {self.name} was told {self.shape}",
                remedy="set the detector's size, or correct `shape`",
            )
        return frame

    @abstractmethod
    def _listen(self) -> None:
        """Put frames in until `self._stopped` is set; runs in a thread of its own."""

    def _run(self) -> None:
        try:
            self._listen()
        except UndulaError as exc:
            self._fault = exc
        except Exception as exc:  # whatever it is, whoever takes frames is to hear of it
            self._fault = PipeError(
                f"{self.name} hears nothing any more: {type(exc).__name__}: {exc}",
                remedy="look at what the sender sends; the source listens anew when it is started",
                where=self.name,
            )
            self._fault.__cause__ = exc
        self._end()

    def _number(self, theirs: int, stamp: object = None) -> int:
        """The number in our stream of the frame that the sender numbers so; 0: it came before.

        Args:
            theirs: the sender's number.
            stamp: by which a frame that is sent twice is known, of a sender that may do so.
        """
        if self._origin is None:
            self._origin = theirs - self._last
        number = theirs - self._origin + 1
        again = stamp is not None and (stamp == self._stamp or self._stamp is None)
        self._stamp = stamp
        if number > self._last or not self._last:
            self.before += not number
            return number
        if again and number == self._last:
            self.twice += 1
            return 0
        if number <= max(self._known, self._last - LATE) or number in self._came:
            self.epochs += 1
            self._origin, number = theirs - self._last, self._last + 1
        return number

    def _put(self, frame: Frame) -> None:
        """A frame came; one from before the first one, or behind the last, is left out."""
        last = self.frames or math.inf
        with self._lock:
            self.before += frame.seq_num < 1
            self._last = max(self._last, frame.seq_num)
            self._came.append(frame.seq_num)
            if 1 <= frame.seq_num <= last:
                too_much = self._bytes + frame.data.nbytes > self.keep_bytes
                if too_much and self._waiting and not self.sender_waits:
                    self.overruns += 1
                else:
                    self._waiting.append(frame)
                    self._bytes += frame.data.nbytes
            self._over = self._over or frame.seq_num >= last
        os.eventfd_write(self._wake, 1)

    @property
    def sender_waits(self) -> bool:
        """Whether the sender waits when we do not listen: then nothing need be left out."""
        return False

    def _wait_for_room(self, timeout_s: float) -> bool:
        """Wait until less than `keep_bytes` wait to be taken; False when that took too long."""
        self._room.clear()
        return self._bytes < self.keep_bytes or self._room.wait(timeout_s)

    @property
    def left_out(self) -> int:
        """Frames that came and were not handed on, for whatever reason."""
        return self.overruns + self.refused + self.before + self.twice

    def remember(self) -> Mapping[str, int]:
        """The number that the sender gives to our first frame."""
        return {} if self._origin is None else {"origin": self._origin}

    def recall(self, words: Mapping[str, int], made: int) -> None:
        """Number as the one before did, which made frames up to `made`."""
        self._last = self._known = made
        self._origin = words.get("origin", self.first)

    def arm(self) -> None:
        """Frames are triggered: what comes before the first trigger is left out."""
        self._armed = True
        self.start()

    def drain(self) -> None:
        """The first trigger: what waits was there before it."""
        with self._lock:
            self.before += len(self._waiting)
            self._waiting.clear()
            self._bytes = self._last = 0
            self._came.clear()
            self._origin = self.first
        self._room.set()

    def begin_run(self, made: int) -> None:
        """Go on with the sender's numbers; anew, when triggers and frames are out of step."""
        with self._lock:
            if self._last == made and not self._waiting:
                return
            self.before += len(self._waiting)
            self._waiting.clear()
            self._bytes = 0
            self._last = self._known = made
            self._came.clear()
            self._origin = None
        self._room.set()

    def _refuse(self, exc: UndulaError) -> None:
        """What came is no frame. Raises: the error, as long as no frame has come."""
        if not self._last:
            raise exc
        self.refused += 1
        self.last_refusal = str(exc)

    def _end(self) -> None:
        """The sender said that there is no further frame."""
        self._over = True
        os.eventfd_write(self._wake, 1)

    def start(self) -> None:
        """Listen, if it does not already."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name=self.name, daemon=True)
            self._thread.start()

    def due_s(self) -> float:
        """0 while frames wait, else nobody knows."""
        self.start()
        return 0.0 if self._waiting or self._over else math.inf

    def fileno(self) -> int:
        """Readable when frames came."""
        return self._wake

    @property
    def ended(self) -> bool:
        """The sender said so, or the last frame that was asked for came, and all were taken."""
        return self._over and not self._waiting and self._fault is None

    def take(self, time: float = 0.0) -> list[Frame]:
        """All frames that wait. Raises: UndulaError when it cannot listen any more."""
        self.start()
        with suppress(BlockingIOError):
            os.eventfd_read(self._wake)
        with self._lock:
            frames = list(self._waiting)
            self._waiting.clear()
            self._bytes = 0
        self._room.set()
        fault, self._fault = (None, self._fault) if frames else (self._fault, None)
        if fault is not None:
            raise fault
        for frame in frames:
            frame.time = frame.time or time
        return frames

    def close(self) -> None:
        """Hang up."""
        thread = getattr(self, "_thread", None)
        if thread is not None:
            self._stopped.set()
            thread.join()
            self._thread = None
        if getattr(self, "_wake", -1) >= 0:
            os.close(self._wake)
            self._wake = -1

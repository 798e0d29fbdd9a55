"""Room: pipes. Sources that hear the network: what comes is kept, within bounds, until it is taken.

In: frames, put in by a thread that listens. Out: frames, in the order in which they came. What does
not fit is counted and left out; its number is missing from the stream, so that the ledger names it.
"""

from __future__ import annotations

import math
import os
import threading
from abc import abstractmethod
from collections import deque
from contextlib import suppress

from undula.core.errors import UndulaError
from undula.pipes.frame import Frame
from undula.pipes.nodes.base import Source, parameter


class LiveSource(Source):
    """A source whose frames come when they come. Subclasses say `_listen`, which runs in a thread.

    Frames are numbered by the sender's own numbers, the first one that comes being `first`.
    """

    missing = "their numbers are left out, so that the ledger names them; `overruns` counts ours"
    masked = "every pixel is taken as it came"
    first: int | None = parameter(
        None, "the sender's number of the first frame; none: that of the first one that comes"
    )
    frames: int = parameter(
        0, "ends at this number of the stream, or a later one; 0: when it is stopped", ge=0
    )
    keep_bytes: int = parameter(256_000_000, "frames that wait to be taken", ge=1, unit="B")

    def clear(self) -> None:
        """Hang up; listen anew when the first frame is asked for."""
        self.close()
        self.overruns = 0
        """Frames that came and were left out, because too many waited."""
        self.refused = 0
        """What came after the first frame and made no sense."""
        self.last_refusal = ""
        self._waiting: deque[Frame] = deque()
        self._bytes = 0
        self._origin = self.first
        self._last = 0
        self._over = False
        self._fault: UndulaError | None = None
        self._stopped = threading.Event()
        self._lock = threading.Lock()
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._thread: threading.Thread | None = None

    @abstractmethod
    def _listen(self) -> None:
        """Put frames in until `self._stopped` is set; runs in a thread of its own."""

    def _run(self) -> None:
        try:
            self._listen()
        except UndulaError as exc:
            self._fault = exc
        self._end()

    def _number(self, theirs: int) -> int:
        """The number in our stream of the frame that the sender numbers so."""
        if self._origin is None:
            self._origin = theirs
        return theirs - self._origin + 1

    def _put(self, frame: Frame) -> None:
        """A frame came; one from before the first one, or behind the last, is left out."""
        last = self.frames or math.inf
        with self._lock:
            self._last = max(self._last, frame.seq_num)
            if 1 <= frame.seq_num <= last:
                if self._bytes + frame.data.nbytes > self.keep_bytes and self._waiting:
                    self.overruns += 1
                else:
                    self._waiting.append(frame)
                    self._bytes += frame.data.nbytes
            self._over = self._over or frame.seq_num >= last
        os.eventfd_write(self._wake, 1)

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

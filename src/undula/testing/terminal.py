"""A person at a terminal, for tests: keys in, what the screen shows out, through a real pty.

The screen is pyte's: what was overwritten is gone, as for a person; what scrolled away is kept.
"""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
from collections.abc import Mapping, Sequence
from fcntl import ioctl
from itertools import islice

import pyte

from undula.core.clock import Deadline

CTRL_C, CTRL_D, TAB, ESCAPE = "\x03", "\x04", "\t", "\x1b"
DRAWN_S = 5.0
"""A prompt is drawn to its end within so long, s."""


class PtyPerson:
    """One process at a pseudo-terminal of its own.

    Args:
        argv: what is started.
        size: lines and columns.
    """

    def __init__(
        self,
        argv: Sequence[str],
        env: Mapping[str, str] | None = None,
        size: tuple[int, int] = (30, 80),
    ) -> None:
        self._master, slave = pty.openpty()
        ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", *size, 0, 0))
        own = {"TERM": "xterm", "NO_COLOR": "1"}
        self.process = subprocess.Popen(
            list(argv),
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env={**os.environ, **own, **(env or {})},
            start_new_session=True,
        )
        os.close(slave)
        self._screen = pyte.HistoryScreen(size[1], size[0], history=20_000, ratio=0.5)
        self._screen.write_process_input = lambda data: os.write(self._master, data.encode())
        self._stream = pyte.ByteStream(self._screen)
        self._since = 0
        self._closed = False

    @property
    def lines(self) -> list[str]:
        """Every line from the beginning, as it stands now."""
        return self._from(0)

    def _from(self, first: int) -> list[str]:
        top = self._screen.history.top
        gone = [
            "".join(c.data for _, c in sorted(line.items())) for line in islice(top, first, None)
        ]
        return [
            line.rstrip() for line in (*gone, *self._screen.display[max(0, first - len(top)) :])
        ]

    @property
    def here(self) -> int:
        """The line of the cursor, counted from the beginning."""
        return len(self._screen.history.top) + int(self._screen.cursor.y)

    @property
    def text(self) -> str:
        """The lines since the last `enter`."""
        return "\n".join(self._from(self._since)).rstrip()

    def type(self, keys: str) -> None:
        """Press keys."""
        os.write(self._master, keys.encode())

    def enter(self, line: str) -> None:
        """Type a line and Enter; `see` looks from this line on.

        A prompt that is drawn just now hides its cursor, which then stands anywhere.
        """
        drawn = Deadline(DRAWN_S)
        while self.read() or (self._screen.cursor.hidden and not drawn.passed):
            self.read(0.01)
        self._since = self.here
        self.type(line + "\r")

    def read(self, wait_s: float = 0.0) -> bool:
        """Take in what is there; False when there was nothing within the time."""
        ready, _, _ = select.select([self._master], [], [], wait_s)
        if not ready:
            return False
        try:
            data = os.read(self._master, 65536)
        except OSError:  # the process has ended
            return False
        self._stream.feed(data)
        return bool(data)

    def see(self, wanted: str, timeout_s: float = 60.0) -> re.Match[str]:
        """Wait until a pattern stands on the screen, from the line of the last `enter` on.

        Raises: AssertionError with the screen's text.
        """
        deadline = Deadline(timeout_s)
        while True:
            found = re.search(wanted, self.text)
            if found:
                return found
            if deadline.passed or (not self.read(0.1) and self.process.poll() is not None):
                raise AssertionError(f"{wanted!r} was not seen in:\n{self.text[-4000:]}")

    def close(self) -> None:
        """End the process, whatever it does; again: nothing."""
        if self._closed:
            return
        self._closed = True
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        os.close(self._master)

    def leave(self, timeout_s: float = 60.0) -> int:
        """Wait for the end of the process, reading what it still shows; its exit code."""
        deadline = Deadline(timeout_s)
        while self.process.poll() is None:
            if deadline.passed:
                raise AssertionError(f"it does not end:\n{self.text[-4000:]}")
            self.read(0.05)
        return self.process.wait()

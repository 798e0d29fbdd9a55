"""What a command prints, to the terminal as ever and to the bridge.

In: `sys.stdout` and `sys.stderr`. Out: whole lines, to a callback, up to a bound.
Called by: `prompt`, for the time of one cell.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

MAX_TOLD = 70_000
"""Characters of one command that are handed on; the bridge cuts a little earlier and says so."""

MAX_LINE = 4000
"""Characters without a newline that wait for the rest of their line."""

Said = Callable[[str, str], None]


class _Tee:
    """A stream that writes to the one under it; everything else is that one's."""

    def __init__(self, under: Any, said: Callable[[str], None]) -> None:
        self._under, self._said = under, said
        self._line, self._told = "", 0

    def write(self, text: str) -> int:
        """Write; whole lines are handed on."""
        written = self._under.write(text)
        if self._told < MAX_TOLD:
            head, newline, rest = text.rpartition("\n")
            whole = self._line + head + newline if newline else ""
            self._line = rest if newline else self._line + rest
            if len(self._line) > MAX_LINE:  # e.g. a progress bar, which never ends its line
                whole, self._line = whole + self._line, ""
            self._tell(whole)
        return int(written or 0)

    def end(self) -> None:
        """Hand on what has no newline."""
        self._tell(self._line)
        self._line = ""

    def _tell(self, text: str) -> None:
        if text:
            self._told += len(text)
            self._said(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._under, name)


class Tees:
    """Both streams, from now to `end`."""

    def __init__(self, said: Said) -> None:
        self._under = (sys.stdout, sys.stderr)
        self._out = _Tee(sys.stdout, lambda text: said("stdout", text))
        self._err = _Tee(sys.stderr, lambda text: said("stderr", text))
        sys.stdout, sys.stderr = self._out, self._err

    def end(self) -> None:
        """The streams as they were, unless somebody has put others in their place."""
        for tee, name, under in zip(
            (self._out, self._err), ("stdout", "stderr"), self._under, strict=True
        ):
            tee.end()
            if getattr(sys, name) is tee:
                setattr(sys, name, under)

"""What this process is called: by `ps`, `top` and whoever else lists processes. Linux.

In: words. Out: the same where the kernel keeps the command line of this process. There is as much
room as the command line had when it was started: whoever starts a process that will rename itself
gives it `ROOM` as its last argument. Where the kernel does not say where that is, nothing happens.
"""

from __future__ import annotations

from pathlib import Path

ROOM = " " * 120
"""An argument that means nothing, and makes room for a longer title."""
SHORT = 15
"""Letters of the short name, which `top` shows."""
_ARG_START, _ARG_END = 45, 46
"""Fields of /proc/self/stat, counted behind the name of the process."""


def call_process(words: list[str], short: str) -> None:
    """Call this process so.

    Args:
        words: of its command line; what has no room is cut.
        short: the name without its arguments, of which 15 letters are kept.
    """
    own = Path("/proc/self")
    try:
        _write_words(own, words)
        (own / "comm").write_bytes(short.encode()[:SHORT])
    except (OSError, ValueError, IndexError):
        return  # another kernel, or none that lets us: the old name does no harm


def _write_words(own: Path, words: list[str]) -> None:
    fields = (own / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    start, end = int(fields[_ARG_START]), int(fields[_ARG_END])
    before = (own / "cmdline").read_bytes()
    room = end - start
    if not start or room != len(before) or room < 2:
        return
    import ctypes

    if ctypes.string_at(start, room) == before:  # it is really there, and ours to write
        title = "\0".join(words).encode()[: room - 1]
        ctypes.memmove(start, title.ljust(room, b"\0"), room)

"""A note that a file is being run, which stays when the process dies of it.

In: a folder, the text of a file. Out: whether a process died while it ran this very text. A note is
read once: the next start but one tries the file again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from undula.core.clock import Deadline
from undula.core.procs import ProcessId

PREFIX = ".startup-begun-"
_ENDED_FROM_OUTSIDE = (signal.SIGTERM, signal.SIGHUP)


def died_of(folder: Path, text: str) -> bool:
    """Whether a process ended while it ran `text`. Notes of processes that ended are removed."""
    found = False
    for note in folder.glob(f"{PREFIX}*"):
        try:
            told = json.loads(note.read_text(encoding="utf-8"))
            process = ProcessId(int(told["pid"]), int(told["ticks"]))
            if process.alive:
                continue
            note.unlink(missing_ok=True)
            found |= told["text"] == _key(text)
        except (OSError, ValueError, KeyError, TypeError):  # e.g. half written, as it died
            with contextlib.suppress(OSError):
                note.unlink(missing_ok=True)
    return found


@contextmanager
def begun(folder: Path, text: str, limit_s: float | None = None) -> Iterator[None]:
    """In here the note is there. Who is asked to end by a signal has not died of the file.

    Args:
        limit_s: unless the file has run for longer than this: then it is the file that hangs.
    """
    patience = Deadline(limit_s if limit_s is not None else float("inf"))
    note = folder / f"{PREFIX}{os.getpid()}"
    me = ProcessId.of(os.getpid())
    told = {"text": _key(text)} | ({"pid": me.pid, "ticks": me.ticks} if me is not None else {})
    try:
        note.write_text(json.dumps(told), encoding="utf-8")
    except OSError:  # who may not write there runs the file all the same
        yield
        return

    def ended(number: int, _: FrameType | None) -> None:
        if not patience.passed:
            note.unlink(missing_ok=True)
        signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)

    main = threading.current_thread() is threading.main_thread()
    watched = [n for n in _ENDED_FROM_OUTSIDE if main and signal.getsignal(n) is signal.SIG_DFL]
    for number in watched:
        signal.signal(number, ended)
    try:
        yield
    finally:
        for number in watched:
            signal.signal(number, signal.SIG_DFL)
        note.unlink(missing_ok=True)


def _key(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]

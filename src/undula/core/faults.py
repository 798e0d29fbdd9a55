"""Named fault points: places where a test may kill this very process, or let something go wrong.

`UNDULA_FAULT=writer.flushed:17` together with `UNDULA_TEST=1` kills the process with SIGKILL at the
17th passage of the point `writer.flushed`. Without both variables `reached` costs one comparison.
`NAME:COUNT:SIGINT` sends that signal instead, `NAME:COUNT:ENOSPC` raises that OSError there.
`POINTS` lists every name; a test fails when code and list differ. With `UNDULA_FAULT_ONCE=/path`
the kill happens only while that file exists, and removes it first: a restarted process lives.
`UNDULA_FAULT=@/path` stands for what that file says when the process starts; nothing without it.
"""

from __future__ import annotations

import errno
import os
import signal

POINTS: frozenset[str] = frozenset(
    {
        "client.request_sent",
        "client.reply_received",
        "client.document_received",
        "engine.request_received",
        "engine.item_stored",
        "engine.run_numbered",
        "engine.document_emitted",
        "engine.document_sent",
        "engine.point_measured",
        "engine.item_finished",
        "engine.recovered",
        "analysis.fit_asked",
        "analysis.fit_begun",
        "publisher.received",
        "publisher.appended",
        "publisher.acknowledged",
        "writer.run_seen",
        "writer.file_created",
        "writer.document_read",
        "writer.flushed",
        "writer.stopped",
        "writer.archived",
        "writer.closed",
        "import.kept",
        "import.file_made",
        "import.archived",
        "import.entered",
        "import.told",
        "supervisor.started_service",
        "supervisor.ready",
        "kernel.cell_taken",
        "kernel.cell_done",
        "session.command_accepted",
        "session.command_sent",
        "session.command_finished",
        "frames.created",
        "frames.chunk_written",
        "frames.data_flushed",
        "frames.flushed",
        "frames.closing",
        "frames.closed",
        "pipes.loaned",
        "pipes.published",
        "pipes.sent",
        "pipes.welcomed",
        "pipes.received",
        "pipes.confirmed",
        "terminal.line_sent",
        "terminal.reply_received",
    }
)


def _armed() -> tuple[str, int, str]:
    spec = os.environ.get("UNDULA_FAULT", "")
    if not spec or os.environ.get("UNDULA_TEST") != "1":
        return "", 0, ""
    if spec.startswith("@"):
        try:
            with open(spec[1:], encoding="utf-8") as file:
                spec = file.read()
        except FileNotFoundError:
            return "", 0, ""
    name, count, what, *_ = *spec.split(":"), "", ""
    return name, int(count or "1"), what or "SIGKILL"


_name, _left, _what = _armed()


def arm() -> None:
    """Look at the variables again: in a process that was forked and has others."""
    global _name, _left, _what
    _name, _left, _what = _armed()


def reached(point: str) -> None:
    """Say that `point` was passed; kill this process if it is the armed passage.

    Raises: the OSError that is to happen at the armed passage.
    """
    global _left
    if point != _name:
        return
    _left -= 1
    if _left == 0:
        token = os.environ.get("UNDULA_FAULT_ONCE")
        if token:
            try:
                os.unlink(token)
            except FileNotFoundError:
                return
        _strike()


def _strike() -> None:
    if _what.startswith("SIG"):
        os.kill(os.getpid(), signal.Signals[_what])
        return
    number = int(getattr(errno, _what))
    raise OSError(number, os.strerror(number))

"""The law of the house, checked from outside: acknowledged is in the file, the file was measured.

In: a beamline of witness devices (`undula.testing.witness`) whose processes may have died at any
moment. Out: nothing, or an AssertionError that says which part of the law was broken.
"""

from __future__ import annotations

import os
import select
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from undula.bus.endpoints import RUN_PROGRESS, RUNS_CLOSED
from undula.bus.ports import BEGIN, Connector, Subscription
from undula.core.errors import UndulaError
from undula.files import open_run, read_archive
from undula.files.archive import archive_path
from undula.messages import JournalProgress, RunFileClosed
from undula.testing.witness import noted

PATIENCE_S = 60.0
T = TypeVar("T")


def patient(call: Callable[[], T], what: str, timeout_s: float = PATIENCE_S) -> T:
    """What `call` returns, asked again while services come back.

    Raises: AssertionError with `what` and the last error when they do not within `timeout_s`.
    """
    end = time.monotonic() + timeout_s
    while True:
        try:
            return call()
        except UndulaError as error:
            if time.monotonic() > end:
                raise AssertionError(f"{what}: {error}") from error


def until(condition: Callable[[], bool], what: str, timeout_s: float = PATIENCE_S) -> None:
    """Wait until the condition holds; an UndulaError counts as not yet.

    Raises: AssertionError with `what` and the last error.
    """
    end = time.monotonic() + timeout_s
    while True:
        error: UndulaError | None = None
        try:
            if condition():
                return
        except UndulaError as told:
            error = told
        if time.monotonic() > end:
            raise AssertionError(f"{what}: {error}" if error else what) from error
        time.sleep(0.02)  # between two looks at a condition


class Progress:
    """How far journals were acknowledged, as a bystander sees it."""

    def __init__(self, connector: Connector) -> None:
        self.reached: dict[str, int] = {}
        self._connector = connector
        self._listening: list[Subscription] = []

    def follow(self, uid: str) -> None:
        """Note the progress of one run from now on."""

        def note(progress: JournalProgress) -> None:
            known = self.reached.get(progress.uid, 0)
            self.reached[progress.uid] = max(known, progress.acknowledged)

        self._listening.append(self._connector.subscribe(RUN_PROGRESS, note, uid=uid))

    def close(self) -> None:
        """Listen no longer; what was reached stays."""
        while self._listening:
            self._listening.pop().close()


def file_closed(connector: Connector, uid: str, timeout_s: float = PATIENCE_S) -> RunFileClosed:
    """Wait until the file of that run is complete. Raises: AssertionError."""
    cursor, end = BEGIN, time.monotonic() + timeout_s
    while time.monotonic() < end:
        try:
            entries = connector.read(RUNS_CLOSED, after=cursor, block_s=0.5)
        except UndulaError:
            continue
        for entry, closed in entries:
            cursor = entry
            if closed.uid == uid:
                return closed
    raise AssertionError(f"the file of run {uid} was never closed")


def check_law(closed: RunFileClosed, acknowledged: int, log: Path) -> int:
    """Rows in the file of a closed run, after the law was checked.

    Args:
        closed: what the writer said when it closed the file.
        acknowledged: highest journal index that a bystander saw acknowledged.
        log: the witness file with everything that was measured.

    Raises: AssertionError.
    """
    path = Path(closed.path)
    archive = list(read_archive(archive_path(path)))
    indexes = [document.index for document in archive]
    if indexes != list(range(1, len(archive) + 1)):
        raise AssertionError(f"{path.name}: the archive has gaps or doubles")
    if archive[-1].name != "stop":
        raise AssertionError(f"{path.name}: the archive ends with {archive[-1].name}")
    if len(archive) < acknowledged:
        raise AssertionError(f"{path.name}: {acknowledged} acknowledged, {len(archive)} archived")
    # a point that a pause interrupted is taken again under its number: the last one counts
    events = {d.doc["seq_num"]: int(d.doc["data"]["wc"]) for d in archive if d.name == "event"}
    try:
        values = [int(value) for value in open_run(path)["wc"]]
    except (UndulaError, KeyError):
        values = []  # a run that ended before its first point
    if values != [events[number] for number in sorted(events)]:
        raise AssertionError(f"{path.name}: {len(events)} points archived, not its {len(values)}")
    if len(set(values)) != len(values):
        raise AssertionError(f"{path.name}: a point stands in it twice")
    if not set(values) <= {int(value) for value in noted(log, "count")}:
        raise AssertionError(f"{path.name}: it holds what was never measured")
    return len(values)


def line_of(process: subprocess.Popen[Any], timeout_s: float = PATIENCE_S) -> Any:
    """The next line that a process prints to its pipe; empty when it has ended.

    Raises: AssertionError when none comes in time.
    """
    if process.stdout is None:
        raise AssertionError(f"{process.args!r} prints to nobody here")
    if not select.select([process.stdout], [], [], timeout_s)[0]:
        raise AssertionError(f"{process.args!r} has printed nothing for {timeout_s:g} s")
    return process.stdout.readline()


def ended(pid: int, timeout_s: float = PATIENCE_S) -> None:
    """Wait for the end of any process. Raises: AssertionError when it is still there."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        if not select.select([handle], [], [], timeout_s)[0]:
            raise AssertionError(f"{pid} is still there")
    finally:
        os.close(handle)

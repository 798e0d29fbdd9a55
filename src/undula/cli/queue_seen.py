"""What a person saw last of the scan queue in this terminal, kept from one command to the next.

In: the queue as a command printed it. Out: the same to the next command, so that a place (`3`)
means what was shown at that place, whoever edited the queue meanwhile. One small file for each
terminal (its session) and name; when it cannot be kept, nothing was seen.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pydantic import ValidationError

from undula.cli.output import connected
from undula.client import Client, QueueView
from undula.messages import QueueStatus

KEPT_TERMINALS = 200
"""Files of terminals that are kept for an account: the oldest go first."""


def seen_file(client: Client) -> Path | None:
    """Where it is kept: in a folder of this account among the sockets of the beamline, which
    several accounts share; where that cannot be, below the own `~/.cache`.
    """
    if client.paths is None:
        return None
    name = re.sub(r"\W", "_", client.link.person)[:40]
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    shared = client.paths.run / f"queue_seen-{os.getuid()}"
    own = base / "undula" / client.paths.name / "queue_seen"
    return (shared if _is_mine(shared) else own) / f"{name}-{os.getsid(0)}.json"


def _is_mine(folder: Path) -> bool:
    """This account may write there, and no other; it is made when it is not there."""
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        about = folder.lstat()
    except OSError:
        return False
    mine = about.st_uid == os.getuid() and stat.S_ISDIR(about.st_mode)
    return mine and os.access(folder, os.W_OK)


class SeenQueue:
    """The queue of a client, with what was seen of it in this terminal."""

    def __init__(self, client: Client) -> None:
        self.queue: QueueView = client.queue
        self.user = client.link.person
        self._file = seen_file(client)
        self.before = self._recalled()
        self.queue.recall(self.before)

    def _recalled(self) -> QueueStatus | None:
        if self._file is None:
            return None
        try:
            return QueueStatus.model_validate_json(self._file.read_bytes())
        except (OSError, ValidationError):
            return None

    def shown(self, status: QueueStatus) -> None:
        """The whole queue is printed now."""
        if self._file is None:
            return
        folder = self._file.parent
        with suppress(OSError):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            new = self._file.with_suffix(f".{os.getpid()}")
            new.write_text(status.model_dump_json(), encoding="utf-8")
            new.replace(self._file)
            kept = sorted(folder.glob("*.json"), key=lambda file: file.stat().st_mtime)
            for old in kept[:-KEPT_TERMINALS]:
                old.unlink(missing_ok=True)

    def added(self, status: QueueStatus) -> None:
        """The own scan was added: nothing else is new to whoever saw the queue right before."""
        if self.before is not None and status.revision == self.before.revision + 1:
            self.shown(status)


@contextmanager
def seen_queue(beamline: str | None) -> Iterator[SeenQueue]:
    """The queue, as the last command of this terminal showed it."""
    with connected(beamline) as client:
        yield SeenQueue(client)

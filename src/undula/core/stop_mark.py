"""When motion was stopped last, and by whom: what was asked before must not move anything after.

Kept in a small file of the beamline, so that an engine that was down or hung, and its successor,
know of it. In: a name. Out: a mark. Standard library only: the stop command uses it.
"""

from __future__ import annotations

import getpass
import json
import os
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from undula.core.clock import now
from undula.core.procs import boot_id

CLOCK_STEP_S = 1.0
MAX_NAME = 40


@dataclass(frozen=True, slots=True)
class StopMark:
    """One stop: UTC epoch seconds, who asked, and the same moment on the clock nobody sets."""

    time: float
    by: str
    since_boot: float = 0.0
    boot: str = ""

    @property
    def moment(self) -> float:
        """The stop on today's wall clock, UTC epoch s: as noted, unless that clock was set since.

        Requests are compared with it by the time at which they were sent. A clock that is set back
        by an hour must not get everything refused for an hour.
        """
        if self.boot != boot_id():
            return self.time
        counted = now() - (time.clock_gettime(time.CLOCK_BOOTTIME) - self.since_boot)
        return counted if abs(counted - self.time) > CLOCK_STEP_S else self.time

    def covers(self, sent: float) -> bool:
        """Whether something that was sent then came before the stop."""
        return sent <= self.moment

    @property
    def words(self) -> str:
        """For people and for the run: `undula stop (alice, 14:03:22)`."""
        at = datetime.fromtimestamp(self.time).astimezone()
        return f"undula stop ({self.by}, {at:%H:%M:%S})"


def who() -> str:
    """The login name of this process's user, for the mark."""
    try:
        return getpass.getuser()[:MAX_NAME]
    except (KeyError, OSError):
        return f"user {os.getuid()}"


def stopped_now(by: str) -> StopMark:
    """A mark of this moment."""
    since_boot = time.clock_gettime(time.CLOCK_BOOTTIME)
    return StopMark(now(), by[:MAX_NAME] or "somebody", since_boot, boot_id())


def write_mark(path: Path, mark: StopMark) -> None:
    """Keep the mark, by rename, readable for the beamline's group. Raises: OSError."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_text(json.dumps(asdict(mark)), encoding="utf-8")
        temporary.chmod(0o660)
        temporary.replace(path)
    except OSError:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


def read_mark(path: Path) -> StopMark | None:
    """The last mark; None when motion was never stopped. An unreadable one counts as made then."""
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        return StopMark(
            float(kept["time"]), str(kept["by"]), float(kept["since_boot"]), str(kept["boot"])
        )
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError):
        with suppress(OSError):
            return StopMark(path.stat().st_mtime, "somebody")
        return None

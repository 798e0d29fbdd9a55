"""What was asked before the last stop does not move anything after it.

In: stops, here or noted by others on disk; requests. Out: permits, which refuse. A request that
this engine had taken is refused by counting, one that it had not by the time at which it was sent.
"""

from __future__ import annotations

import threading
from pathlib import Path

from undula.catalogue import Catalogue
from undula.core.errors import UndulaError
from undula.core.log import get_logger
from undula.core.stop_mark import StopMark, read_mark, stopped_now, write_mark
from undula.messages import ErrorReport, MoveRequest, Reply, Request, ScanRequest


class Stops:
    """The last stop, and permits that end with the next one. Thread-safe."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._mark: StopMark | None = None
        self.count = 0

    def mark(self, by: str) -> StopMark:
        """Motion is stopped now; in memory only, `keep` writes it."""
        with self._lock:
            self.count += 1
            self._mark = stopped_now(by)
            return self._mark

    def keep(self) -> None:
        """Write the last mark for a successor; a full disk is logged."""
        with self._lock:
            mark = self._mark
        if mark is None:
            return
        try:
            write_mark(self._path, mark)
        except OSError as exc:
            get_logger().error("stop_not_kept", path=str(self._path), error=str(exc))

    def last(self) -> StopMark | None:
        """The last stop, of this engine or noted by others; None when there was none."""
        kept = read_mark(self._path)
        with self._lock:
            mine = self._mark
        found = [mark for mark in (kept, mine) if mark is not None]
        return max(found, key=lambda mark: mark.time, default=None)

    def covers(self, sent: float) -> StopMark | None:
        """The last stop when it came after `sent`."""
        mark = self.last()
        return mark if mark is not None and mark.covers(sent) else None

    def permit(self, sent: float) -> Permit:
        """For a request that was sent then and is taken now."""
        return Permit(self, sent)


class Permit:
    """Leave to move, until motion is stopped."""

    def __init__(self, stops: Stops, sent: float) -> None:
        self._stops = stops
        self._sent = sent
        self._count = stops.count

    @property
    def revoked(self) -> bool:
        """Whether motion was stopped since this was taken; cheap, for the last moment."""
        return self._stops.count != self._count

    def check(self) -> None:
        """Raises: UndulaError when motion was stopped since the request was sent."""
        mark = self._stops.covers(self._sent)
        if mark is None and self.revoked:
            mark = self._stops.last()
        if mark is not None:
            raise _dropped(mark)


def _dropped(mark: StopMark) -> UndulaError:
    return UndulaError(
        f"it was dropped by {mark.words}: it had been asked for before",
        remedy="when motion is safe again, ask once more",
    )


def dropped(request: Request, stops: Stops, catalogue: Catalogue) -> Reply | None:
    """The answer to what a dead engine had taken before the last stop; None when it is no such."""
    mark = stops.covers(request.sent)
    if mark is None or not isinstance(request, ScanRequest | MoveRequest):
        return None
    error = _dropped(mark)
    if isinstance(request, MoveRequest):
        error = UndulaError(
            f"it was ended by {mark.words}, perhaps on its way",
            remedy=f"see where it is: undula read {' '.join(request.targets)}",
        )
    elif catalogue.item(request.request_id) is not None:
        return None  # it had been accepted
    return Reply(request_id=request.request_id, error=ErrorReport.of(error))

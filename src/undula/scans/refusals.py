"""Runs whose journal the broker refused: they end as failed, also when it is known late.

In: runs that have ended, what the outbox heard of their documents. Out: their row in the catalogue.
The gate ends a run that is still open; here are those whose last documents were still on their way.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable

from undula.catalogue import Catalogue
from undula.core.clock import now
from undula.core.errors import UndulaError
from undula.core.log import get_logger
from undula.scans.documents import OpenRun
from undula.scans.ports import Documents


class Unsettled:
    """Ended runs whose documents are not all acknowledged yet. Thread-safe."""

    def __init__(self, outbox: Documents, catalogue: Catalogue) -> None:
        self._outbox = outbox
        self._catalogue = catalogue
        self._runs: dict[str, OpenRun] = {}
        self._lock = threading.Lock()

    def add(self, runs: Iterable[OpenRun]) -> None:
        """These have ended."""
        with self._lock:
            self._runs.update({run.uid: run for run in runs})

    def settle(self) -> list[str]:
        """Forget what is safe; enter as failed what was refused. Returns the reasons."""
        reasons: list[str] = []
        with self._lock:
            waiting = list(self._runs.values())
        for run in waiting:
            refused = self._outbox.refusal(run.key)
            if refused:
                reasons.append(f"run {run.number}: {refused}")
                get_logger().error("run_refused", run=run.number, why=refused)
                self._fail(run, refused)
            if refused or self._outbox.acknowledged(run.key) >= run.index:
                with self._lock:
                    self._runs.pop(run.uid, None)
        return reasons

    def _fail(self, run: OpenRun, reason: str) -> None:
        try:
            row = self._catalogue.run(run.uid)
            if row.exit_status not in ("open", "success"):
                return
            self._catalogue.close_run(
                run.uid,
                exit_status="fail",
                reason=reason,
                end_time=row.end_time or now(),
                path=row.path,
                num_events={"primary": run.points},
                archive_path=row.archive_path,
            )
        except UndulaError:  # the log has it; the queue must go on
            get_logger().exception("run_not_entered", run=run.number)

"""Room: scans. What the engine looks at all the time, whatever is asked: two threads.

In: conditions, lost and late devices, room for documents, devices that were away. Out: the running
scan is steered (`scans.watching`), alarms, what is said on the bus, and that the engine lives.
Called by: `scans.service`.
"""

from __future__ import annotations

import threading
import time
from typing import Protocol

from undula.core import notify
from undula.core.errors import BusyError
from undula.core.log import get_logger
from undula.devices.registry import Registry
from undula.messages import BrokerStatus
from undula.scans.alarms import Alarms, wrong_now
from undula.scans.announcements import Announcements
from undula.scans.configuration import Configuration
from undula.scans.ports import Documents
from undula.scans.runner import ScanRunner

WATCH_EVERY_S = 0.05
STATUS_EVERY_S = 0.5
ABSENT_EVERY_S = 2.0


class Watched(Protocol):
    """What is looked at, and who says it."""

    says: Announcements

    @property
    def runner(self) -> ScanRunner:
        """The queue's worker."""

    @property
    def alarms(self) -> Alarms:
        """What is wrong at the beamline."""

    @property
    def configuration(self) -> Configuration:
        """The devices' configuration."""


class EngineWatch:
    """Looks until `closing` is set.

    Args:
        of: the parts of the engine.
    """

    def __init__(
        self, of: Watched, devices: Registry, outbox: Documents, closing: threading.Event
    ) -> None:
        self._of, self._devices, self._outbox, self._closing = of, devices, outbox, closing
        self._broker_full = False
        self._watcher = threading.Thread(target=self._watch, name="watch", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._watcher.start()
        threading.Thread(target=self._look_for_absent, name="absent", daemon=True).start()

    def join(self) -> None:
        """Wait a little for the end of the last look."""
        self._watcher.join(2.0)

    def broker_said(self, status: BrokerStatus) -> None:
        """How full the broker is."""
        limit = status.limit_bytes
        self._broker_full = bool(limit) and status.used_bytes > 0.8 * limit

    def _watch(self) -> None:
        said, runner = 0.0, self._of.runner
        while not self._closing.wait(WATCH_EVERY_S):
            try:
                runner.watch_refusals()
                runner.watching.conditions()
                late = [*runner.watching.overdue(), *runner.moves.look()]
                self._of.alarms.see(wrong_now(runner.conditions.trips(), self._devices, late))
                runner.watching.lost()
                runner.watching.held_up()
                runner.watching.room(self._outbox.fill, self._broker_full)
            except BusyError as error:
                get_logger().info("pause_not_possible", error=str(error))
            except Exception:  # this thread also tells that the engine lives: it must go on
                get_logger().exception("watch_failed")
            if time.monotonic() - said > STATUS_EVERY_S:
                said = time.monotonic()
                status = runner.status()
                notify.heartbeat(f"{status.state}, {status.points_done} points")
                if status.state != "idle" or status.overdue:
                    self._of.says.queue_changed()

    def _look_for_absent(self) -> None:
        """Devices that are switched on later are taken in; one that is lost is shown as lost."""
        configuration = self._of.configuration
        known = configuration.status().absent.keys()
        while not self._closing.wait(ABSENT_EVERY_S):
            try:
                found = self._devices.look_for_absent()
            except Exception:  # a driver may raise anything; the next look may succeed
                get_logger().exception("absent_devices_not_looked_for")
                continue
            if found:
                get_logger().info("devices_answer_now", devices=found)
            absent = configuration.status().absent.keys()
            if found or absent != known:
                known = absent
                self._of.says.configuration_changed()

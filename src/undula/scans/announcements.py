"""What the engine says on the bus by itself: the queue, devices and who uses them, plans, alarms.

In: that something has changed. Out: its state as it is when its turn comes to be said, by
`Outgoing`: nobody who tells of a change waits for the broker, or for a device that is to be shown.
Not here: documents (`documents`), readbacks and values (`device_news`), replies (`service`).
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any, Protocol

from undula.bus.endpoints import (
    ALARMS,
    CONFIG_STATUS,
    DEVICE_TABLE,
    METADATA,
    PLANS,
    QUEUE_FINISHED,
    QUEUE_STATUS,
    Endpoint,
)
from undula.bus.outgoing import LogOnBus, Outgoing
from undula.bus.ports import Connector
from undula.core.errors import DeviceError
from undula.devices.registry import Registry
from undula.messages import (
    BeamlineMetadata,
    DeviceInfo,
    DeviceTable,
    ItemFinished,
    Message,
    PlanTable,
    UserPlan,
)
from undula.plans import catalogue
from undula.scans.alarms import Alarms
from undula.scans.attendant import Attendant
from undula.scans.configuration import Configuration
from undula.scans.device_news import SHOWN_WITHIN_S
from undula.scans.runner import ScanRunner

LEASES_AFTER_S = 0.1
"""So soon after a change it is told who uses which device: what is over by then is not."""


class Told(Protocol):
    """The parts of an engine that are told of."""

    @property
    def runner(self) -> ScanRunner:
        """The queue's worker."""

    @property
    def configuration(self) -> Configuration:
        """The devices' configuration."""

    @property
    def alarms(self) -> Alarms:
        """What is wrong."""

    def packaged(self) -> Sequence[UserPlan] | None:
        """Plans of installed packages; None before they were read."""


class Announcements:
    """Says what has changed. All methods may be called from any thread, and never block.

    Args:
        of: whose state it is, asked when its turn to be said has come.
    """

    def __init__(
        self,
        connector: Connector,
        outgoing: Outgoing,
        devices: Registry,
        attendant: Attendant,
        of: Told,
    ) -> None:
        self._connector, self._outgoing = connector, outgoing
        self._devices, self._attendant, self._of = devices, attendant, of
        self._closing, self._leases_changed = threading.Event(), threading.Event()
        self._said_table: DeviceTable | None = None
        self._said_plans: PlanTable | None = None

    def start(self) -> None:
        """From now on changes of the leases are told."""
        threading.Thread(target=self._tell_leases, name="leases", daemon=True).start()

    def close(self) -> None:
        """End that; safe in a signal handler."""
        self._closing.set()
        self._leases_changed.set()

    @property
    def log(self) -> LogOnBus:
        """A sink of this process's log."""
        return LogOnBus(self._connector, self._outgoing)

    def tell(self, endpoint: Endpoint[Any], message: Message) -> None:
        """Add it to what everybody hears, soon and for certain."""

        def say() -> None:
            self._connector.append(endpoint, message)

        self._outgoing.say(say, must=True)

    def queue_changed(self) -> None:
        """Publish the queue soon."""
        self._outgoing.say(
            lambda: self._connector.put(QUEUE_STATUS, self._of.runner.status().short())
        )

    def item_finished(self, finished: ItemFinished) -> None:
        """Publish how an item ended."""
        self.tell(QUEUE_FINISHED, finished)

    def metadata_changed(self, metadata: BeamlineMetadata) -> None:
        """Publish it, before whatever is said next."""
        self._outgoing.say(lambda: self._connector.put(METADATA, metadata), must=True)

    def alarms_changed(self) -> None:
        """Publish the alarms soon."""
        self._outgoing.say(lambda: self._connector.put(ALARMS, self._of.alarms.table()))

    def plans_changed(self) -> None:
        """Publish which plans there are, when they are other ones."""
        packaged = self._of.packaged()
        update = {"packaged": None if packaged is None else list(packaged)}
        table = catalogue.table().model_copy(update=update)
        if table != self._said_plans:
            self._said_plans = table
            self._outgoing.say(lambda: self._connector.put(PLANS, table), must=True)

    # ---- devices --------------------------------------------------------------------------

    def configuration_changed(self) -> None:
        """Publish which configuration holds, and all devices."""
        self._attendant.forget()
        self._outgoing.say(
            lambda: self._connector.put(CONFIG_STATUS, self._of.configuration.status())
        )
        self.devices_changed()

    def devices_changed(self) -> None:
        """Publish all devices."""
        self._outgoing.say(self._put_table)

    def leases_changed(self) -> None:
        """Publish soon who uses which device."""
        self._leases_changed.set()

    def info(self, name: str) -> DeviceInfo:
        """A device for people; of one that does not answer why not."""
        device = self._devices[name]
        try:
            return self._attendant.read(name, device.info, SHOWN_WITHIN_S)
        except DeviceError as error:
            return device.info(error.what)

    def table(self) -> DeviceTable:
        """All devices, and who uses them."""
        held = self._of.runner.leases.held()
        infos = [
            self.info(n).model_copy(update={"leased_by": held.get(n, "")})
            for n in self._devices.names()
        ]
        return DeviceTable(devices=infos, source=self._of.configuration.status().source)

    def _put_table(self) -> None:
        table = self.table()
        self._connector.put(DEVICE_TABLE, table)
        self._said_table = table

    def _tell_leases(self) -> None:
        while not self._closing.is_set():
            self._leases_changed.wait()
            self._closing.wait(LEASES_AFTER_S)
            self._leases_changed.clear()
            self._outgoing.say(self._put_leases, must=True)

    def _put_leases(self) -> None:
        """The table as it was said last, with who uses what now: no device is asked for it."""
        said, held = self._said_table, self._of.runner.leases.held()
        if said is None or all(i.leased_by == held.get(i.name, "") for i in said.devices):
            return
        infos = [i.model_copy(update={"leased_by": held.get(i.name, "")}) for i in said.devices]
        table = said.model_copy(update={"devices": infos})
        self._connector.put(DEVICE_TABLE, table)
        self._said_table = table

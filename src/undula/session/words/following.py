"""Names of devices at a prompt, which follow the devices of the beamline while it runs.

In: the table of devices, whenever it changes. Out: names such as `samx`, `M`. What a person has
given a name stays; a name that a device loses goes, unless a person has given it another value.
"""

from __future__ import annotations

import builtins
import keyword
import threading
from collections.abc import Callable, Iterable
from typing import Any

from undula.bus.endpoints import DEVICE_TABLE
from undula.bus.ports import Subscription
from undula.client import Client, DeviceProxy
from undula.messages import DeviceInfo, DeviceTable
from undula.session.groups import Group

ALWAYS = ("M", "D")


class DeviceNames:
    """The names that the devices have at one prompt.

    Args:
        here: the prompt's names, which are changed in place.
    """

    def __init__(self, client: Client, here: Callable[[], dict[str, Any]]) -> None:
        self._client, self._here = client, here
        self._given: dict[str, Any] = {}
        self._lock = threading.Lock()

    @property
    def given(self) -> dict[str, Any]:
        """The names that they have here, or had until somebody gave one another value."""
        with self._lock:
            return dict(self._given)

    def update(self) -> None:
        """Look at the devices as they are now."""
        self._take(self._client.devices.table())

    def follow(self) -> Subscription:
        """Follow from now on, on another thread; `close()` ends it."""

        def heard(table: DeviceTable) -> None:
            self._take(table.devices)

        self._client.config.when_changed(self.update)  # at once, for the next word of the cell
        return self._client.link.connector.subscribe(DEVICE_TABLE, heard)

    def _take(self, table: Iterable[DeviceInfo]) -> None:
        with self._lock:
            here, wanted = self._here(), self._wanted(list(table))
            for name in [name for name in self._given if name not in wanted]:
                value = self._given.pop(name)
                if here.get(name) is value:
                    del here[name]
            for name, make in wanted.items():
                if name not in here:
                    here[name] = self._given[name] = make()

    def _wanted(self, table: list[DeviceInfo]) -> dict[str, Callable[[], Any]]:
        client = self._client
        roots = {info.path.split(".")[0] for info in table if "." in info.path} | set(ALWAYS)
        found: dict[str, Callable[[], Any]] = {
            root: (lambda root=root: Group(client, root))  # type: ignore[misc]  # bound now
            for root in sorted(roots)
        }
        for info in table:
            name = info.name
            usable = name.isidentifier() and not keyword.iskeyword(name)
            if usable and not hasattr(builtins, name):
                found.setdefault(name, lambda name=name: DeviceProxy(client, name))  # type: ignore[misc]  # bound now
        return found

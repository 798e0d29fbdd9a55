"""Leases: who uses which device now. The only arbiter between scans, direct moves and changes of
the configuration.

A device is *taken* by who moves or triggers it, and *shared* by who only reads it (a scan its
baseline): it may be moved meanwhile, but not be taken `alone`, to be exchanged or disabled.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Protocol

from undula.core.errors import BusyError


class Letting(Protocol):
    """Where it is written down what a scan touches."""

    def of(self, holder: str) -> list[str]:
        """What it touches."""

    def add(self, holder: str, names: Iterable[str]) -> None:
        """It may touch these from now on."""

    def drop(self, holder: str) -> None:
        """It has let go."""


class Holding:
    """What one scan has, until it lets go: a late check of its plan can take nothing after that."""

    def __init__(self, leases: Leases, holder: str, touched: Letting, item_id: str) -> None:
        self._leases, self._holder = leases, holder
        self._touched, self._item_id = touched, item_id
        self._over = False
        self._lock = threading.Lock()

    def take(self, devices: Iterable[str]) -> None:
        """Take these, too. Raises: BusyError when somebody has one, or the scan is over."""
        wanted = list(devices)
        with self._lock:
            if self._over:
                raise BusyError("the scan is over", remedy="start it again")
            self._leases.take(wanted, self._holder)
            have = self._touched.of(self._item_id)
            self._touched.add(self._item_id, dict.fromkeys([*have, *wanted]))

    def release(self) -> None:
        """Give everything back."""
        with self._lock:
            self._over = True
            self._leases.release(self._holder)
            self._touched.drop(self._item_id)


class Leases:
    """Device name to holder. Safe to use from several threads.

    Args:
        changed: called when somebody takes or gives back devices, or is called otherwise; at once.
    """

    def __init__(self, changed: Callable[[], None] = lambda: None) -> None:
        self._tell = changed
        self._holders: dict[str, str] = {}
        self._alone: set[str] = set()
        self._readers: dict[str, frozenset[str]] = {}
        self._called: dict[str, str] = {}
        self._changed = threading.Condition()

    def take(self, devices: Iterable[str], holder: str, *, alone: bool = False) -> None:
        """All of them or none. Raises: BusyError naming the device, its run and owner."""
        wanted = list(devices)
        with self._changed:
            for name in wanted:
                self._refuse(name, self._other(name, holder, alone))
            self._holders.update(dict.fromkeys(wanted, holder))
            if alone:
                self._alone.add(holder)
        self._tell()

    def share(self, devices: Iterable[str], holder: str) -> None:
        """Read them; all or none. Raises: BusyError where one is taken `alone`."""
        wanted = frozenset(devices)
        with self._changed:
            for name in wanted:
                self._refuse(name, self._exchanged_by(name, holder))
            self._readers[holder] = wanted

    def call(self, holder: str, name: str) -> None:
        """From now on people are told this name of a holder, e.g. with its run's number."""
        with self._changed:
            self._called[holder] = name
        self._tell()

    def release(self, holder: str) -> None:
        """Give back everything that `holder` has."""
        with self._changed:
            self._called.pop(holder, None)
            self._holders = {n: h for n, h in self._holders.items() if h != holder}
            self._readers.pop(holder, None)
            self._alone.discard(holder)
            self._changed.notify_all()
        self._tell()

    def wait_free(
        self,
        devices: Iterable[str],
        timeout_s: float,
        *,
        alone: bool = False,
        shared: Iterable[str] = (),
    ) -> str:
        """Wait until they can be taken, and `shared` be shared.

        Returns: the holder's name when the time is over, else ''.
        """
        wanted, read = list(devices), list(shared)

        def holder() -> str:
            taken = (self._other(n, "", alone) for n in wanted)
            return next(filter(None, taken), "") or next(
                filter(None, (self._exchanged_by(n, "") for n in read)), ""
            )

        with self._changed:
            self._changed.wait_for(lambda: not holder(), timeout_s)
            return self._name(holder())

    def holder(self, device: str) -> str:
        """Who has it; '' when it is free."""
        with self._changed:
            return self._name(self._holders.get(device, ""))

    def held(self) -> dict[str, str]:
        """All that are taken, device to holder."""
        with self._changed:
            return {device: self._name(holder) for device, holder in self._holders.items()}

    def _name(self, holder: str) -> str:
        return self._called.get(holder, holder)

    def _other(self, name: str, holder: str, alone: bool) -> str:
        """Who keeps `holder` from taking it."""
        taken = self._holders.get(name, holder)
        if taken != holder:
            return taken
        readers = (h for h, names in self._readers.items() if name in names and h != holder)
        return next(readers, "") if alone else ""

    def _exchanged_by(self, name: str, holder: str) -> str:
        taken = self._holders.get(name, holder)
        return taken if taken != holder and taken in self._alone else ""

    def _refuse(self, name: str, other: str) -> None:
        if other:
            raise BusyError(
                f"in use by {self._name(other)}",
                remedy="wait for its end, or stop it: undula queue abort, undula stop",
                device=name,
            )

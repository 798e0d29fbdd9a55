"""Leases: who uses which device now. The only arbiter between scans and direct moves."""

from __future__ import annotations

import threading
from collections.abc import Iterable

from undula.core.errors import BusyError


class Leases:
    """Device name to holder. Safe to use from several threads."""

    def __init__(self) -> None:
        self._holders: dict[str, str] = {}
        self._changed = threading.Condition()

    def take(self, devices: Iterable[str], holder: str) -> None:
        """All of them or none. Raises: BusyError naming the device, its run and owner."""
        wanted = list(devices)
        with self._changed:
            for name in wanted:
                other = self._holders.get(name)
                if other is not None and other != holder:
                    raise BusyError(
                        f"in use by {other}",
                        remedy="wait for its end, or stop it: undula queue abort, undula stop",
                        device=name,
                    )
            self._holders.update(dict.fromkeys(wanted, holder))

    def release(self, holder: str) -> None:
        """Give back everything that `holder` has."""
        with self._changed:
            self._holders = {n: h for n, h in self._holders.items() if h != holder}
            self._changed.notify_all()

    def wait_free(self, devices: Iterable[str], timeout_s: float) -> str:
        """Wait until nobody holds them; the holder's name when the time is over, else ''."""
        wanted = list(devices)

        def holder() -> str:
            return next((self._holders[n] for n in wanted if n in self._holders), "")

        with self._changed:
            self._changed.wait_for(lambda: not holder(), timeout_s)
            return holder()

    def holder(self, device: str) -> str:
        """Who has it; '' when it is free."""
        with self._changed:
            return self._holders.get(device, "")

    def held(self) -> dict[str, str]:
        """All leases, device to holder."""
        with self._changed:
            return dict(self._holders)

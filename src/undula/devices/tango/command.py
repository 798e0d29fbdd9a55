"""A Tango command as a device: set with an argument, or triggered at each point without."""

from __future__ import annotations

import threading
import time
from typing import Any

from undula.core.errors import DeviceError
from undula.devices.sim.status import SimStatus
from undula.devices.tango.proxy import TangoProxy, checked_address


class TangoCommand:
    """A command of a Tango device; its value is how often it was carried out.

    Args:
        uri: `DOMAIN/FAMILY/MEMBER/COMMAND`, or `tango://HOST:PORT/...#dbase=no`.
        argument: given at a trigger; None: the command takes none.
    """

    parent = None

    def __init__(self, name: str, *, uri: str, argument: Any = None) -> None:
        self.name = name
        address, self._command = checked_address(uri, attribute=True)
        self._proxy = TangoProxy(name, address)
        self._uri, self._argument = uri, argument
        self._done, self._stamp = 0, time.time()

    @classmethod
    def check_config(cls, config: dict[str, Any]) -> None:
        """Raises: InputError for an address that is none."""
        checked_address(str(config.get("uri", "")), attribute=True)

    @property
    def connected(self) -> bool:
        """It answered when it was asked last."""
        return self._proxy.answers

    def wait_for_connection(self, timeout: float = 3.0) -> None:
        """Connect, and see that there is such a command. Raises: DeviceError."""
        proxy = self._proxy
        proxy.connect(timeout)
        proxy.call(lambda: proxy.raw.command_query(self._command))

    def set(self, value: Any) -> SimStatus:
        """Carry it out with this argument, on a thread of its own."""
        return self._start(value)

    def trigger(self) -> SimStatus:
        """Carry it out, on a thread of its own."""
        return self._start(self._argument)

    def _start(self, argument: Any) -> SimStatus:
        status, proxy = SimStatus(self), self._proxy

        def work() -> None:
            try:
                proxy.call(lambda: proxy.raw.command_inout(self._command, argument))
            except DeviceError as error:
                status.finish(error)
                return
            self._done, self._stamp = self._done + 1, time.time()
            status.finish()

        threading.Thread(target=work, name=f"command {self.name}", daemon=True).start()
        return status

    def read(self) -> dict[str, Any]:
        """How often it was carried out, and when last."""
        return {self.name: {"value": self._done, "timestamp": self._stamp}}

    def describe(self) -> dict[str, Any]:
        """Data key of the count."""
        about = {"source": self._uri, "dtype": "integer", "dtype_numpy": "<i8", "shape": []}
        return {self.name: about}

    def read_configuration(self) -> dict[str, Any]:
        """Nothing."""
        return {}

    def describe_configuration(self) -> dict[str, Any]:
        """Nothing."""
        return {}

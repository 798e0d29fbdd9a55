"""What a scan does when a device fails to be read: raise, read again, or take the last value.

BEC's `onFailure`. In: devices, their policies, what a read raised. Out: readings, or the exception.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

from undula.core.log import get_logger

Policy = Literal["raise", "retry", "buffer"]
Policies = Mapping[str, Policy]


def read_again(device: Any, policy: Policy, exc: Exception) -> None:
    """Return when a failed reading is to be tried once more; raise what it raised otherwise."""
    if policy == "raise":
        raise exc
    get_logger().warning("read_again", device=device.name, error=str(exc))


def reader(device: Any, policy: Policy) -> Callable[[], dict[str, Any]]:
    """The synchronous `read` of a device, once more when it failed and the policy says so."""
    if policy == "raise":
        return device.read  # type: ignore[no-any-return]  # any library's device

    def read() -> dict[str, Any]:
        try:
            return device.read()  # type: ignore[no-any-return]  # any library's device
        except Exception as exc:  # a driver may raise anything
            read_again(device, policy, exc)
        return device.read()  # type: ignore[no-any-return]  # any library's device

    return read


def _passed_on(name: str) -> property:
    def get(self: Buffered) -> Any:
        return getattr(self._device, name)

    return property(get)


class Buffered:
    """A device whose last reading stands in, with its old time, when it cannot be read.

    Only while a run goes on: the first reading must succeed. Everything else is the device's own.
    """

    def __init__(self, device: Any) -> None:
        self._device = device
        self._last: dict[str, Any] | None = None

    def __new__(cls, device: Any) -> Buffered:
        """Of a class that has the device's own attributes, where protocols look for them."""
        names = [n for n in dir(device) if not n.startswith("_") and not hasattr(cls, n)]
        own = type(cls.__name__, (cls,), {name: _passed_on(name) for name in names})
        return object.__new__(own)

    async def read(self) -> dict[str, Any]:
        """A reading, or the last one."""
        try:
            found = self._device.read()
            self._last = await found if hasattr(found, "__await__") else found
        except Exception as exc:  # a driver may raise anything
            if self._last is None:
                raise
            get_logger().warning("last_reading_used", device=self._device.name, error=str(exc))
        return dict(self._last or {})

    async def describe(self) -> dict[str, Any]:
        """The device's data keys."""
        found = self._device.describe()
        return dict(await found if hasattr(found, "__await__") else found)

    def __repr__(self) -> str:
        return f"Buffered({self._device!r})"

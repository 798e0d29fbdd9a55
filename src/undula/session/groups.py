"""`M`, `D` and `dev` in the shell: groups of devices, followed by attribute.

A device's path (`M.samx`) is the expression that reaches it. In: a client. Out: proxies.
"""

from __future__ import annotations

from difflib import get_close_matches

from undula.client import Client, DeviceProxy, describe
from undula.client.devices import NoSuchDeviceError
from undula.client.shown import html_table
from undula.core.errors import InputError
from undula.messages import DeviceInfo


class Group:
    """Devices whose path begins with `path`; the whole beamline when it is `dev`."""

    def __init__(self, client: Client, path: str) -> None:
        self._client = client
        self._path = path

    def _members(self) -> list[DeviceInfo]:
        table = self._client.devices.table()
        if self._path == "dev":
            return table
        return [info for info in table if info.path.startswith(self._path + ".")]

    def __getattr__(self, name: str) -> DeviceProxy | Group:
        if name.startswith("_"):
            raise AttributeError(name)
        members = self._members()
        wanted = f"{self._path}.{name}"
        for info in members:
            if wanted == info.path or (self._path == "dev" and name == info.name):
                return DeviceProxy(self._client, info.name)
        if any(info.path.startswith(wanted + ".") for info in members):
            return Group(self._client, wanted)
        near = get_close_matches(name, dir(self), 1)
        raise NoSuchDeviceError(
            f"{self._path} has no device {name!r}",
            remedy=f"did you mean {self._path}.{near[0]}?" if near else f"see {self._path}",
        )

    def __setattr__(self, name: str, value: object) -> None:
        """`M.samx = 4` would move nothing, and hide the device from everybody."""
        if not name.startswith("_"):
            raise InputError(
                f"{self._path}.{name} is a name of the device file and cannot be set",
                remedy=f"to move it: mv({self._path}.{name}, {value!r})",
            )
        super().__setattr__(name, value)

    def __getitem__(self, name: str) -> DeviceProxy | Group:
        return getattr(self, name)  # type: ignore[no-any-return]  # getattr is untyped

    def __dir__(self) -> list[str]:
        if self._path == "dev":
            return [info.name for info in self._members()]
        depth = self._path.count(".") + 1
        return sorted({info.path.split(".")[depth] for info in self._members()})

    def __repr__(self) -> str:
        return "\n".join(describe(info) for info in self._members()) or f"{self._path}: no devices"

    def _repr_html_(self) -> str:
        rows = [
            (info.path, info.kind, info.unit, describe(info).partition(", ")[2])
            for info in self._members()
        ]
        return html_table(["device", "kind", "unit", "about"], rows)

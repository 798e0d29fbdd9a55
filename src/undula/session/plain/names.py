"""Devices of a plain IPython by their paths: the Python expression that reaches each.

In: the user's names and the groups in them, e.g. `M` and `D`. Out: path to object, looked up anew
each time. A dot in an ophyd name, as in `name="M.m1"`, is taken out: event-model refuses it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from difflib import get_close_matches
from typing import Any

from undula.core.errors import InputError
from undula.session.bridge.render import is_path

MAX_DEPTH = 6


def is_device(found: object) -> bool:
    """Whether Bluesky can read it: it has a name, `read` and `describe`."""
    return isinstance(getattr(found, "name", None), str) and all(
        callable(getattr(found, word, None)) for word in ("read", "describe")
    )


def _members(group: object) -> Mapping[str, Any]:
    if isinstance(group, Mapping):
        return group
    return getattr(group, "__dict__", {})


def _walk(path: str, found: object, depth: int) -> Iterator[tuple[str, Any]]:
    if is_device(found):
        yield path, found
        return
    if depth == 0:
        return
    for name, inner in list(_members(found).items()):
        if isinstance(name, str) and is_path(name) and "." not in name:
            yield from _walk(f"{path}.{name}", inner, depth - 1)


class Names:
    """The devices in some groups of the user's names.

    Args:
        names: the user's names.
        groups: names of the groups, e.g. M and D.
        say: tells the person at the prompt what was renamed.
    """

    def __init__(
        self, names: dict[str, Any], groups: list[str], say: Callable[[str], None]
    ) -> None:
        self._names, self._groups, self._say = names, groups, say

    def devices(self) -> dict[str, Any]:
        """Path to device, as it is now."""
        found: dict[str, Any] = {}
        for group in self._groups:
            if group in self._names:
                found.update(_walk(group, self._names[group], MAX_DEPTH))
        return found

    def keys(self, path: str) -> list[str]:
        """Paths of all devices below `path`; "" for all."""
        return [p for p in self.devices() if not path or p == path or p.startswith(f"{path}.")]

    def find(self, path: str) -> Any:
        """The device at a path, or the signal below one, e.g. `M.m1.velocity`.

        Raises: InputError with the paths that come near.
        """
        devices = self.devices()
        if path in devices:
            return devices[path]
        root = max((p for p in devices if path.startswith(f"{p}.")), key=len, default=None)
        if root is not None:
            found = devices[root]
            for part in path[len(root) + 1 :].split("."):
                known = getattr(found, "component_names", ())
                found = getattr(found, part) if part in known else None
            if found is not None:
                return found
        near = get_close_matches(path, devices, 3)
        raise InputError(
            f"there is no device {path!r}",
            remedy=f"did you mean {', '.join(near)}?" if near else "dev/keys lists them",
        )

    def adopt(self) -> None:
        """Rename devices whose names hold a dot, and check that each path leads to its device.

        Raises: InputError naming the device whose path or name leads elsewhere.
        """
        devices = self.devices()
        for path, device in devices.items():
            self._check(path, device)
        for path, device in devices.items():
            if "." in device.name:
                taken = {other.name for other in devices.values() if other is not device}
                leaf = path.rpartition(".")[2]
                new = leaf if leaf not in taken else path.replace(".", "_")
                rename(device, new)
                self._say(
                    f"{path}: its ophyd name is now {new!r}, because Bluesky's documents allow no "
                    f"dot; {path} stays its path"
                )

    def _check(self, path: str, device: Any) -> None:
        try:
            found = eval(path, dict(self._names))  # noqa: S307  # names and dots, nothing else
        except Exception as exc:  # whatever an attribute of the user's own group raises
            raise InputError(
                f"{path} does not lead to a device: {type(exc).__name__}: {exc}",
                remedy="let the group's members be attributes: M = AttrDict(m1=...), or a "
                "types.SimpleNamespace",
            ) from exc
        if found is not device:
            raise InputError(f"{path} leads to another object", remedy="give each its own name")
        if "." in device.name and device.name != path:
            raise InputError(
                f"the device {path} is named {device.name}, which is another path",
                remedy=f'name it "{path}", or anything without a dot',
            )


def rename(device: Any, new: str) -> None:
    """Another name for a device and what lies in it, for ophyd and ophyd-async."""
    if hasattr(device, "set_name"):
        device.set_name(new)
        return
    _rename(device, device.name, new)


def _rename(part: Any, old: str, new: str) -> None:
    if part.name == old or part.name.startswith(f"{old}_"):
        part.name = new + part.name[len(old) :]
    for inner in getattr(part, "_signals", {}).values():  # what ophyd has made of its components
        _rename(inner, old, new)

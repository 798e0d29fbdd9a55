"""What differs between two sets of devices, and what must be built again for it. Pure.

In: entries before and after. Out: a `Change`, with a line a person can read for each difference.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from undula.devices.description import DeviceEntry
from undula.devices.export import device_keys

BUILT_FROM = ("deviceClass", "deviceConfig", "connectionTimeout", "enabled", "needs")
"""Keys whose change needs a new object; all others change what is said of the present one."""

KeyChanges = dict[str, tuple[Any, Any]]


@dataclass(frozen=True, slots=True)
class Change:
    """Differences between two sets of devices."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed: dict[str, KeyChanges] = field(default_factory=dict)
    rebuilt: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.changed)

    @property
    def concerns(self) -> tuple[str, ...]:
        """Devices that were there and are changed, built again or removed."""
        return tuple(dict.fromkeys((*self.removed, *self.changed, *self.rebuilt)))

    def lines(self) -> list[str]:
        """One line for each difference.

        >>> Change(added=("samy",), changed={"samx": {"readOnly": (False, True)}}).lines()
        ['+ samy', '~ samx readOnly: False -> True']
        """
        found = [f"+ {name}" for name in self.added] + [f"- {name}" for name in self.removed]
        for name, keys in self.changed.items():
            found += [f"~ {name} {key}: {a!r} -> {b!r}" for key, (a, b) in keys.items()]
        return found


def compare(before: Iterable[DeviceEntry], after: Iterable[DeviceEntry]) -> Change:
    """What must happen to come from one set to the other."""
    old = {entry.name: entry for entry in before}
    new = {entry.name: entry for entry in after}
    changed = {
        name: keys for name in new if name in old and (keys := _key_changes(old[name], new[name]))
    }
    added = tuple(n for n in new if n not in old)
    removed = tuple(n for n in old if n not in new)
    again = {n for n, keys in changed.items() if any(k.split(".")[0] in BUILT_FROM for k in keys)}
    again |= _dependents(new, again | set(added) | set(removed)) - set(added)
    return Change(added, removed, changed, tuple(n for n in new if n in again))


def _key_changes(old: DeviceEntry, new: DeviceEntry) -> KeyChanges:
    if old == new:
        return {}
    a = old.model_dump(mode="json", by_alias=True)
    b = new.model_dump(mode="json", by_alias=True)
    found: KeyChanges = {}
    for key in b:
        if a[key] == b[key]:
            continue
        if isinstance(a[key], dict) and isinstance(b[key], dict):
            for inner in dict.fromkeys((*a[key], *b[key])):
                if a[key].get(inner) != b[key].get(inner):
                    found[f"{key}.{inner}"] = (a[key].get(inner), b[key].get(inner))
        else:
            found[key] = (a[key], b[key])
    return found


def _dependents(entries: Mapping[str, DeviceEntry], gone: set[str]) -> set[str]:
    """Devices that hold one of `gone`, directly or not: those that need it."""
    found: set[str] = set()
    for name, entry in entries.items():  # in the order of building: what is needed comes first
        if any(other in gone or other in found for other in entry.needs):
            found.add(name)
    return found


def updated(entry: DeviceEntry, values: Mapping[str, Any]) -> dict[str, Any]:
    """Keys of a device with some replaced; `deviceConfig.limits` reaches into a mapping.

    A value None takes the key away, so that its default holds again.
    """
    keys = device_keys(entry)
    for path, value in values.items():
        outer, _, inner = path.partition(".")
        if not inner:
            place, key = keys, outer
        else:
            keys[outer] = dict(keys.get(outer) or {})
            place, key = keys[outer], inner
        if value is None:
            place.pop(key, None)
        else:
            place[key] = value
    return keys

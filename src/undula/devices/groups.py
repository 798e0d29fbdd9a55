"""Measurement groups: detectors under one name, with named states; one of them may be active.

In: `members` and `states` of a device file. Out: what a scan reads when it names the group, or when
it names nothing and the group is active, i.e. has the readout priority `monitored`. A group is
itself read as the name of its state, so that a baseline keeps which one it was.
"""

from __future__ import annotations

import difflib
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from undula.core.errors import InputError

ALL = "all"
"""The state that every group has: all its members."""


class MeasurementGroup:
    """Detectors that are read together.

    Args:
        members: names of detectors, or of other groups.
        states: name of a state to the members that are read in it.
        state: the state that holds.
        without: members that are left out for now, in any state.
    """

    parent = None

    def __init__(
        self,
        name: str,
        *,
        members: Sequence[str],
        states: Mapping[str, Sequence[str]] | None = None,
        state: str = ALL,
        without: Sequence[str] = (),
    ) -> None:
        self.name = name
        self.states = {ALL: tuple(members), **{k: tuple(v) for k, v in (states or {}).items()}}
        self.state = state
        self.without = tuple(without)
        self._since = time.time()
        self.needs_of({"members": members, "states": states, "state": state, "without": without})

    @classmethod
    def needs_of(cls, config: Mapping[str, Any]) -> tuple[str, ...]:
        """Its members. Raises: InputError for names that are none of them."""
        members = _names(config.get("members"), "members")
        if not members:
            raise InputError("members is empty", remedy="name detectors, e.g. [i0, diode]")
        states = config.get("states") or {}
        if not isinstance(states, Mapping):
            raise InputError("states is no mapping", remedy="e.g. states: {quick: [i0]}")
        for state, chosen in states.items():
            _among(_names(chosen, f"states.{state}"), members, f"states.{state} names")
        _among([str(config.get("state", ALL))], [ALL, *map(str, states)], "state is")
        _among(_names(config.get("without") or [], "without"), members, "without names")
        return tuple(members)

    @property
    def detectors(self) -> tuple[str, ...]:
        """The members that are read now."""
        return tuple(n for n in self.states[self.state] if n not in self.without)

    def bind(self, devices: Mapping[str, Any]) -> None:
        """Raises: InputError for a member that is not described."""
        _among(self.states[ALL], list(devices), "members names")

    def read(self) -> dict[str, Any]:
        """The name of its state."""
        return {self.name: {"value": self.state, "timestamp": self._since}}

    def describe(self) -> dict[str, Any]:
        """One key, a text."""
        source = f"group:{', '.join(self.detectors)}"
        return {self.name: {"source": source, "dtype": "string", "shape": []}}

    def read_configuration(self) -> dict[str, Any]:
        """Nothing."""
        return {}

    def describe_configuration(self) -> dict[str, Any]:
        """Nothing."""
        return {}


def expanded(names: Iterable[str], devices: Any) -> list[str]:
    """Names with groups replaced by what they read now, each once.

    Args:
        devices: name to `LoadedDevice`, e.g. the registry.
    """
    found: dict[str, None] = {}
    for name in names:
        obj = devices[name].obj
        if isinstance(obj, MeasurementGroup):
            found |= dict.fromkeys(expanded(obj.detectors, devices))
        else:
            found[name] = None
    return list(found)


def _names(value: Any, key: str) -> list[str]:
    if not isinstance(value, list | tuple) or not all(isinstance(v, str) for v in value):
        raise InputError(f"{key} is {value!r}", remedy="give a list of names, e.g. [i0, diode]")
    return list(value)


def _among(names: Iterable[str], known: Sequence[str], what: str) -> None:
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            remedy = f"did you mean {near[0]}?" if near else f"use {', '.join(known)}"
            raise InputError(f"{what} {name}, which is not there", remedy=remedy)

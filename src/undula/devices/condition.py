"""Conditions of a beamline: what must hold while a scan runs, and what happens when it does not.

In: an expression over signals. Out: a device whose value says whether it holds, and why not. What
cannot be read does not hold. Watched by `scans.conditions`.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from undula.core.errors import InputError
from undula.devices.computed import Derived, values_of
from undula.devices.expression import Expression

Action = Literal["pause", "abort", "refuse", "warn"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a condition held, and when it was looked at (monotonic, seconds)."""

    holds: bool
    reason: str
    time: float


class Condition(Derived):
    """Something that must hold, e.g. `ring_current > 100`.

    Args:
        ok: the expression that must be true.
        action: `pause` a scan and go on when it holds again, `abort` it, `refuse` to start one,
            or `warn` only.
        settle: how long it must hold before a scan goes on, seconds.
        every: how often it is looked at, seconds.
        message: for people, instead of the expression.
    """

    def __init__(
        self,
        name: str,
        *,
        ok: str,
        action: Action = "pause",
        settle: float = 1.0,
        every: float = 0.1,
        message: str = "",
    ) -> None:
        super().__init__(name, "", 0)
        self.inputs = self.needs_of({"ok": ok, "action": action, "settle": settle, "every": every})
        self._expression = Expression(ok)
        self.action, self.settle_s, self.every_s = action, float(settle), float(every)
        self.message = message

    @classmethod
    def needs_of(cls, config: Mapping[str, Any]) -> tuple[str, ...]:
        """Names of the devices in `ok`. Raises: InputError for whatever is wrong."""
        action, ok = config.get("action", "pause"), Expression(str(config.get("ok", "")))
        if action not in get_args(Action):
            raise InputError(
                f"action is {action!r}", remedy=f"use one of {', '.join(get_args(Action))}"
            )
        for key, least in (("settle", 0.0), ("every", 0.01)):
            number = config.get(key, 1.0)
            if isinstance(number, bool) or not isinstance(number, int | float) or number < least:
                raise InputError(f"{key} is {number!r}", remedy=f"give seconds, {least:g} or more")
        if not ok.names:
            raise InputError(f"{ok.text!r} names no device", remedy="e.g. ring_current > 100")
        return tuple(dict.fromkeys(n.partition(".")[0] for n in sorted(ok.names)))

    @property
    def synchronous(self) -> bool:
        """It can be looked at without a loop."""
        return all(device.synchronous for device in self._devices.values())

    def look(self) -> Verdict:
        """Read what it needs and judge. What cannot be read, or is not a number, does not hold."""
        try:
            values: dict[str, Any] = {}
            for name, device in self._devices.items():
                values |= values_of(name, device.read())
            holds = self._holds(values)
        except Exception as exc:  # whatever a driver raises: what is not known does not hold
            return Verdict(False, f"{self.name}: {' '.join(str(exc).split())}", time.monotonic())
        return Verdict(holds, "" if holds else self._why(values), time.monotonic())

    def _why(self, values: Mapping[str, Any]) -> str:
        found = ", ".join(
            f"{name} is {_text(values[name])} {self._unit(name)}".rstrip()
            for name in sorted(self._expression.names)
        )
        return f"{self.message or f'{self._expression.text} does not hold'} ({found})"

    def _unit(self, name: str) -> str:
        device = self._devices.get(name)
        return "" if device is None else str(device.unit)

    def compute(self, values: Mapping[str, Any]) -> int:
        """1 when it holds, else 0; also 0 where it has no value."""
        try:
            return int(self._holds(values))
        except InputError:
            return 0

    def _holds(self, values: Mapping[str, Any]) -> bool:
        """It holds everywhere; NaN is not true. Raises: InputError when it has no value."""
        found = np.asarray(self._expression(values), dtype=float)
        return bool(np.all(found)) and not bool(np.any(np.isnan(found)))

    @property
    def source(self) -> str:
        """What must hold."""
        return self._expression.text


def _text(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, int | float) else str(value)

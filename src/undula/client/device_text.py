"""A device's value and state in words. Pure.

In: `DeviceInfo` and the `DeviceValues` last kept. Out: words, and the colour that says the same.
"""

from __future__ import annotations

from typing import Any

from undula.core.shown import number_text
from undula.messages import DeviceInfo, DeviceValues

OLD_S = 7 * 24 * 3600.0
RED, YELLOW, MAGENTA, CYAN, GREY = "31", "33", "35", "36", "90"
ALARMS = {"minor": YELLOW, "major": RED, "invalid": MAGENTA}
NO_VALUES = DeviceValues(values={}, timestamps={}, time=0.0)


def value_text(value: Any, info: DeviceInfo) -> str:
    """A value as its device shows it: the word of an enum, as many digits as it says.

    >>> about = dict(name="s", path="D.s", device_class="x", kind="signal", enabled=True,
    ...              readout_priority="baseline", connected=True)
    >>> value_text(1, DeviceInfo(**about, choices=["shut", "open"]))
    'open'
    >>> value_text(1.23456, DeviceInfo(**about, precision=2))
    '1.23'
    """
    if info.choices and isinstance(value, int | float) and 0 <= int(value) < len(info.choices):
        return info.choices[int(value)]
    if isinstance(value, float) and info.precision is not None and 1e-4 <= abs(value) < 1e6:
        return f"{value:.{info.precision}f}"
    return number_text(value)


def age_text(seconds: float) -> str:
    """An age in one word.

    >>> age_text(90), age_text(3 * 86400)
    ('1 min', '3 days')
    """
    for unit, name in ((86400.0, "days"), (3600.0, "h"), (60.0, "min")):
        if seconds >= unit:
            return f"{int(seconds // unit)} {name}"
    return f"{int(seconds)} s"


def state(info: DeviceInfo, live: DeviceValues = NO_VALUES) -> tuple[str, str]:
    """What there is to say of a device, and its colour; 'ok' and none when all is well."""
    if not info.enabled:
        why = "" if info.problem == "disabled by request" else info.problem
        return (f"disabled: {why}" if why else "disabled"), GREY
    if not info.connected:
        return f"not connected: {info.problem}", RED
    words, colour = list[str](), ""
    stamp = live.timestamps.get(info.name)
    if stamp is not None and live.time - stamp > OLD_S:
        words.append(f"{age_text(live.time - stamp)} old")
        colour = GREY
    if info.name in live.moving:
        words.append("moving")
        colour = CYAN
    if info.leased_by:
        words.append(f"used by {info.leased_by}")
    severity = live.severities.get(info.name)
    if severity is not None:
        words.insert(0, f"{severity} alarm")
        colour = ALARMS[severity]
    return ", ".join(words) or "ok", colour

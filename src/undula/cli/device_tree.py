"""All devices as a tree: groups, values as last heard, alarms and states in colour. Pure.

In: `DeviceInfo`s and the `DeviceValues` last kept. Out: text. Colour says what is wrong at once,
but each thing it says is also a word: yellow minor, red major or not connected, magenta invalid,
cyan moving, grey disabled or old.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from undula.cli.output import number_text
from undula.messages import DeviceInfo, DeviceValues

OLD_S = 7 * 24 * 3600.0
RED, YELLOW, MAGENTA, CYAN, GREY = "31", "33", "35", "36", "90"
ALARMS = {"minor": YELLOW, "major": RED, "invalid": MAGENTA}
HEAD = ("device", "value", "", "limits", "readout", "class", "state")
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


def tree(devices: Sequence[DeviceInfo], live: DeviceValues | None, colour: bool) -> str:
    """The devices by group, in the order of the device file.

    >>> samx = DeviceInfo(name="samx", path="M.samx", device_class="a.SimPositioner",
    ...     kind="positioner", readout_priority="baseline", enabled=True, connected=True,
    ...     unit="mm", limits=(-5, 5))
    >>> heard = DeviceValues(values={"samx": 1.5}, timestamps={"samx": 9.0}, time=10.0,
    ...     severities={"samx": "major"})
    >>> print(tree([samx], heard, colour=False))
    device  value      limits  readout   class          state
    M
      samx    1.5  mm  -5..5   baseline  SimPositioner  major alarm
    """
    live = live or NO_VALUES
    groups: dict[str, list[DeviceInfo]] = {}
    for info in devices:
        groups.setdefault(info.path.rpartition(".")[0], []).append(info)
    rows = {info.name: _row(info, live) for info in devices}
    wide = [max(len(row[i]) for row in [HEAD, *rows.values()]) for i in range(len(HEAD))]
    lines = [_line(HEAD, wide)]
    for group, members in groups.items():
        lines.append(group)
        for info in members:
            line, paint = _line(rows[info.name], wide), state(info, live)[1]
            lines.append(f"\x1b[{paint}m{line}\x1b[0m" if colour and paint else line)
    return "\n".join(lines)


def _row(info: DeviceInfo, live: DeviceValues) -> tuple[str, ...]:
    limits = "" if info.limits is None else f"{info.limits[0]:g}..{info.limits[1]:g}"
    known = info.name in live.values and info.connected
    return (
        f"  {info.name}",
        value_text(live.values[info.name], info) if known else "",
        info.unit,
        limits,
        info.readout_priority,
        info.device_class.rpartition(".")[2],
        state(info, live)[0],
    )


def _line(cells: Sequence[str], wide: Sequence[int]) -> str:
    texts = [
        cell.rjust(w) if i == 1 else cell.ljust(w)
        for i, (cell, w) in enumerate(zip(cells, wide, strict=True))
    ]
    return "  ".join(texts).rstrip()

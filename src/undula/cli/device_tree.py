"""All devices as a tree: groups, values as last heard, alarms and states in colour. Pure.

In: `DeviceInfo`s and the `DeviceValues` last kept. Out: text. Colour says what is wrong at once,
but each thing it says is also a word: yellow minor, red major or not connected, magenta invalid,
cyan moving, grey disabled or old.
"""

from __future__ import annotations

from collections.abc import Sequence

from undula.client.device_text import NO_VALUES, state, value_text
from undula.messages import DeviceInfo, DeviceValues

HEAD = ("device", "value", "", "limits", "readout", "class", "state")


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

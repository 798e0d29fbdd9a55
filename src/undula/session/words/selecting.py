"""Devices at a glance, and which signals count first: `lsdev`, `plotselect`.

In: the table of devices with what was last heard of them. Out: lines of 80 columns.
"""

from __future__ import annotations

import fnmatch
import sys
from typing import Any

from undula.client import Client
from undula.client.arguments import names
from undula.client.device_text import NO_VALUES, state, value_text
from undula.core.errors import InputError
from undula.messages import DeviceInfo, DeviceValues

WIDTH = 80
PLOTSELECT = "plotselect"
"""Key of the start document: devices or data keys that are shown first."""


def listing(devices: list[DeviceInfo], live: DeviceValues | None) -> list[str]:
    """A line for each device: name, path, value with unit, state.

    >>> samx = DeviceInfo(name="samx", path="M.samx", device_class="x", kind="positioner",
    ...     readout_priority="baseline", enabled=True, connected=True, unit="mm")
    >>> heard = DeviceValues(values={"samx": 1.5}, timestamps={}, time=0)
    >>> print("\\n".join(listing([samx], heard)))
    name  path    value  unit  state
    samx  M.samx    1.5  mm    ok
    """
    live = live or NO_VALUES
    rows = [("name", "path", "value", "unit", "state")]
    for info in devices:
        known = info.connected and info.name in live.values
        value = value_text(live.values[info.name], info) if known else ""
        rows.append((info.name, info.path, value, info.unit, state(info, live)[0]))
    wide = [max(len(row[i]) for row in rows) for i in range(4)]
    lines = []
    for row in rows:
        cells = [c.rjust(w) if i == 2 else c.ljust(w) for i, (c, w) in enumerate(zip(row, wide))]  # noqa: B905  # the state is as long as it is
        line = "  ".join([*cells, row[4]]).rstrip()
        lines.append(line if len(line) <= WIDTH else line[: WIDTH - 1] + "…")
    return lines


class Selecting:
    """The words of one prompt."""

    def __init__(self, client: Client) -> None:
        self._client = client

    @property
    def selected(self) -> list[str]:
        """Names that count first now."""
        return list(self._client.prompt_metadata.get(PLOTSELECT, ()))

    def lsdev(self, pattern: str = "") -> None:
        """lsdev(), lsdev("sam*"), lsdev("M.*"): devices with value, unit and state, as last heard.

        Without a star it is enough that the name or path holds the pattern.
        """
        wanted = pattern if any(c in pattern for c in "*?[") else f"*{pattern}*"
        found = [
            info
            for info in self._client.devices.table()
            if any(fnmatch.fnmatchcase(text, wanted) for text in (info.name, info.path))
        ]
        if not found:
            raise InputError(f"no device fits {pattern!r}", remedy="lsdev() lists all")
        sys.stdout.write("\n".join(listing(found, self._client.devices.heard())) + "\n")

    def plotselect(self, *signals: Any) -> None:
        """plotselect(diode, i0): what plots, cen, com, peak and fwhm of this prompt use first.

        Devices, or names of their data keys. plotselect() shows it, plotselect(None) forgets it.
        """
        if signals == (None,):
            self._client.prompt_metadata.pop(PLOTSELECT, None)
        elif signals:
            chosen = names(signals) or []
            self._check(chosen)
            self._client.prompt_metadata[PLOTSELECT] = list(dict.fromkeys(chosen))
        sys.stdout.write(f"first: {', '.join(self.selected) or 'as the detectors are named'}\n")

    def _check(self, chosen: list[str]) -> None:
        table = self._client.devices.table()
        known = {name for info in table for name in (info.name, *info.data_keys)}
        for name in chosen:
            if name not in known:
                self._client.devices.info(name)  # says what comes near
                raise InputError(f"{name} is a path", remedy=f"name the device: {name}")

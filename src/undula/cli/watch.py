"""`undula devices watch`: values of devices as they change, until Ctrl-C.

In: names. Out: at a terminal a table that is written over; otherwise a line, or with `--json` a
JSON line, for each change.
"""

from __future__ import annotations

import queue
import sys
import time
from typing import TYPE_CHECKING, Any

from undula.cli.output import print_json, table
from undula.client.device_text import ALARMS, CYAN, NO_VALUES, value_text
from undula.core.errors import DeviceError
from undula.session.display import wants_colour

if TYPE_CHECKING:
    from undula.client import Client
    from undula.messages import DeviceChanges, DeviceInfo, DeviceValues

REDRAW_S = 0.25


def watch(client: Client, names: list[str], as_json: bool, once: bool) -> None:
    """Show the devices' values, then their changes; all devices without names."""
    devices = client.devices
    infos = [devices.info(n) for n in names] or [
        i for i in devices.table() if i.enabled and i.connected
    ]
    shown = {info.name: info for info in infos}
    changes: queue.SimpleQueue[DeviceChanges] = queue.SimpleQueue()
    subscription = devices.follow(changes.put)
    try:
        values = _values(client, list(shown))  # first: what is heard then is the newer
        now = Heard(values, client.devices.heard() or NO_VALUES)
        if as_json:
            print_json({"time": time.time(), "values": now.values, "severities": now.severities})
        elif once or not sys.stdout.isatty():
            print(_table(shown, now))
        if once:
            return
        if not as_json and sys.stdout.isatty():
            _redraw(shown, now, changes)
        else:
            _lines(shown, changes, as_json)
    except KeyboardInterrupt:
        pass
    finally:
        subscription.close()


class Heard:
    """Values, alarms and motion as they are now."""

    def __init__(self, values: dict[str, Any], before: DeviceValues) -> None:
        self.values = values
        self.severities = {n: word for n, word in before.severities.items() if n in values}
        self.moving = {name for name in before.moving if name in values}

    def take(self, change: DeviceChanges) -> None:
        """What changed."""
        for name in change.values:
            self.severities.pop(name, None)
        self.values.update(change.values)
        self.severities.update(change.severities)
        for name, moving in change.moving.items():
            (self.moving.add if moving else self.moving.discard)(name)

    def word(self, name: str) -> str:
        """What there is to say of a device beside its value."""
        alarm = f"{self.severities[name]} alarm" if name in self.severities else ""
        return ", ".join(filter(None, [alarm, "moving" if name in self.moving else ""]))

    def colour(self, name: str) -> str:
        """Of its line; '' for none."""
        alarm = self.severities.get(name)
        return ALARMS[alarm] if alarm else CYAN if name in self.moving else ""


def _values(client: Client, names: list[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in names:
        try:
            reading = client.read(name)[name]
        except DeviceError as error:
            found[name] = f"({error.what})"
            continue
        entry = reading.get(name) or next(iter(reading.values()), {"value": ""})
        found[name] = entry["value"]
    return found


def _table(shown: dict[str, DeviceInfo], heard: Heard) -> str:
    rows = [
        [i.path, value_text(heard.values.get(n, ""), i), i.unit, heard.word(n)]
        for n, i in shown.items()
    ]
    lines = table(["device", "value", "unit", ""], rows).splitlines()
    if not wants_colour(sys.stdout):
        return "\n".join(lines)
    colours = ["", *(heard.colour(name) for name in shown)]
    painted = [
        f"\x1b[{c}m{line}\x1b[0m" if c else line for c, line in zip(colours, lines, strict=True)
    ]
    return "\n".join(painted)


def _lines(
    shown: dict[str, DeviceInfo], changes: queue.SimpleQueue[DeviceChanges], as_json: bool
) -> None:
    while True:
        change = changes.get()
        values = {n: v for n, v in change.values.items() if n in shown}
        if not values:
            continue
        alarms = {n: word for n, word in change.severities.items() if n in shown}
        if as_json:
            print_json({"time": change.time, "values": values, "severities": alarms})
            continue
        texts = [
            f"{n} {value_text(v, shown[n])} {shown[n].unit}".strip()
            + (f" ({alarms[n]} alarm)" if n in alarms else "")
            for n, v in values.items()
        ]
        stamp = time.strftime("%H:%M:%S", time.localtime(change.time))
        print(stamp, "  ".join(texts), flush=True)


def _redraw(
    shown: dict[str, DeviceInfo], heard: Heard, changes: queue.SimpleQueue[DeviceChanges]
) -> None:
    height = 0
    while True:
        text = _table(shown, heard) + "\nCtrl-C ends"
        up = f"\x1b[{height}A\x1b[J" if height else ""
        print(up + text, flush=True)
        height = text.count("\n") + 1
        heard.take(changes.get())
        end = time.monotonic() + REDRAW_S
        while (left := end - time.monotonic()) > 0:
            try:
                heard.take(changes.get(timeout=left))
            except queue.Empty:
                break

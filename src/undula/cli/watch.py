"""`undula devices watch`: values of devices as they change, until Ctrl-C.

In: names. Out: at a terminal a table that is written over; otherwise a line, or with `--json` a
JSON line, for each change.
"""

from __future__ import annotations

import queue
import sys
import time
from typing import TYPE_CHECKING

from undula.cli.output import number_text, print_json, table
from undula.core.errors import DeviceError

if TYPE_CHECKING:
    from undula.client import Client
    from undula.messages import DeviceChanges, DeviceInfo

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
        now = _values(client, list(shown))
        if as_json:
            print_json({"time": time.time(), "values": now})
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


def _values(client: Client, names: list[str]) -> dict[str, object]:
    found: dict[str, object] = {}
    for name in names:
        try:
            reading = client.read(name)[name]
        except DeviceError as error:
            found[name] = f"({error.what})"
            continue
        entry = reading.get(name) or next(iter(reading.values()), {"value": ""})
        found[name] = entry["value"]
    return found


def _table(shown: dict[str, DeviceInfo], values: dict[str, object]) -> str:
    rows = [[i.path, number_text(values.get(n, "")), i.unit] for n, i in shown.items()]
    return table(["device", "value", "unit"], rows)


def _lines(
    shown: dict[str, DeviceInfo], changes: queue.SimpleQueue[DeviceChanges], as_json: bool
) -> None:
    while True:
        change = changes.get()
        values = {n: v for n, v in change.values.items() if n in shown}
        if not values:
            continue
        if as_json:
            print_json({"time": change.time, "values": values})
            continue
        text = "  ".join(f"{n} {number_text(v)} {shown[n].unit}".strip() for n, v in values.items())
        print(time.strftime("%H:%M:%S", time.localtime(change.time)), text, flush=True)


def _redraw(
    shown: dict[str, DeviceInfo],
    values: dict[str, object],
    changes: queue.SimpleQueue[DeviceChanges],
) -> None:
    height = 0
    while True:
        text = _table(shown, values) + "\nCtrl-C ends"
        up = f"\x1b[{height}A\x1b[J" if height else ""
        print(up + text, flush=True)
        height = text.count("\n") + 1
        values.update(changes.get().values)
        end = time.monotonic() + REDRAW_S
        while (left := end - time.monotonic()) > 0:
            try:
                values.update(changes.get(timeout=left).values)
            except queue.Empty:
                break

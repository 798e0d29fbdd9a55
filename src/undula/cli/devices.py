"""Commands about devices: `devices`, `read`, `mv`, `mvr`."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from undula.cli import parsing
from undula.cli.device_block import device_block
from undula.cli.device_tree import tree
from undula.cli.output import (
    EXIT_HELP,
    BeamlineOption,
    JsonOption,
    connected,
    kind,
    print_json,
    table,
)
from undula.client import Background, Client, describe
from undula.client.device_text import NO_VALUES, value_text
from undula.core.errors import InputError
from undula.core.shown import number_text
from undula.messages import DeviceInfo, DeviceValues, Readback
from undula.session.display import wants_colour
from undula.session.follow import wait_for_move

Words = Annotated[list[str] | None, typer.Argument(help="DEVICE TARGET [DEVICE TARGET ...]")]
SETTINGS = {"ignore_unknown_options": True}


def matching(devices: list[DeviceInfo], text: str) -> list[DeviceInfo]:
    """Devices that have `text` in their path, class, tags or description."""
    wanted = text.lower()
    return [
        i
        for i in devices
        if any(wanted in t.lower() for t in (i.path, i.device_class, i.description, *i.tags))
    ]


def _list(devices: list[DeviceInfo], live: DeviceValues | None, as_json: bool) -> None:
    if not as_json:
        print(tree(devices, live, colour=wants_colour(sys.stdout)))
        return
    heard = live or NO_VALUES
    print_json([{**info.model_dump(mode="json"), "live": _heard(info, heard)} for info in devices])


def _one(client: Client, name: str) -> DeviceInfo:
    try:
        return client.devices.info(name)
    except InputError as error:
        raise InputError(
            f"no device has {name!r} in its name, class, tags or description", remedy=error.remedy
        ) from None


def _heard(info: DeviceInfo, live: DeviceValues) -> dict[str, Any] | None:
    if info.name not in live.values:
        return None
    return {
        "value": live.values[info.name],
        "timestamp": live.timestamps[info.name],
        "severity": live.severities.get(info.name),
        "moving": info.name in live.moving,
    }


def _device_words(words: list[str]) -> tuple[str, str | None]:
    """What to do and with which device. Raises: InputError.

    >>> _device_words(["enable", "samx"]), _device_words(["samx"]), _device_words([])
    (('enable', 'samx'), ('', 'samx'), ('', None))
    """
    if len(words) == 2 and words[0] in ("enable", "disable"):
        return words[0], words[1]
    if len(words) > 1 or words in (["enable"], ["disable"]):
        raise InputError(
            f"{' '.join(words)} names no device",
            remedy="e.g. undula devices samx, or undula devices enable samx",
        )
    return "", words[0] if words else None


@kind
def devices(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            help="[NAME | TEXT | enable NAME | disable NAME | watch [NAMES] | try FILE NAME]"
        ),
    ] = None,
    move: Annotated[
        bool, typer.Option("--move", help="With try: move a little without asking.")
    ] = False,
    once: Annotated[
        bool, typer.Option("--once", help="With watch: once, without waiting.")
    ] = False,
    as_json: JsonOption = False,
    beamline: BeamlineOption = None,
) -> None:
    """List the devices or those that match a text, describe one, or enable or disable one.

    Values and alarms are those last heard, at most a second old; `read` asks the device.

    `enable` also connects a device that did not answer. Example: undula devices samx

    Example: undula devices enable samx

    Example: undula devices watch samx diode

    `try` needs no services: it connects, reads, and moves a little and back after asking.
    Example: undula devices try beamline.yaml samx
    """
    if words and words[0] == "try":
        from undula.cli.device_try import try_device

        try_device(words[1:], move, as_json)
        return
    if words and words[0] == "watch":
        from undula.cli.watch import watch

        with connected(beamline) as client:
            watch(client, words[1:], as_json, once)
        return
    action, name = _device_words(words or [])
    with connected(beamline) as client:
        if name is None:
            _list(client.devices.table(), client.devices.heard(), as_json)
            return
        found = [] if action else matching(client.devices.table(), name)
        if found and name not in {n for i in found for n in (i.name, i.path)}:
            _list(found, client.devices.heard(), as_json)
            return
        if action:
            client.enable(client.devices.info(name).name, action == "enable")
        info = _one(client, name)
    if as_json:
        print_json(info)
        return
    print(describe(info) if action else device_block(info))


def reading_rows(
    readings: dict[str, dict[str, dict[str, Any]]], infos: dict[str, DeviceInfo]
) -> list[list[str]]:
    """One row for each value: device, key, value, unit."""

    def text(device: str, key: str, value: Any) -> str:
        main = device in infos and key == device
        return value_text(value, infos[device]) if main else number_text(value)

    return [
        [
            device if i == 0 else "",
            key,
            text(device, key, entry["value"]),
            str(entry.get("unit") or ""),
        ]
        for device, reading in readings.items()
        for i, (key, entry) in enumerate(reading.items())
    ]


@kind
def read(
    names: Annotated[list[str] | None, typer.Argument(help="Device names.")] = None,
    as_json: JsonOption = False,
    beamline: BeamlineOption = None,
) -> None:
    """Read devices now. Example: undula read samx diode"""
    if not names:
        raise InputError("no device was named", remedy="e.g. undula read samx")
    with connected(beamline) as client:
        readings, flags = client.read_flagged(*names)
        infos = {info.name: info for info in client.devices.table()}
    if as_json:
        print_json({"readings": readings, "flags": flags})
        return
    print(table(["device", "key", "value", "unit"], reading_rows(readings, infos)))
    for flag in flags:
        print(f"flag: {flag}")


class Progress:
    """Readbacks on one line that is written over, at a terminal only."""

    def __init__(self, quiet: bool) -> None:
        self._on = not quiet and sys.stdout.isatty()
        self._now: dict[str, str] = {}

    def __call__(self, readback: Readback) -> None:
        """Show one more readback."""
        value = readback.values.get(readback.name, next(iter(readback.values.values()), ""))
        unit = readback.units.get(readback.name, next(iter(readback.units.values()), ""))
        self._now[readback.name] = f"{readback.name} {number_text(value)} {unit}".strip()
        if self._on:
            print("\r\x1b[K" + "   ".join(self._now.values()), end="", flush=True)

    def end(self) -> None:
        """Clear the line."""
        if self._on and self._now:
            print("\r\x1b[K", end="", flush=True)


def _move(words: list[str], relative: bool, as_json: bool, beamline: str | None) -> None:
    to = parsing.move_arguments(words)
    with connected(beamline) as client:
        progress = Progress(as_json)
        show_move(client, client.start_move(to, relative, progress), progress, as_json)


def show_move(client: Client, move: Background, progress: Progress, as_json: bool) -> None:
    """Wait for a move, which Ctrl-C stops, and say where the axes are."""
    try:
        readbacks = wait_for_move(client, move, lambda text: print(f"\n{text}", file=sys.stderr))
    finally:
        progress.end()
    if as_json:
        print_json({"readbacks": readbacks})
        return
    for name, entry in readbacks.items():
        print(f"{name} {number_text(entry['value'])} {entry.get('unit') or ''}".rstrip())


@kind
def mv(words: Words = None, as_json: JsonOption = False, beamline: BeamlineOption = None) -> None:
    """Move and wait; Ctrl-C stops. Example: undula mv samx 3 samy -1"""
    _move(words or [], False, as_json, beamline)


@kind
def mvr(words: Words = None, as_json: JsonOption = False, beamline: BeamlineOption = None) -> None:
    """Move by a distance and wait; Ctrl-C stops. Example: undula mvr samx -0.1"""
    _move(words or [], True, as_json, beamline)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("devices", epilog=EXIT_HELP)(devices)
    app.command("read", epilog=EXIT_HELP)(read)
    app.command("mv", context_settings=SETTINGS, epilog=EXIT_HELP)(mv)
    app.command("mvr", context_settings=SETTINGS, epilog=EXIT_HELP)(mvr)
    app.command("umv", context_settings=SETTINGS, epilog=EXIT_HELP)(mv)
    app.command("umvr", context_settings=SETTINGS, epilog=EXIT_HELP)(mvr)

"""Commands of the devices' configuration: check, show, load, add, update, remove, undo, save ...

In: arguments. Out: what changed, a line for each difference, or every fault and nothing changed.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from undula.cli.output import (
    EXIT_HELP,
    BeamlineOption,
    JsonOption,
    connected,
    kind,
    print_json,
    table,
)
from undula.core.errors import InputError
from undula.core.shown import counted

File = Annotated[Path, typer.Argument(help="A device file (YAML).")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would change.")]
WhenFree = Annotated[
    bool, typer.Option("--when-free", help="Wait for the end of runs that use the devices.")
]
Absent = Annotated[
    bool, typer.Option("--accept-absent", help="Change even if a device does not answer.")
]


def _change(action: str, beamline: str | None, as_json: bool, *args: Any, **how: Any) -> None:
    with connected(beamline) as client:
        before = client.config.status().revision
        changed = getattr(client.config, action)(*args, **how)
    if as_json:
        print_json({name: getattr(changed, name) for name in changed.__slots__})
        return
    print(changed)
    if how.get("dry_run"):
        print("Nothing was changed (--dry-run).")
    elif not changed.pending:
        undone = action in ("undo", "restore")  # a further undo would go further back
        back = f"restore {before}" if undone else "undo"
        print(f"Revision {changed.revision} holds. Back: undula config {back}")


@kind
def check(file: File, as_json: JsonOption = False, beamline: BeamlineOption = None) -> None:
    """Check a device file; touches nothing, needs no beamline. Example: undula config check x.yaml

    Each fault is named with file, line and remedy; keys that were mapped or ignored are listed.
    Graphs may use the nodes of the beamline.
    """
    from undula.core.paths import beamline_paths, default_beamline
    from undula.core.served import work_for
    from undula.devices.description import load_device_file, report_lines

    work_for(beamline_paths(beamline or default_beamline()))
    found = load_device_file(file)
    if as_json:
        devices = [e.name for e in found.entries]
        print_json({"devices": devices, "report": report_lines(found.report)})
        return
    for line in report_lines(found.report):
        print(line)
    number = len(found.entries)
    print(f"{file}: {number} device{'' if number == 1 else 's'}, no fault.")


@kind
def show(
    as_json: JsonOption = False,
    as_yaml: Annotated[bool, typer.Option("--yaml", help="The devices, as a device file.")] = False,
    beamline: BeamlineOption = None,
) -> None:
    """Which configuration holds, and what does not answer."""
    with connected(beamline) as client:
        if as_yaml:
            print(yaml.safe_dump(client.config.devices(), sort_keys=False, allow_unicode=True))
            return
        status = client.config.status()
    if as_json:
        print_json(status)
        return
    edited = ", changed since" if status.edited else ""
    devices = counted(status.devices, "device")
    print(f"revision {status.revision}: {devices} of {status.source}{edited}")
    print(f"  {status.action}, by {status.user}, {_when(status.time)}")
    for name, why in status.absent.items():
        print(f"  {name} does not answer: {why}")
    for text in (status.problem, status.pending and f"waits: {status.pending}"):
        if text:
            print(f"  {text}")


@kind
def load(
    file: File,
    dry_run: DryRun = False,
    when_free: WhenFree = False,
    as_json: JsonOption = False,
    beamline: BeamlineOption = None,
) -> None:
    """Go over to a device file, whole or not at all. Example: undula config load x07mb.yaml"""
    _change("load", beamline, as_json, file, dry_run=dry_run, when_free=when_free)


@kind
def reload(
    dry_run: DryRun = False,
    when_free: WhenFree = False,
    as_json: JsonOption = False,
    beamline: BeamlineOption = None,
) -> None:
    """Read the device file again; changes made at run time no longer hold."""
    _change("reload", beamline, as_json, dry_run=dry_run, when_free=when_free)


@kind
def add(
    file: File,
    names: Annotated[list[str] | None, typer.Argument(help="Only these devices of it.")] = None,
    dry_run: DryRun = False,
    when_free: WhenFree = False,
    accept_absent: Absent = False,
    as_json: JsonOption = False,
    beamline: BeamlineOption = None,
) -> None:
    """Add or replace devices. Example: undula config add furnace.yaml furnace"""
    how = {"dry_run": dry_run, "when_free": when_free, "accept_absent": accept_absent}
    _change("add", beamline, as_json, file, names or [], **how)


def assignments(words: list[str]) -> dict[str, Any]:
    """`KEY=VALUE` words as keys and YAML values. Raises: InputError.

    >>> assignments(["readOnly=true", "deviceConfig.limits=[-5, 5]"])
    {'readOnly': True, 'deviceConfig.limits': [-5, 5]}
    """
    found: dict[str, Any] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or not key:
            raise InputError(f"{word!r} is no KEY=VALUE", remedy="e.g. readoutPriority=monitored")
        try:
            found[key] = yaml.safe_load(value)
        except yaml.YAMLError as exc:
            raise InputError(f"{value!r} is no value", remedy="write it as in YAML") from exc
    if not found:
        raise InputError("nothing to change", remedy="e.g. undula config update samx readOnly=true")
    return found


@kind
def update(
    device: Annotated[str, typer.Argument(help="Name of a device.")],
    values: Annotated[list[str], typer.Argument(help="KEY=VALUE, as in the device file.")],
    dry_run: DryRun = False,
    when_free: WhenFree = False,
    accept_absent: Absent = False,
    as_json: JsonOption = False,
    beamline: BeamlineOption = None,
) -> None:
    """Change keys of a device. Example: undula config update samx deviceConfig.limits=[-5,5]

    An empty value takes a key away, so that its default holds again.
    """
    how = {"dry_run": dry_run, "when_free": when_free, "accept_absent": accept_absent}
    _change("update", beamline, as_json, device, assignments(values), **how)


@kind
def remove(
    names: Annotated[list[str], typer.Argument(help="Names of devices.")],
    dry_run: DryRun = False,
    when_free: WhenFree = False,
    as_json: JsonOption = False,
    beamline: BeamlineOption = None,
) -> None:
    """Take devices away. Example: undula config remove furnace"""
    _change("remove", beamline, as_json, *names, dry_run=dry_run, when_free=when_free)


@kind
def undo(
    dry_run: DryRun = False,
    when_free: WhenFree = False,
    as_json: JsonOption = False,
    beamline: BeamlineOption = None,
) -> None:
    """Go back to the configuration before the last change; again: further back."""
    _change("undo", beamline, as_json, dry_run=dry_run, when_free=when_free)


@kind
def restore(
    revision: Annotated[int, typer.Argument(help="Number in the history.")],
    dry_run: DryRun = False,
    when_free: WhenFree = False,
    as_json: JsonOption = False,
    beamline: BeamlineOption = None,
) -> None:
    """Go back to a revision. Example: undula config restore 12"""
    _change("restore", beamline, as_json, revision, dry_run=dry_run, when_free=when_free)


def _when(moment: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(moment))


@kind
def history(
    last: Annotated[int, typer.Option("--last", help="So many of the newest.")] = 20,
    as_json: JsonOption = False,
    beamline: BeamlineOption = None,
) -> None:
    """Who changed the configuration, when, and how."""
    with connected(beamline) as client:
        found = client.config.history()[-last:]
    if as_json:
        print_json(found)
        return
    rows = [[str(r["number"]), _when(r["time"]), r["user"], r["action"]] for r in found]
    print(table(["revision", "time", "user", "change"], rows))
    print("What a change did: undula config diff N-1 N. Back to one: undula config restore N")


@kind
def diff(
    before: Annotated[int | None, typer.Argument(help="A revision.")] = None,
    after: Annotated[int | None, typer.Argument(help="Another; by default what holds.")] = None,
    as_json: JsonOption = False,
    beamline: BeamlineOption = None,
) -> None:
    """What differs between two revisions; by default what the last change did."""
    with connected(beamline) as client:
        lines = client.config.diff(before, after)
    if as_json:
        print_json({"changes": lines})
    else:
        print("\n".join(lines) or "nothing differs")


@kind
def cancel(as_json: JsonOption = False, beamline: BeamlineOption = None) -> None:
    """Drop a change that waits for the end of a run."""
    with connected(beamline) as client:
        dropped = client.config.cancel()
    print_json({"cancelled": dropped}) if as_json else print(f"Dropped: {dropped}")


@kind
def save(
    path: Annotated[Path, typer.Argument(help="A file, or with --split-by-tag a folder.")],
    split_by_tag: Annotated[
        bool, typer.Option("--split-by-tag", help="main.yaml and one file for each first tag.")
    ] = False,
    as_json: JsonOption = False,
    beamline: BeamlineOption = None,
) -> None:
    """Write the present devices to a device file. Example: undula config save x07mb.yaml"""
    with connected(beamline) as client:
        files = client.config.save(path, split_by_tag)
    print_json([str(f) for f in files]) if as_json else print("\n".join(map(str, files)))


@kind
def schema() -> None:
    """The JSON schema of device files, for editors: undula config schema > devices.schema.json"""
    from undula.devices.description import json_schema

    print_json(json_schema())


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(
        help="Look at the configuration of the devices and change it.", no_args_is_help=True
    )
    for command in (
        check, show, load, reload, add, update, remove, undo, restore, history, diff, cancel, save,
        schema,
    ):  # fmt: skip
        group.command(command.__name__, epilog=EXIT_HELP)(command)
    app.add_typer(group, name="config")

"""What devices that write files of their own are told: where a run's file is, what a fault does.

In: the path of a run that opens, its points and their grid, the device file's `onFailure`. Out:
calls of `set_run_path`, `follow_points` and `set_grid`, and `on_failure` of the devices that have
them (`devices.epics.cameras`, `pipes.detector`); and at the end of a run the ledgers of the devices
that keep one, in its stop document.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bluesky.run_engine import RunEngine

from undula.core.errors import StorageError
from undula.devices.registry import Registry
from undula.plans.steps import Steps
from undula.plans.verbs import TRIGGER
from undula.scans.checked_scan import CheckedScan


def tell_path(path: Path, devices: Registry) -> None:
    """A run opens with its file at `path`.

    Raises: StorageError when its folder cannot be made, or written, and a device writes there.
    """
    for name in devices.names():
        tell = getattr(devices[name].obj, "set_run_path", None)
        if tell is None:
            continue
        try:
            tell(path)
        except OSError as exc:
            raise StorageError(
                f"the folder {path.parent} cannot be made: {exc.strerror}",
                remedy="correct its owner and mode: the frames of this run belong there",
                where=name,
            ) from exc
        if path.parent.is_dir() and not os.access(path.parent, os.W_OK | os.X_OK):
            raise StorageError(
                f"the folder {path.parent} cannot be written",
                remedy="correct its owner and mode: the frames of this run belong there",
                where=name,
            )


def tell_points(steps: Steps | None, devices: Registry) -> None:
    """Which point is under way, for devices that number their frames by it.

    A point that is taken again, by whomever, has its number again, and one that was left out keeps
    its own. None: nobody knows; such a device then counts.
    """
    for name in devices.names():
        follow = getattr(devices[name].obj, "follow_points", None)
        if follow is not None:
            follow(None if steps is None else lambda: steps.point)


def tell_grid(scan: CheckedScan | None, start: dict[str, Any], devices: Registry) -> None:
    """The grid of the points of a run that opens, as its plan declares it or its metadata say."""
    path = None if scan is None else scan.trajectory
    shape, snaking = (path.shape, path.snaking) if path is not None else _told_grid(start)
    for name in devices.names():
        tell = getattr(devices[name].obj, "set_grid", None)
        if tell is not None:
            tell(tuple(shape), tuple(snaking))


def _told_grid(start: Mapping[str, Any]) -> tuple[Sequence[int], Sequence[bool]]:
    """The grid that a start document tells, where it is one: anybody may call something `shape`.

    >>> _told_grid({"shape": (2, 3), "snaking": [False, True], "num_points": 6})
    ((2, 3), (False, True))
    >>> _told_grid({"shape": "round", "num_points": 6}), _told_grid({})
    (((6,), ()), ((), ()))
    """
    num, shape, snaking = start.get("num_points"), start.get("shape"), start.get("snaking")
    if isinstance(shape, list | tuple) and shape and all(type(one) is int for one in shape):
        back = snaking if isinstance(snaking, list | tuple) and len(snaking) == len(shape) else ()
        return tuple(shape), tuple(map(bool, back))
    return ((num,), ()) if isinstance(num, int) and num > 0 else ((), ())


def tell_repeats(engine: RunEngine, devices: Registry) -> None:
    """A plan goes on after a pause: which triggers are repeated, whose points may have been read.

    What the RunEngine repeats is what it was told since the last checkpoint, and of that nobody
    else knows.
    """
    again = Counter[int]()
    for message in engine._msg_cache or ():
        if message.command == "trigger":
            again[id(message.obj)] += 1
        elif message.command == TRIGGER:
            again.update(map(id, message.args[0]))
    for name in devices.names():
        obj = devices[name].obj
        if again[id(obj)] and hasattr(obj, "repeat_triggers"):
            obj.repeat_triggers(again[id(obj)])


def tell_policies(scan: CheckedScan, devices: Registry) -> None:
    """What a frame that is missing does, as the device file says."""
    for name in scan.devices:
        obj = devices[name].obj
        if hasattr(obj, "on_failure"):
            obj.on_failure = devices[name].entry.on_failure


def with_ledgers(stop: dict[str, Any], names: Iterable[str], devices: Registry) -> dict[str, Any]:
    """A stop document with the ledger of each device that keeps one.

    Frames that are missing are the run's `reason` when it has none of its own. What people changed
    of the graphs while the run was open is there too.
    """
    ledgers: dict[str, Any] = {}
    names = [name for name in names if name in devices]
    changes = [
        change for name in names if hasattr(devices[name].obj, "run_changes")
        for change in devices[name].obj.run_changes()
    ]  # fmt: skip
    if changes:
        stop = {**stop, "configuration_changes": sorted(changes, key=lambda c: c["time"])}
    for name in names:
        if not hasattr(devices[name].obj, "run_ledger"):
            continue
        found = devices[name].obj.run_ledger()
        if found is not None:
            ledgers[name] = found
    if not ledgers:
        return stop
    gone = [f"[{n}] {found['text']}" for n, found in ledgers.items() if found["missing"]]
    reason = stop.get("reason") or "".join(
        ["frames are missing: ", "; ".join(gone)] if gone else []
    )
    return {**stop, "ledger": ledgers} | ({"reason": reason} if reason else {})

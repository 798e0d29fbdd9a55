"""Room: files. What a program worked out from a run: an NXprocess group in the run's file.

In: `Process` values, known at the close. Out: `/entry/NAME` with program, version, date and the
results; read back by `read_processes`, so that a rebuilt file has them too. Called by: `nexus` at
the close, when no reader follows the file any more; `writer`, which asks a `ProcessSource`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import h5py

from undula import __version__
from undula.core.clock import iso
from undula.files.columns import plain
from undula.files.documents import h5_name
from undula.files.layout import nx_group, write_value

WHOLE = "undula_process"
"""Attribute with the whole value as JSON: what `read_processes` goes by."""


@dataclass(frozen=True, slots=True)
class Process:
    """One result of one program.

    Args:
        name: of the group in the file; a repeated one replaces the group.
        program, version: what worked it out.
        time: when, UTC epoch s; 0: not known.
        results: numbers, texts, arrays, and dicts of them (each becomes a group).
        units: path of a result (`fwhm`, `fit/center`) to its unit.
        data: arrays to be drawn: name to values; the first is the signal.
        axes: the axis of `data`: name to values of the same length; of two-dimensional data both,
            slow first.
    """

    name: str
    program: str
    results: Mapping[str, Any]
    version: str = ""
    time: float = 0.0
    units: Mapping[str, str] = field(default_factory=dict)
    data: Mapping[str, Any] = field(default_factory=dict)
    axes: Mapping[str, Any] = field(default_factory=dict)


class ProcessSource(Protocol):
    """Results known when a run is closed, in the order in which they were made."""

    def __call__(self, uid: str, /) -> Iterable[Process]:
        """Those of the run `uid`. Raises: UndulaError; the file is then closed later."""


def no_processes(_: str) -> Iterable[Process]:
    """Nobody works anything out."""
    return ()


def ledger_of(stop: Mapping[str, Any]) -> Process | None:
    """What became of each frame of the run, by device, as its stop document says; None if not."""
    ledgers = stop.get("ledger")
    if not isinstance(ledgers, Mapping) or not ledgers:
        return None
    time = float(stop.get("time") or 0.0)
    return Process("ledger", "undula.pipes", ledgers, version=__version__, time=time)


def changes_of(stop: Mapping[str, Any]) -> Process | None:
    """What was changed of settings while the run was open, as a table; None when nothing was."""
    found = stop.get("configuration_changes")
    if not isinstance(found, list) or not found:
        return None
    table: dict[str, Any] = {"time": [float(change["time"]) for change in found]}
    for key in ("user", "device", "key", "before", "after"):
        values = [change.get(key) for change in found]
        texts = [v if isinstance(v, str) else json.dumps(v, default=plain) for v in values]
        table[key] = texts
    return Process(
        "configuration_changes", "undula", table, version=__version__,
        time=float(stop.get("time") or 0.0), units={"time": "s"},
    )  # fmt: skip


def write_process(entry: Any, process: Process) -> Any:
    """The group of `process` in an h5py group `entry`; returns it.

    Structure is added, so no reader may follow the file (SWMR): call it before or after that.
    """
    name = h5_name(process.name)
    if name in entry and entry[name].attrs.get("NX_class") != "NXprocess":
        name = f"process_{name}"
    if name in entry:
        del entry[name]
    group = nx_group(entry, name, "NXprocess")
    write_value(group, "program", process.program)
    write_value(group, "version", process.version or None)
    write_value(group, "date", iso(process.time) if process.time else None)
    write_value(group, "sequence_index", _place(entry, name))
    _results(group, "results", process.results, process.units, "")
    if process.data:
        _drawn(group, process)
    whole = {"name": process.name, "program": process.program, "version": process.version,
             "time": process.time, "results": process.results, "units": process.units,
             "data": process.data, "axes": process.axes}  # fmt: skip
    group.create_dataset(WHOLE, data=json.dumps(whole, default=plain))
    return group


def _place(entry: Any, name: str) -> int:
    made = [n for n, node in entry.items() if _is_process(node)]
    return len([n for n in made if n != name]) + 1


def _is_process(node: Any) -> bool:
    return isinstance(node, h5py.Group) and node.attrs.get("NX_class") == "NXprocess"


def _results(
    parent: Any, name: str, values: Mapping[str, Any], units: Mapping[str, str], path: str
) -> None:
    group = nx_group(parent, h5_name(name), "NXparameters" if not path else "NXcollection")
    for key, value in values.items():
        where = f"{path}{key}"
        if isinstance(value, Mapping):
            _results(group, str(key), value, units, f"{where}/")
        else:
            write_value(group, str(key), value, units.get(where, ""))


def _drawn(group: Any, process: Process) -> None:
    """NXdata of curves or maps, e.g. a fit over its axes."""
    data = nx_group(group, "data", "NXdata")
    names = [h5_name(n) for n in process.data]
    for key, values in {**process.axes, **process.data}.items():
        write_value(data, key, values, process.units.get(key, ""))
    data.attrs["signal"] = names[0]
    if names[1:]:
        data.attrs["auxiliary_signals"] = names[1:]
    axes = [h5_name(n) for n in process.axes]
    rank = data[names[0]].ndim
    if axes:
        of_map = rank > 1 and rank == len(axes)
        data.attrs["axes"] = axes if of_map else axes[:1]
        for place, axis in enumerate(axes):
            data.attrs[f"{axis}_indices"] = [place if of_map else 0]
    group.attrs["default"] = "data"


def read_processes(path: Path) -> list[Process]:
    """The processes that a closed file holds, in their order; [] when it cannot be read."""
    try:
        with h5py.File(path, "r") as file:
            groups = [node for node in file["entry"].values() if _is_process(node)]
            groups = [node for node in groups if WHOLE in node]
            groups.sort(key=lambda node: int(node["sequence_index"][()]))
            return [Process(**json.loads(node[WHOLE].asstr()[()])) for node in groups]
    except (OSError, KeyError, ValueError, TypeError):
        return []

"""The device file: BEC's YAML, checked whole before anything is touched.

In: a path. Out: `DeviceFile` with its entries in the order in which they must be built, and a
report of every key; or `DeviceFileError` with every fault and its line. Nothing is connected here.
"""

from __future__ import annotations

import difflib
import keyword
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from undula.devices.classes import constructor_keys, find_class, mapped
from undula.devices.errors import DeviceFileError, Fault
from undula.messages.devices import ReadoutPriority

Outcome = Literal["used", "mapped", "ignored"]
LEGACY = {
    "deviceType": "the class says what it is",
    "acquisitionConfig": "readoutPriority says when it is read",
    "connector": "there is one bus",
    "status": "enabled says it",
    "sessionId": "an id of a database that is not used",
    "id": "an id of a database that is not used",
    "onFailureAction": "onFailure says it",
}
NOT_AS_IN_BEC: dict[str, tuple[Outcome, str]] = {
    "softwareTrigger": ("mapped", "whatever can be triggered is triggered at each point"),
    "onFailure": ("ignored", "a read that fails ends the run; its points are kept"),
}
BEC_SIM_KEYS = {"device_access", "sim_init", "proxy", "auto_monitor", "labels", "device_mapping"}
OWN_NAME = "name"
RESERVED = {"wm", "wa", "keys", "values", "items", "show_all", "read", "devices", "M", "D", "dev"}


class DeviceEntry(BaseModel):
    """One device of the file, with BEC's keys and meanings."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    name: str = Field(description="name of the device")
    device_class: str = Field(alias="deviceClass", description="dotted path of the class")
    readout_priority: ReadoutPriority = Field(
        alias="readoutPriority", description="when a scan reads it"
    )
    enabled: bool = Field(description="False: listed, never touched")
    device_config: dict[str, Any] = Field(
        default_factory=dict, alias="deviceConfig", description="arguments of the class"
    )
    connection_timeout_s: float = Field(
        default=5.0, gt=0, alias="connectionTimeout", description="seconds to answer"
    )
    description: str = Field(default="", description="for people")
    device_tags: list[str] = Field(
        default_factory=list, alias="deviceTags", description="for grouping and filters"
    )
    needs: list[str] = Field(default_factory=list, description="devices that are built first")
    on_failure: Literal["buffer", "retry", "raise"] = Field(
        default="retry", alias="onFailure", description="what happens when a read fails"
    )
    read_only: bool = Field(default=False, alias="readOnly", description="sets are refused")
    software_trigger: bool = Field(
        default=False, alias="softwareTrigger", description="is triggered at each point"
    )
    user_parameter: dict[str, Any] = Field(
        default_factory=dict, alias="userParameter", description="free form"
    )
    group: Literal["M", "D"] | None = Field(default=None, description="which group shows it")
    count_time: dict[Literal["signal"], str] = Field(
        default_factory=dict, alias="countTime", description="signal: the one that takes seconds"
    )
    stop: dict[str, float] = Field(
        default_factory=dict, description="PV to value: how to stop it without the engine"
    )


KEYS: dict[str, str] = {
    (info.alias or name): name for name, info in DeviceEntry.model_fields.items() if name != "name"
}


@dataclass(frozen=True, slots=True)
class KeyReport:
    """What became of one key of one device."""

    device: str
    key: str
    outcome: Outcome
    reason: str = ""


@dataclass(frozen=True, slots=True)
class DeviceFile:
    """A device file that may be built."""

    path: Path
    entries: tuple[DeviceEntry, ...]
    report: tuple[KeyReport, ...] = field(default=())


class _Include:
    def __init__(self, path: str, line: int) -> None:
        self.path, self.line = path, line


class _Loader(yaml.SafeLoader):
    """Safe loader that knows `!include` and refuses a key that stands twice."""


def _include(loader: _Loader, node: yaml.ScalarNode) -> _Include:
    return _Include(str(loader.construct_scalar(node)), node.start_mark.line + 1)


_Loader.add_constructor("!include", _include)


class _Reader:
    """Reads one file and what it includes; collects faults and goes on."""

    def __init__(self) -> None:
        self.faults: list[Fault] = []
        self.report: list[KeyReport] = []
        self.lines: dict[str, tuple[str, int]] = {}
        self.raw: dict[str, dict[str, Any]] = {}
        self._reading: list[Path] = []

    def fault(self, file: Path, line: int, what: str, remedy: str) -> None:
        self.faults.append(Fault(file.name, line, what, remedy))

    def read(self, path: Path) -> None:
        try:
            text = path.read_text(encoding="utf-8")
        except OSError as exc:
            self.fault(path, 0, f"{path} cannot be read: {exc.strerror}", "check the path")
            return
        except UnicodeDecodeError as exc:
            line = exc.object[: exc.start].count(b"\n") + 1
            self.fault(path, line, "this is not UTF-8 text", "save the file as UTF-8")
            return
        self._reading.append(path.resolve())
        self._parse(text, path)
        self._reading.pop()

    def _parse(self, text: str, path: Path) -> None:
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
            if node is None:
                self.fault(path, 1, "the file is empty", "describe at least one device")
            elif not isinstance(node, yaml.MappingNode):
                self.fault(path, 1, "the file is not a mapping", "write NAME: and its keys below")
            else:
                self._mapping(loader, node, path)
        except yaml.YAMLError as exc:
            self._yaml_fault(path, exc)
        finally:
            loader.dispose()

    def _yaml_fault(self, path: Path, exc: yaml.YAMLError) -> None:
        mark = getattr(exc, "problem_mark", None)
        what = str(getattr(exc, "problem", None) or getattr(exc, "reason", "it cannot be read"))
        hint = "correct the YAML here"
        if "\\t" in what:
            hint = "use spaces, not tabs"
        elif "constructor for the tag" in what:
            what, hint = (
                what.replace("could not determine a constructor for the", "unknown"),
                ("take the tag away; only plain values and !include are read"),
            )
        self.fault(path, mark.line + 1 if mark else 1, f"YAML: {what}", hint)

    def _mapping(self, loader: _Loader, node: yaml.MappingNode, path: Path) -> None:
        here: set[str] = set()
        for key_node, value_node in node.value:
            name, line = str(key_node.value), key_node.start_mark.line + 1
            if self._included(loader, value_node, path):
                continue
            if name in self.raw and name not in here:
                file, before = self.lines[name]
                why = f"{path.name}:{line} replaces {file}:{before}"
                self.report = [r for r in self.report if r.device != name]
                self.report.append(KeyReport(name, "(whole entry)", "ignored", why))
            if name in here:
                self.fault(
                    path, line, f"{name} stands twice", "keep one of them, or rename the other"
                )
                continue
            if not isinstance(value_node, yaml.MappingNode):
                self.fault(path, line, f"{name} is not a mapping", "give it deviceClass and so on")
                continue
            here.add(name)
            self._keys(loader, name, value_node, path, line)

    def _included(self, loader: _Loader, node: yaml.Node, path: Path) -> bool:
        nodes = node.value if isinstance(node, yaml.SequenceNode) else [node]
        if not nodes or not all(getattr(n, "tag", "") == "!include" for n in nodes):
            return False
        for one in nodes:
            found = loader.construct_object(one)
            target = Path(found.path).expanduser()
            target = target if target.is_absolute() else path.parent / target
            if target.resolve() in self._reading:
                what = f"{path.name} and {target.name} include each other"
                self.fault(path, found.line, what, "take one !include away")
                continue
            self.read(target)
        return True

    def _keys(  # a place in a file has four coordinates
        self, loader: _Loader, name: str, node: yaml.MappingNode, path: Path, line: int
    ) -> None:
        values: dict[str, Any] = {}
        for key_node, value_node in _pairs(loader, node):
            key, at = str(key_node.value), key_node.start_mark.line + 1
            if key in values:
                self.fault(path, at, f"{name}: {key} stands twice", "keep one of them")
            elif key in LEGACY:
                self.report.append(KeyReport(name, key, "ignored", LEGACY[key]))
            elif key not in KEYS:
                near = difflib.get_close_matches(key, KEYS, 1)
                remedy = f"did you mean {near[0]}" if near else f"use one of {', '.join(KEYS)}"
                self.fault(path, at, f"{name}: there is no key {key}", remedy)
            else:
                self.lines[f"{name}.{key}"] = (path.name, at)
                self._inner_lines(f"{name}.{key}", value_node, path)
                try:
                    values[key] = loader.construct_object(value_node, deep=True)
                except yaml.YAMLError as exc:
                    self._yaml_fault(path, exc)
        self.raw[name] = values
        self.lines[name] = (path.name, line)

    def _inner_lines(self, name: str, node: yaml.Node, path: Path) -> None:
        """Lines of the keys below a key; a key that stands twice there is a fault."""
        if not isinstance(node, yaml.MappingNode):
            return
        seen: set[str] = set()
        for key_node, _ in node.value:
            inner, at = f"{name}.{key_node.value}", key_node.start_mark.line + 1
            if inner in seen:
                self.fault(path, at, f"{inner} stands twice", "keep one of them")
            seen.add(inner)
            self.lines[inner] = (path.name, at)


def _pairs(loader: _Loader, node: yaml.MappingNode) -> list[tuple[yaml.Node, yaml.Node]]:
    """Keys and values of a mapping; what `<<` merges in comes first, where it is not overridden."""
    own = [pair for pair in node.value if not pair[0].tag.endswith(":merge")]
    loader.flatten_mapping(node)
    names = {key.value for key, _ in own}
    merged = {key.value: (key, value) for key, value in node.value[: len(node.value) - len(own)]}
    return [*(pair for name, pair in merged.items() if name not in names), *own]


def _place(reader: _Reader, *keys: str) -> tuple[str, int]:
    return next((reader.lines[k] for k in keys if k in reader.lines), ("", 0))


def _name_fault(name: str) -> str:
    if not name.isidentifier() or keyword.iskeyword(name):
        return "is no Python name"
    if name.startswith("_"):
        return "begins with an underscore"
    return "is reserved" if name in RESERVED else ""


def _entry(reader: _Reader, name: str, values: dict[str, Any]) -> DeviceEntry | None:
    def fault(key: str, what: str, remedy: str) -> None:
        file, line = _place(reader, f"{name}.{key}", f"{name}.{key.partition('.')[0]}", name)
        reader.faults.append(Fault(file, line, what, remedy))

    if problem := _name_fault(name):
        fault("", f"the name {name!r} {problem}", "use letters, digits and _, e.g. samx")
    given = {k: v for k, v in values.items() if v is not None}
    if isinstance(given.get("deviceTags"), set | list):
        given["deviceTags"] = list(dict.fromkeys(str(t) for t in given["deviceTags"]))
    try:
        entry = DeviceEntry.model_validate({"name": name, **given})
    except ValidationError as exc:
        for error in exc.errors():
            key = str(error["loc"][0]) if error["loc"] else ""
            if error["type"] == "missing":
                fault("", f"{name}: {key} is missing", f"add {key}: to {name}")
            else:
                got = error.get("input")
                fault(
                    key, f"{name}: {key} is {got!r}", error["msg"].replace("Input should", "should")
                )
        return None
    for key in given:
        outcome, reason = NOT_AS_IN_BEC.get(key, ("used", ""))
        reader.report.append(KeyReport(name, key, outcome, reason))
    return _class_checked(reader, entry, fault)


def _class_checked(reader: _Reader, entry: DeviceEntry, fault: Any) -> DeviceEntry | None:
    config = dict(entry.device_config)
    tags = list(entry.device_tags)
    if "deviceTags" in config:
        tags = list(dict.fromkeys([*tags, *map(str, config.pop("deviceTags"))]))
        reason = "a key of the device, not of its class"
        reader.report.append(KeyReport(entry.name, "deviceConfig.deviceTags", "mapped", reason))
    if OWN_NAME in config and config[OWN_NAME] == entry.name:
        config.pop(OWN_NAME)
        reader.report.append(KeyReport(entry.name, "deviceConfig.name", "used", ""))
    limits = config.get("limits")
    if limits is not None and not _is_range(limits):
        fault(
            "deviceConfig.limits",
            f"{entry.name}: limits is {limits!r}",
            "give two numbers, low then high, e.g. [-50, 50]",
        )
    if not entry.enabled:
        return entry.model_copy(update={"device_config": config, "device_tags": tags})
    try:
        cls = find_class(entry.device_class)
    except ImportError as exc:
        fault("deviceClass", f"{entry.name}: {exc}", "correct deviceClass, or install the package")
        return None
    target, why = mapped(entry.device_class)
    if why:
        reader.report.append(KeyReport(entry.name, "deviceClass", "mapped", f"{target}: {why}"))
    known = constructor_keys(cls)
    for key in list(config):
        if key in known or key == "limits" or (hasattr(cls, key) and key != OWN_NAME):
            continue
        if key in BEC_SIM_KEYS:
            config.pop(key)
            reason = "has no meaning for this class"
            reader.report.append(KeyReport(entry.name, f"deviceConfig.{key}", "ignored", reason))
            continue
        near = difflib.get_close_matches(key, known, 1)
        fault(
            f"deviceConfig.{key}",
            f"{entry.name}: {entry.device_class} takes no {key}",
            f"did you mean {near[0]}" if near else f"it takes {', '.join(sorted(known))}",
        )
    return entry.model_copy(update={"device_config": config, "device_tags": tags})


def _is_range(limits: Any) -> bool:
    return (
        isinstance(limits, list | tuple)
        and len(limits) == 2
        and all(isinstance(v, int | float) and not isinstance(v, bool) for v in limits)
        and limits[0] <= limits[1]
    )


def _ordered(reader: _Reader, entries: dict[str, DeviceEntry]) -> Iterator[DeviceEntry]:
    """Entries with everything they need before them; faults for unknown and cyclic needs."""
    done: set[str] = set()

    def visit(name: str, chain: tuple[str, ...]) -> Iterator[DeviceEntry]:
        if name in done:
            return
        file, line = _place(reader, f"{name}.needs", name)
        if name in chain:
            circle = " -> ".join((*chain[chain.index(name) :], name))
            reader.faults.append(
                Fault(file, line, f"needs form a circle: {circle}", "take one of them away")
            )
            return
        for other in entries[name].needs:
            if other in entries:
                yield from visit(other, (*chain, name))
            elif other not in reader.raw:
                near = difflib.get_close_matches(other, entries, 1)
                remedy = f"did you mean {near[0]}" if near else "describe it, or take it away"
                reader.faults.append(
                    Fault(file, line, f"{name} needs {other}, which is not described", remedy)
                )
        if name not in done:
            done.add(name)
            yield entries[name]

    for name in entries:
        yield from visit(name, ())


def load_device_file(path: Path | str) -> DeviceFile:
    """Read and check a device file. Raises: DeviceFileError with every fault, its file and line."""
    path = Path(path)
    reader = _Reader()
    reader.read(path)
    entries: dict[str, DeviceEntry] = {}
    for name, values in reader.raw.items():
        entry = _entry(reader, name, values)
        if entry is not None:
            entries[name] = entry
    ordered = tuple(_ordered(reader, entries))
    if reader.faults:
        raise DeviceFileError(sorted(reader.faults, key=lambda f: (f.file, f.line)))
    return DeviceFile(path, ordered, tuple(reader.report))


def report_lines(report: Iterable[KeyReport]) -> list[str]:
    """What became of each key that was not simply used, a line each."""
    return [f"{r.device}: {r.key} {r.outcome}: {r.reason}" for r in report if r.outcome != "used"]

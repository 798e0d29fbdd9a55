"""The device file: BEC's YAML, checked whole before anything is touched.

In: a path. Out: `DeviceFile` with its entries in the order in which they must be built, and a
report of every key; or `DeviceFileError` with every fault and its line. Nothing is connected here.
"""

from __future__ import annotations

import difflib
import keyword
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from undula.core.errors import InputError
from undula.devices.classes import constructor_keys, find_class, mapped, takes_any
from undula.devices.computed import device_of
from undula.devices.device_yaml import LEGACY, DeviceYaml, KeyReport
from undula.devices.errors import DeviceFileError, Fault
from undula.messages.devices import ReadoutPriority

BEC_SIM_KEYS = {"device_access", "sim_init", "proxy", "auto_monitor", "labels", "device_mapping"}
OWN_NAME = "name"
RESERVED = {"wm", "wa", "keys", "values", "items", "show_all", "read", "devices", "M", "D", "dev"}


class ShutterRole(BaseModel):
    """A device that lets the beam through."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    open: float | int | str = Field(default=1, description="what it is set to, to open")
    close: float | int | str = Field(default=0, description="what it is set to, to close")
    opens: Literal["per_scan", "per_point", "by_hand"] = Field(
        default="per_scan", description="when a scan opens it; by_hand: never"
    )


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
    software_trigger: bool | None = Field(
        default=None,
        alias="softwareTrigger",
        description="triggered at each point; None: when it can be",
    )
    user_parameter: dict[str, Any] = Field(
        default_factory=dict, alias="userParameter", description="free form"
    )
    group: Literal["M", "D"] | None = Field(default=None, description="which group shows it")
    count_time: dict[Literal["signal"], str] = Field(
        default_factory=dict, alias="countTime", description="signal: the one that takes seconds"
    )
    shutter: ShutterRole | None = Field(
        default=None, description="it is a shutter: open, close, opens"
    )
    stop: dict[str, float] = Field(
        default_factory=dict, description="PV to value: how to stop it without the engine"
    )


KEYS: dict[str, str] = {
    (info.alias or name): name for name, info in DeviceEntry.model_fields.items() if name != "name"
}


@dataclass(frozen=True, slots=True)
class DeviceFile:
    """A device file that may be built."""

    path: Path
    entries: tuple[DeviceEntry, ...]
    report: tuple[KeyReport, ...] = field(default=())
    digest: str = ""
    lines: dict[str, tuple[str, int]] = field(default_factory=dict)

    def place(self, name: str) -> tuple[str, int]:
        """File and line of a device, for messages."""
        return self.lines.get(name, (self.path.name, 0))


def _name_fault(name: str) -> str:
    if not name.isidentifier() or keyword.iskeyword(name):
        return "is no Python name"
    if name.startswith("_"):
        return "begins with an underscore"
    return "is reserved" if name in RESERVED else ""


FaultAt = Callable[[str, str, str], None]
"""Notes a fault: the key of the device, what is wrong, the remedy."""


def _entry(reader: DeviceYaml, name: str, values: dict[str, Any]) -> DeviceEntry | None:
    def fault(key: str, what: str, remedy: str) -> None:
        words = f"{name}.{key}".split(".")
        file, line = reader.place(*(".".join(words[:n]) for n in range(len(words), 0, -1)))
        reader.faults.append(Fault(file, line, what, remedy))

    if problem := _name_fault(name):
        fault("", f"the name {name!r} {problem}", "use letters, digits and _, e.g. samx")
    given = {k: v for k, v in values.items() if v is not None}
    if isinstance(given.get("deviceTags"), set | list):
        given["deviceTags"] = list(dict.fromkeys(str(t) for t in given["deviceTags"]))
    try:
        entry = DeviceEntry.model_validate({"name": name, **given})
    except ValidationError as exc:
        _value_faults(name, exc, fault)
        _class(name, given.get("deviceClass"), fault)
        return None
    reader.report += [KeyReport(name, key, "used") for key in given]
    return _class_checked(reader, _config_tidied(reader, entry), fault)


def _value_faults(name: str, exc: ValidationError, fault: FaultAt) -> None:
    for error in exc.errors():
        key = str(error["loc"][0]) if error["loc"] else ""
        if error["type"] == "missing":
            fault("", f"{name}: {key} is missing", f"add {key}: to {name}")
            continue
        should = error["msg"].replace("Input should", "should")
        if error["type"] in ("bool_parsing", "bool_type"):
            should = "write true or false"
        fault(key, f"{name}: {key} is {error.get('input')!r}", should)


def _class(name: str, path: Any, fault: FaultAt) -> type[Any] | None:
    """The class that a path names; None, with a fault, when there is none."""
    if not isinstance(path, str):
        return None
    try:
        return find_class(path)
    except ImportError as exc:
        fault("deviceClass", f"{name}: {exc}", "correct deviceClass, or install the package")
        return None


def _config_tidied(reader: DeviceYaml, entry: DeviceEntry) -> DeviceEntry:
    """Without the keys in `deviceConfig` that belong to the device, not to its class."""
    config, tags = dict(entry.device_config), list(entry.device_tags)
    if "deviceTags" in config:
        tags = list(dict.fromkeys([*tags, *map(str, config.pop("deviceTags"))]))
        reason = "a key of the device, not of its class"
        reader.report.append(KeyReport(entry.name, "deviceConfig.deviceTags", "mapped", reason))
    if config.get(OWN_NAME) == entry.name:
        config.pop(OWN_NAME)
        reader.report.append(KeyReport(entry.name, "deviceConfig.name", "used", ""))
    return entry.model_copy(update={"device_config": config, "device_tags": tags})


def _class_checked(reader: DeviceYaml, entry: DeviceEntry, fault: FaultAt) -> DeviceEntry | None:
    config = dict(entry.device_config)
    limits = config.get("limits")
    if limits is not None and not _is_range(limits):
        fault(
            "deviceConfig.limits",
            f"{entry.name}: limits is {limits!r}",
            "give two numbers, low then high, e.g. [-50, 50]",
        )
    if not entry.enabled:
        return entry
    cls = _class(entry.name, entry.device_class, fault)
    if cls is None:
        return None
    target, why = mapped(entry.device_class)
    if why:
        reader.report.append(KeyReport(entry.name, "deviceClass", "mapped", f"{target}: {why}"))
    known = constructor_keys(cls)
    for key in list(config):
        own = hasattr(cls, key) and key != OWN_NAME
        if key in known or key == "limits" or own or takes_any(cls):
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
            f"did you mean {near[0]}?" if near else f"it takes {', '.join(sorted(known))}",
        )
    check = getattr(cls, "check_config", None)
    if check is not None:
        try:
            check(config)
        except InputError as error:
            for place, what, remedy in error.parts or [("", error.what, error.remedy)]:
                fault(f"deviceConfig.{place}".rstrip("."), f"{entry.name}: {what}", remedy)
    needs = _derived_needs(reader, entry, cls, fault)
    return entry.model_copy(update={"device_config": config, "needs": needs})


def _derived_needs(
    reader: DeviceYaml, entry: DeviceEntry, cls: type[Any], fault: FaultAt
) -> list[str]:
    """What it needs, with the devices that a computed one is computed from."""
    needs_of = getattr(cls, "needs_of", None)
    if needs_of is None:
        return entry.needs
    try:
        found = needs_of(entry.device_config)
    except InputError as error:
        fault("deviceConfig", f"{entry.name}: {error.what}", error.remedy)
        return entry.needs
    owners = [device_of(name, [n for n in reader.raw if n != entry.name]) or name for name in found]
    return list(dict.fromkeys([*entry.needs, *owners]))


def _is_range(limits: Any) -> bool:
    return (
        isinstance(limits, list | tuple)
        and len(limits) == 2
        and all(isinstance(v, int | float) and not isinstance(v, bool) for v in limits)
        and limits[0] <= limits[1]
    )


def _ordered(reader: DeviceYaml, entries: dict[str, DeviceEntry]) -> Iterator[DeviceEntry]:
    """Entries with everything they need before them; faults for unknown and cyclic needs."""
    done: set[str] = set()

    def visit(name: str, chain: tuple[str, ...]) -> Iterator[DeviceEntry]:
        if name in done:
            return
        file, line = reader.place(f"{name}.needs", name)
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
                remedy = f"did you mean {near[0]}?" if near else "describe it, or take it away"
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
    reader = DeviceYaml(KEYS)
    reader.read(path)
    return _checked(reader, path)


def json_schema() -> dict[str, Any]:
    """JSON schema of device files, for editors that complete and check while one types.

    A top-level value that is no mapping is an `!include`, which a schema cannot describe.
    """
    entry = DeviceEntry.model_json_schema(by_alias=True)
    entry["properties"].pop("name")
    entry["required"] = [key for key in entry["required"] if key != "name"]
    legacy = {key: {"description": f"of BEC, ignored: {why}"} for key, why in LEGACY.items()}
    entry["properties"] |= legacy
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Devices of a beamline",
        "type": "object",
        "propertyNames": {"pattern": "^[A-Za-z][A-Za-z0-9_]*$"},
        "additionalProperties": {"if": {"type": "object"}, "then": entry},
    }


def read_raw(path: Path) -> dict[str, dict[str, Any]]:
    """The devices of a file as they are written, unchecked; what cannot be read is left out."""
    reader = DeviceYaml(KEYS)
    reader.read(path)
    return reader.raw


def check_devices(raw: Mapping[str, Mapping[str, Any]], source: str) -> DeviceFile:
    """Devices that came as data: name to BEC's keys and values; checked like a file.

    Args:
        source: what faults are said to stand in, e.g. `update of samx`.
    Raises: DeviceFileError with every fault.
    """
    reader = DeviceYaml(KEYS)
    for name, values in raw.items():
        reader.take(name, values, source)
    return _checked(reader, Path(source))


def _checked(reader: DeviceYaml, path: Path) -> DeviceFile:
    entries: dict[str, DeviceEntry] = {}
    for name, values in reader.raw.items():
        entry = _entry(reader, name, values)
        if entry is not None:
            entries[name] = entry
    ordered = tuple(_ordered(reader, entries))
    if reader.faults:
        raise DeviceFileError(sorted(reader.faults, key=lambda f: (f.file, f.line)))
    return DeviceFile(path, ordered, tuple(reader.report), reader.digest, reader.lines)


def report_lines(report: Iterable[KeyReport]) -> list[str]:
    """What became of each key that was not simply used, a line each."""
    return [f"{r.device}: {r.key} {r.outcome}: {r.reason}" for r in report if r.outcome != "used"]

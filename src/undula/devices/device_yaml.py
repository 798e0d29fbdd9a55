"""Reading device YAML: every key with its file and line, `!include`, all faults collected.

In: a path. Out: a `DeviceYaml` with the raw mapping of each device, the places of its keys, and the
faults found so far. Nothing is known here of what the keys mean, except which there are.
"""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml

from undula.devices.errors import Fault

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


@dataclass(frozen=True, slots=True)
class KeyReport:
    """What became of one key of one device."""

    device: str
    key: str
    outcome: Outcome
    reason: str = ""


class Include:
    """An `!include` and where it stands."""

    def __init__(self, path: str, line: int) -> None:
        self.path, self.line = path, line


class Loader(yaml.SafeLoader):
    """Safe loader that knows `!include` and refuses a key that stands twice."""


def _include(loader: Loader, node: yaml.ScalarNode) -> Include:
    return Include(str(loader.construct_scalar(node)), node.start_mark.line + 1)


Loader.add_constructor("!include", _include)


class DeviceYaml:
    """Reads one file and what it includes; collects faults and goes on."""

    def __init__(self, keys: Iterable[str]) -> None:
        self._keys_known = tuple(keys)
        self._digest = hashlib.sha256()
        self.faults: list[Fault] = []
        self.report: list[KeyReport] = []
        self.lines: dict[str, tuple[str, int]] = {}
        self.raw: dict[str, dict[str, Any]] = {}
        self._reading: list[Path] = []

    @property
    def digest(self) -> str:
        """Of the contents of all files read, in the order of reading; hexadecimal."""
        return self._digest.hexdigest()

    def fault(self, file: Path, line: int, what: str, remedy: str) -> None:
        """Note what is wrong."""
        self.faults.append(Fault(file.name, line, what, remedy))

    def read(self, path: Path) -> None:
        """Read a file and what it includes."""
        try:
            content = path.read_bytes()
            self._digest.update(content)
            text = content.decode("utf-8")
        except OSError as exc:
            self.fault(
                path, 0, f"it cannot be read: {exc.strerror}", f"check the path {path.absolute()}"
            )
            return
        except UnicodeDecodeError as exc:
            line = exc.object[: exc.start].count(b"\n") + 1
            self.fault(path, line, "this is not UTF-8 text", "save the file as UTF-8")
            return
        self._reading.append(path.resolve())
        self._parse(text, path)
        self._reading.pop()

    def take(self, name: str, values: Mapping[str, Any], source: str) -> None:
        """A device that came as data: its keys are checked as those of a file, without lines."""
        place, known = Path(source), dict[str, Any]()
        for key, value in values.items():
            if self._is_key(name, key, place, 0):
                known[key] = value
        self.raw[name] = known
        self.lines[name] = (place.name, 0)

    def _is_key(self, name: str, key: str, path: Path, line: int) -> bool:
        """Whether a device has that key; a legacy one is reported, any other is a fault."""
        if key in LEGACY:
            self.report.append(KeyReport(name, key, "ignored", LEGACY[key]))
            return False
        if key in self._keys_known:
            return True
        near = difflib.get_close_matches(key, self._keys_known, 1)
        remedy = f"did you mean {near[0]}?" if near else f"use one of {', '.join(self._keys_known)}"
        self.fault(path, line, f"{name}: there is no key {key}", remedy)
        return False

    def _parse(self, text: str, path: Path) -> None:
        loader = Loader(text)
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

    def _mapping(self, loader: Loader, node: yaml.MappingNode, path: Path) -> None:
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

    def _included(self, loader: Loader, node: yaml.Node, path: Path) -> bool:
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
        self, loader: Loader, name: str, node: yaml.MappingNode, path: Path, line: int
    ) -> None:
        values: dict[str, Any] = {}
        for key_node, value_node in _pairs(loader, node):
            key, at = str(key_node.value), key_node.start_mark.line + 1
            if key in values:
                self.fault(path, at, f"{name}: {key} stands twice", "keep one of them")
            elif self._is_key(name, key, path, at):
                self.lines[f"{name}.{key}"] = (path.name, at)
                self._inner_lines(f"{name}.{key}", value_node, path, set())
                try:
                    values[key] = loader.construct_object(value_node, deep=True)
                except yaml.YAMLError as exc:
                    self._yaml_fault(path, exc)
        self.raw[name] = values
        self.lines[name] = (path.name, line)

    def _inner_lines(self, name: str, node: yaml.Node, path: Path, seen: set[int]) -> None:
        """Lines of all keys and items below a key; a key that stands twice there is a fault.

        What an anchor names is looked at once: `seen` has the ids of what was.
        """
        if id(node) in seen:
            return
        seen.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            for index, item in enumerate(node.value):
                self.lines[f"{name}.{index}"] = (path.name, item.start_mark.line + 1)
                self._inner_lines(f"{name}.{index}", item, path, seen)
        elif isinstance(node, yaml.MappingNode):
            first: dict[str, int] = {}
            for key_node, value_node in node.value:
                inner, at = f"{name}.{key_node.value}", key_node.start_mark.line + 1
                if key_node.tag.endswith(":merge"):
                    continue
                if inner in first:
                    what = f"{inner} stands twice, first in line {first[inner]}"
                    self.fault(path, at, what, "keep one of them, or rename the other")
                first.setdefault(inner, at)
                self.lines[inner] = (path.name, at)
                self._inner_lines(inner, value_node, path, seen)

    def place(self, *keys: str) -> tuple[str, int]:
        """File and line of the first of these keys that is known; ("", 0) without one."""
        return next((self.lines[k] for k in keys if k in self.lines), ("", 0))


def _pairs(loader: Loader, node: yaml.MappingNode) -> list[tuple[yaml.Node, yaml.Node]]:
    """Keys and values of a mapping; what `<<` merges in comes first, where it is not overridden."""
    own = [pair for pair in node.value if not pair[0].tag.endswith(":merge")]
    loader.flatten_mapping(node)
    names = {key.value for key, _ in own}
    merged = {key.value: (key, value) for key, value in node.value[: len(node.value) - len(own)]}
    return [*(pair for name, pair in merged.items() if name not in names), *own]

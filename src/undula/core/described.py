"""YAML files that a pydantic model describes: every fault at once, with its line and a remedy.

In: a path and a model. Out: the model, or one `ConfigError` whose `details` name each fault as
`FILE:LINE: what. Remedy: ...`. The safe loader reads; a key that stands twice is a fault.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from undula.core.errors import ConfigError, with_remedy
from undula.core.fault_words import in_words

M = TypeVar("M", bound=BaseModel)
Place = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class FileFault:
    """One thing that is wrong in a file."""

    file: str
    line: int
    what: str
    remedy: str

    def __str__(self) -> str:
        return with_remedy(f"{self.file}:{self.line}: {self.what}", self.remedy)


def faults_error(faults: list[FileFault]) -> ConfigError:
    """All faults as one error; the first is its own text."""
    first = faults[0]
    more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
    error = ConfigError(
        f"{first.what}{more}", remedy=first.remedy, where=f"{first.file}:{first.line}"
    )
    error.details = [str(fault) for fault in faults]
    return error


def merged(errors: list[ConfigError]) -> ConfigError:
    """The faults of several files as one error."""
    first = errors[0]
    error = ConfigError(first.what, remedy=first.remedy, where=first.where)
    error.details = [line for one in errors for line in one.details or [str(one)]]
    return error


def read_described(path: Path, model: type[M]) -> M:
    """The model that a YAML file describes. Raises: ConfigError with every fault."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as exc:
        fault = FileFault(path.name, 0, f"it cannot be read: {exc.strerror}", f"check {path}")
        raise faults_error([fault]) from exc
    except UnicodeDecodeError as exc:
        line = exc.object[: exc.start].count(b"\n") + 1
        fault = FileFault(path.name, line, "this is not UTF-8 text", "save the file as UTF-8")
        raise faults_error([fault]) from exc
    return parse_described(text, path.name, model)


def parse_described(text: str, file: str, model: type[M]) -> M:
    """As `read_described`, from a text; `file` names it in faults."""
    lines: dict[Place, int] = {(): 1}
    faults: list[FileFault] = []
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        if node is not None:
            _look(node, (), lines, faults, file)
        value = yaml.safe_load(text)
    except yaml.YAMLError as exc:
        mark = getattr(exc, "problem_mark", None)
        what = f"YAML: {getattr(exc, 'problem', None) or 'it cannot be read'}"
        hint = "use spaces, not tabs" if "\\t" in what else "correct the YAML here"
        fault = FileFault(file, mark.line + 1 if mark else 1, what, hint)
        raise faults_error([*faults, fault]) from exc
    try:
        found = model.model_validate({} if value is None else value)
    except ValidationError as exc:
        known = exc.errors(include_url=False)
        plain = [error for error in known if error["type"] in ("extra_forbidden", "missing")]
        faults += [_of_a_key(error, lines, file, model) for error in plain]
        values = [error for error in known if error not in plain]
        faults += _of_values(values, lines, file)
        raise faults_error(sorted(faults, key=lambda f: f.line)) from exc
    if faults:
        raise faults_error(faults)
    return found


def _look(
    node: yaml.Node, place: Place, lines: dict[Place, int], faults: list[FileFault], file: str
) -> None:
    """Lines of all keys and items."""
    lines.setdefault(place, node.start_mark.line + 1)
    if isinstance(node, yaml.SequenceNode):
        for index, inner in enumerate(node.value):
            _look(inner, (*place, index), lines, faults, file)
    elif isinstance(node, yaml.MappingNode):
        seen = set()
        for key, inner in node.value:
            at = key.start_mark.line + 1
            if key.value in seen:
                faults.append(FileFault(file, at, f"{key.value} stands twice", "keep one of them"))
            seen.add(key.value)
            lines[*place, key.value] = at
            _look(inner, (*place, key.value), lines, faults, file)


def _written(place: Place, lines: Mapping[Place, int]) -> Place:
    """The innermost key or item of the file that a fault is about."""
    while place not in lines:
        place = place[:-1]
    return place


def _of_a_key(
    error: Any, lines: Mapping[Place, int], file: str, model: type[BaseModel]
) -> FileFault:
    place: Place = tuple(error["loc"])
    known = _written(place, lines)
    if error["type"] == "missing":
        what = f"{_name(known)} lacks {place[-1]}"
        return FileFault(file, lines[known], what, f"add {place[-1]}")
    keys = _keys(model, place[:-1])
    near = difflib.get_close_matches(str(place[-1]), keys, 1)
    remedy = f"did you mean {near[0]}?" if near else f"use one of {', '.join(keys)}"
    return FileFault(file, lines[known], f"there is no key {place[-1]}", remedy)


def _of_values(errors: list[Any], lines: Mapping[Place, int], file: str) -> list[FileFault]:
    by_place: dict[Place, list[Any]] = {}
    for error in errors:
        by_place.setdefault(_written(tuple(error["loc"]), lines), []).append(error)
    found = []
    for place, those in by_place.items():
        what, remedy = in_words(those)
        found.append(FileFault(file, lines[place], f"{_name(place)}: {what}", remedy))
    return found


def _name(place: Place) -> str:
    """A place in words: items of a list are counted from 1.

    >>> _name(("keys", "a", "type")), _name(("fields", 0, "value"))
    ('keys.a.type', 'fields, item 1, value')
    """
    text = ""
    for before, part in zip(("", *place), place, strict=False):
        comma = isinstance(part, int) or isinstance(before, int)
        text += (", " if comma else ".") * bool(text)
        text += f"item {part + 1}" if isinstance(part, int) else part
    return text or "the file"


def _keys(model: type[BaseModel], place: Place) -> list[str]:
    """Keys that a mapping at this place may have."""
    for part in place:
        inner = _inner(model, part)
        if inner is not None:
            model = inner
    return [field.alias or name for name, field in model.model_fields.items()]


def _inner(model: type[BaseModel], part: str | int) -> type[BaseModel] | None:
    if isinstance(part, int):
        return None
    for name, field in model.model_fields.items():
        if part in (name, field.alias):
            return _model_in(field.annotation)
    return None


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for inner in getattr(annotation, "__args__", ()):
        found = _model_in(inner)
        if found is not None:
            return found
    return None


class Wrong(ValueError):  # noqa: N818  # it becomes part of a ConfigError
    """Raised in a validator: what is wrong, and what to do."""

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(what)
        self.remedy = remedy

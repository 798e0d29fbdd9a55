"""Defaults of a beamline for its plans, by plan name: count time, detectors, settling, metadata.

In: `defaults.yaml` of the plan folder, a `ScanRequest`. Out: the request with what it does not say
itself, and a line for each thing that was added. An exact name goes before a longer pattern, that
before a shorter one, each key by itself; metadata is put together. A faulty file is told with its
line; its last good version stays.
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Literal

import bluesky.plans as bp
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from undula.core.described import Wrong
from undula.core.errors import ConfigError, InputError
from undula.core.fault_words import faults_of
from undula.core.log import get_logger
from undula.core.stamp import stamp_of
from undula.core.suggest import near
from undula.messages import ScanRequest
from undula.plans import FORMS, parse_form
from undula.scans.hook_words import matches
from undula.scans.start_check import check_given

FILE = "defaults.yaml"
SNAKE = ("snake_axes", "snake", "snaked")
"""How plans call the option that runs back on every other line."""


class PlanDefaults(BaseModel):
    """What holds for the plans of one pattern."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    time: float | None = Field(default=None, ge=0, description="count time per point, seconds")
    detectors: list[str] | None = Field(default=None, description="what is read")
    settle: float | None = Field(default=None, ge=0, description="seconds between move and reading")
    snake: bool | None = Field(default=None, description="run back on every other line of a grid")
    shutter: Literal["per_scan", "per_point", "closed", "none"] | None = Field(
        default=None, description="when shutters are open"
    )
    arguments: dict[str, Any] = Field(
        default_factory=dict, description="named arguments of the plan, e.g. delay: 0.1"
    )
    metadata: dict[str, Any] = Field(default_factory=dict, description="for the start document")

    @field_validator("metadata")
    @classmethod
    def _fits(cls, metadata: dict[str, Any]) -> dict[str, Any]:
        try:
            check_given(metadata)
        except InputError as error:
            raise Wrong(error.what, error.remedy) from error
        return metadata


class Defaults:
    """The defaults as the file says them now. Thread-safe.

    Args:
        file: need not exist.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._stamp: tuple[int, int] | None = None
        self._tables: dict[str, PlanDefaults] = {}
        self.fault = ""
        """What is wrong with the file, with its line; '' when nothing is."""

    def look(self) -> Mapping[str, PlanDefaults]:
        """Pattern of plan names to what holds for them; the file is read when it has changed."""
        with self._lock:
            try:
                stamp = stamp_of(self._file)
            except OSError as exc:  # what was read last holds
                self._stamp, self.fault = (-1, -1), f"[{self._file.name}] it cannot be read: {exc}"
                return self._tables
            if stamp != self._stamp:
                self._stamp, self.fault = stamp, ""
                try:
                    self._tables = {} if stamp is None else read(self._file)
                except ConfigError as error:
                    self.fault = str(error)
                    get_logger().warning("plan_defaults_faulty", fault=self.fault)
            return self._tables

    def added(
        self, request: ScanRequest, placed: Collection[str] = ()
    ) -> tuple[ScanRequest, list[str]]:
        """The request with what it leaves open, and what was added: `time 0.1 (by scan)`.

        Args:
            placed: arguments of a user's plan that the request gives by their place.
        """
        tables = self.look()
        return completed(request, tables, placed) if tables else (request, [])


def read(file: Path) -> dict[str, PlanDefaults]:
    """The tables of a file. Raises: ConfigError with file, line and field."""
    try:
        node = yaml.compose(file.read_text(encoding="utf-8"), yaml.SafeLoader)
        data = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as exc:
        mark = getattr(exc, "problem_mark", None)
        place = f"{file.name}, line {mark.line + 1}" if mark else file.name
        what = getattr(exc, "problem", None) or str(exc)
        raise ConfigError(what, remedy="correct the file", where=place) from exc
    if not isinstance(data, dict):
        raise ConfigError(
            "it is no table", remedy="write plan names with what holds for them", where=file.name
        )
    found = {}
    for pattern, fields in data.items():
        try:
            found[str(pattern)] = PlanDefaults.model_validate(fields or {})
        except ValidationError as exc:
            at, what, remedy = faults_of(exc)[0]
            path = [str(pattern), *map(str, at)]
            if exc.errors()[0]["type"] == "extra_forbidden":
                meant = near(str(at[-1]), PlanDefaults.model_fields)
                what = f"there is no key {at[-1]}"
                known = f"known are {', '.join(PlanDefaults.model_fields)}"
                remedy = f"did you mean {meant}?" if meant else known
            raise ConfigError(
                f"{'.'.join(path)}: {what}",
                remedy=remedy,
                where=f"{file.name}, line {_line(node, path)}",
            ) from exc
    return found


def _line(node: Any, path: list[str]) -> int:
    """The line of the deepest key of `path` that is there."""
    line = 1
    for name in path:
        for key, value in getattr(node, "value", None) or []:
            if getattr(key, "value", None) == name:
                line, node = key.start_mark.line + 1, value
                break
        else:
            break
        if not isinstance(node, yaml.MappingNode):
            break
    return line


def ordered(plan: str, tables: Mapping[str, PlanDefaults]) -> list[tuple[str, PlanDefaults]]:
    """The tables that hold for a plan, the most special first."""
    fitting = [(p, t) for p, t in tables.items() if matches(p, plan)]
    return sorted(fitting, key=lambda each: (each[0] != plan, -len(each[0].replace("*", ""))))


def completed(
    request: ScanRequest,
    tables: Mapping[str, PlanDefaults],
    placed: Collection[str] = (),
) -> tuple[ScanRequest, list[str]]:
    """The request with what it leaves open; the request's own values win. Pure.

    Args:
        placed: arguments of a user's plan that the request gives by their place.
    """
    update: dict[str, Any] = {}
    kwargs, metadata = dict(request.kwargs), dict(request.metadata)
    said: list[str] = []
    wants = options_of(request)
    own_detectors = _names_detectors(request)

    def say(what: str, value: Any, pattern: str) -> None:
        said.append(f"{what} {value} (by {pattern})")

    for pattern, table in ordered(request.plan, tables):
        for key, value in (
            ("count_time_s", table.time),
            ("detectors", None if own_detectors else table.detectors),
            ("settle_s", table.settle),
            ("shutter", table.shutter),
        ):
            if value is not None and getattr(request, key) is None and key not in update:
                update[key] = value
                say(key.removesuffix("_s").replace("_", " "), value, pattern)
        options = {**table.arguments}
        snake = next((name for name in SNAKE if name in wants), "")
        if table.snake is not None and snake:
            options.setdefault(snake, table.snake)
        for key, value in options.items():
            if key not in {*kwargs, *placed} and not _given(request, key, value):
                kwargs[key] = value
                say(key, value, pattern)
        for key, value in table.metadata.items():
            if key not in metadata:
                metadata[key] = value
                say(f"metadata {key}", value, pattern)
    if not said:
        return request, []
    update |= {"kwargs": kwargs, "metadata": metadata}
    return request.model_copy(update=update), said


def _names_detectors(request: ScanRequest) -> bool:
    """The call itself says what is read: a list first, as Bluesky's, or names last, as SPEC's."""
    if request.plan not in FORMS:
        return bool(request.args) and isinstance(request.args[0], list)
    try:
        return parse_form(request.plan, request.args, request.kwargs).detectors is not None
    except InputError:  # the check will say what is wrong
        return False


def _given(request: ScanRequest, name: str, value: Any) -> bool:
    """An argument that the request gives by its place, or holds in the text of its call."""
    if request.source is not None:
        return True
    if request.plan in FORMS:
        try:
            parse_form(request.plan, request.args, request.kwargs)
        except InputError:  # it may be this very argument that it lacks
            return False
        try:
            parse_form(request.plan, request.args, {**request.kwargs, name: value})
        except InputError:
            return True
        return False
    function = getattr(bp, request.plan, None)
    if not inspect.isfunction(function):
        return False
    names = list(inspect.signature(function).parameters)
    told = bool(request.args) and isinstance(request.args[0], list)
    return name in names[1 if not told and names[:1] == ["detectors"] else 0 :][: len(request.args)]


def options_of(request: ScanRequest) -> tuple[str, ...]:
    """Options that the plan of a request may be given by name, beside those of every plan."""
    if request.plan in FORMS:
        return FORMS[request.plan].options
    function = getattr(bp, request.plan, None)
    if not inspect.isfunction(function):
        return ()
    return tuple(inspect.signature(function).parameters)

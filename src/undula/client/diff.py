"""Why two runs differ: what was asked, with which code, settings, surroundings, and how it ended.

In: what is kept of two runs. Out: `Difference`s, in the order in which a person would ask. Readings
of the baseline differ when they are further apart than their precision and than they moved while
one of the runs went on. Pure, but for `known_of`, which reads a run's archive.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from undula.client.again import MARK, OF_THE_MOMENT, asked_for
from undula.client.shown import cut
from undula.core.errors import InputError
from undula.core.run_keys import OF_THE_RUN

if TYPE_CHECKING:
    from undula.client.runs import Run

Kind = Literal[
    "command", "code", "detectors", "count time", "metadata", "configuration", "baseline", "end"
]
NOT_FREE = (OF_THE_RUN - {"beamline"}) | {
    "plan_type", "plan_source", "plan_version", "plan_author", "plan_call", "plan_args",
    "plan_pattern", "plan_pattern_args", "plan_pattern_module", "origin", "item_id",
}  # fmt: skip
"""Keys of a start document that are no free metadata."""
NOISES = 3.0
ALMOST = 1e-9
LONGEST = 60
"""Characters of a value in the table."""


@dataclass(frozen=True, slots=True)
class Reading:
    """A reading of the baseline: before the points, and how far it moved until behind them."""

    value: Any
    moved: float = 0.0
    unit: str = ""
    precision: int | None = None


@dataclass(frozen=True, slots=True)
class Known:
    """What is kept of a run, as far as it may differ."""

    number: int
    start: Mapping[str, Any]
    request: Mapping[str, Any] = field(default_factory=dict)
    configuration: Mapping[str, Any] = field(default_factory=dict)
    baseline: Mapping[str, Reading] = field(default_factory=dict)
    ended: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is not the same; None where a run does not have it."""

    kind: Kind
    name: str
    a: Any
    b: Any
    unit: str = ""


class Differences(list[Difference]):
    """A list of `Difference` that reads as a table."""

    def __init__(self, found: Iterable[Difference], numbers: tuple[int, int]) -> None:
        super().__init__(found)
        self.numbers = numbers

    def __repr__(self) -> str:
        a, b = self.numbers
        if not self:
            return f"runs {a} and {b} do not differ"
        head = ("what", "name", f"run {a}", f"run {b}")
        rows = [(d.kind, d.name, _said(d.a, d.unit), _said(d.b, d.unit)) for d in self]
        wide = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
        return "\n".join(
            "  ".join(cell.ljust(w) for cell, w in zip(row, wide, strict=True)).rstrip()
            for row in (head, *rows)
        )


def _said(value: Any, unit: str) -> str:
    if value is None:
        return "-"
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    return cut(f"{text} {unit}".rstrip(), LONGEST)


def differences(a: Known, b: Known) -> Differences:
    """Everything in which two runs differ, most telling first; empty when nothing does."""
    found = [
        *_keys("command", _asked(a), _asked(b)),
        *_keys("code", _code(a.start), _code(b.start)),
        *_keys("detectors", _listed(a.start), _listed(b.start)),
        *_keys("count time", _count_time(a.start), _count_time(b.start)),
        *_keys("metadata", _free(a.start), _free(b.start)),
        *_keys("configuration", a.configuration, b.configuration),
        *_readings(a.baseline, b.baseline),
        *_keys("end", a.ended, b.ended),
    ]
    return Differences(found, (a.number, b.number))


def same(one: Any, other: Any) -> bool:
    """Whether two values of a document mean the same; floats within rounding, NaN is NaN.

    >>> same([0.1 + 0.2, "a"], [0.3, "a"]), same(1, True), same(float("nan"), float("nan"))
    (True, False, True)
    """
    if isinstance(one, bool) or isinstance(other, bool):
        return type(one) is type(other) and bool(one == other)
    if isinstance(one, int | float) and isinstance(other, int | float):
        both_nan = math.isnan(one) and math.isnan(other)
        return both_nan or math.isclose(one, other, rel_tol=ALMOST)
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(same(one[k], other[k]) for k in one)
    return bool(one == other)


def beyond_noise(one: Reading, other: Reading) -> bool:
    """Whether two readings differ by more than their precision and what they moved by themselves.

    >>> beyond_noise(Reading(1.00, precision=2), Reading(1.004)), beyond_noise(
    ...     Reading(1.0, moved=0.1), Reading(1.2)), beyond_noise(Reading(1.0), Reading(1.2))
    (False, False, True)
    """
    if not (_is_number(one.value) and _is_number(other.value)):
        return not same(one.value, other.value)
    if math.isnan(one.value) or math.isnan(other.value):
        return not same(one.value, other.value)
    digits = [r.precision for r in (one, other) if r.precision is not None]
    resolution = 0.5 * 10.0 ** -min(digits) if digits else 0.0
    largest = ALMOST * max(abs(one.value), abs(other.value))
    allowed = max(resolution, largest, NOISES * max(one.moved, other.moved))
    return bool(abs(one.value - other.value) > allowed)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _readings(a: Mapping[str, Reading], b: Mapping[str, Reading]) -> Iterator[Difference]:
    for name in dict.fromkeys([*a, *b]):
        one, other = a.get(name), b.get(name)
        if one is None or other is None:
            found = one or other
            unit = found.unit if found else ""
            yield Difference("baseline", name, one and one.value, other and other.value, unit)
        elif beyond_noise(one, other):
            yield Difference("baseline", name, one.value, other.value, one.unit or other.unit)


def _keys(kind: Kind, a: Mapping[str, Any], b: Mapping[str, Any]) -> Iterator[Difference]:
    for name in dict.fromkeys([*a, *b]):
        one, other = a.get(name), b.get(name)
        if not same(one, other):
            yield Difference(kind, name, one, other)


def _asked(run: Known) -> dict[str, Any]:
    start = run.start
    asked = {
        "plan": start.get("plan_name"),
        "command": str(start.get("command", "")).split(MARK)[0],
    }
    for number, value in enumerate(run.request.get("args") or (), 1):
        asked[f"argument {number}"] = value
    return (
        asked
        | dict(run.request.get("kwargs") or {})
        | {key: run.request.get(key) for key in ("shutter", "darks")}
    )


def _code(start: Mapping[str, Any]) -> dict[str, Any]:
    own = {key: start.get(key) for key in ("plan_version", "plan_author", "plan_call")}
    return own | dict(start.get("versions") or {})


def _listed(start: Mapping[str, Any]) -> dict[str, Any]:
    return dict.fromkeys(start.get("detectors") or (), "read")


def _count_time(start: Mapping[str, Any]) -> dict[str, Any]:
    return {"count_time_s": start.get("count_time_s")}


def _free(start: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in start.items() if key not in NOT_FREE}


def known_of(run: Run) -> Known:
    """What is kept of a run. Raises: InputError while it is open; StorageError without archive."""
    record = run.record
    try:
        asked = asked_for(record, run.catalogue).model_dump(exclude=set(OF_THE_MOMENT))
    except InputError:  # of a history that was rebuilt: the command says it as well
        asked = {}
    reader = _DocumentReader()
    for name, doc in run.documents():
        reader.take(name, doc)
    ended = {
        "exit_status": record.exit_status, "reason": record.reason, "points": record.num_points
    }  # fmt: skip
    about = record.metadata.get("devices") or {}
    declared = {
        f"{device}.{key}": value
        for device, info in about.items()
        for key, value in (info.get("config") or {}).items()
    }
    configuration = {**declared, **reader.configuration}
    return Known(record.number, record.metadata, asked, configuration, reader.baseline, ended)


def _changed(known: Any, before: Any, after: Any) -> str:
    """A setting that was changed while the run was open: its values, one after the other."""
    begin = known if isinstance(known, str) and ", then " in known else before
    return f"{begin}, then {after}"


class _DocumentReader:
    """Configuration and baseline from the documents of a run."""

    def __init__(self) -> None:
        self.configuration: dict[str, Any] = {}
        self.baseline: dict[str, Reading] = {}
        self._keys: dict[str, dict[str, Any]] = {}

    def take(self, name: str, doc: Mapping[str, Any]) -> None:
        """One document."""
        if name == "descriptor":
            for entry in doc.get("configuration", {}).values():
                self.configuration.update(entry.get("data", {}))
            if doc.get("name") == "baseline":
                self._keys[doc["uid"]] = doc["data_keys"]
        elif name == "stop":
            for change in doc.get("configuration_changes") or ():
                key, values = change["key"], (change.get("before"), change.get("after"))
                if change.get("after") is not None:
                    self.configuration[key] = _changed(self.configuration.get(key), *values)
        elif name == "event" and doc["descriptor"] in self._keys:
            for key, value in doc["data"].items():
                self.baseline[key] = self._reading(key, value, self._keys[doc["descriptor"]])

    def _reading(self, key: str, value: Any, keys: Mapping[str, Any]) -> Reading:
        before, about = self.baseline.get(key), keys.get(key, {})
        if before is None:
            digits = about.get("precision")
            unit = str(about.get("units") or "")
            return Reading(value, 0.0, unit, digits if isinstance(digits, int) else None)
        moved = abs(value - before.value) if _is_number(value) and _is_number(before.value) else 0.0
        return Reading(before.value, moved, before.unit, before.precision)

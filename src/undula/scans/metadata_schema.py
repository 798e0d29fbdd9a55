"""Room: scans. What a beamline wants runs to say: `metadata_schema.yaml`, checked before a scan.

In: the schema, the metadata of a scan. Out: every fault at once, each with a remedy. The file is
read again when it has changed; while it is wrong, scans are refused with its faults.
"""

from __future__ import annotations

import difflib
import re
import threading
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from undula.core.described import Wrong, read_described
from undula.core.errors import ConfigError, InputError, with_remedy
from undula.core.stamp import Stamp, stamp_of
from undula.messages import MetadataKey, MetadataKeys
from undula.messages.layouts import Plain

FILE = "metadata_schema.yaml"
Kind = Literal["text", "number", "integer", "yes/no", "list", "mapping"]
_KINDS: dict[str, tuple[type, ...]] = {
    "text": (str,), "number": (int, float), "integer": (int,), "yes/no": (bool,),
    "list": (list, tuple), "mapping": (dict,),
}  # fmt: skip
DEFAULT_FREE = frozenset({"scan_group", "fit"})
"""Keys that Undula gives a scan by itself."""


class KeyRule(BaseModel):
    """What one key of the metadata must be."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: Kind = Field(default="text", description="text, number, integer, yes/no, list, mapping")
    description: str = Field(default="", description="for people; shown when it is missing")
    required: bool = Field(default=False, description="each scan must say it")
    required_for: list[str] = Field(
        default_factory=list, description="scans with these plans must say it; * and ? are wild"
    )
    choices: list[Plain] = Field(default_factory=list, description="it is one of these")
    pattern: str = Field(default="", description="a text is of this form (regular expression)")
    example: Plain | None = Field(default=None, description="shown when it is missing or wrong")
    minimum: float | None = Field(default=None, description="a number is not below")
    maximum: float | None = Field(default=None, description="a number is not above")
    unit: str = Field(default="", description="of a number, for people")

    @field_validator("pattern")
    @classmethod
    def _compiles(cls, pattern: str) -> str:
        try:
            re.compile(pattern)
        except re.error as exc:
            raise Wrong(f"{pattern!r} is no pattern: {exc}", "write a regular expression") from exc
        return pattern

    @model_validator(mode="after")
    def _fits(self) -> KeyRule:
        if self.pattern and self.type != "text":
            raise Wrong("only a text has a pattern", "take the pattern away, or set type: text")
        bounded = self.minimum is not None or self.maximum is not None
        if bounded and self.type not in ("number", "integer"):
            raise Wrong("only a number has a minimum and maximum", "set type: number")
        return self


class MetadataSchema(BaseModel):
    """What runs of a beamline say."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    keys: dict[str, KeyRule] = Field(description="by key; inside a dict: sample.name")
    other_keys: bool = Field(default=True, description="further keys are allowed")


def _at(metadata: Mapping[str, Any], key: str) -> Any:
    """A value by its dotted key; the `name` of a text is the text, as of `sample: Fe2O3`."""
    found: Any = metadata
    for part in key.split("."):
        if part == "name" and isinstance(found, str):
            return found
        found = found.get(part) if isinstance(found, Mapping) else None
    return found


def _wanted(rule: KeyRule) -> str:
    """What a rule asks for, in words."""
    words = f"a {rule.type}" if rule.type != "integer" else "an integer"
    if rule.choices:
        words = f"one of {', '.join(map(str, rule.choices))}"
    elif rule.minimum is not None or rule.maximum is not None:
        low = "" if rule.minimum is None else f"{rule.minimum:g}"
        high = "" if rule.maximum is None else f"{rule.maximum:g}"
        words += f" {low}..{high}"
    elif rule.pattern:
        words += f" of the form {rule.pattern}"
    if rule.unit:
        words += f" in {rule.unit}"
    return words + (f", e.g. {rule.example!r}" if rule.example is not None else "")


def _fault(key: str, value: Any, rule: KeyRule) -> str | None:
    """What is wrong with a value, or None."""
    kinds = _KINDS[rule.type]
    if isinstance(value, bool) != (rule.type == "yes/no") or not isinstance(value, kinds):
        return f"{key} is {value!r}. Remedy: give {_wanted(rule)}."
    number = float(value) if isinstance(value, int | float) else 0.0
    wrong = (
        (bool(rule.choices) and value not in rule.choices)
        or (bool(rule.pattern) and not re.fullmatch(rule.pattern, str(value)))
        or (rule.minimum is not None and not number >= rule.minimum)
        or (rule.maximum is not None and not number <= rule.maximum)
    )
    return f"{key} is {value!r}. Remedy: give {_wanted(rule)}." if wrong else None


def faults_of(
    schema: MetadataSchema, metadata: Mapping[str, Any], plan: str | None, free: Iterable[str] = ()
) -> list[str]:
    """Every fault of the metadata.

    Args:
        plan: of the scan; None: nothing is required yet (a change for all further runs).
        free: keys that are not the user's.
    """
    found = []
    for key, rule in schema.keys.items():
        value = _at(metadata, key)
        if value is None or value == "":
            required = rule.required or any(fnmatchcase(plan or "", p) for p in rule.required_for)
            if plan is not None and required:
                about = f" ({rule.description})" if rule.description else ""
                found.append(f"{key} is missing{about}. Remedy: give {_wanted(rule)}.")
            continue
        fault = _fault(key, value, rule)
        if fault:
            found.append(fault)
    if not schema.other_keys:
        heads = {key.split(".")[0] for key in schema.keys}
        for key in metadata:
            if key not in heads and key not in DEFAULT_FREE and key not in free:
                near = difflib.get_close_matches(key, sorted(heads), 1)
                known = f"did you mean {near[0]}?" if near else f"use one of {', '.join(heads)}"
                found.append(with_remedy(f"there is no key {key}", known))
    return found


def keys_of(schema: MetadataSchema | None) -> MetadataKeys:
    """The schema as clients get it."""
    if schema is None:
        return MetadataKeys(keys=[])
    keys = [
        MetadataKey(key=key, wanted=_wanted(rule), **rule.model_dump())
        for key, rule in schema.keys.items()
    ]
    return MetadataKeys(keys=keys, other_keys=schema.other_keys)


class MetadataCheck:
    """The schema of one beamline. Thread-safe."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._seen: Stamp | None = (-1, -1)
        self._schema: MetadataSchema | None = None
        self._wrong: ConfigError | None = None

    def schema(self) -> MetadataSchema | None:
        """As the file says now; None without one. Raises: ConfigError with all its faults."""
        with self._lock:
            try:
                seen = stamp_of(self._path)
            except OSError as exc:
                raise ConfigError(
                    f"it cannot be read, and may ask for something: {exc}",
                    remedy="make it readable, or move it away",
                    where=self._path.name,
                ) from exc
            if seen != self._seen:
                self._seen, self._schema, self._wrong = seen, None, None
                try:
                    if seen is not None:
                        self._schema = read_described(self._path, MetadataSchema)
                except ConfigError as exc:
                    self._wrong = exc
            if self._wrong is not None:
                raise self._wrong
            return self._schema

    def check(
        self, metadata: Mapping[str, Any], plan: str | None, free: Iterable[str] = ()
    ) -> None:
        """Raise InputError with every fault of the metadata; see `faults_of`."""
        schema = self.schema()
        faults = [] if schema is None else faults_of(schema, metadata, plan, free)
        if not faults:
            return
        what, _, remedy = faults[0].partition(". Remedy: ")
        more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
        error = InputError(f"the metadata: {what}{more}", remedy=remedy, where=self._path.name)
        hint = 'Say it once for all further runs, e.g. md["sample"] = "Fe2O3", or with the scan.'
        error.details = [f"metadata: {fault}" for fault in faults] + [hint]
        raise error

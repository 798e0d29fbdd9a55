"""Room: catalogue. What is looked for in the history, and its SQL. Pure.

In: a `RunFilter`. Out: a query for run numbers, newest first. Filters that are equalities are
merged from an index each, in the order of the numbers, so that the first `limit` are found without
looking at the rest; where few runs have one of them, those are gone through instead. A time becomes
a range of numbers; comparisons and text are looked up last.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from undula.catalogue.keys import META, number_of, text_of
from undula.catalogue.model import RunStatus
from undula.core.errors import InputError

Comparison = Literal["eq", "ne", "gt", "ge", "lt", "le", "contains"]
SIGNS: dict[str, Comparison] = {
    ">=": "ge", "<=": "le", "!=": "ne", "==": "eq", "=": "eq", ">": "gt", "<": "lt",
    "~": "contains",
}  # fmt: skip
_ORDER = {"gt": ">", "ge": ">=", "lt": "<", "le": "<="}
_SAID = re.compile(r"\s*([A-Za-z_][\w.-]*)\s*(>=|<=|!=|==|=|>|<|~)\s*(.*?)\s*", re.DOTALL)
_EQUAL = ("plan", "device", "status", "group", "tag", "sample", "proposal", "user")

KEYS_QUERY = """
WITH RECURSIVE known (key) AS (
    SELECT MIN(key) FROM run_keys
    UNION ALL
    SELECT (SELECT MIN(key) FROM run_keys WHERE key > known.key) FROM known
    WHERE known.key IS NOT NULL)
SELECT key FROM known WHERE key IS NOT NULL
"""
"""All keys, each looked up behind the one before: as many steps as there are keys, not runs."""


class Condition(BaseModel):
    """A key of the start document compared with a value.

    Numbers are compared with numbers, texts with texts. A list holds what one of its items holds;
    `ne` asks for another value, so a run without the key is not found.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: str = Field(description="key of the metadata; inside a dict: scan.edge")
    comparison: Comparison = Field(default="eq", description="how it is compared")
    value: bool | int | float | str = Field(description="with what")


class RunFilter(BaseModel):
    """All that must hold for a run; None: anything."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    text: str | None = Field(default=None, description="anywhere in command, metadata, comments")
    device: str | None = Field(default=None, description="read or moved by the run")
    plan: str | None = Field(default=None, description="plan name")
    since: float | None = Field(default=None, description="started then or later, UTC epoch s")
    until: float | None = Field(default=None, description="started then or before, UTC epoch s")
    status: RunStatus | None = Field(default=None, description="open, success, abort, fail")
    group: str | None = Field(default=None, description="name or uid of a scan group")
    tag: str | None = Field(default=None, description="a tag it has")
    sample: str | None = Field(default=None, description="name of the sample")
    proposal: str | None = Field(default=None, description="name of the proposal")
    user: str | None = Field(default=None, description="who asked for it")
    where: tuple[Condition, ...] = Field(default=(), description="keys of the metadata")

    def equalities(self) -> list[tuple[str, str]]:
        """Key and text of each filter that is an equality."""
        given = [(key, getattr(self, key)) for key in _EQUAL]
        return [(key, text_of(value)) for key, value in given if value is not None]


def parse_condition(said: str) -> Condition:
    """A condition as a person writes it. Raises: InputError.

    >>> parse_condition("temperature_K>4.5").value
    4.5
    >>> parse_condition('element="26"').value
    '26'
    """
    found = _SAID.fullmatch(said)
    if found is None:
        raise InputError(
            f"{said!r} is no condition",
            remedy="write e.g. temperature_K>4.5, element=Fe, note~edge",
        )
    key, sign, word = found.groups()
    if not word.strip() and SIGNS[sign] not in ("eq", "ne"):
        raise InputError(
            f"{said!r} compares with nothing",
            remedy=f"write a value behind it, e.g. {key}{sign}4.5",
        )
    return Condition(key=key, comparison=SIGNS[sign], value=_value(word))


def _value(word: str) -> bool | int | float | str:
    try:
        value = json.loads(word)
    except ValueError:
        return word
    return value if isinstance(value, bool | int | float | str) else word


def keyword_conditions(given: Mapping[str, Any]) -> tuple[Condition, ...]:
    """Keywords as conditions: `temperature_K__gt=4`, `scan__edge="Fe"` (a key in a dict).

    Raises: InputError for a value that cannot be compared.

    >>> keyword_conditions({"scan__edge__ne": "Fe"})[0].key
    'scan.edge'
    """
    found = []
    for word, value in given.items():
        *path, last = word.split("__")
        names = set(SIGNS.values())
        comparison: Any = last if path and last in names else "eq"
        key = ".".join(path if path and last in names else [*path, last])
        if hasattr(value, "item"):
            value = value.item()  # noqa: PLW2901  # a number of numpy
        if not isinstance(value, bool | int | float | str):
            raise InputError(
                f"{word} cannot be compared with a {type(value).__name__}",
                remedy="give a number or a text",
            )
        found.append(Condition(key=key, comparison=comparison, value=value))
    return tuple(found)


MERGED = 2
"""So many equalities are merged; more would each be read from one end to the other."""
FEW = 15_000
"""Of so many runs each is looked at by itself, without any set of runs beside."""
Sql = tuple[str, list[Any]]


def equal_keys(wanted: RunFilter) -> list[tuple[str, str]]:
    """Key and text of everything that is asked to be equal, once each."""
    return list(dict.fromkeys([*wanted.equalities(), *_equal_texts(wanted.where)]))


def number_query(
    wanted: RunFilter,
    limit: int,
    rarest: Sequence[tuple[str, str]] | None = None,
    *,
    few: bool = False,
) -> Sql:
    """Numbers of the runs, newest first, at most `limit`: SQL and its values.

    Args:
        rarest: `equal_keys`, those that few runs have first: two are merged, the others looked up.
        few: the first of them has at most `FEW` runs: they are gone through, all else looked up.
    """
    if few and rarest:
        return _among_few(wanted, limit, rarest)
    since, bounds = _bounds(wanted)
    equal = equal_keys(wanted) if rarest is None else list(rarest)
    parts: list[str] = []
    values: list[Any] = []
    for key, text in equal[:MERGED]:
        parts.append(f"SELECT number FROM run_keys WHERE key=? AND text=?{since}")  # noqa: S608  # parts from here only
        values += [key, text, *bounds]
    text = "(SELECT text FROM run_texts x WHERE x.number=base.number)"
    if parts:
        base, conditions = f"({' INTERSECT '.join(parts)} ORDER BY number DESC) AS base", ["1"]
    else:
        base, conditions, values = "runs AS base INDEXED BY runs_times", [f"1{since}"], [*bounds]
        if wanted.text:
            base, text = "run_texts AS base", "base.text"
    if wanted.since is not None or wanted.until is not None:
        low = "-9e999" if wanted.since is None else "?"
        high = "9e999" if wanted.until is None else "?"
        inner = "SELECT start_time FROM runs t INDEXED BY runs_times WHERE t.number=base.number"
        conditions.append(f"({inner}) BETWEEN {low} AND {high}")
        values += [v for v in (wanted.since, wanted.until) if v is not None]
    for pair in equal[MERGED:]:
        inner = "SELECT 1 FROM run_keys k WHERE k.key=? AND k.text=? AND k.number=base.number"
        conditions.append(f"EXISTS ({inner})")
        values += pair
    for condition in wanted.where:
        sql, given = _compared(condition)
        if sql:
            conditions.append(sql)
            values += given
    if wanted.text:
        conditions.append(f"instr({text}, ?) > 0")
        values.append(wanted.text.casefold())
    query = (
        f"SELECT base.number FROM {base} "  # noqa: S608  # parts from here only
        f"WHERE {' AND '.join(conditions)} ORDER BY base.number DESC LIMIT ?"
    )
    return query, [*values, limit]


def _among_few(wanted: RunFilter, limit: int, rarest: Sequence[tuple[str, str]]) -> Sql:
    """Runs that have the first key, each looked up for all else, the cheapest first.

    Nested, since SQLite orders the parts of a conjunction as it likes, and would first make the set
    of all runs that fit a comparison, however many they are.
    """
    since, bounds = _bounds(wanted)
    checks: list[Sql] = []
    if wanted.text:
        inner = "SELECT text FROM run_texts x WHERE x.number=base.number"
        checks.append((f"instr(({inner}), ?) > 0", [wanted.text.casefold()]))
    if wanted.since is not None or wanted.until is not None:
        inner = "SELECT start_time FROM runs t INDEXED BY runs_times WHERE t.number=base.number"
        low = -math.inf if wanted.since is None else wanted.since
        high = math.inf if wanted.until is None else wanted.until
        checks.append((f"({inner}) BETWEEN ? AND ?", [low, high]))
    for pair in rarest[1:]:
        inner = "SELECT 1 FROM run_keys k WHERE k.key=? AND k.text=? AND k.number=base.number"
        checks.append((f"EXISTS ({inner})", list(pair)))
    for condition in wanted.where:
        sql, given = _condition(condition)
        if sql:
            inner = "SELECT 1 FROM run_keys k INDEXED BY run_keys_of_run WHERE k.number=base.number"
            checks.append((f"EXISTS ({inner} AND {sql})", given))
    nested = "1"
    for sql, _ in reversed(checks):
        nested = f"CASE WHEN {sql} THEN {nested} ELSE 0 END"
    query = (
        "SELECT base.number FROM run_keys AS base WHERE base.key=? AND base.text=?"  # noqa: S608  # parts from here only
        f"{since} AND {nested} ORDER BY base.number DESC LIMIT ?"
    )
    return query, [*rarest[0], *bounds, *(v for _, given in checks for v in given), limit]


def _bounds(wanted: RunFilter) -> Sql:
    """Times as a range of numbers: no run outside of it can fit."""
    sql, values = "", list[Any]()
    if wanted.since is not None:
        sql += " AND number >= (SELECT COALESCE(MIN(number), 1) FROM runs WHERE start_time >= ?)"
        values.append(wanted.since)
    if wanted.until is not None:
        sql += " AND number <= (SELECT COALESCE(MAX(number), 0) FROM runs WHERE start_time <= ?)"
        values.append(wanted.until)
    return sql, values


def _equal_texts(where: Iterable[Condition]) -> list[tuple[str, str]]:
    return [
        (META + c.key, text_of(c.value))
        for c in where
        if c.comparison == "eq" and number_of(c.value) is None
    ]


def _compared(condition: Condition) -> Sql:
    """A condition that is no equality of texts, as a set of runs."""
    sql, given = _condition(condition)
    return (f"base.number IN (SELECT number FROM run_keys WHERE {sql})" if sql else "", given)  # noqa: S608  # parts from here only


def _condition(condition: Condition) -> Sql:
    """The same of a row of `run_keys`."""
    key, number = META + condition.key, number_of(condition.value)
    text = text_of(condition.value)
    if condition.comparison == "contains":
        return "key=? AND instr(lower(text), lower(?)) > 0", [key, text]
    if condition.comparison == "ne":
        if number is None:
            return "key=? AND text<>?", [key, text]
        return "key=? AND (num IS NULL OR num<>?)", [key, number]
    if condition.comparison == "eq":
        return ("", []) if number is None else ("key=? AND num=?", [key, number])
    sign = _ORDER[condition.comparison]
    if number is None:
        return f"key=? AND num IS NULL AND text{sign}?", [key, text]
    return f"key=? AND num{sign}?", [key, number]

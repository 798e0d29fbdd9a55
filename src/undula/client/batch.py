"""Batches of scans: CSV and YAML files as rows, and rows as files again. Pure.

In: text. Out: rows that know their line, and every fault with line, column and remedy. A CSV file
has a head of column names and a scan on each line; `args` are words as at the command line. A YAML
file is a list of mappings, or of lines such as `scan samx -1 1 21 time=0.1`.
"""

from __future__ import annotations

import csv
import io
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml
from pydantic import ValidationError

from undula.client.arguments import names, plain
from undula.client.queue_edits import QueuedScan, options_of, wrong_value
from undula.core.clock import now
from undula.core.errors import InputError, UndulaError
from undula.core.ids import new_id
from undula.core.words import arguments
from undula.messages import ScanRequest
from undula.scans.scan_line import written

QUEUE_COLUMNS = ("repeats", "sample", "hold", "approval")
COLUMNS = (
    "plan", "args", "kwargs", "time", "detectors", "shutter", "darks", "metadata", *QUEUE_COLUMNS,
    "command", "source", "comment",
)  # fmt: skip
METADATA = "md."
"""A CSV column `md.temperature` is a metadata key."""
NEVER_S = 365 * 24 * 3600.0
"""Scans in a file have no deadline of their own: the request that carries them has."""


@dataclass(frozen=True, slots=True)
class Row:
    """One scan of a file."""

    line: int
    scan: ScanRequest


@dataclass(slots=True)
class Batch:
    """What a file holds: scans that can be read, and faults by line."""

    rows: list[Row] = field(default_factory=list)
    faults: dict[int, list[str]] = field(default_factory=dict)

    def fault(self, line: int, error: UndulaError) -> None:
        """Note a fault of a line."""
        self.faults.setdefault(line, []).append(f"line {line}: {error}")

    def told(self) -> list[str]:
        """All faults, in the order of the lines."""
        return [text for line in sorted(self.faults) for text in self.faults[line]]


def read_batch(text: str, suffix: str) -> Batch:
    """The scans of a file. Raises: InputError for a file that is neither CSV nor YAML.

    >>> batch = read_batch("plan,args,time\\nscan,samx -1 1 21,0.1\\ncount,x=,\\n", ".csv")
    >>> [(row.line, row.scan.args, row.scan.count_time_s) for row in batch.rows][0]
    (2, ['samx', -1, 1, 21], 0.1)
    """
    readers: dict[str, Callable[[str, Batch], None]] = {
        ".csv": _read_csv, ".yaml": _read_yaml, ".yml": _read_yaml,
    }  # fmt: skip
    if suffix.lower() not in readers:
        raise InputError(
            f"{suffix or 'a file without ending'} is no batch",
            remedy="name it .csv or .yaml",
        )
    batch = Batch()
    readers[suffix.lower()](text, batch)
    if not batch.rows and not batch.faults:
        raise InputError("the file holds no scan", remedy="write one on each line")
    return batch


# ---- CSV --------------------------------------------------------------------------------------


def _separator(text: str) -> str:
    """Between cells: a comma, or what a spreadsheet of another language writes in its place."""
    lines = (line for line in text.splitlines() if line.strip() and not line.startswith("#"))
    head = next(lines, "")
    return next((mark for mark in (";", "\t") if "," not in head and mark in head), ",")


def _read_csv(text: str, batch: Batch) -> None:
    text = text.removeprefix("\ufeff")  # a spreadsheet marks its files so
    lines = csv.reader(io.StringIO(text), skipinitialspace=True, delimiter=_separator(text))
    head: list[str] | None = None
    for cells in lines:
        if not any(cell.strip() for cell in cells) or cells[0].lstrip().startswith("#"):
            continue
        if head is None:
            head = [cell.strip() for cell in cells]
            _check_head(head, lines.line_num)
            continue
        try:
            batch.rows.append(Row(lines.line_num, _from_cells(head, cells)))
        except InputError as error:
            batch.fault(lines.line_num, error)


def _check_head(head: Sequence[str], line: int) -> None:
    wrong = [name for name in head if name not in COLUMNS and not name.startswith(METADATA)]
    if wrong or "plan" not in head:
        what = f"there is no column {wrong[0]!r}" if wrong else "there is no column plan"
        raise InputError(
            what,
            remedy=f"the first line names columns of: {', '.join(COLUMNS)}, {METADATA}KEY",
            where=f"line {line}",
        )


def _from_cells(head: Sequence[str], cells: Sequence[str]) -> ScanRequest:
    if len(cells) > len(head):
        raise InputError(
            f"it has {len(cells)} cells, the head {len(head)}",
            remedy='put a cell that holds commas into "..."',
        )
    given = {name: cell.strip() for name, cell in zip(head, cells, strict=False) if cell.strip()}
    fields: dict[str, Any] = dict(given)
    args, kwargs = arguments(_words(given.get("args", "")))
    more = arguments(_words(given.get("kwargs", "")))
    if more[0]:
        raise InputError(f"kwargs holds {more[0][0]!r}", remedy="write keywords as key=value")
    fields |= {"args": args, "kwargs": {**kwargs, **more[1]}}
    for name in ("time", "darks", "repeats", "approval"):
        if name in given:
            fields[name] = _one(name, given[name])
    metadata = {k[len(METADATA) :]: _loose(v) for k, v in given.items() if k.startswith(METADATA)}
    fields = {k: v for k, v in fields.items() if not k.startswith(METADATA)}
    if metadata:
        fields["metadata"] = metadata
    return _scan(fields)


def _words(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError as exc:
        raise InputError(f"{text!r} cannot be read: {exc}", remedy="close the quotation") from exc


def _one(name: str, text: str) -> Any:
    found = arguments([text])[0]
    if len(found) != 1:
        raise InputError(f"{name} is {text!r}", remedy=f"give one value for {name}")
    return found[0]


def _loose(text: str) -> Any:
    """A value of the metadata: a number where it is one, else the text."""
    try:
        return _one("metadata", text)
    except InputError:
        return text


# ---- YAML -------------------------------------------------------------------------------------


def _read_yaml(text: str, batch: Batch) -> None:
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as exc:
        mark = getattr(exc, "problem_mark", None)
        raise InputError(
            f"it is no YAML: {getattr(exc, 'problem', exc)}",
            remedy="correct the line",
            where=f"line {mark.line + 1}" if mark is not None else None,
        ) from exc
    if root is None:
        return
    if not isinstance(root, yaml.SequenceNode):
        raise InputError("it is no list of scans", remedy="begin each scan with '- '")
    whole = yaml.safe_load(text)
    for node, entry in zip(root.value, whole, strict=True):
        line = node.start_mark.line + 1
        try:
            batch.rows.append(Row(line, _from_entry(entry)))
        except InputError as error:
            batch.fault(line, error)


def _from_entry(entry: Any) -> ScanRequest:
    if isinstance(entry, str):
        plan, *words = _words(entry) or [""]
        args, kwargs = arguments(words)
        own = {k: kwargs.pop(k) for k in list(kwargs) if k in COLUMNS}
        return _scan({"plan": plan, "args": args, "kwargs": kwargs, **own})
    if not isinstance(entry, Mapping):
        raise InputError(f"{entry!r} is no scan", remedy="write plan: and args:, or a line")
    wrong = [str(key) for key in entry if key not in COLUMNS]
    if wrong:
        raise InputError(
            f"there is no key {wrong[0]!r}", remedy=f"use keys of: {', '.join(COLUMNS)}"
        )
    fields = {str(key): value for key, value in entry.items()}
    if isinstance(fields.get("args"), str):
        fields["args"] = arguments(_words(fields["args"]))[0]
    return _scan(fields)


# ---- common -----------------------------------------------------------------------------------


def _scan(fields: Mapping[str, Any]) -> ScanRequest:
    """A scan from what a row says. Raises: InputError naming the column."""
    given = {name: value for name, value in fields.items() if value is not None}
    if not given.get("plan"):
        raise InputError("no plan was named", remedy="fill the column plan, e.g. with scan")
    detectors = given.get("detectors")
    if isinstance(detectors, str):
        detectors = detectors.replace(",", " ").split()
    try:
        scan = ScanRequest(
            request_id=new_id(),
            deadline=now() + NEVER_S,
            plan=given["plan"],
            args=plain(given.get("args", [])),
            kwargs=plain(given.get("kwargs", {})),
            source=given.get("source"),
            count_time_s=given.get("time"),
            detectors=names(detectors),
            shutter=given.get("shutter"),
            darks=given.get("darks", 0),
            metadata=plain(given.get("metadata", {})),
            command=given.get("command", "") if given.get("source") else "",
            queue=options_of({k: given.get(k) for k in QUEUE_COLUMNS}, None),
        )
    except ValidationError as exc:
        raise wrong_value(exc) from exc
    return scan if scan.command else scan.model_copy(update={"command": written(scan)})


def write_batch(scans: Iterable[QueuedScan], suffix: str) -> str:
    """Waiting scans as a file that loads again. Raises: InputError for what CSV cannot hold."""
    entries = [_entry(found) for found in scans]
    if suffix.lower() in (".yaml", ".yml"):
        return str(yaml.safe_dump(entries, sort_keys=False, allow_unicode=True))
    if suffix.lower() != ".csv":
        raise InputError(f"{suffix or 'no ending'} is no batch", remedy="name it .csv or .yaml")
    return _csv(entries)


def _entry(found: QueuedScan) -> dict[str, Any]:
    scan, item = found.scan, found.item
    metadata = dict(scan.metadata)
    if item.sample and metadata.get("sample") == item.sample:
        metadata.pop("sample")  # the item says it
    values = {
        "plan": scan.plan,
        "args": scan.args,
        "kwargs": scan.kwargs,
        "time": scan.count_time_s,
        "detectors": scan.detectors,
        "shutter": scan.shutter,
        "darks": scan.darks,
        "metadata": metadata,
        "repeats": item.repeats,
        "sample": item.sample,
        "hold": item.hold_reason or ("held" if item.held_by else None),
        "approval": item.needs_approval,
        # of other scans it is written anew from the arguments, which somebody may change
        "command": scan.command if scan.source is not None else None,
        "source": scan.source.model_dump() if scan.source is not None else None,
    }
    usual = {"repeats": 1, "darks": 0, "sample": "", "approval": False}
    kept = {k: v for k, v in values.items() if v not in (None, [], {}) and v != usual.get(k)}
    if "detectors" not in kept and scan.detectors is not None:
        kept["detectors"] = []
    return kept


def _csv(entries: Sequence[Mapping[str, Any]]) -> str:
    rows = [_cells(number, entry) for number, entry in enumerate(entries, 1)]
    head = [name for name in COLUMNS if any(name in row for row in rows)]
    head += sorted({name for row in rows for name in row if name.startswith(METADATA)})
    text = io.StringIO()
    writer = csv.DictWriter(text, head or ["plan"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _cells(number: int, entry: Mapping[str, Any]) -> dict[str, str]:
    cells = {k: str(v) for k, v in entry.items() if isinstance(v, str | int | float)}
    if "source" in entry or entry.get("detectors") == []:
        raise InputError(
            f"scan {number}, {entry['plan']}, does not fit into CSV", remedy="save it as .yaml"
        )
    if "detectors" in entry:
        cells["detectors"] = " ".join(entry["detectors"])
    words = [_word(number, value) for value in entry.get("args", [])]
    words += [f"{k}={_word(number, v)}" for k, v in entry.get("kwargs", {}).items()]
    cells["args"] = " ".join(shlex.quote(word) for word in words)
    for key, value in entry.get("metadata", {}).items():
        cells[METADATA + key] = _word(number, value)
    return cells


def _word(number: int, value: Any) -> str:
    """A value as a word that is read as the same value. Raises: InputError when there is none."""
    word = "[" + ",".join(map(str, value)) + "]" if isinstance(value, list) else str(value)
    try:
        same = arguments([word])[0] == [value]
    except InputError:
        same = False
    if not same:
        raise InputError(
            f"scan {number}: {value!r} does not fit into CSV", remedy="save it as .yaml"
        )
    return word

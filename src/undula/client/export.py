"""Runs for other programs: CSV, SPEC data file, JSON lines of Bluesky's documents.

In: runs. Out: text. A run that is still open gives the points so far; its documents only when it is
closed.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, TextIO, get_args

from undula.client.data import Data, Layout, Tables
from undula.client.runs import Run
from undula.core.errors import InputError, StorageError, UndulaError
from undula.core.ids import new_id

Format = Literal["csv", "spec", "jsonl"]
FORMATS: tuple[str, ...] = get_args(Format)
_CHANNELS_A_LINE = 16
_PER_LINE = 8
"""SPEC writes eight motors a line."""


def export_runs(runs: Sequence[Run], kind: str, out: TextIO, *, joined: bool = False) -> None:
    """Write runs to an open text file.

    Args:
        runs: in the order in which they are wanted; CSV takes one.
        kind: `csv`, `spec` or `jsonl`.
        out: the file.
        joined: each with the runs that are one measurement with it, as one.
    Raises: InputError for another format, several runs as CSV, documents of an open run or of
        joined ones.
    """
    if kind not in FORMATS:
        raise InputError(f"{kind!r} is no format", remedy=f"choose one of {', '.join(FORMATS)}")
    if kind == "csv" and len(runs) != 1:
        raise InputError("CSV takes one run", remedy="export them one by one, or as spec or jsonl")
    if kind == "jsonl" and joined:
        raise InputError(
            "documents are of one run each, and are not joined",
            remedy="leave joined out, or export csv or spec",
        )
    if kind == "csv":
        (runs[0].joined() if joined else runs[0].data).to_csv(out)
    elif kind == "spec":
        out.writelines(f"{line}\n" for line in spec_lines(runs, joined=joined))
    else:
        for run in runs:
            out.writelines(f"{line}\n" for line in json_lines(run.documents()))


def export_file(runs: Sequence[Run], kind: str, path: Path, *, joined: bool = False) -> None:
    """Write runs to a new file, whole or not at all; see `export_runs`.

    Raises: StorageError also when a file stands there.
    """
    temporary = path.with_name(f".{path.name}.{new_id()[:8]}.part")
    try:
        if path.exists():
            raise FileExistsError
        with temporary.open("x", encoding="utf-8", newline="") as out:
            export_runs(runs, kind, out, joined=joined)
        path.hardlink_to(temporary)  # unlike a replacement, never over what came meanwhile
    except FileExistsError as exc:
        raise StorageError(
            f"{path} is there already", remedy="choose another name, or remove it yourself"
        ) from exc
    except OSError as exc:
        raise StorageError(
            f"{path} cannot be written: {exc.strerror}", remedy="choose another folder"
        ) from exc
    finally:
        temporary.unlink(missing_ok=True)


def json_lines(documents: Iterator[tuple[str, dict[str, Any]]]) -> Iterator[str]:
    """A line for each document: `{"name": ..., "doc": ...}`, as Bluesky's own writer does."""
    for name, doc in documents:
        yield json.dumps({"name": name, "doc": doc}, default=_plain)


def _plain(value: Any) -> Any:
    return value.tolist() if hasattr(value, "tolist") else str(value)


# -- SPEC -----------------------------------------------------------------------------------


def spec_lines(runs: Sequence[Run], *, joined: bool = False) -> Iterator[str]:
    """A SPEC data file: a head, then a scan for each run, its number the run's."""
    first = min((run.record.start_time for run in runs), default=0.0)
    yield "#F undula"
    yield f"#E {int(first)}"
    yield f"#D {_date(first)}"
    yield "#C undula  User = " + (_line(runs[0].record.user) if runs else "")
    for run in runs:
        yield ""
        yield from scan_lines(run, joined=joined)


def scan_lines(run: Run, *, joined: bool = False) -> Iterator[str]:
    """One scan: command, motors beside it, labels, a line a point; `joined`: of several runs."""
    own = run.data
    whole = run.joined() if joined else None
    data: Tables = own if whole is None else whole
    record, start = run.record, data.start
    yield f"#S {run.number}  {_line(record.command or record.plan)}"
    yield f"#D {_date(record.start_time)}"
    if start.get("count_time_s"):
        yield f"#T {float(start['count_time_s']):g}  (Seconds)"
    yield f"#U {record.uid}"
    for number, (names, values) in enumerate(_beside(own)):
        yield f"#O{number} {'  '.join(names)}"
        yield f"#P{number} {' '.join(values)}"
    if run.status != "success":
        yield f"#C {run.status}: {_line(record.reason)}"
    if whole is not None:
        yield f"#C runs {', '.join(str(part.number) for part in whole.parts)} joined"
    if "primary" not in own.streams() if whole is None else not len(whole):
        yield "#C no point was measured"
        yield "#N 0"
        return
    names, columns = _columns(data)
    spectra = _spectra(data)
    if spectra:
        channels = max(values.shape[1] for values in spectra.values())
        yield "#@MCA %16C"
        yield f"#@CHANN {channels} 0 {channels - 1} 1"
        for number, key in enumerate(spectra, 1):
            yield f"#C spectrum {number} of each point: {_label(key)}"
    yield f"#N {len(names)}"
    yield f"#L {'  '.join(_label(name) for name in names)}"
    for place, row in enumerate(zip(*columns, strict=True)):
        for values in spectra.values():
            yield from _spectrum_lines(values[place].tolist())
        yield " ".join(_number(value) for value in row)


def _columns(data: Tables) -> tuple[list[str], list[list[Any]]]:
    """Axes, times, then detectors, as SPEC orders them: the last column is what counts."""
    import numpy as np

    arrays = {k: v for k, v in data.to_dict().items() if np.ndim(v) == 1 and v.dtype.kind in "fiub"}
    axes = [k for k in Layout.of(data.start).axes if k in arrays]
    rest = [k for k in arrays if k not in (*axes, "seq_num", "elapsed_time", "time")]
    shown = data.plot()["signal"]
    if shown in rest:
        rest = [*(k for k in rest if k != shown), shown]
    order = [*axes, "time", "elapsed_time", *rest]
    length = min((len(arrays[k]) for k in order), default=0)
    names = {"time": "Epoch", "elapsed_time": "Seconds"}
    return [names.get(k, k) for k in order], [arrays[k][:length].tolist() for k in order]


def _spectra(data: Tables) -> dict[str, Any]:
    """Arrays of one dimension a point, in the file itself: what SPEC calls MCA data."""
    linked, points = data.linked_files, len(data)
    return {
        key: data[key]
        for key, shape in data.shapes.items()
        if shape is not None and len(shape) == 2 and key not in linked and shape[0] == points
        and data[key].dtype.kind in "fiub"
    }  # fmt: skip


def _spectrum_lines(values: list[Any]) -> Iterator[str]:
    """`@A` and the channels, 16 a line, each line but the last ended by a backslash."""
    lines = [
        " ".join(_number(v) for v in values[i : i + _CHANNELS_A_LINE])
        for i in range(0, len(values), _CHANNELS_A_LINE)
    ] or [""]
    for place, line in enumerate(lines):
        head = "@A " if place == 0 else ""
        yield f"{head}{line}" + ("\\" if place < len(lines) - 1 else "")


def _beside(data: Data) -> Iterator[tuple[list[str], list[str]]]:
    """What was read once before, eight a line."""
    import numpy as np

    try:
        baseline = data.stream("baseline").to_dict() if "baseline" in data.streams() else {}
    except UndulaError:
        return
    found = [
        (_label(k), _number(v[0].item()))
        for k, v in baseline.items()
        if np.ndim(v) == 1 and len(v) and v.dtype.kind in "fiub"
        and k not in ("seq_num", "elapsed_time", "time")
    ]  # fmt: skip
    for i in range(0, len(found), _PER_LINE):
        part = found[i : i + _PER_LINE]
        yield [name for name, _ in part], [value for _, value in part]


def _label(name: str) -> str:
    """SPEC parts labels by two spaces."""
    return " ".join(name.split()) or "unnamed"


def _line(text: str) -> str:
    return " ".join(str(text).split())


def _number(value: Any) -> str:
    """As SPEC's readers take it: a value of numpy would be written with its type.

    >>> import numpy
    >>> _number(numpy.float64(7200.0)), _number(numpy.int64(3))
    ('7200.0', '3')
    """
    return repr(float(value)) if isinstance(value, float) else str(int(value))


def _date(stamp: float) -> str:
    return time.strftime("%a %b %d %H:%M:%S %Y", time.localtime(stamp))

"""What all commands share: the beamline option, errors as one line and an exit code, JSON, tables.

In: results and errors. Out: text on stdout, errors on stderr. Exit codes: 0 ok, 1 failed or
aborted, 2 wrong input, 3 not running, 4 busy, 5 not allowed.
"""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from typing import TYPE_CHECKING, Annotated, Any, ParamSpec, TypeVar

import typer

from undula.core.errors import UndulaError
from undula.core.shown import number_text

if TYPE_CHECKING:
    from undula.client import Client

OK, FAILED, BAD_INPUT, NOT_RUNNING, BUSY, NOT_ALLOWED = 0, 1, 2, 3, 4, 5
EXIT_CODES = {
    "input": BAD_INPUT,
    "limits": BAD_INPUT,
    "config": BAD_INPUT,
    "service": NOT_RUNNING,
    "bus": NOT_RUNNING,
    "busy": BUSY,
    "stale": BUSY,
    "access": NOT_ALLOWED,
}
EXIT_HELP = "Exit: 0 ok, 1 failed or aborted, 2 wrong input, 3 not running, 4 busy, 5 not allowed."

BeamlineOption = Annotated[
    str | None,
    typer.Option("--beamline", help="Name of the beamline.", envvar="UNDULA_BEAMLINE"),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]

P = ParamSpec("P")
T = TypeVar("T")


def exit_code(error: UndulaError) -> int:
    """The exit code that an error's category has."""
    return EXIT_CODES.get(error.category, FAILED)


def kind(call: Callable[P, T]) -> Callable[P, T]:
    """Let a command show an `UndulaError` as one line, and exit with its code.

    With `--json` among the arguments of the command the error is one JSON line on stdout.
    """

    @wraps(call)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return call(*args, **kwargs)
        except UndulaError as exc:
            show_error(exc, as_json=bool(kwargs.get("as_json")))
            raise typer.Exit(exit_code(exc)) from exc
        except BrokenPipeError:
            # the reader of our output went away, e.g. `undula runs | head`
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(FAILED) from None

    return guarded


def show_error(error: UndulaError, as_json: bool = False) -> None:
    """One line on stderr: what, where, remedy; or one JSON line on stdout."""
    if as_json:
        print_json(
            {
                "error": {
                    "category": error.category,
                    "what": error.what,
                    "remedy": error.remedy,
                    "device": error.device,
                    "where": error.where,
                    "details": error.details,
                }
            }
        )
    else:
        print(f"error: {error}", file=sys.stderr)


@contextmanager
def connected(beamline: str | None) -> Iterator[Client]:
    """A client, closed at the end."""
    from undula.client import connect

    client = connect(beamline)
    try:
        yield client
    finally:
        client.close()


def _plain(value: Any) -> Any:
    return value.model_dump(mode="json") if hasattr(value, "model_dump") else str(value)


def _finite(value: Any) -> Any:
    """JSON has no NaN: it becomes null. Arrays and models are known by what they can do."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {str(key): _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    if hasattr(value, "model_dump"):
        return _finite(value.model_dump())
    return value


def print_json(value: Any) -> None:
    """One JSON document on one line, flushed; NaN and infinity become null."""
    print(json.dumps(_finite(value), default=_plain, allow_nan=False), flush=True)


def table(head: Sequence[str], rows: Iterable[Sequence[Any]], width: int = 0) -> str:
    """Columns as wide as they need; numbers to the right, and a last column cut at `width`.

    >>> print(table(["name", "value"], [["samx", 1.5], ["diode", 20]]))
    name   value
    samx     1.5
    diode     20
    """
    rows = [list(row) for row in rows]
    texts = [[number_text(cell) for cell in row] for row in rows]
    wide = [max(len(row[i]) for row in [list(head), *texts]) for i in range(len(head))]
    right = [
        bool(rows) and all(isinstance(row[i], int | float) for row in rows)
        for i in range(len(head))
    ]
    lines = []
    for row in [list(head), *texts]:
        cells = [
            cell.rjust(w) if r else cell.ljust(w)
            for cell, w, r in zip(row, wide, right, strict=True)
        ]
        line = "  ".join(cells).rstrip()
        lines.append(line[: width - 1] + "…" if width and len(line) > width else line)
    return "\n".join(lines)

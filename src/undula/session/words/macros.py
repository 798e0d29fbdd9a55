"""Commands as a macro file: the last ones that went well, to be run again.

In: rows of the command log. Out: the text of a Python file, written where nothing is yet.
"""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Protocol

from IPython.core.inputtransformer2 import TransformerManager

from undula.client.link import acting, login_name
from undula.core.clock import now
from undula.core.errors import InputError, StorageError
from undula.session.bridge.hiding import HIDDEN, hidden
from undula.session.bridge.log import read_log
from undula.session.words.typed import alone, as_calls, compiles

LAST = 10
_NOT_AGAIN = re.compile(r"\s*(?:%?script\b|%?load_script\b|%?typing_helper\b|exit\b|quit\b)")
_RANGE = re.compile(r"(\d+)(?:-(\d+))?")
Rows = list[dict[str, Any]]
Which = int | tuple[int, int]


class Commands(Protocol):
    """The commands of a prompt that went well."""

    def chosen(self, which: Which, author: str) -> Rows:
        """The last so many, or from one number to another; oldest first.

        Args:
            author: "" for those of everybody.
        """


class LoggedCommands:
    """Those of the shared prompt, from its log."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def chosen(self, which: Which, author: str) -> Rows:
        """See `Commands`."""
        if isinstance(which, int):
            return read_log(self._path, which, author=author, status="ok")
        return read_log(self._path, -1, author=author, status="ok", numbers=which)


class OwnCommands:
    """Those of a prompt that has no log: kept from now on."""

    def __init__(self, ipython: Any) -> None:
        self._rows: Rows = []
        self._counted = 0
        ipython.events.register("post_run_cell", self._ran)

    def _ran(self, result: Any) -> None:
        self._counted += 1
        if result.success:
            self._rows.append(
                {
                    "number": self._counted, "line": hidden(result.info.raw_cell),
                    "author": login_name(), "submitted": now(), "status": "ok",
                }
            )  # fmt: skip

    def chosen(self, which: Which, author: str) -> Rows:
        """See `Commands`; all are one's own."""
        del author
        if isinstance(which, int):
            return self._rows[-which:]
        return [row for row in self._rows if which[0] <= row["number"] <= which[1]]


def which_of(text: str | int) -> Which:
    """What `%script 5` and `%script 12-20` mean.

    >>> which_of("5"), which_of("12-20"), which_of(3)
    (5, (12, 20), 3)
    """
    found = _RANGE.fullmatch(str(text))
    if found is None or int(found[1]) < 1 or (found[2] and int(found[2]) < int(found[1])):
        raise InputError(
            f"{text!r} says no commands", remedy="give how many, or numbers as in 12-20"
        )
    return (int(found[1]), int(found[2])) if found[2] else int(found[1])


def counted(rows: Rows) -> str:
    """How many they are, in words."""
    return f"{len(rows)} command{'s' * (len(rows) != 1)}"


def macro_text(rows: Iterable[dict[str, Any]], title: str) -> str:
    """The commands as a file of Python; secrets, and what is no Python, as comments."""
    parts = [f"# {title}"]
    for row in rows:
        line = str(row["line"])
        if _NOT_AGAIN.match(line) or line.rstrip().endswith("?"):
            continue
        parts.append(_again(line))
    return "\n".join(parts) + "\n"


def _again(line: str) -> str:
    if HIDDEN in line:
        return _commented(line, "a secret is not kept")
    typed = as_calls(alone(line.splitlines(keepends=True), lambda _: True), lambda _: True)
    text = TransformerManager().transform_cell("".join(typed)).rstrip("\n")
    return text if compiles(text) else _commented(line, "no Python")


def _commented(line: str, why: str) -> str:
    return "\n".join([f"# {why}:", *(f"# {part}" for part in line.splitlines())])


def write_macro(path: Path, rows: Rows, title: str) -> None:
    """Write a new file. Raises: InputError when there is nothing to write, or it is there."""
    if path.exists():
        raise InputError(f"{path} is there already", remedy="choose another name")
    if not rows:
        raise InputError("no such command went well", remedy="see undula commands")
    text = macro_text(rows, title)
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as exc:
        raise InputError(f"{path} is there already", remedy="choose another name") from exc
    except OSError as exc:
        raise StorageError(
            f"{path} cannot be written: {exc.strerror}", remedy="choose another folder"
        ) from exc


def macro_place(path: str, plans: Path | None) -> Path:
    """Where a macro file goes: a relative name into the folder of scripts.

    Raises: InputError for a place whose files run by themselves, and for no name of a Python file.
    """
    wanted = Path(path).expanduser()
    if wanted.suffix != ".py":
        raise InputError(f"{path!r} is no name of a Python file", remedy="e.g. night.py")
    if not wanted.is_absolute():
        wanted = (Path.cwd() if plans is None else plans / "scripts") / wanted
    wanted = Path(os.path.normpath(wanted))
    if plans is not None and wanted.parent == plans:
        raise InputError(
            f"files in {plans} are read as plans, and would run at once",
            remedy=f"give a name alone: it goes into {plans / 'scripts'}",
        )
    return wanted


class Macros:
    """`script` of one prompt.

    Args:
        plans: folder of the plan files; scripts lie in a folder in it.
    """

    def __init__(self, commands: Commands, plans: Path | None) -> None:
        self._commands, self._plans = commands, plans

    def script(self, path: str, which: int | str = LAST, everybody: bool = False) -> None:
        """script("night.py", 5), script("night.py", "12-20"): keep commands as a macro file.

        The last so many commands that went well, or from one number to another (see undula
        commands); your own, or those of everybody. load_script("night.py") runs it again. Also:
        %script 5 night.py. It overwrites nothing.
        """
        person = acting()
        author = "" if everybody else (person.user if person is not None else login_name())
        place = macro_place(path, self._plans)
        rows = self._commands.chosen(which_of(which), author)
        if self._plans is not None and place.parent == self._plans / "scripts":
            place.parent.mkdir(exist_ok=True)
        when = time.strftime("%Y-%m-%d %H:%M")
        write_macro(place, rows, f"{when}, {counted(rows)} of {author or 'everybody'}")
        sys.stdout.write(f"{counted(rows)} in {place}\n")

    def magic(self, line: str) -> None:
        """%script [N|first-last] FILE: keep commands as a macro file; see script?"""
        words = line.split()
        if len(words) not in (1, 2):
            raise InputError("it takes a file, and which commands", remedy="%script 5 night.py")
        self.script(words[-1], words[0] if len(words) == 2 else LAST)

"""Plan files: Python files of a folder, whose functions are names at the prompt.

In: a folder. Out: functions. A file that has changed is read again, whole or not at all: a faulty
one is told with file, line and text, and what its last good version gave stays. One that runs
something when it is read is tried in a process of its own first (`trials`).
"""

from __future__ import annotations

import linecache
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from undula.core.errors import ConfigError, InputError, UndulaError
from undula.core.paths import BeamlinePaths
from undula.core.plan_words import HINTS
from undula.core.settings import load_settings
from undula.session.planning.functions import raw
from undula.session.planning.trials import PATIENCE_S, FileTrials
from undula.session.time_limit import at_most

Stamp = tuple[int, int]
HOOKS = "hooks.py"
"""For the engine alone: its functions are no names at the prompt."""
LIMIT_S = 20.0
"""Reading a file here takes no longer, also one that was quick when it was tried."""


@dataclass(slots=True)
class _File:
    """One file: its stamp when it was read last, and what its last good version gave."""

    stamp: Stamp
    functions: dict[str, Any] = field(default_factory=dict)
    fault: str = ""
    waits: bool = False
    """It is being tried."""
    refused: bool = False
    """It hung or died when it was tried."""


class PlanFolder:
    """The plan files of a beamline.

    Args:
        place: the folder; it need not exist. None: there is none.
        here: gives the names of the prompt, which get the functions.
        trials: tries files before they are read here.
        limit_s: reading one here takes no longer.
    """

    def __init__(
        self,
        place: Path | None,
        here: Callable[[], dict[str, Any]],
        trials: FileTrials | None = None,
        limit_s: float = LIMIT_S,
    ) -> None:
        self.place, self._limit_s = place, limit_s
        self._here = here
        self.trials = FileTrials() if trials is None else trials
        self._files: dict[Path, _File] = {}
        self._reserved: Mapping[str, Any] = {}

    def reserve(self, names: Mapping[str, Any]) -> None:
        """The shell's own names: no file may give them."""
        self._reserved = dict(names)

    @property
    def functions(self) -> dict[str, Any]:
        """All functions that the files give, by name."""
        return {n: f for file in self._files.values() for n, f in file.functions.items()}

    def reload(self, *, again: bool = False) -> str:
        """Read what has changed. Returns: what was done, a line a file; '' when nothing was.

        Args:
            again: say also what is as it was, and which files are faulty still.
        """
        found = _stamps(self.place)
        said = [self._drop(path) for path in list(self._files) if path not in found]
        changed: dict[Path, str] = {}
        for path, stamp in found.items():
            known = self._files.get(path)
            if known is None or known.stamp != stamp or known.waits or (again and known.refused):
                try:
                    changed[path] = path.read_text(encoding="utf-8")
                except (OSError, UnicodeDecodeError) as exc:
                    said += self._faulty(path, stamp, f"[{path.name}] it cannot be read: {exc}")
            elif again:
                said.append(known.fault or f"{path.name}: as it was, {_listed(known.functions)}")
        until = self.trials.begin(((p.name, text) for p, text in changed.items()), again=again)
        for path, text in changed.items():
            said += self._taken_up(path, found[path], text, self.trials.verdict(text, until))
        if again and not said:
            said = [f"there are no plan files in {self.place}" if self.place else "no plan folder"]
        return "\n".join(said)

    def _taken_up(self, path: Path, stamp: Stamp, text: str, verdict: str | None) -> list[str]:
        """Read a file that was tried. Returns: what is to be told."""
        if verdict:
            return self._faulty(path, stamp, verdict, refused=True)
        if verdict is None:
            known = self._files.setdefault(path, _File(stamp))
            told = known.waits and known.stamp == stamp
            known.stamp, known.waits = stamp, True
            waiting = f"{path.name} is still being tried in a process of its own, and read after it"
            return [] if told else [f"{waiting}.{_kept(known.functions)}"]
        return [self._read(path, stamp, text)]

    def _faulty(self, path: Path, stamp: Stamp, fault: str, *, refused: bool = False) -> list[str]:
        known = self._files.setdefault(path, _File(stamp))
        known.stamp, known.waits, known.refused = stamp, False, refused
        known.fault = f"{fault}{_kept(known.functions)}"
        return [known.fault]

    def _read(self, path: Path, stamp: Stamp, text: str) -> str:
        try:
            with at_most(self._limit_s):
                functions = self._functions_of(path, text)
        except UndulaError as error:
            return self._faulty(path, stamp, str(error))[0]
        known = self._files.setdefault(path, _File(stamp))
        known.stamp, known.waits, known.refused = stamp, False, False
        self._withdraw(known.functions, keep=functions)
        known.functions, known.fault = functions, ""
        self._here().update(functions)
        return f"{path.name}: {_listed(functions)}"

    def _functions_of(self, path: Path, text: str) -> dict[str, Any]:
        names = _Names(self._here, {"__name__": f"plans.{path.stem}", "__file__": str(path)})
        execute(path, names, text)
        functions = {
            name: value
            for name, value in names.items()
            if not name.startswith("_") and _made_in(value, names)
        }
        for name in functions:
            self._refuse_taken(name, path)
        return functions

    def _refuse_taken(self, name: str, path: Path) -> None:
        if name in self._reserved:
            raise ConfigError(
                f"it gives {name!r}, which is a name of the shell",
                remedy="rename the function",
                where=path.name,
            )
        for other, file in self._files.items():
            if other != path and name in file.functions:
                raise ConfigError(
                    f"it gives {name!r}, and so does {other.name}",
                    remedy="rename one of them",
                    where=path.name,
                )

    def _drop(self, path: Path) -> str:
        gone = self._files.pop(path)
        self._withdraw(gone.functions, keep={})
        return f"{path.name}: is gone, and so {_listed(gone.functions)}"

    def _withdraw(self, functions: Mapping[str, Any], keep: Mapping[str, Any]) -> None:
        here = self._here()
        for name, function in functions.items():
            if name not in keep and here.get(name) is function:
                del here[name]


def plan_folder(paths: BeamlinePaths | None) -> Path | None:
    """The folder of plan files that the settings name, or the usual one."""
    if paths is None:
        return None
    try:
        return load_settings(paths.config).plans or paths.plans
    except ConfigError:  # the beamline is not up: a prompt without an engine
        return paths.plans


class _Names(dict[str, Any]):
    """The names of a file; what it does not have itself is the prompt's, as it is then.

    So a macro finds a device that came later, and what another file gives.
    """

    def __init__(self, here: Callable[[], dict[str, Any]], own: dict[str, Any]) -> None:
        super().__init__(own)
        self._prompt = here

    def __missing__(self, name: str) -> Any:
        here = self._prompt()
        return HINTS[name] if name in HINTS and name not in here else here[name]


def _stamps(place: Path | None) -> dict[Path, Stamp]:
    if place is None or not place.is_dir():
        return {}
    paths = sorted(p for p in place.glob("*.py") if _is_plan_file(p.name))
    found = {}
    for path in paths:
        try:
            status = path.stat()
        except FileNotFoundError:  # an editor is just writing it anew
            continue
        found[path] = (status.st_mtime_ns, status.st_size)
    return found


def _is_plan_file(name: str) -> bool:
    return not name.startswith(("_", ".")) and name != HOOKS


def _made_in(value: Any, names: Mapping[str, Any]) -> bool:
    function = raw(value)
    return function is not None and function.__globals__ is names


def _kept(names: Mapping[str, Any]) -> str:
    return f" Its last good version stays: {_listed(names)}." if names else ""


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "no functions"


def text_of(path: Path) -> str:
    """What stands in a file. Raises: InputError when it cannot be read."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        raise InputError(f"{path} cannot be read: {exc}", remedy="correct its name") from exc


def execute(path: Path, names: dict[str, Any], text: str | None = None) -> None:
    """Run a file in `names`. Raises: ConfigError with file, line and text.

    The lines of its functions stay those of this version, whatever the file becomes.

    Args:
        text: what stands in it; None: it is read.
    """
    text = text_of(path) if text is None else text
    filename = str(path)
    try:
        code = compile(text, filename, "exec")
        linecache.cache[filename] = (len(text), None, text.splitlines(keepends=True), filename)
        exec(code, names)  # noqa: S102  # a file of the beamline, as if typed at the prompt
    except SyntaxError as exc:
        place = f"{path.name}, line {exc.lineno}"
        raise ConfigError(
            f"{exc.msg}: {(exc.text or '').strip()}", remedy="correct the file", where=place
        ) from exc
    except UndulaError as exc:
        raise ConfigError(exc.what, remedy=exc.remedy, where=_place(exc, path, text)) from exc
    except (Exception, SystemExit) as exc:  # a person's own code may raise anything
        raise ConfigError(
            f"{type(exc).__name__}: {exc}", remedy="correct the file", where=_place(exc, path, text)
        ) from exc


def _place(exc: BaseException, path: Path, text: str) -> str:
    """The innermost line of the file that a traceback passes, with its text."""
    lines = [
        frame.lineno
        for frame in traceback.extract_tb(exc.__traceback__, limit=None)
        if frame.filename == str(path) and frame.lineno
    ]
    if not lines:
        return path.name
    return f"{path.name}, line {lines[-1]}: {text.splitlines()[lines[-1] - 1].strip()}"


def run_script(path: str, folder: Path | None, here: dict[str, Any]) -> None:
    """Run a file in the names of the prompt. Raises: InputError, ConfigError with the line."""
    wanted = Path(path).expanduser()
    places = [wanted] if wanted.is_absolute() or folder is None else [
        wanted, folder / wanted, folder / "scripts" / wanted,
    ]  # fmt: skip
    found = next((p for p in places if p.is_file()), None)
    if found is None:
        looked = " and ".join(str(p.parent.absolute()) for p in places)
        raise InputError(f"there is no file {path}", remedy=f"it was looked for in {looked}")
    execute(found.absolute(), here)


def watch(folder: PlanFolder, shell: Any, patience_s: float = PATIENCE_S) -> None:
    """Read changed plan files before each cell of an IPython, and now; faults go to stderr.

    Args:
        patience_s: how long a cell waits for files that are being tried.
    """
    folder.trials.patience_s = patience_s

    def look(*_: Any) -> None:
        if said := folder.reload():
            sys.stderr.write(said + "\n")

    shell.events.register("pre_run_cell", look)
    look()

"""Room: analysis. Models that a beamline wrote itself: Python files in a folder.

A model is a function whose first parameter is x (an array) and whose others are numbers:

    def knife(x, center, width=0.1, height=1.0):
        return height * (x > center) ...

    def guess_knife(x, y):            # may be left out
        return {"center": x[y.argmax()]}

One whose first two parameters are x and y, without defaults, is a model of maps, and its guess
takes x, y and the values.

`names` reads the files without running them, for the check before a scan. `load_models` runs them,
anew at each fit, and only in the process of `worker`.
"""

from __future__ import annotations

import ast
import inspect
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from undula.analysis.models import SHAPES
from undula.core.errors import ConfigError

_GUESS = "guess_"


@dataclass(frozen=True, slots=True)
class OwnModel:
    """A function of the beamline's folder, and its guess."""

    name: str
    function: Callable[..., Any]
    path: Path
    guess_function: Callable[..., Any] | None = None

    @property
    def places(self) -> tuple[str, ...]:
        """What it is a function of: `("x",)` for curves, `("x", "y")` for maps."""
        second = list(inspect.signature(self.function).parameters.values())[1:2]
        of_maps = [p.name for p in second] == ["y"] and second[0].default is inspect.Parameter.empty
        return ("x", "y") if of_maps else ("x",)

    def make(self, prefix: str) -> Any:
        """The lmfit model. Raises: ConfigError when the function is none."""
        import lmfit

        try:
            return lmfit.Model(self._call, prefix=prefix, independent_vars=list(self.places))
        except (ValueError, TypeError, SyntaxError) as exc:
            raise ConfigError(
                f"{self.name} is no model: {exc}",
                remedy="write def NAME(x, a, b=1.0): with numbers after x",
                where=str(self.path),
            ) from exc

    @property
    def _call(self) -> Callable[..., Any]:
        """The function, whose faults are told with file and line."""
        shown = inspect.signature(self.function)

        def call(*args: Any, **kwargs: Any) -> Any:
            return self._guarded(self.function, *args, **kwargs)

        call.__signature__ = shown.replace(  # type: ignore[attr-defined]  # what lmfit looks for
            parameters=[p.replace(annotation=p.empty) for p in shown.parameters.values()]
        )
        call.__name__ = self.name
        return call

    def _guarded(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        import numpy as np

        try:
            value = function(*args, **kwargs)
        except Exception as exc:  # a person's code may raise anything
            raise fault(self.path, exc) from exc
        if function is self.guess_function:
            return value
        array = np.asarray(value)
        if array.dtype.kind not in "iuf" or array.shape not in (
            (),
            np.shape(args[0] if args else kwargs["x"]),
        ):
            raise ConfigError(
                f"{self.name} gave {array.dtype} of shape {array.shape}, not a value for each x",
                remedy="return an array as long as x",
                where=str(self.path),
            )
        return array

    def guess(self, *measured: Any) -> dict[str, float]:
        """Start values, {} without a guess. Raises: ConfigError with the line of the fault."""
        if self.guess_function is None:
            return {}
        found = self._guarded(self.guess_function, *measured)
        try:
            return {str(k): float(v) for k, v in dict(found).items()}
        except (TypeError, ValueError) as exc:
            raise ConfigError(
                f"{_GUESS}{self.name} gave no numbers by name",
                remedy='return e.g. {"center": 0.5}',
                where=str(self.path),
            ) from exc


def fault(path: Path, exc: BaseException) -> ConfigError:
    """What a person's code raised, with the line in its file."""
    lines = [f.lineno for f in traceback.extract_tb(exc.__traceback__) if f.filename == str(path)]
    line = exc.lineno if isinstance(exc, SyntaxError) else lines[-1] if lines else None
    place = f"{path.name}, line {line}" if line else path.name
    text = exc.msg if isinstance(exc, SyntaxError) else str(exc)
    return ConfigError(
        f"{place}: {type(exc).__name__}: {text}".rstrip(": "),
        remedy="correct the file; it is read again at the next fit",
        where=str(path),
    )


def _files(folder: Path | None) -> list[Path]:
    if folder is None or not folder.is_dir():
        return []
    return sorted(p for p in folder.glob("*.py") if not p.name.startswith(("_", ".")))


def names(folder: Path | None) -> list[str]:
    """Names of the models in a folder, without running its files; faulty ones are passed over."""
    found: list[str] = []
    for path in _files(folder):
        try:
            body = ast.parse(path.read_text(encoding="utf-8")).body
        except (OSError, SyntaxError, ValueError):
            continue
        found += [
            node.name
            for node in body
            if isinstance(node, ast.FunctionDef)
            and node.args.args
            and node.args.args[0].arg == "x"
            and not node.name.startswith(("_", _GUESS))
        ]
    return list(dict.fromkeys(found))


def faults(folder: Path | None, *, run: bool = False) -> list[ConfigError]:
    """Files of a folder that cannot be read as Python, with the line.

    Args:
        run: also what goes wrong when they are run: for a process that may die of it.
    """
    found = []
    for path in _files(folder):
        try:
            if run:
                _models_of(path)
            ast.parse(path.read_text(encoding="utf-8"))
        except ConfigError as exc:
            found.append(exc)
        except (OSError, SyntaxError, ValueError) as exc:
            found.append(fault(path, exc))
    return found


def load_models(folder: Path | None, wanted: Iterable[str]) -> dict[str, OwnModel]:
    """Run the files of a folder that may have the models wanted.

    A faulty file is an error only when a model is missing then.
    Raises: ConfigError with file and line.
    """
    missing = set(wanted)
    if not missing:
        return {}
    found: dict[str, OwnModel] = {}
    faults: list[ConfigError] = []
    for path in _files(folder):
        try:
            found.update(_models_of(path, strict=False))
        except ConfigError as error:
            faults.append(error)
    if faults and missing - set(found):
        raise faults[0]
    return found


def _models_of(path: Path, *, strict: bool = True) -> dict[str, OwnModel]:
    """Those of a file; a name that is taken is a fault when `strict`, else left out."""
    space: dict[str, Any] = {"__name__": f"models.{path.stem}", "__file__": str(path)}
    try:
        exec(compile(path.read_text(encoding="utf-8"), str(path), "exec"), space)  # noqa: S102  # the beamline's own code, in a process of its own
    except (Exception, SystemExit) as exc:  # a person's code may raise anything
        raise fault(path, exc) from exc
    found = {}
    for name, value in space.items():
        if name.startswith(("_", _GUESS)) or not inspect.isfunction(value):
            continue
        if next(iter(inspect.signature(value).parameters), "") != "x":
            continue
        if value.__code__.co_filename != str(path):
            continue
        if name in SHAPES and not strict:
            continue
        if name in SHAPES:
            raise ConfigError(
                f"{path.name}, line {value.__code__.co_firstlineno}: {name} is a model of Undula",
                remedy="rename the function",
                where=str(path),
            )
        found[name] = OwnModel(name, value, path, space.get(_GUESS + name))
    return found

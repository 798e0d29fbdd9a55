"""Making a plan in a process that may die of it, before the engine makes it.

Imports and decorators of a person's plan run when it is made: one that hangs, exits or crashes
would take the engine along. In: a `PlanSource`. Out: nothing, or an `InputError`. A plan of which
nothing runs when it is made is not tried.
Run as `python -m undula.scans.try_plan`, the source on stdin.
"""

from __future__ import annotations

import ast
import math
import signal
import subprocess
import sys
import threading
from collections.abc import Iterable
from typing import Any

from undula.core.errors import InputError
from undula.messages import PlanSource, SourcePart

DEADLINE_S = 20.0
GRACE_S = 5
"""Seconds after which a process ends by itself whose deadline nobody has kept."""


class Trials:
    """Editions of plans that were tried by this process. Safe to use from several threads."""

    def __init__(self, deadline_s: float = DEADLINE_S) -> None:
        self._deadline_s = deadline_s
        self._passed: set[str] = set()
        self._lock = threading.Lock()

    def need(self, source: PlanSource) -> None:
        """Try it unless that was done. Raises: InputError when it hangs, exits or crashes."""
        if not runs_when_made(source):
            return
        with self._lock:
            if source.edition in self._passed:
                return
        try_source(source, self._deadline_s)
        with self._lock:
            self._passed.add(source.edition)

    def passed(self, source: PlanSource) -> None:
        """It was made in another throw-away process already."""
        with self._lock:
            self._passed.add(source.edition)


def runs_when_made(source: PlanSource) -> bool:
    """Whether making it runs anything beyond `def` and modules that are imported already."""
    return any(
        part.decorated or part.kind == "file" or (part.kind == "import" and not _known(part.code))
        for part in source.parts
    )


def _known(statement: str) -> bool:
    for node in ast.parse(statement).body:
        wanted: Iterable[str | None] = (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module]
            if isinstance(node, ast.ImportFrom)
            else [None]
        )
        if any(module not in sys.modules for module in wanted):
            return False
    return True


def try_source(source: PlanSource, deadline_s: float = DEADLINE_S) -> None:
    """Make it in a throw-away process. Raises: InputError.

    What it raises in the ordinary way passes: that is told with its line when the engine makes it.
    """
    where = next((p.origin for p in source.parts if p.kind == "function"), source.name)
    if wrong := _tried(source, deadline_s):
        raise InputError(
            f"making the plan {source.name} {wrong}",
            remedy="take what waits, connects or exits out of its imports and decorators; the "
            "engine did not make it",
            where=where,
        )


def try_file(name: str, text: str, deadline_s: float = DEADLINE_S) -> str:
    """Run a plan file in a throw-away process. Returns: that it hangs, exits or crashes, or ''."""
    part = SourcePart(kind="file", name="__name__", code=text, origin=name)
    wrong = _tried(PlanSource(name="file", call="None", parts=[part]), deadline_s)
    if not wrong:
        return ""
    error = InputError(
        f"reading it {wrong}",
        remedy="take what waits, connects or exits out of its imports and top level; it was not "
        "read here",
        where=name,
    )
    return str(error)


def _tried(source: PlanSource, deadline_s: float) -> str:
    try:
        done = subprocess.run(
            [sys.executable, "-m", "undula.scans.try_plan", str(math.ceil(deadline_s) + GRACE_S)],
            input=source.model_dump_json(),
            capture_output=True,
            text=True,
            timeout=deadline_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"took longer than {deadline_s:g} s"
    if done.returncode == 0:
        return ""
    last = (done.stderr.strip().splitlines() or ["no message"])[-1]
    return f"ends the process ({_how(done.returncode)}): {last}"


def _how(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"


class StandIn:
    """Stands for devices and for Bluesky while a plan is only made; a decorator changes nothing."""

    def __init__(self, stands_for: str = "") -> None:
        self.stands_for = stands_for
        """The last name by which it was reached."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return StandIn(name)

    def __getitem__(self, key: Any) -> StandIn:
        return StandIn(str(key))

    def __call__(self, *args: Any, **_: Any) -> Any:
        """What it was given, when that is a function."""
        return args[0] if len(args) == 1 and callable(args[0]) else StandIn(self.stands_for)


class _Names(dict[str, Any]):
    """Any name that is not the plan's own stands for something."""

    def __missing__(self, name: str) -> Any:
        import builtins

        return getattr(builtins, name) if hasattr(builtins, name) else StandIn()


def main() -> int:
    """Make the plan on stdin; an ordinary exception is none of our business."""
    from undula.scans.plan_code import define

    signal.alarm(int(sys.argv[1]))  # also when who asked is gone
    source = PlanSource.model_validate_json(sys.stdin.read())
    names = _Names()
    if any("np." in part.code for part in source.parts):
        import numpy as np

        names["np"] = np
    try:
        define(source, names)
    except Exception:  # any code may raise anything: said with its line by the engine
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())

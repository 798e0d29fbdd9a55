"""Importing the classes of a device file in a process that may die of it.

A module that hangs, exits or crashes while it is imported would take the engine along. In: a device
file. Out: nothing when all classes import; the process's end otherwise.
Run as `python -m undula.devices.try_import FILE`.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from undula.core.errors import ConfigError
from undula.devices.classes import mapped

DEADLINE_S = 30.0


def unknown_modules(classes: Iterable[str]) -> list[str]:
    """Modules of these class paths that this process has not imported yet."""
    wanted = dict.fromkeys(mapped(path)[0].rpartition(".")[0] for path in classes)
    return [module for module in wanted if module and module not in sys.modules]


def try_import(modules: Iterable[str], deadline_s: float = DEADLINE_S) -> None:
    """Import modules in a throw-away process.

    Raises: ConfigError when it hangs or dies. An ordinary ImportError passes: it is reported with
    its line when the file is checked.
    """
    for module in modules:
        command = [sys.executable, "-m", "undula.devices.try_import", module]
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=deadline_s, check=False
            )
        except subprocess.TimeoutExpired as exc:
            raise ConfigError(
                f"importing {module} took longer than {deadline_s:g} s",
                remedy="take what waits or connects out of the module's top level",
            ) from exc
        if done.returncode != 0:
            last = (done.stderr.strip().splitlines() or ["no message"])[-1]
            raise ConfigError(
                f"importing {module} ends the process ({_how(done.returncode)}): {last}",
                remedy="correct the module; the engine did not import it",
            )


def _how(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"


def main() -> int:
    """Import the named module; an ordinary exception is none of our business."""
    import importlib

    try:
        importlib.import_module(sys.argv[1])
    except Exception:  # any module may raise anything: said with its line by the check
        return 0
    return 0


if __name__ == "__main__":
    sys.path.insert(0, str(Path.cwd()))
    sys.exit(main())

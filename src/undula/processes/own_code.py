"""Files of code that a beamline adds, looked at before they are used: plans, hooks, models, nodes.

In: a beamline's folders. Out: each fault with its file and line. What a person wrote is read in
throw-away processes, since it may hang or die; that for models and nodes is
`python -m undula.processes.own_code MODELS NODES`. Called by: the engine, beside its start; the
doctor.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from undula.core.paths import BeamlinePaths
from undula.core.settings import BeamlineSettings

DEADLINE_S = 60.0
NICE = 10
"""So much behind everything else: nobody waits for it."""


def own_files(paths: BeamlinePaths, settings: BeamlineSettings) -> list[Path]:
    """All files of code that the beamline has."""
    folders = (settings.plans or paths.plans, paths.models, paths.nodes)
    return [file for folder in folders for file in sorted(folder.glob("*.py"))]


def faults_of_plans(
    paths: BeamlinePaths, settings: BeamlineSettings, devices: Iterable[str]
) -> list[str]:
    """Faults of plan files, packages, hooks.py and defaults.yaml.

    Args:
        devices: paths of all devices, which plans may name.
    """
    from undula.scans.describe_plans import describe
    from undula.scans.plan_defaults import FILE, Defaults
    from undula.scans.plan_library import HOOKS, PlanLibrary
    from undula.scans.user_plans import MODULES

    folder = settings.plans or paths.plans
    parts = {part for path in devices for part in (path.split(".")[0], path.split(".")[-1])}
    names = sorted({*MODULES, "M", "D", "dev", *parts})
    library, defaults = PlanLibrary(folder, lambda: names), Defaults(folder / FILE)
    library.look()
    defaults.look()
    found = [*library.faults(), defaults.fault]
    if (hooks := folder / HOOKS).is_file():
        text = hooks.read_text(encoding="utf-8", errors="replace")
        asked = {"origin": HOOKS, "text": text, "names": names, "hooks": True}
        found.append(describe(asked)["fault"])
    return [fault for fault in found if fault]


def faults_of_models_and_nodes(paths: BeamlinePaths, deadline_s: float = DEADLINE_S) -> list[str]:
    """Faults of models and nodes; a file that hangs or ends the process is told as well."""
    folders = [paths.models, paths.nodes]
    if not any(True for folder in folders for _ in folder.glob("*.py")):
        return []
    where = " and ".join(map(str, folders))
    try:
        done = subprocess.run(
            [sys.executable, "-m", "undula.processes.own_code", *map(str, folders)],
            capture_output=True,
            text=True,
            timeout=deadline_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return [f"[{where}] reading them took longer than {deadline_s:g} s"]
    try:
        return [str(fault) for fault in json.loads(done.stdout.splitlines()[-1])]
    except (IndexError, ValueError):
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        return [f"[{where}] reading them ends the process (exit {done.returncode}): {last}"]


def read(models: Path, nodes: Path) -> list[str]:
    """Run all files of both folders, in this process. Returns: their faults."""
    from undula.analysis import own
    from undula.pipes.nodes.user_nodes import NodeFolder

    found = [str(fault) for fault in own.faults(models, run=True)]
    folder = NodeFolder(nodes if nodes.is_dir() else None)
    return found + [str(fault) for fault in folder.faults.values()]


def main(argv: list[str] | None = None) -> int:
    """Print the faults as JSON."""
    models, nodes = map(Path, sys.argv[1:3] if argv is None else argv)
    os.nice(NICE)
    with contextlib.redirect_stdout(sys.stderr):
        found = read(models, nodes)
    sys.stdout.write(json.dumps(found) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""`undula devices try FILE NAME`: one device, without any service, step by step.

In: a device file and a name. Out: a line for each step as it ends, or one JSON document.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import typer

from undula.cli.output import FAILED, print_json
from undula.core.errors import InputError
from undula.core.log import configure
from undula.devices.trial import Excursion, Step, trial


def step_line(step: Step) -> str:
    """A step for people.

    >>> step_line(Step("read", True, 0.0021, "samx = 1.5 mm"))
    'ok      read           2 ms  samx = 1.5 mm'
    """
    mark = "ok" if step.ok else "failed"
    line = f"{mark:<6}  {step.step:<9}  {1000 * step.duration_s:>5.0f} ms  {step.found}"
    return f"{line}. Remedy: {step.remedy}." if step.remedy else line


def _ask(way: Excursion) -> bool:
    if not sys.stdin.isatty():
        return False
    question = f"Move it from {way.start:g} to {way.target:g} {way.unit} and back?".replace(
        "  ", " "
    )
    return typer.confirm(f"{question} Nobody else may use it now")


def try_device(words: Sequence[str], move: bool, as_json: bool) -> None:
    """Try a device. Raises: InputError, DeviceFileError; typer.Exit when a step failed."""
    if len(words) != 2:
        raise InputError(
            "try wants a device file and a name",
            remedy="e.g. undula devices try beamline.yaml samx",
        )
    path, name = Path(words[0]), words[1]
    if not path.is_file():
        raise InputError(f"there is no file {path}", remedy="name a device file")
    configure("try", None)  # what is logged is also among the steps
    steps = []
    for step in trial(path, name, lambda way: move or (not as_json and _ask(way))):
        steps.append(step)
        if not as_json:
            print(step_line(step), flush=True)
    if as_json:
        print_json(
            {"device": name, "ok": all(s.ok for s in steps), "steps": list(map(asdict, steps))}
        )
    if not all(step.ok for step in steps):
        raise typer.Exit(FAILED)

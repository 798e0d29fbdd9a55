"""`undula doctor`: looks at what a beamline needs on this host, and names remedies.

In: the beamline's name. Out: one line a finding, or JSON.
"""

from __future__ import annotations

from dataclasses import asdict

import typer

from undula.cli.output import FAILED, BeamlineOption, JsonOption, kind, print_json
from undula.core.paths import beamline_paths, default_beamline


def register(app: typer.Typer) -> None:
    """Add `doctor` to the application."""
    app.command()(kind(doctor))


def doctor(beamline: BeamlineOption = None, as_json: JsonOption = False) -> None:
    """Look at Python, broker, folders, disk, services and devices, and say what is wrong.

    Example: undula doctor --beamline x07mb

    Exit: 0 nothing wrong (warnings aside), 1 something is wrong.
    """
    from undula.processes.doctor import examine

    findings = examine(beamline_paths(beamline or default_beamline()))
    if as_json:
        print_json([asdict(finding) for finding in findings])
    else:
        for finding in findings:
            remedy = f"  Remedy: {finding.remedy}." if finding.remedy else ""
            print(f"{finding.verdict:8} {finding.name:18} {finding.text}.{remedy}")
    if any(finding.verdict == "wrong" for finding in findings):
        raise typer.Exit(FAILED)

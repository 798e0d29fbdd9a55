"""Room: plans. Generators of Bluesky messages and their geometry.

In: devices and numbers. Out: `Msg`. Called by: `scans`; the catalogue of plans also by `session`
and `cli`, so it comes without bluesky and numpy. Imports: bluesky, scanspec, `core`.
Not here: checking limits, running (`scans`).
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from undula.plans.form import StepForm
from undula.plans.forms import FORMS, parse_form

if TYPE_CHECKING:
    from undula.plans.block import block_scan
    from undula.plans.step import StepRun, step_scan
    from undula.plans.taught import VERBS
    from undula.plans.trajectory import Trajectory, grid, line, listed

_LATER = {
    "VERBS": "taught",
    "StepRun": "step",
    "Trajectory": "trajectory",
    "block_scan": "block",
    "grid": "trajectory",
    "line": "trajectory",
    "listed": "trajectory",
    "step_scan": "step",
}
"""Names whose modules import bluesky or numpy: loaded when they are asked for."""


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(name)
    return getattr(importlib.import_module(f"undula.plans.{_LATER[name]}"), name)


__all__ = [
    "FORMS",
    "VERBS",
    "StepForm",
    "StepRun",
    "Trajectory",
    "block_scan",
    "grid",
    "line",
    "listed",
    "parse_form",
    "step_scan",
]

"""Room: plans. Generators of Bluesky messages and their geometry.

In: devices and numbers. Out: `Msg`. Called by: `scans`. Imports: bluesky, scanspec, `core`.
Not here: checking limits, running (`scans`).
"""

from undula.plans.block import VERB, block_scan, run_block
from undula.plans.forms import FORMS, StepForm, parse_form
from undula.plans.step import StepRun, step_scan
from undula.plans.trajectory import Trajectory, grid, line, listed

__all__ = [
    "FORMS",
    "VERB",
    "StepForm",
    "StepRun",
    "Trajectory",
    "block_scan",
    "grid",
    "line",
    "listed",
    "parse_form",
    "run_block",
    "step_scan",
]

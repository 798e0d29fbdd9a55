"""Room: plans. Generators of Bluesky messages and their geometry.

In: devices and numbers. Out: `Msg`. Called by: `scans`. Imports: bluesky, scanspec, `core`.
Not here: checking limits, running (`scans`).
"""

from undula.plans.block import BLOCK, block_scan, run_block
from undula.plans.forms import FORMS, StepForm, parse_form
from undula.plans.step import StepRun, step_scan
from undula.plans.trajectory import Trajectory, grid, line, listed
from undula.plans.verbs import (
    CHECK,
    FINISH,
    MOVE,
    TRIGGER,
    run_check,
    run_finish,
    run_move,
    run_trigger,
)

VERBS = {
    BLOCK: run_block,
    MOVE: run_move,
    TRIGGER: run_trigger,
    FINISH: run_finish,
    CHECK: run_check,
}
"""What a RunEngine must be taught before it can run these plans: verb to coroutine function."""

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

"""What a RunEngine must be taught before it can run these plans."""

from __future__ import annotations

from undula.plans.block import BLOCK, run_block
from undula.plans.verbs import (
    CHANGE,
    CHECK,
    FINISH,
    MOVE,
    SET_OFF,
    TRIGGER,
    run_change,
    run_check,
    run_finish,
    run_move,
    run_set_off,
    run_trigger,
)

VERBS = {
    BLOCK: run_block,
    MOVE: run_move,
    TRIGGER: run_trigger,
    FINISH: run_finish,
    CHECK: run_check,
    SET_OFF: run_set_off,
    CHANGE: run_change,
}
"""Verb to coroutine function."""

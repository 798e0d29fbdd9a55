"""Room: scans. How an item of the queue has ended, from how its plan and its runs did. Pure.

In: how the plan came to its end, the runs that it made. Out: the word and the reason of the item.
Called by: `scans.runner`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from undula.messages.runs import ExitStatus
from undula.scans.documents import OpenRun


class Outcome(NamedTuple):
    """How an item ended, and why."""

    status: ExitStatus
    reason: str


def outcome_of(
    status: ExitStatus, runs: Sequence[OpenRun], early: ExitStatus | None, reason: str
) -> Outcome:
    """How an item ended.

    Of several runs one that has no point, because all were left out, spoils no other.

    Args:
        status: how its plan ended, as far as the thread of the scans knows.
        runs: in the order of their start; those that are still open have no word of their own.
        early: how it counts when it was asked to end, and did; None: it came to its own end.
        reason: why it ended, when something or somebody made it.
    """
    counts = [run for run in runs if not run.emptied] or runs
    words = [run.exit_status for run in counts if run.exit_status not in (None, "success")]
    if early:  # perhaps between two runs, which know nothing of it
        status = words[0] if words and words[0] else early
    elif status != "fail" and runs and runs[-1].exit_status:
        # the runs' own word: an abort may have come too late
        status = next((word for word in words if word), "success")
    own = runs[-1].reason if runs else ""
    return Outcome(status, own if status == "success" else reason or own)

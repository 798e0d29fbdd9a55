"""A plan of a person's own that waits, called with other arguments: its text stays as it was.

In: the source that waits, what is to change, the devices. Out: the same source with another call,
checked against the type hints of its text as a plan file is. Called by: `scans.queue_desk`. Pure.
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from undula.core.errors import InputError
from undula.messages import PlanSource, ScanRequest
from undula.scans.plan_arguments import Written, call_text, merged
from undula.scans.plan_text import called, described_in_text

LONGEST_COMMAND = 500
DEVICES = "dev"
"""The name by which a call written here reaches devices."""


def recalled(
    source: PlanSource,
    args: Sequence[Any],
    changes: Mapping[str, Any],
    devices: Collection[str],
    still: Collection[str] = (),
) -> PlanSource:
    """The same plan with other arguments; those that are not named stay as they are written.

    Args:
        args: all positional ones anew; none: they stay.
        changes: by name; None takes one away.
        still: devices that cannot be moved.
    Raises: InputError naming the argument and the usage.
    """
    call = called(source)
    plan = described_in_text(source, call.func.id)  # type: ignore[attr-defined]  # `called` saw to it
    before = (
        [Written(ast.unparse(arg)) for arg in call.args],
        {str(word.arg): Written(ast.unparse(word.value)) for word in call.keywords},
    )
    values, named = merged(plan, before, args, changes)
    text = call_text(plan, values, named, devices, still)
    if f"{DEVICES}[" in text and DEVICES in {part.name for part in source.parts}:
        raise InputError(
            f"{source.name} has a name {DEVICES!r} of its own, which hides the devices",
            remedy="rename it, and add the plan anew",
        )
    return source.model_copy(update={"call": text})


def edited(scan: ScanRequest, devices: Collection[str], still: Collection[str] = ()) -> ScanRequest:
    """A scan as it is to be: arguments given beside a call that holds others go into the call.

    One of a plan file or package is left as it is: its name is looked up anew.
    """
    if scan.source is None or scan.source.by_name or not (scan.args or scan.kwargs):
        return scan
    source = recalled(scan.source, scan.args, scan.kwargs, devices, still)
    command = f"RE({source.call})"
    if len(command) > LONGEST_COMMAND:
        command = command[: LONGEST_COMMAND - 4] + "...)"
    return scan.model_copy(update={"source": source, "args": [], "kwargs": {}, "command": command})

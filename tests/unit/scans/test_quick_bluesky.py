"""What is quicker says the same: an event's check by its schema, a device's by a protocol."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from event_model import DocumentNames, schema_validators
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import ValidationError

from undula.scans.quick_bluesky import KEYS, EventValidator, plainly_right

SCHEMA = schema_validators[DocumentNames.event]
GOOD: dict[str, Any] = {
    "uid": "u", "descriptor": "d", "seq_num": 1, "time": 1.5,
    "data": {"x": [1, 2]}, "timestamps": {"x": 1.5}, "filled": {"x": False},
}  # fmt: skip
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2)
    ),
    max_leaves=4,
)


def _holds(document: Any) -> bool:
    try:
        SCHEMA.validate(document)
    except ValidationError:
        return False
    return True


@given(st.dictionaries(st.sampled_from(sorted(KEYS)) | st.text(max_size=4), ANYTHING, max_size=3))
def test_what_passes_at_once_passes_the_schema_too(changes: dict[str, Any]) -> None:
    document = {**GOOD, **changes}
    if plainly_right(document):
        assert _holds(document)


@given(st.sets(st.sampled_from(sorted(KEYS))))
def test_an_event_without_a_key_is_judged_by_the_schema(missing: set[str]) -> None:
    document = {key: value for key, value in GOOD.items() if key not in missing}
    schema = EventValidator(SCHEMA)
    if _holds(document):
        schema.validate(document)
    else:
        with pytest.raises(ValidationError):
            schema.validate(document)


CHECK = """
from bluesky.protocols import Flyable, Locatable, Movable, Pausable, Readable, Stageable
from ophyd.sim import motor, det, flyer1
from undula.devices.sim import SimMonitor, SimPositioner
from undula.scans.quick_bluesky import quicken
things = [motor, det, flyer1, SimMonitor("m"), SimPositioner("p"), 3, None]
kinds = [Flyable, Locatable, Movable, Pausable, Readable, Stageable]
before = [isinstance(t, k) for t in things for k in kinds]
quicken(); quicken()
after = [isinstance(t, k) for t in things for k in kinds]
again = [isinstance(t, k) for t in things for k in kinds]
assert before == after == again and len(set(before)) == 2, (before, after)
"""


def test_protocols_are_answered_as_before() -> None:
    done = subprocess.run(
        [sys.executable, "-c", CHECK], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr

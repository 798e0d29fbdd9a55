"""What is quicker says the same: an event's check by its schema, a device's by a protocol.

And a RunEngine that has not imported ophyd runs plans as any other does.
"""

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


ENGINE = """
import sys, threading
from undula.scans.quick_bluesky import _unfound, run_engine
documents = []
engine = run_engine(call_returns_result=True)
assert not {"ophyd", "ophyd_async"} & set(sys.modules)
from bluesky.plans import count
from undula.devices.sim import SimMonitor
ended = engine(count([SimMonitor("m")], 2), lambda *one: documents.append(one))
assert ended.exit_status == "success"
assert [name for name, _ in documents] == ["start", "descriptor", "event", "event", "stop"]
with _unfound("ophyd"):  # a device that another thread makes meanwhile has its ophyd
    other = threading.Thread(target=lambda: __import__("ophyd"))
    other.start()
    other.join()
assert "ophyd" in sys.modules
run_engine(loop=engine.loop)
assert {finder.__class__.__name__ for finder in sys.meta_path}.isdisjoint({"_Unfound"})
"""


def test_a_run_engine_runs_plans_without_ophyd_and_keeps_it_from_nobody_else() -> None:
    done = subprocess.run(
        [sys.executable, "-c", ENGINE], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr

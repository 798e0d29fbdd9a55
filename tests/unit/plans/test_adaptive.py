"""The rule of adaptive scans: never beyond its bounds, never too many points, dense at a step."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from undula.plans.adaptive import Adaptive, Stepper

Width = st.floats(0.01, 5)


def visited(rule: Adaptive, values: list[float]) -> list[float]:
    """The points that are taken when these values are read, over and over."""
    stepper, found = Stepper(rule), []
    while (here := stepper.position) is not None:
        found.append(here)
        stepper.take(values[len(found) % len(values)])
    return found


@given(
    st.floats(-10, 10), st.floats(-10, 10), Width, Width, st.floats(0.1, 100), st.booleans(),
    st.lists(st.floats(allow_nan=True, allow_infinity=True), min_size=1, max_size=20),
    st.integers(1, 200),
)  # fmt: skip
@settings(max_examples=200)
def test_it_stays_within_its_bounds_and_ends(
    start: float, stop: float, one: float, other: float, delta: float, backstep: bool,
    values: list[float], most: int,
) -> None:  # fmt: skip
    low, high = sorted((one, other))
    rule = Adaptive("d", start, stop, low, high, delta, backstep=backstep, most=most)
    found = visited(rule, values)
    assert len(found) <= most
    assert all(math.isfinite(place) for place in found)
    assert min(found) >= min(start, stop) - 1e-9
    assert max(found) <= max(start, stop) + 1e-9


def test_it_is_dense_where_the_signal_changes() -> None:
    rule = Adaptive("d", -5.0, 5.0, 0.02, 1.0, 0.1, backstep=True, most=2000)
    stepper, found = Stepper(rule), []
    while (here := stepper.position) is not None:
        found.append(here)
        stepper.take(1 / (1 + math.exp(-here / 0.1)))
    places = np.array(found)
    inside = np.count_nonzero(np.abs(places) < 0.5)
    outside = np.count_nonzero(np.abs(places) > 1.5)
    assert inside > 10
    assert inside / 1.0 > 5 * outside / 7.0  # points for each unit of the way


def test_it_steps_as_bluesky_does() -> None:
    # the positions of bluesky 1.15's adaptive_scan for a Gauss of width 1
    from bluesky.plans import adaptive_scan
    from bluesky.utils import Msg
    from ophyd.sim import SynAxis, SynSignal

    axis = SynAxis(name="x")
    signal = SynSignal(func=lambda: math.exp(-(axis.readback.get() ** 2) / 2), name="d")
    theirs, plan = [], adaptive_scan([signal], "d", axis, -3, 3, 0.05, 1.0, 0.1, False)
    reply = None
    while True:
        try:
            msg: Msg = plan.send(reply)
        except StopIteration:
            break
        reply = None
        if msg.command == "set":
            theirs.append(float(msg.args[0]))
            axis.set(msg.args[0])
        elif msg.command == "trigger":
            signal.trigger()
        elif msg.command == "read":
            reply = msg.obj.read()
        elif msg.command == "open_run":
            reply = "uid"
    rule = Adaptive("d", -3.0, 3.0, 0.05, 1.0, 0.1)
    stepper, ours = Stepper(rule), []
    while (here := stepper.position) is not None:
        ours.append(here)
        stepper.take(math.exp(-(here**2) / 2))
    assert np.allclose(ours, theirs)

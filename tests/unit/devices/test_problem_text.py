"""Why a device does not answer: short, and no name is cut."""

from __future__ import annotations

from undula.core.errors import DeviceError
from undula.devices.problems import LIMIT, problem_text


class NotConnectedError(Exception):
    """As ophyd-async's, by its name."""


PVS = [f"X07MB-ES-NOT-THERE:MOTOR-WITH-LONG-NAME.F{n}" for n in range(12)]


def test_a_motor_that_is_absent_names_two_of_its_pvs_and_counts_the_others() -> None:
    listed = ", ".join(f"m.signal_{n} ({pv})" for n, pv in enumerate(PVS))
    text = problem_text(TimeoutError(f"Failed to connect to all signals: {listed}"))
    assert text == f"no answer from {PVS[0]}, {PVS[1]} and 10 more"


def test_an_asynchronous_device_too() -> None:
    listed = "\n".join(f"s{n}: NotConnectedError: ca://{pv}" for n, pv in enumerate(PVS[:3]))
    text = problem_text(NotConnectedError(listed))
    assert text == f"no answer from ca://{PVS[0]}, ca://{PVS[1]} and 1 more"


def test_other_words_are_kept_and_cut_between_words_only() -> None:
    assert problem_text(ValueError("no such axis")) == "ValueError: no such axis"
    assert problem_text(KeyError()) == "KeyError"
    long = problem_text(RuntimeError(", ".join(PVS)))
    assert len(long) <= LIMIT
    assert long.endswith(" …")
    assert long.removesuffix(" …").rpartition(" ")[2] in PVS


def test_our_own_errors_keep_their_remedy() -> None:
    error = DeviceError("it is off", remedy="switch it on", device="m")
    assert problem_text(error) == "[m] it is off. Remedy: switch it on."

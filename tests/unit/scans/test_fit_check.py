"""A fit that a scan wants is of something that it reads: told before anything moves."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from undula.core.errors import InputError
from undula.testing.scan_house import ScanHouse

DEVICES = """
samx: {deviceClass: undula.devices.sim.SimPositioner, readoutPriority: on_request, enabled: true,
       deviceConfig: {limits: [-5, 5], delay: 0}}
diode: {deviceClass: undula.devices.sim.SimMonitor, readoutPriority: monitored, enabled: true,
        softwareTrigger: true}
i0: {deviceClass: undula.devices.sim.SimMonitor, readoutPriority: on_request, enabled: true,
     softwareTrigger: true}
"""


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ScanHouse]:
    made = ScanHouse(tmp_path_factory.mktemp("house"), DEVICES)
    yield made
    made.close()


def fit(signal: str) -> dict[str, Any]:
    return {"fit": [{"model": "gaussian", "signal": signal}]}


SCAN = ("scan", "samx", -1, 1, 5)


@pytest.mark.parametrize(
    ("asked", "signal", "said"),
    [
        (SCAN, "nope", "the fit is of nope, which this scan does not read. Remedy: it reads diode"),
        (SCAN, "doide", "Remedy: did you mean diode"),
        (SCAN, "i0", "the fit is of i0, which this scan does not read"),
        (
            SCAN,
            "samx",
            "the fit is of samx, but samx is moved: .* choose a detector: diode",
        ),
        (("count_plan",), "nope", "the fit is of nope, which no device gives"),
    ],
)
def test_a_fit_of_what_is_not_read_is_refused(
    house: ScanHouse, asked: tuple[Any, ...], signal: str, said: str
) -> None:
    (house.plans / "count_plan.py").write_text(
        "def count_plan():\n    yield from bp.count([D.i0])\n"
    )
    with pytest.raises(InputError, match=said):
        house.check(*asked, metadata=fit(signal))


@pytest.mark.parametrize(
    ("asked", "signal"), [(SCAN, "diode"), (SCAN, ""), (("count_plan",), "i0")]
)
def test_a_fit_of_what_is_read_is_accepted(
    house: ScanHouse, asked: tuple[Any, ...], signal: str
) -> None:
    (house.plans / "count_plan.py").write_text(
        "def count_plan():\n    yield from bp.count([D.i0])\n"
    )
    assert house.check(*asked, metadata=fit(signal))


def test_a_detector_that_the_scan_adds_may_be_fitted_and_what_is_no_fit_is_told(
    house: ScanHouse,
) -> None:
    assert house.check(*SCAN, metadata=fit("i0"), detectors=["i0"])
    assert house.check(*SCAN, metadata={"fit": "none"})
    with pytest.raises(InputError, match="5 is no fit"):
        house.check(*SCAN, metadata={"fit": 5})

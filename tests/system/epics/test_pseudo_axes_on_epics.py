"""Slits whose blades are motor records, over ophyd and over ophyd-async, in a real beamline.

Slow (about 15 s): an IOC and a beamline have to start, and motors take their time.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from caproto.sync.client import read, write

from undula.client import Client
from undula.core.errors import LimitError, UndulaError
from undula.testing.beamline import local_beamline
from undula.testing.iocs import start_motor
from undula.testing.law import until

CLASSES = {"": "ophyd.EpicsMotor", "_a": "ophyd_async.epics.motor.Motor"}


def _device(cls: str, config: dict[str, Any]) -> dict[str, Any]:
    return {
        "deviceClass": cls,
        "deviceConfig": config,
        "readoutPriority": "baseline",
        "enabled": True,
    }


def _slits(suffix: str, cls: str) -> dict[str, Any]:
    both = {"plus": f"top{suffix}", "minus": f"bottom{suffix}"}
    return {
        f"top{suffix}": _device(cls, {"prefix": "PSE:m1"}),
        f"bottom{suffix}": _device(cls, {"prefix": "PSE:m2"}),
        f"gap{suffix}": _device("undula.devices.SlitGap", both),
        f"offset{suffix}": _device("undula.devices.SlitOffset", both),
    }


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    """One beamline for the file; the same two records as devices of both libraries."""
    with start_motor("PSE:") as ioc, pytest.MonkeyPatch.context() as patch:
        for name, value in ioc.env.items():
            patch.setenv(name, value)
        with local_beamline() as beamline, beamline.connect() as client:
            for suffix, cls in CLASSES.items():
                client.config.add(_slits(suffix, cls))
            yield client


@pytest.fixture(params=list(CLASSES), ids=["ophyd", "ophyd-async"])
def suffix(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def _record(field: str) -> float:
    return float(read(f"PSE:{field}", repeater=False, timeout=30).data[0])


def _put(field: str, value: float) -> None:
    write(f"PSE:{field}", value, repeater=False, notify=True, timeout=30)


def test_a_gap_of_motor_records_is_moved_and_scanned(client: Client, suffix: str) -> None:
    client.mv(f"gap{suffix}", 1.0, f"offset{suffix}", 0.5)
    assert _record("m1.RBV") == pytest.approx(1.0, abs=1e-3)
    assert _record("m2.RBV") == pytest.approx(0.0, abs=1e-3)
    run = client.scan(f"gap{suffix}", 1, 2, 3, detectors=["diode"]).run
    assert run.status == "success", run.record.reason
    assert np.allclose(run.data[f"gap{suffix}"], [1, 1.5, 2], atol=1e-3)
    assert np.allclose(run.data[f"top{suffix}"], [1, 1.25, 1.5], atol=1e-3)


def test_the_limits_of_the_records_hold_for_the_gap(client: Client, suffix: str) -> None:
    _put("m1.HLM", 3.0)
    try:
        client.mv(f"gap{suffix}", 0.0, f"offset{suffix}", 0.0)
        with pytest.raises(LimitError, match="point 5 of 5") as caught:
            client.scan(f"gap{suffix}", 0, 8, 5, detectors=["diode"])
        assert caught.value.device == f"top{suffix}"
        assert _record("m1.VAL") == 0.0
    finally:
        _put("m1.HLM", 20.0)


def test_stop_stops_both_blades_on_their_way(client: Client, suffix: str) -> None:
    client.mv(f"gap{suffix}", 0.0, f"offset{suffix}", 0.0)
    velocities = {name: _record(name) for name in ("m1.VELO", "m2.VELO")}
    for name in velocities:
        _put(name, 1.0)
    move = client.start_move({f"gap{suffix}": 38.0})
    until(lambda: _record("m1.RBV") > 0.2 and _record("m2.RBV") < -0.2, "the blades do not move")
    client.stop()
    with pytest.raises(UndulaError):
        move.result()
    until(lambda: bool(_record("m1.DMOV") and _record("m2.DMOV")), "the blades do not stop")
    for name, velocity in velocities.items():
        _put(name, velocity)
    assert _record("m1.RBV") < 18.0
    assert _record("m2.RBV") > -18.0

"""Large runs and many runs: all of it is in the files, and the broker does not grow."""

from __future__ import annotations

import os

import numpy as np
import pytest

from undula.bus.endpoints import BROKER_STATUS, RUN_DOCUMENTS
from undula.bus.ports import Connector
from undula.testing.beamline import local_beamline
from undula.testing.law import until

pytestmark = pytest.mark.soak
POINTS = 100_000
RUNS = int(os.environ.get("UNDULA_SOAK_RUNS", "1000"))
A_DAY_S = 86_400
GROWTH_OF_A_RUN = 2_000
"""Bytes that a run may leave in the broker for ever: its lines in the bounded streams."""


def test_a_scan_of_100000_points_is_whole() -> None:
    with local_beamline() as beamline, beamline.connect() as client:
        scan = client.scan("piezo", -50, 50, POINTS, detectors=["diode", "i0"])
        assert scan.run is not None
        data = scan.run.data
        assert np.allclose(data["piezo"], np.linspace(-50, 50, POINTS))
        assert np.array_equal(data["seq_num"], np.arange(1, POINTS + 1))
        assert len(data["diode"]) == len(data["i0"]) == POINTS
        assert np.isfinite(data["i0"]).all()


def _used_bytes(connector: Connector) -> int:
    status = connector.get(BROKER_STATUS)
    assert status is not None
    return status.used_bytes


def test_closed_runs_leave_the_broker() -> None:
    with local_beamline() as beamline, beamline.connect() as client:
        connector = beamline.connector()
        runs = [client.count(num=3, detectors=["diode"]).run for _ in range(20)]
        uids = [run.uid for run in runs if run is not None]
        before = _used_bytes(connector)
        for _ in range(RUNS):
            run = client.count(num=3, detectors=["diode"]).run
            assert run is not None
            uids.append(run.uid)

        def bounded(kind: str) -> bool:
            lives = connector.run([("TTL", f"runs/{uid}/{kind}") for uid in uids], again=True)
            return all(0 < life <= A_DAY_S for life in lives)

        until(lambda: bounded("documents"), "a journal stays in the broker for ever", 10.0)
        until(lambda: bounded("progress"), "a progress mark stays in the broker for ever", 10.0)
        for uid in uids:  # as if a day had passed
            connector.expire(RUN_DOCUMENTS, 0.001, uid=uid)
        bound = before + RUNS * GROWTH_OF_A_RUN + 1_000_000
        until(
            lambda: _used_bytes(connector) < bound,
            f"the broker grew from {before} to {_used_bytes(connector)} bytes in {RUNS} runs",
        )
        connector.close()

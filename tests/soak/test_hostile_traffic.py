"""Hostile payloads under every key of a running beamline: nobody dies of them, scans go on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from undula.bus.codec import encode
from undula.bus.endpoints import ENDPOINTS, RUN_DOCUMENTS, RUNS_OPENED, Endpoint
from undula.core.clock import now
from undula.messages import Message, RunOpened
from undula.testing.beamline import LocalBeamline, local_beamline
from undula.testing.hostile import INSANE, MALFORMED, hostile
from undula.testing.law import patient, until

pytestmark = pytest.mark.soak
NAMES = {"uid": "hostile", "name": "samx"}
SERVICES = ("broker", "publisher", "writer", "engine")


@pytest.fixture(scope="module")
def beamline() -> Iterator[LocalBeamline]:
    with local_beamline() as running:
        yield running


def _commands(endpoint: Endpoint[Message], payload: bytes) -> list[tuple[object, ...]]:
    """What puts the payload where the readers of this endpoint look."""
    key = endpoint.pattern.format(**NAMES)
    if endpoint.delivery in ("latest", "send"):
        kept = [("SET", key, payload)] if endpoint.delivery == "latest" else []
        return [*kept, ("PUBLISH", key, payload)]
    return [("XADD", key, "*", "id", "hostile", "m", payload), ("XADD", key, "*", "x", payload)]


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=[e.pattern for e in ENDPOINTS])
def test_hostile_payloads_stop_nobody(beamline: LocalBeamline, endpoint: Endpoint[Message]) -> None:
    before = {service: beamline.pid(service) for service in SERVICES}
    with beamline.connect() as client:
        connector = beamline.connector()
        if endpoint is RUN_DOCUMENTS:  # the writer is made to read them
            opened = RunOpened(
                uid=NAMES["uid"], number=900_000, plan_name="count", command="count",
                path=str(beamline.settings.data / "hostile.nxs"), time=now(),
            )  # fmt: skip
            connector.append(RUNS_OPENED, opened)
        payloads = {**MALFORMED, **INSANE, **hostile(endpoint.message), "good": encode(GOOD)}
        if endpoint.delivery in ("stream", "journal", "request") and endpoint is not RUNS_OPENED:
            del payloads["over-long"]  # kept in each stream, they would only fill the broker
        for payload in payloads.values():
            connector.run(_commands(endpoint, payload), again=False)
        connector.close()
        scan = patient(
            lambda: client.scan("piezo", 0, 1, 10, detectors=["diode"]), "no scan is possible"
        )
        assert scan.run is not None
        assert len(scan.run.data["diode"]) == 10
        until(lambda: scan.run.status == "success", "the run is not in the history")
    assert {service: beamline.pid(service) for service in SERVICES} == before


GOOD = RunOpened(uid="../../u", number=1, plan_name="", command="", path="/dev/null/x", time=0.0)

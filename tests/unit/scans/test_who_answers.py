"""Requests that wait for a graph hold up no reading: each kind has threads of its own."""

from __future__ import annotations

import threading
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest

from undula.bus.memory import MemoryBroker, MemoryConnector
from undula.core.access import Access
from undula.core.settings import BeamlineSettings
from undula.devices.description import load_device_file
from undula.devices.registry import Registry
from undula.devices.sim import SIMULATED_FILE
from undula.messages import PipesRequest, ReadRequest
from undula.scans.attendant import Attendant
from undula.scans.ports import MemoryDocuments
from undula.scans.rights import Guard
from undula.scans.service import EngineService
from undula.scans.stopped import Stops


def test_nodes_that_do_not_answer_hold_up_no_reading(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    devices = Registry(load_device_file(Path(SIMULATED_FILE)))
    devices.connect()
    free = threading.Event()
    graph = SimpleNamespace(clear=lambda *_: {"went": free.wait(60)})
    monkeypatch.setattr(devices["diode"].obj, "live_graph", graph, raising=False)
    with closing(MemoryConnector(MemoryBroker())) as bus:
        service = EngineService(
            bus,
            devices,
            BeamlineSettings(name="b", data=tmp_path),
            MemoryDocuments(),
            Stops(tmp_path / "stopped"),
            attendant=Attendant(),
            guard=Guard(Access(tmp_path / "access", lifetime_s=60)),
        )
        answered = threading.Event()
        monkeypatch.setattr(
            service, "_reply", lambda request, _: request.request_id == "r" and answered.set()
        )
        try:
            for number in range(20):
                service._dispatch(
                    PipesRequest(
                        request_id=f"{number}", deadline=2e9, action="clear", graph="diode"
                    )
                )
            service._dispatch(ReadRequest(request_id="r", deadline=2e9, devices=["samx"]))
            assert answered.wait(20), "a reading waits for graphs"
        finally:
            free.set()
            service._pool.shutdown()
            service._piping.shutdown(cancel_futures=True)
            service.finish()

"""Requests that wait for a graph hold up no reading: each kind has threads of its own."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from threading import Thread

from undula.bus.endpoints import ENGINE_PIPES, ENGINE_READ
from undula.bus.memory import MemoryBroker, MemoryConnector
from undula.core.access import Access
from undula.core.clock import now
from undula.core.settings import BeamlineSettings
from undula.devices.description import load_device_file
from undula.devices.registry import Registry
from undula.messages import PipesRequest, ReadRequest, Reply
from undula.scans.attendant import Attendant
from undula.scans.ports import MemoryDocuments
from undula.scans.rights import Guard
from undula.scans.service import EngineService
from undula.scans.stopped import Stops

DEVICES = """
samx: {deviceClass: undula.devices.sim.SimPositioner, readoutPriority: baseline, enabled: true}
cam: {deviceClass: undula.testing.faulty.HangingGraph, readoutPriority: monitored, enabled: true,
      deviceConfig: {flag: FLAG}}
"""


def test_nodes_that_do_not_answer_hold_up_no_reading(tmp_path: Path) -> None:
    flag = tmp_path / "hang"
    flag.touch()
    (tmp_path / "devices.yaml").write_text(DEVICES.replace("FLAG", str(flag)))
    devices = Registry(load_device_file(tmp_path / "devices.yaml"))
    devices.connect()
    broker = MemoryBroker()
    with closing(MemoryConnector(broker)) as bus, closing(MemoryConnector(broker)) as person:
        service = EngineService(
            bus,
            devices,
            BeamlineSettings(name="b", data=tmp_path),
            MemoryDocuments(),
            Stops(tmp_path / "stopped"),
            attendant=Attendant(),
            guard=Guard(Access(tmp_path / "access", lifetime_s=60)),
        )
        told: list[Reply] = []
        clears = [
            PipesRequest(request_id=f"{n}", deadline=now() + 60, action="clear", graph="cam")
            for n in range(20)
        ]
        read = ReadRequest(request_id="r", deadline=now() + 20, devices=["samx"])
        asking = [
            *(Thread(target=person.request, args=(ENGINE_PIPES, clear)) for clear in clears),
            Thread(target=lambda: told.append(person.request(ENGINE_READ, read))),
        ]
        try:
            for one in asking:
                one.start()
            taken = 0
            while taken < len(asking) or asking[-1].is_alive():
                for _, request in bus.take_requests((ENGINE_PIPES, ENGINE_READ), block_s=0.05):
                    service._dispatch(request)
                    taken += 1
            assert told[0].result["readings"], "a reading waits for graphs"
            assert asking[0].is_alive()
        finally:
            flag.unlink()
            for one in asking:
                one.join(60)
            service.finish()

"""A pause or abort that comes while the RunEngine cleans up, or when another scan has begun."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from bluesky.run_engine import RunEngine

from undula.catalogue import SqliteCatalogue
from undula.core.settings import BeamlineSettings
from undula.devices.description import load_device_file
from undula.devices.registry import Registry
from undula.messages import ItemFinished, PlanSource, ScanRequest, SourcePart
from undula.scans.attendant import Attendant
from undula.scans.conditions import Conditions
from undula.scans.leases import Leases
from undula.scans.ports import MemoryDocuments
from undula.scans.queue_desk import QueueDesk
from undula.scans.runner import ScanRunner
from undula.scans.safety import Touched
from undula.scans.stopped import Stops

PATIENCE_S = 60.0
DEVICES = """
samx: {deviceClass: undula.devices.sim.SimPositioner, readoutPriority: on_request, enabled: true}
"""
MOVE = """def go():
    yield from bps.checkpoint()
    yield from bps.open_run()
    yield from bps.mv(M.samx, 1)
"""


class Queue:
    """A runner with all its parts; `ended` has what ended."""

    def __init__(self, folder: Path) -> None:
        (folder / "devices.yaml").write_text(DEVICES)
        self.engine = RunEngine({}, context_managers=[], call_returns_result=True)
        self.devices = Registry(load_device_file(folder / "devices.yaml"))
        self.devices.connect(loop=self.engine.loop)
        self.ended: queue.Queue[ItemFinished] = queue.Queue()
        self.catalogue = SqliteCatalogue(folder / "catalogue")
        self._stops = Stops(folder / "stopped")
        settings = BeamlineSettings.model_validate({"name": "b", "data": folder / "data"})
        self.runner = ScanRunner(
            self.devices,
            settings,
            self.catalogue,
            MemoryDocuments(),
            touched=Touched(folder / "touched", self.devices),
            leases=Leases(),
            engine=self.engine,
            changed=lambda: None,
            finished=self.ended.put,
            conditions=Conditions(self.devices),
            attendant=Attendant(),
        )
        self._settings, self._number = settings, 0
        self._desk = QueueDesk(
            self.runner,
            Attendant(),
            settings,
            completed=lambda scan: scan,
            warned=lambda _: [],
            changed=lambda: None,
        )
        self.runner.start([])

    def add(self) -> None:
        part = SourcePart(kind="function", name="go", code=MOVE, origin="In[1]")
        source = PlanSource(name="go", call="go()", parts=[part])
        self._number += 1
        request = ScanRequest(request_id=f"r{self._number}", deadline=2e9, plan="go", source=source)
        scan = Attendant().check_scan(request, self.devices, self._settings)
        self._desk.submit(request, scan, self._stops.permit(request.sent))


@pytest.fixture
def scans(tmp_path: Path) -> Iterator[Queue]:
    made = Queue(tmp_path)
    yield made
    made.runner.close("the test is over")
    made.catalogue.close()


@pytest.mark.parametrize("how", ["pause", "abort"])
def test_an_interruption_during_the_clean_up_spoils_no_further_scan(scans: Queue, how: str) -> None:
    cleaning, go_on = threading.Event(), asyncio.Event()

    async def stop(*, success: bool = True) -> None:  # as devices have it
        cleaning.set()
        await go_on.wait()

    scans.devices["samx"].obj.stop = stop  # as an asynchronous axis, which takes its time
    scans.add()
    assert cleaning.wait(PATIENCE_S)
    try:
        _ = (
            scans.runner.steering.pause(at_point=False)
            if how == "pause"
            else scans.runner.steering.abort("enough")
        )
    finally:
        scans.engine.loop.call_soon_threadsafe(go_on.set)
    first = scans.ended.get(timeout=PATIENCE_S)
    assert first.run_uids
    scans.add()
    second = scans.ended.get(timeout=PATIENCE_S)
    assert "RunEngine" not in second.reason
    assert second.exit_status == first.exit_status != "abort"

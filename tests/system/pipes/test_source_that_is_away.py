"""A scan whose graph has a source that is away: it waits, goes on when it is back, or ends."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from queue import SimpleQueue

from undula.bus.endpoints import QUEUE_STATUS
from undula.messages import QueueStatus
from undula.testing.beamline import local_beamline

AWAY = '''
import math
import os
from pathlib import Path
import numpy as np
from undula.pipes.frame import Frame
from undula.pipes.nodes.base import Port, Source


class Away(Source):
    """Is away while there is a file `away`."""

    outputs = (Port("frames", "frames"),)

    def clear(self):
        self.made = 0
        self.ready = os.eventfd(0)

    def fileno(self):
        return self.ready

    def due_s(self):
        return math.inf if self.away else 0.0

    @property
    def ended(self):
        return False

    @property
    def away(self):
        return (Path(__file__).parent / "away").exists()

    @property
    def waits_for(self):
        return "X:CAM, which is not connected" if self.away else ""

    def resume(self, number):
        self.made = number

    def take(self, time=0.0):
        self.made += 1
        return [Frame(self.made, np.zeros((4, 4)), time=time)]
'''
DEADLINE_S, FRAME_S = 2.0, 1.0


def test_a_scan_waits_for_a_source_that_is_away_until_its_deadline(tmp_path: Path) -> None:
    away = tmp_path / "away"
    (tmp_path / "away.py").write_text(AWAY)
    config = {
        "graph": {"nodes": {"det": "away", "out": "channel"}, "edges": ["det -> out"]},
        "nodes": str(tmp_path), "frame_timeout": FRAME_S, "slow_after": 0.2,
    }  # fmt: skip
    cam = {
        "deviceClass": "undula.pipes.detector.GraphDetector", "deviceConfig": config,
        "readoutPriority": "monitored", "enabled": True,
    }  # fmt: skip
    samx = {
        "deviceClass": "undula.devices.sim.SimPositioner", "readoutPriority": "baseline",
        "enabled": True,
    }  # fmt: skip
    devices = tmp_path / "devices.yaml"
    devices.write_text(json.dumps({"cam": cam, "samx": samx}))
    settings = {"lost_deadline_s": DEADLINE_S}
    with local_beamline(devices, settings=settings) as beamline, beamline.connect() as client:
        told: SimpleQueue[QueueStatus] = SimpleQueue()
        with closing(client.link.connector.subscribe(QUEUE_STATUS, told.put)):
            for comes_back in (True, False):
                away.touch()
                scan = client.scan("samx", 0, 1, 3, detectors=["cam"], wait=False)
                while not (said := told.get(timeout=60).message).startswith("paused by itself"):
                    pass
                assert "[cam] det waits for X:CAM, which is not connected; the scan waits" in said
                assert said.endswith("waits for 3 s at most")
                if comes_back:
                    away.unlink()
                scan.wait(60, check=False)
                assert scan.run is not None
                assert scan.run.status == ("success" if comes_back else "fail")
                while told.get(timeout=60).state != "idle":
                    pass
        assert "it did not come back within 3 s. Remedy: start its IOC" in scan.run.record.reason

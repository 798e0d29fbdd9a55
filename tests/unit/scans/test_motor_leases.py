"""What is changed about a motor keeps it to itself, for the same person as well."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from undula.core.errors import BusyError
from undula.devices.description import load_device_file
from undula.devices.registry import Registry
from undula.devices.settings import Settings
from undula.devices.sim.status import SimStatus
from undula.messages import MotorRequest
from undula.scans.attendant import Attendant
from undula.scans.leases import Leases
from undula.scans.motors import Motors
from undula.scans.velocities import Velocities

PATIENCE_S = 60.0
DEVICES = """
samx: {deviceClass: undula.devices.sim.SimPositioner, readoutPriority: on_request, enabled: true}
samy: {deviceClass: undula.devices.sim.SimPositioner, readoutPriority: on_request, enabled: true}
"""


def _request(number: int, device: str, action: Any, **fields: Any) -> MotorRequest:
    return MotorRequest(
        request_id=f"{number:08d}", user="eva", deadline=2e9, device=device, action=action, **fields
    )


def test_a_second_change_by_the_same_person_does_not_free_what_is_homed(tmp_path: Path) -> None:
    (tmp_path / "devices.yaml").write_text(DEVICES)
    devices = Registry(load_device_file(tmp_path / "devices.yaml"))
    devices.connect()
    leases, samx = Leases(), devices["samx"].obj
    homing, searched = threading.Event(), SimStatus(samx)

    def home(direction: str) -> SimStatus:
        del direction
        homing.set()
        return searched

    samx.home = home
    motors = Motors(
        devices,
        leases,
        Settings(tmp_path / "settings"),
        lambda: None,
        attendant=Attendant(),
        velocities=Velocities(tmp_path / "velocities"),
    )
    thread = threading.Thread(target=motors.answer, args=(_request(1, "samx", "home"),))
    thread.start()
    try:
        assert homing.wait(PATIENCE_S)
        motors.answer(_request(2, "samy", "set", parameter="velocity", values=[1.0]))
        assert leases.holder("samx")
        with pytest.raises(BusyError, match="in use by a change by eva"):
            motors.answer(_request(3, "samx", "set", parameter="velocity", values=[1.0]))
    finally:
        searched.finish()
        thread.join(PATIENCE_S)
    assert leases.held() == {}

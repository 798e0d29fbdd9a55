"""IOCs for tests: each in its own process on loopback, free ports of its own, ended by its pid.

In: nothing. Out: `RunningIoc` (IOCs that others wrote) and `Ioc` (ours, which can be killed and
started again on the same ports), with `pid` and `env` for the processes that are its clients. The
environment must be set before a process first imports an EPICS client.
"""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

from undula.core.errors import ServiceError
from undula.devices.demo_ioc import START_TIMEOUT_S, RunningIoc, loopback_environment
from undula.devices.demo_ioc import fake_motor as start_fake_motor
from undula.devices.demo_ioc import mini_beamline as start_mini_beamline

__all__ = [
    "Ioc",
    "RunningIoc",
    "client_environment",
    "start_camera",
    "start_counting",
    "start_fake_motor",
    "start_mini_beamline",
    "start_motor",
    "start_pva_camera",
]

END_TIMEOUT_S = 60.0


class Ioc:
    """One of our IOCs: a process that says when it is ready and ends with its parent."""

    def __init__(self, module: str, prefix: str) -> None:
        self.prefix = prefix
        self.env = loopback_environment()
        self._module = module
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Process id; 0 while it is down."""
        return self._process.pid if self._process else 0

    def start(self) -> None:
        """Start it and wait until it serves. Raises: ServiceError."""
        ready, said = os.pipe()
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-m", self._module, self.prefix, str(said)],
                env={**os.environ, **self.env},
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=(said,),
            )
            os.close(said)
            if not select.select([ready], [], [], START_TIMEOUT_S)[0] or not os.read(ready, 1):
                self.kill()
                raise ServiceError(
                    f"the IOC {self._module} does not start",
                    remedy=f"see what it says: python -m {self._module} {self.prefix} 1",
                )
        finally:
            os.close(ready)

    def kill(self) -> None:
        """End it at once, as a crash would."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait(END_TIMEOUT_S)
            if process.stdin is not None:
                process.stdin.close()


@contextlib.contextmanager
def _running(module: str, prefix: str) -> Iterator[Ioc]:
    ioc = Ioc(f"undula.testing.{module}", prefix)
    ioc.start()
    try:
        yield ioc
    finally:
        ioc.kill()


def start_motor(prefix: str = "MOT:") -> contextlib.AbstractContextManager[Ioc]:
    """Motor records `m1`, `m2` with limit switches and faults (`undula.testing.motor_ioc`)."""
    return _running("motor_ioc", prefix)


def start_camera(prefix: str = "CAM:") -> contextlib.AbstractContextManager[Ioc]:
    """An areaDetector-like camera with HDF5 plugin (`undula.testing.camera_ioc`)."""
    return _running("camera_ioc", prefix)


def start_counting(prefix: str = "CNT:") -> contextlib.AbstractContextManager[Ioc]:
    """A scaler and an MCA over CA and PVA (`undula.testing.counting_ioc`)."""
    return _running("counting_ioc", prefix)


def start_pva_camera(prefix: str = "PVA:") -> contextlib.AbstractContextManager[Ioc]:
    """A camera that serves its frames by PV Access (`undula.testing.pva_camera_ioc`)."""
    return _running("pva_camera_ioc", prefix)


def client_environment(*iocs: Any) -> dict[str, str]:
    """Environment of a process that is a client of all these IOCs."""
    merged = dict(iocs[0].env)
    for name in ("EPICS_CA_ADDR_LIST", "EPICS_PVA_ADDR_LIST"):
        merged[name] = " ".join(ioc.env[name] for ioc in iocs)
    return merged

"""IOCs that others wrote, for tests: each in its own process on loopback, free ports of its own.

In: nothing. Out: a `RunningIoc` with `pid` and `env` for the processes that are its clients. The
environment must be set before a process first imports an EPICS client.
"""

from __future__ import annotations

from undula.devices.demo_ioc import RunningIoc
from undula.devices.demo_ioc import fake_motor as start_fake_motor
from undula.devices.demo_ioc import mini_beamline as start_mini_beamline

__all__ = ["RunningIoc", "start_fake_motor", "start_mini_beamline"]

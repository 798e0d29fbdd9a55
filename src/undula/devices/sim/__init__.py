"""Room: the simulated beamline, physically coherent, so that scans show real shapes.

In: `deviceConfig` as in the device file. Out: Bluesky-protocol devices on one `SimWorld`.
Imports: numpy, `core`. Not here: ophyd.
"""

from pathlib import Path

from undula.devices.sim.axes import SimPositioner, SimShutter
from undula.devices.sim.changer import SimSampleChanger
from undula.devices.sim.detectors import (
    SimCamera,
    SimMonitor,
    SimRing,
    SimTemperature,
    SimWaveform,
)
from undula.devices.sim.recorder import SimRecorder
from undula.devices.sim.world import WORLD, SimWorld

SIMULATED_FILE = Path(__file__).with_name("simulated.yaml")
"""Device file of the simulated beamline."""

__all__ = [
    "SIMULATED_FILE",
    "WORLD",
    "SimCamera",
    "SimMonitor",
    "SimPositioner",
    "SimRecorder",
    "SimRing",
    "SimSampleChanger",
    "SimShutter",
    "SimTemperature",
    "SimWaveform",
    "SimWorld",
]

"""Room: instruments on the driver base. An electrometer that speaks SCPI, an axis that speaks ESP.

In: device entries whose `deviceClass` is `undula.devices.instruments.NAME`. Out: Bluesky-protocol
objects. Written from public descriptions of their languages, tried against fakes of ours
(`undula.testing.fake_instruments`): neither has met its hardware.
"""

from undula.devices.instruments.electrometer import ScpiElectrometer
from undula.devices.instruments.esp import EspAxis

__all__ = ["EspAxis", "ScpiElectrometer"]

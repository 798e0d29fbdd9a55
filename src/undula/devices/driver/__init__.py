"""Room: the base for new devices. Signals by decorator, plain blocking Python, one thread each.

In: a class with `@signal` methods, and `begin`/`arrived`/`halt` where it moves or counts. Out: an
object with Bluesky's protocols. Called by: `undula.devices.instruments` and drivers of beamlines.
Not here: instruments.
"""

from undula.devices.driver.acting import Axis, Counter
from undula.devices.driver.base import Driver
from undula.devices.driver.links import Link, SimLink, TcpLines
from undula.devices.driver.signals import signal

__all__ = ["Axis", "Counter", "Driver", "Link", "SimLink", "TcpLines", "signal"]

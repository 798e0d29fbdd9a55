"""Room: the Python interface to a running beamline; cli and session speak it.

In: calls. Out: requests on the bus, live points, arrays. Imports: `bus`, `catalogue`, `files`.
Not here: anything printed (`cli`, `session`).

>>> from undula.client import connect  # client = connect(); client.scan("samx", -1, 1, 21)
"""

from undula.analysis.rows import event_rows
from undula.analysis.statistics import PeakStats, peak_stats
from undula.client.arguments import command_line, plain
from undula.client.client import Client, connect
from undula.client.devices import DeviceProxy, Devices, describe, main_value
from undula.client.link import Background, Link
from undula.client.queue import QueueView
from undula.client.queue_text import queue_text
from undula.client.runs import Run, Runs
from undula.client.scans import Accepted, ScanHandle, Step
from undula.client.stop import StopReport, stop_motion

__all__ = [
    "Accepted",
    "Background",
    "Client",
    "DeviceProxy",
    "Devices",
    "Link",
    "PeakStats",
    "QueueView",
    "Run",
    "Runs",
    "ScanHandle",
    "Step",
    "StopReport",
    "command_line",
    "connect",
    "describe",
    "event_rows",
    "main_value",
    "peak_stats",
    "plain",
    "queue_text",
    "stop_motion",
]

"""A live client in a process of its own: follows every run by its journal, as a display would.

In: the beamline's name by `UNDULA_BEAMLINE`. Out: one JSON line a run, when its stop document has
come: points, latencies in seconds, own CPU seconds, moment (monotonic, s). Ends by SIGTERM.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

from bench.report import percentile
from undula.bus.endpoints import RUNS_OPENED
from undula.client import Client, ScanHandle, connect
from undula.client.scans import Accepted, Cursors
from undula.messages import RunOpened


class Latencies:
    """Last device timestamp of each point of the primary stream to its receipt, seconds."""

    def __init__(self) -> None:
        self.found: list[float] = []
        self._primary = ""

    def __call__(self, name: str, doc: dict[str, Any]) -> None:
        """One document, just received."""
        received = time.time()
        if name == "descriptor" and doc["name"] == "primary":
            self._primary = doc["uid"]
        elif name == "event" and doc["descriptor"] == self._primary:
            self.found.append(received - max(doc["timestamps"].values()))
        elif name == "event_page" and doc["descriptor"] == self._primary:
            columns = doc["timestamps"].values()
            self.found += [received - max(stamps) for stamps in zip(*columns, strict=True)]

    def summary(self) -> dict[str, float]:
        """Points, and median, p99 and greatest in seconds."""
        if not self.found:
            return {"points": 0}
        return {
            "points": len(self.found),
            "median_s": percentile(self.found, 0.5),
            "p99_s": percentile(self.found, 0.99),
            "max_s": max(self.found),
        }


def say(line: dict[str, Any]) -> None:
    """One JSON line."""
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def follow(client: Client, opened: RunOpened, cursors: Cursors) -> None:
    """Follow one run to its end and tell about it."""
    latencies, stopped = Latencies(), 0.0
    cpu = time.process_time()
    handle = ScanHandle(client, Accepted(item_id=opened.item_id, command="follow"), cursors)
    for name, doc in handle.documents():
        latencies(name, doc)
        if name == "stop":
            stopped = time.monotonic()
    used = time.process_time() - cpu
    say({"uid": opened.uid, "stopped": stopped, "cpu_s": used, **latencies.summary()})


def main() -> None:
    with connect() as client:
        connector = client.link.connector
        cursors = Cursors.now(connector)
        say({"ready": True})
        while True:
            for entry, opened in connector.read(
                RUNS_OPENED, after=cursors.opened, count=1, block_s=1.0
            ):
                follow(client, opened, cursors)
                finished = Cursors.now(connector)
                cursors = Cursors(opened=entry, finished=finished.finished, closed=finished.closed)


if __name__ == "__main__":
    main()

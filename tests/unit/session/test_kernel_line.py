"""The line to a kernel: what comes late, and listeners that fail, take nothing from the others."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import zmq
from jupyter_client.session import Session

from undula.session.bridge.bridge import SessionBridge
from undula.session.bridge.log import CommandLog
from undula.session.kernel.places import KernelPlaces
from undula.session.kernel.prompt import KernelPrompt
from undula.testing.beamline import short_folder

CLAIM = """
import sys, time
from pathlib import Path
from undula.session.kernel.places import KernelPlaces
KernelPlaces(Path(sys.argv[1])).claim()
print("claimed", flush=True)
sys.stdin.read()
"""
WITHIN_S = 60.0


class Publisher:
    """The publishing side of a kernel, with messages that bear the process id of their maker."""

    def __init__(self, places: KernelPlaces) -> None:
        info = places.connection_info()
        self.session = Session(key=str(info["key"]).encode(), username="terminal:anna")
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._socket = self._context.socket(zmq.PUB)
        self._socket.bind(f"ipc://{info['ip']}-{info['iopub_port']}")

    def say(self, kind: str, content: dict[str, Any], parent: Any, pid: int) -> None:
        message = self.session.msg(kind, content, parent=parent)
        message["header"]["msg_id"] = f"{self.session.session}_{pid}_{self.session.message_count}"
        self._socket.send_multipart(self.session.serialize(message))

    def run(self, code: str, pid: int) -> None:
        """A whole cell."""
        parent = self.session.msg("execute_request", {})
        self.say("execute_input", {"code": code, "execution_count": 1}, parent, pid)
        self.say("status", {"execution_state": "idle"}, parent, pid)

    def close(self) -> None:
        self._socket.close(0)
        self._context.term()


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(WITHIN_S):
        while not true():
            await asyncio.sleep(0.01)


@asynccontextmanager
async def line(
    log: CommandLog | None = None,
) -> AsyncIterator[tuple[SessionBridge, Publisher, KernelPlaces, list[dict[str, Any]]]]:
    with short_folder("kl-") as folder:
        places = KernelPlaces(folder / "k")
        places.prepare()
        publisher = Publisher(places)
        prompt = KernelPrompt(places)
        bridge = SessionBridge(prompt, log)
        prompt.tell(bridge)
        events: list[dict[str, Any]] = []
        bridge.subscribe(events.append)
        opening = asyncio.create_task(prompt.link.open(timeout_s=float("inf")))
        try:
            while not events:  # until the subscription is there
                publisher.run("0", 1)
                await asyncio.sleep(0.01)
            yield bridge, publisher, places, events
        finally:
            opening.cancel()
            await prompt.link.close()
            publisher.close()


def test_a_cell_that_a_dead_kernel_began_does_not_run_for_ever() -> None:
    async def go() -> None:
        async with line() as (bridge, publisher, places, events):
            argv = [sys.executable, "-c", CLAIM, str(places.folder)]
            with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as kernel:
                assert kernel.stdout is not None
                await asyncio.to_thread(kernel.stdout.readline)
                await until(lambda: {"typ": "kernel/ready"} in events)
                kernel.kill()
            await until(lambda: any(e["typ"] == "kernel/died" for e in events))
            # its last word was still on its way, e.g. because this loop was busy
            late = publisher.session.msg("execute_request", {})
            begun = {"code": "late", "execution_count": 2}
            publisher.say("execute_input", begun, late, kernel.pid)
            publisher.run("of the next kernel", kernel.pid + 1)
            await until(lambda: any(e.get("line") == "of the next kernel" for e in events))
            assert bridge.snapshot()["running"] == []

    asyncio.run(go())


def test_a_disk_that_is_full_takes_no_outcome_from_anybody(tmp_path: Path) -> None:
    async def go() -> None:
        log = CommandLog(tmp_path / "commands.sqlite")
        log._db.execute("pragma max_page_count = 4")  # as SQLite does when the disk is full
        async with line(log) as (bridge, publisher, _, events):
            for _ in range(20):
                publisher.run("x" * 3000, 1)
            publisher.run("last", 1)
            await until(lambda: [e["typ"] for e in events if e.get("line") == "last"][1:] != [])
            assert bridge.snapshot()["running"] == []

    asyncio.run(go())


def test_a_message_that_makes_no_sense_ends_no_line() -> None:
    async def go() -> None:
        async with line() as (_, publisher, _, events):
            parent = publisher.session.msg("execute_request", {})
            publisher.say("execute_input", {"no": "code"}, parent, 1)
            publisher.run("after it", 1)
            await until(lambda: any(e.get("line") == "after it" for e in events))

    asyncio.run(go())

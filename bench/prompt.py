"""Benchmark of the shared prompt: commands sent in, queries while a scan runs, Ctrl-C.

Peer: a bare ipykernel over ipc sockets, driven by jupyter_client alone, in the same run.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager

from bench.report import Row, Spread, percentile
from bench.subjects import seconds
from undula.session.kernel.link import KernelLink
from undula.session.kernel.places import KernelPlaces
from undula.session.rpc.client import RpcClient
from undula.testing.beamline import NAME, LocalBeamline, local_beamline
from undula.testing.law import until
from undula.testing.terminal import PtyPerson

MS = 1e3
SCAN_S = 0.05


@contextmanager
def bare_kernel() -> Iterator[BlockingKernelClient]:
    """An ipykernel with nothing around it."""
    with tempfile.TemporaryDirectory(prefix="uk-") as folder:
        manager = KernelManager(transport="ipc", connection_file=str(Path(folder) / "k.json"))
        manager.ip = str(Path(folder) / "k")
        manager.start_kernel()
        client = manager.client()
        client.start_channels()
        try:
            client.wait_for_ready(timeout=60)
            yield client
        finally:
            client.stop_channels()
            manager.shutdown_kernel(now=True)


def prompt(rounds: int, quick: bool) -> list[Row]:
    """Round trips with a person attached; device queries and Ctrl-C while others work."""
    repeats = 30 if quick else 100
    undula = str(Path(sys.executable).with_name("undula"))
    rows: list[Row] = []
    with local_beamline(prompt=True) as beamline, RpcClient(beamline.paths.run) as rpc:
        until(lambda: rpc.call("cmd", cmd="1 + 1", policy="queue") == "2", "no prompt")
        person = PtyPerson([undula, "shell", "--beamline", NAME])
        try:
            person.see(r"In \[\d+\]:")
            with bare_kernel() as bare:
                ours, peer = [], []
                for _ in range(rounds):
                    ours.append(_many(repeats, lambda n: _injected(rpc, n), person))
                    peer.append(_many(repeats, lambda n: _bare(bare, n)))
            rows += _rows("a person attached", "round trip", ours, peer)
            found = [_while_scanning(beamline, rpc, repeats, person) for _ in range(rounds)]
            rows += _rows("scan runs in a cell", "query", found)
        finally:
            person.close()
        found = [asyncio.run(_interrupts(beamline, 5 if quick else 15)) for _ in range(rounds)]
        rows += _rows("a cell sleeps", "Ctrl-C", found)
    return rows


def _injected(rpc: RpcClient, n: int) -> None:
    if rpc.call("cmd", cmd=f"{n} + 1", policy="queue") != str(n + 1):
        raise RuntimeError("a wrong result")


def _bare(client: BlockingKernelClient, n: int) -> None:
    reply = client.execute_interactive(f"{n} + 1", timeout=30, output_hook=lambda _: None)
    if reply["content"]["status"] != "ok":
        raise RuntimeError("the bare kernel failed")


def _many(
    repeats: int, call: Callable[[int], None], person: PtyPerson | None = None
) -> list[float]:
    found = []
    for n in range(repeats):
        found.append(seconds(lambda n=n: call(n)))  # type: ignore[misc]  # mypy: default in a lambda
        while person is not None and person.read():
            pass  # the terminal's screen, as a real one would take it
    return found


def _while_scanning(
    beamline: LocalBeamline, rpc: RpcClient, repeats: int, person: PtyPerson
) -> list[float]:
    points = 10_000
    command = f"scan(M.samx, -1, 1, {points}, time={SCAN_S})"
    rpc.call("cmd/code", cmd=command, policy="queue")
    until(lambda: rpc.call("scan/status")["state"] == "running", "no scan")
    found = _many(repeats, lambda _: rpc.call("dev/read", path="M.samy"), person)
    if rpc.call("scan/status")["state"] != "running":
        raise RuntimeError("the scan was over before the queries")
    rpc.call("scan/abort", timeout_s=60.0)
    until(lambda: rpc.call("scan/status")["state"] == "idle", "the scan did not end")
    until(lambda: not rpc.call("cmd/list")["running"], "the cell did not end")
    assert beamline.pid("engine")
    return found


async def _interrupts(beamline: LocalBeamline, repeats: int) -> list[float]:
    begun = asyncio.Event()

    def heard(message: dict[str, object]) -> None:
        header = message["header"]
        if isinstance(header, dict) and header["msg_type"] == "execute_input":
            begun.set()

    link = KernelLink(KernelPlaces.of(beamline.paths), "terminal:bench", published=heard)
    await link.open()
    found = []
    try:
        for _ in range(repeats):
            begun.clear()
            content = {"code": "import time; time.sleep(60)", "silent": False, "allow_stdin": False}
            _, reply = link.post("execute_request", content)
            await begun.wait()
            await asyncio.sleep(0.1)  # the cell is in the middle of its sleep
            begin = time.perf_counter()
            await link.interrupt()
            ended = (await reply)["content"]
            found.append(time.perf_counter() - begin)
            if ended["ename"] != "KeyboardInterrupt":
                raise RuntimeError("not interrupted")
    finally:
        await link.close()
    return found


def _rows(
    case: str, what: str, ours: list[list[float]], peer: list[list[float]] | None = None
) -> list[Row]:
    rows = []
    for title, part in (("median", 0.5), ("p99", 0.99)):
        values = Spread.of(percentile(one, part) * MS for one in ours)
        of_peer = Spread.of(percentile(one, part) * MS for one in peer) if peer else None
        rows.append(Row("prompt", case, f"{what} {title}", "ms", values, of_peer))
    return rows

"""A cell of minutes blocks no query, no pause, no stop; and no other front end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from jupyter_client.blocking.client import BlockingKernelClient

from undula.session.kernel.places import KernelPlaces
from undula.session.rpc.client import RpcClient, ZError
from undula.testing.beamline import LocalBeamline
from undula.testing.law import until
from undula.testing.terminal import TAB, PtyPerson


@pytest.fixture(scope="module")
def rpc(prompt: LocalBeamline) -> Iterator[RpcClient]:
    with RpcClient(prompt.paths.run, timeout_s=60.0) as client:
        until(lambda: client.call("cmd", cmd="1 + 1", policy="queue") == "2", "no prompt")
        yield client


@pytest.fixture
def asleep(rpc: RpcClient) -> Iterator[str]:
    """A cell that sleeps for minutes; interrupted at the end."""
    command = str(rpc.call("cmd/code", cmd="import time; time.sleep(600)", policy="queue")["id"])
    until(lambda: [c["id"] for c in rpc.call("cmd/list")["running"]] == [command], "not begun")
    yield command
    assert [c["id"] for c in rpc.call("cmd/list")["running"]] == [command], "it did not last"
    rpc.call("cmd/interrupt")
    assert rpc.call("cmd/wait", id=command)["error"] == "KeyboardInterrupt"


def test_queries_pause_and_stop_are_answered(
    prompt: LocalBeamline, rpc: RpcClient, asleep: str
) -> None:
    assert "samx" in rpc.call("dev/read", path="M.samx")
    assert rpc.call("state/snapshot")["commands"]["running"][0]["id"] == asleep
    with prompt.connect() as client:
        scan = client.submit("scan", "samx", -1, 1, 500, time=0.05)
        until(lambda: rpc.call("scan/progress")["done"] > 2, "no points")
        rpc.call("scan/pause")
        until(lambda: rpc.call("scan/status")["state"] == "paused", "not paused")
        rpc.call("scan/resume")
        until(lambda: rpc.call("scan/status")["state"] == "running", "not resumed")
        rpc.call("scan/stop")
        scan.wait(timeout_s=60.0, check=False)
        assert scan.status == "abort"


def test_refusals_say_what_runs_and_whose(rpc: RpcClient, asleep: str) -> None:
    with pytest.raises(ZError, match=r"busy with import time; time.sleep\(600\) by rpc:root"):
        rpc.call("cmd/run", function="mv", args=[{"dev": "M.samx"}, 1])
    waiting = rpc.call("cmd/submit", function="mv", args=[{"dev": "M.samx"}, 1], policy="queue")
    assert [c["id"] for c in rpc.call("cmd/list")["waiting"]] == [waiting["id"]]
    assert rpc.call("cmd/cancel", id=waiting["id"])
    assert rpc.call("cmd/wait", id=waiting["id"])["status"] == "aborted"


def test_a_terminal_completes_meanwhile(sit_down: Callable[..., PtyPerson], asleep: str) -> None:
    anna = sit_down("anna")
    anna.see("rpc:root: running")
    anna.type("wm(M.sam" + TAB)
    anna.see(r"samx[\s\S]*samy")


def test_jupyters_own_client_attaches_by_the_connection_file(
    prompt: LocalBeamline, rpc: RpcClient
) -> None:
    client = BlockingKernelClient(connection_file=str(KernelPlaces.of(prompt.paths).connection))
    client.load_connection_file()
    client.start_channels()
    said: list[dict[str, Any]] = []
    try:
        client.wait_for_ready(timeout=60)
        reply = client.execute_interactive(
            "mv(M.samx, 0.5)", timeout=30, output_hook=lambda m: said.append(m["content"])
        )
    finally:
        client.stop_channels()
    assert reply["content"]["status"] == "ok"
    assert any("samx 0.5 mm" in content.get("text", "") for content in said)

    def last() -> tuple[str, str, str]:  # the log hears of the end by a way of its own
        row = rpc.call("cmd/list")["commands"][-1]
        return row["line"], row["origin"], row["status"]

    wanted = ("mv(M.samx, 0.5)", "jupyter", "ok")
    until(lambda: last() == wanted, "the log did not hear of the end")


def test_what_a_failed_test_left_is_ended(prompt: LocalBeamline, rpc: RpcClient) -> None:
    """A scan on its way, one that waits, a command that runs and one that waits for it."""
    with prompt.connect() as client:
        scans = [client.submit("scan", "samx", -1, 1, 500, time=0.05) for _ in range(2)]
        commands = [
            rpc.call("cmd/code", cmd=text, policy="queue")["id"]
            for text in ("import time; time.sleep(600)", "1 + 1")
        ]
        until(lambda: rpc.call("cmd/list")["running"] != [], "not begun")
        prompt.calm()
        assert [scan.wait(timeout_s=60, check=False).status for scan in scans][1] == "removed"
        assert scans[0].status in ("abort", "removed")  # it may not have begun
        assert client.queue.list().state == "idle"
    assert rpc.call("cmd/wait", id=commands[0])["error"] == "KeyboardInterrupt"
    assert rpc.call("cmd/wait", id=commands[1])["status"] == "aborted"
    assert rpc.call("cmd", cmd="6 * 7") == "42"

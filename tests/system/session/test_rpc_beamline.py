"""The RPC of a real beamline, kernel and session service included; one beamline for the module."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import zmq

from undula.session.rpc.client import Listener, RpcClient, ZError
from undula.testing.beamline import LocalBeamline, local_beamline
from undula.testing.law import until


@pytest.fixture(scope="module")
def beamline() -> Iterator[LocalBeamline]:
    with local_beamline(prompt=True) as running:
        yield running


@pytest.fixture(scope="module")
def rpc(beamline: LocalBeamline) -> Iterator[RpcClient]:
    with RpcClient(beamline.paths.run, timeout_s=30.0) as client:
        until(lambda: client.call("cmd", cmd="1 + 1") == "2", "the kernel does not answer")
        yield client


def heard_until(listener: Listener, last: Callable[[dict[str, Any]], bool]) -> list[dict[str, Any]]:
    heard = []
    while True:
        message = listener.next(30.0)
        assert message is not None, heard
        heard.append(message)
        if last(message):
            return heard


def test_a_plain_client_lists_and_reads_devices(beamline, rpc) -> None:
    context: zmq.Context[Any] = zmq.Context()
    socket = context.socket(zmq.REQ)
    socket.connect(f"ipc://{beamline.paths.run}/rpc.sock")
    socket.send(b'{"typ": "dev/keys", "path": "M"}')
    keys = json.loads(socket.recv())["ret"]
    context.destroy(linger=0)
    assert "M.samx" in keys
    assert all(key.startswith("M.") for key in keys)
    assert "samx" in rpc.call("dev/describe", path="M.samx")
    assert rpc.call("dev/read", path="M.samx")["samx"]["value"] == pytest.approx(0, abs=0.01)
    readings = rpc.call("dev/read_configuration", path="M.samx")
    assert readings.keys() == rpc.call("dev/describe_configuration", path="M.samx").keys()
    with pytest.raises(ZError, match="did you mean") as caught:
        rpc.call("dev/read", path="M.samxx")
    assert caught.value.code == "input"


def test_a_command_moves_and_its_exception_comes_back(rpc) -> None:
    done = rpc.call("cmd/run", function="mv", args=[{"dev": "M.samx"}, 1.5], timeout_s=30.0)
    assert done["line"] == "mv(M.samx, 1.5)"
    assert rpc.call("dev/read", path="M.samx")["samx"]["value"] == pytest.approx(1.5, abs=0.01)
    with pytest.raises(ZError) as caught:
        rpc.call("cmd", cmd="1 / 0")
    assert (caught.value.code, caught.value.text) == ("exc", "ZeroDivisionError: division by zero")
    with pytest.raises(ZError) as caught:
        rpc.call("cmd/run", function="mv", args=[{"dev": "M.samx"}, 1e6])
    assert "LimitError" in caught.value.text


def test_a_scan_is_told_from_start_to_stop(rpc) -> None:
    with rpc.listen() as listener:
        heard_until(listener, lambda m: m["typ"] == "rpc/alive")
        sent = rpc.call("cmd/submit", function="scan",
            args=[{"dev": "M.samx"}, 0, 1, 5], kwargs={"time": 0.05})  # fmt: skip
        heard = heard_until(listener, lambda m: m["typ"] == "scan/stop")
        heard += heard_until(listener, lambda m: m["typ"] == "cmd/finished")
    typs = [message["typ"] for message in heard]
    start = heard[typs.index("scan/start")]
    assert start == {"typ": "scan/start", "id": start["id"]}
    stop = heard[typs.index("scan/stop")]
    assert (stop["id"], stop["status"]) == (start["id"], "success")
    document = heard[typs.index("doc/start")]["doc"]
    assert document["plan_name"] == "scan"
    assert heard[typs.index("doc/stop")]["doc"]["run_start"] == document["uid"]
    assert heard[-1]["id"] == sent["id"]
    assert heard[-1]["status"] == "ok"
    outcome = rpc.call("cmd/wait", id=sent["id"], timeout_s=30.0)
    assert outcome["status"] == "ok"


def test_a_scan_is_paused_resumed_and_aborted_by_requests(rpc) -> None:
    with rpc.listen("scan/") as listener:
        command = rpc.call("cmd/submit", function="scan",
            args=[{"dev": "M.samx"}, 0, 1, 100], kwargs={"time": 0.1})  # fmt: skip
        heard_until(listener, lambda m: m["typ"] == "scan/progress")
        rpc.call("scan/pause")
        heard_until(listener, lambda m: m["typ"] == "scan/pause")
        assert rpc.call("scan/progress")["state"] == "paused"
        rpc.call("scan/resume")
        heard_until(listener, lambda m: m["typ"] == "scan/resume")
        rpc.call("scan/abort", reason="enough")
        heard = heard_until(listener, lambda m: m["typ"] == "scan/stop")
    assert heard[-1]["status"] == "abort"
    assert rpc.call("cmd/wait", id=command["id"], timeout_s=30.0)["status"] in ("ok", "error")


def test_a_late_joiner_gets_the_whole_state(beamline, rpc) -> None:
    state = rpc.call("state/snapshot")
    assert state["session"]["name"] == beamline.paths.name
    assert state["scan"]["state"] == "idle"
    assert "M.samx" in state["devices"]
    assert state["commands"]["commands"][-1]["line"].startswith("scan(M.samx")


def test_a_monitor_tells_changes_until_it_is_removed(rpc) -> None:
    with rpc.listen("monitor/M.samx", "rpc/alive") as listener:
        heard_until(listener, lambda m: m["typ"] == "rpc/alive")
        rpc.call("mon/add", path="M.samx", period_s=0.05)
        rpc.call("cmd/run", function="mv", args=[{"dev": "M.samx"}, 0.25], timeout_s=30.0)
        heard = heard_until(
            listener,
            lambda m: m["typ"] == "monitor/M.samx" and abs(m["value"] - 0.25) < 0.01,
        )
        assert heard[-1]["unit"] == "mm"
        rpc.call("mon/remove", path="M.samx")


def test_who_needs_no_log_in_is_known_by_the_kernel(rpc) -> None:
    assert rpc.call("auth/whoami")["logged_in"] is False
    with pytest.raises(ZError, match="nobody has to log in"):
        rpc.log_in("anna", "geheim")

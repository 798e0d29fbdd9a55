"""The RPC of a real beamline, kernel and session service included, and the page about it."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import zmq
from ophyd.sim import SynAxis

from undula.core.clock import Deadline
from undula.core.roles import Role
from undula.session.bridge.model import Author
from undula.session.plain.names import Names
from undula.session.rpc.client import Listener, RpcClient, ZError
from undula.session.rpc.peers import Peer
from undula.session.rpc.plugins import Offer
from undula.session.rpc.verbs import Ask, Verbs
from undula.testing.beamline import LocalBeamline
from undula.testing.law import until


@pytest.fixture(scope="module")
def beamline(prompt: LocalBeamline) -> LocalBeamline:
    return prompt


@pytest.fixture(scope="module")
def connected(beamline: LocalBeamline) -> Iterator[RpcClient]:
    with RpcClient(beamline.paths.run, timeout_s=60.0) as client:
        until(lambda: client.call("cmd", cmd="1 + 1") == "2", "the kernel does not answer")
        yield client


@pytest.fixture
def rpc(connected: RpcClient) -> RpcClient:
    """The client, when the prompt is free."""
    until(lambda: connected.call("cmd/list")["running"] == [], "the prompt is not free")
    return connected


PAGE = (Path(__file__).parents[3] / "docs" / "reference" / "rpc.md").read_text(encoding="utf-8")
ANY = "..."


def blocks(begin: str) -> list[list[str]]:
    """The lines of each block of the page that begins so."""
    found = re.findall(r"```text\n(.*?)```", PAGE, re.DOTALL)
    return [text.splitlines() for text in found if text.startswith(begin)]


def fits(wanted: Any, given: Any) -> bool:
    """Whether a reply is what the page says; `...` stands for anything, and for more of it."""
    if wanted == ANY:
        return True
    if isinstance(wanted, dict) and isinstance(given, dict):
        more = wanted.get(ANY) == ANY
        keys = wanted.keys() - {ANY}
        same = keys <= given.keys() if more else keys == given.keys()
        return same and all(fits(wanted[key], given[key]) for key in keys)
    if isinstance(wanted, list) and isinstance(given, list) and wanted[-1:] == [ANY]:
        return fits(wanted[:-1], given[: len(wanted) - 1])
    return bool(wanted == given)


def heard_until(listener: Listener, last: Callable[[dict[str, Any]], bool]) -> list[dict[str, Any]]:
    heard: list[dict[str, Any]] = []
    deadline = Deadline(60.0)  # it is told again and again that the server lives
    while not heard or not last(heard[-1]):
        assert not deadline.passed, heard
        message = listener.next(60.0)
        assert message is not None, heard
        heard.append(message)
    return heard


def heard_all(listener: Listener, *typs: str) -> list[dict[str, Any]]:
    """Until each of these was heard, in whatever order: some are told by the engine, some by us."""
    left = set(typs)

    def last(message: dict[str, Any]) -> bool:
        left.discard(message["typ"])
        return not left

    return heard_until(listener, last)


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
    done = rpc.call("cmd/run", function="mv", args=[{"dev": "M.samx"}, 1.5])
    assert done["line"] == "mv(M.samx, 1.5)"
    assert rpc.call("dev/read", path="M.samx")["samx"]["value"] == pytest.approx(1.5, abs=0.01)
    with pytest.raises(ZError) as caught:
        rpc.call("cmd", cmd="1 / 0")
    assert (caught.value.code, caught.value.text) == ("exc", "ZeroDivisionError: division by zero")
    with pytest.raises(ZError) as caught:
        rpc.call("cmd/run", function="mv", args=[{"dev": "M.samx"}, 1e6])
    assert caught.value.code == "limits"
    assert "choose -50..50 mm" in caught.value.remedy


def test_a_scan_is_told_from_start_to_stop(rpc) -> None:
    with rpc.listen() as listener:
        heard_until(listener, lambda m: m["typ"] == "rpc/alive")
        sent = rpc.call("cmd/submit", function="scan",
            args=[{"dev": "M.samx"}, 0, 1, 5], kwargs={"time": 0.05})  # fmt: skip
        heard = heard_all(listener, "scan/stop", "doc/stop", "cmd/finished")
    typs = [message["typ"] for message in heard]
    start = heard[typs.index("scan/start")]
    assert start == {"typ": "scan/start", "id": start["id"]}
    stop = heard[typs.index("scan/stop")]
    assert (stop["id"], stop["status"]) == (start["id"], "success")
    document = heard[typs.index("doc/start")]["doc"]
    assert document["plan_name"] == "scan"
    assert heard[typs.index("doc/stop")]["doc"]["run_start"] == document["uid"]
    finished = heard[typs.index("cmd/finished")]
    assert (finished["id"], finished["status"]) == (sent["id"], "ok")
    outcome = rpc.call("cmd/wait", id=sent["id"])
    assert outcome["status"] == "ok"


def test_a_scan_is_paused_resumed_and_aborted_by_requests(rpc) -> None:
    with rpc.listen("scan/") as listener:
        command = rpc.call("cmd/submit", function="scan",
            args=[{"dev": "M.samx"}, 0, 1, 100], kwargs={"time": 0.1})  # fmt: skip
        heard_until(listener, lambda m: m["typ"] == "scan/progress" and m["done"] > 1)
        rpc.call("scan/pause")
        heard_until(listener, lambda m: m["typ"] == "scan/pause")
        assert rpc.call("scan/progress")["state"] == "paused"
        assert rpc.call("scan/status")["left_s"] > 0
        before = rpc.call("scan/progress")["done"]
        again = rpc.call("scan/retake")
        assert again["did"] == f"point {before} is taken again, then it goes on"
        heard_until(listener, lambda m: m["typ"] == "scan/resume")
        heard_until(listener, lambda m: m["typ"] == "scan/progress" and m["done"] > before)
        assert rpc.call("scan/status")["retaken"] == 1
        assert "is left out" in rpc.call("scan/skip")["did"]
        rpc.call("scan/abort", reason="enough")
        heard = heard_until(listener, lambda m: m["typ"] == "scan/stop")
    assert heard[-1]["status"] == "abort"
    assert rpc.call("cmd/wait", id=command["id"])["status"] in ("ok", "error")


def test_a_scan_is_completed_and_all_is_stopped_by_requests(rpc) -> None:
    for verb, ended in (("scan/complete", "success"), ("scan/stop_all", "abort")):
        with rpc.listen("scan/") as listener:
            command = rpc.call("cmd/submit", function="scan",
                args=[{"dev": "M.samx"}, 0, 1, 100], kwargs={"time": 0.1})  # fmt: skip
            heard_until(listener, lambda m: m["typ"] == "scan/progress" and m["done"] > 1)
            assert rpc.call(verb)["did"]
            heard = heard_until(listener, lambda m: m["typ"] == "scan/stop")
        assert heard[-1]["status"] == ended
        rpc.call("cmd/wait", id=command["id"])


def test_a_late_joiner_gets_the_whole_state(beamline, rpc) -> None:
    rpc.call("cmd/run", function="ct", args=[0.01])
    state = rpc.call("state/snapshot")
    assert state["session"]["name"] == beamline.paths.name
    assert state["scan"]["state"] == "idle"
    assert "M.samx" in state["devices"]
    assert state["commands"]["commands"][-1]["line"] == "ct(0.01)"


def test_a_monitor_tells_changes_until_it_is_removed(rpc) -> None:
    with rpc.listen("monitor/M.samx", "rpc/alive") as listener:
        heard_until(listener, lambda m: m["typ"] == "rpc/alive")
        rpc.call("mon/add", path="M.samx", period_s=0.05)
        rpc.call("cmd/run", function="mv", args=[{"dev": "M.samx"}, 0.25])
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


def test_each_exchange_of_the_page_goes_as_it_says(beamline, rpc) -> None:
    context: zmq.Context[Any] = zmq.Context()
    socket = context.socket(zmq.REQ)
    socket.setsockopt(zmq.RCVTIMEO, 30_000)
    socket.connect(f"ipc://{beamline.paths.run}/rpc.sock")
    count, reply = 0, {}
    for lines in blocks("> "):
        for asked, told in zip(lines[::2], lines[1::2], strict=True):
            assert (asked[:2], told[:2]) == ("> ", "< ")
            request = asked[2:]
            if '"ID"' in request:
                request = request.replace("ID", reply["ret"]["id"])
            socket.send_string(request)
            reply = json.loads(socket.recv())
            assert fits(json.loads(told[2:]), reply), (request, reply)
            count += 1
    context.destroy(linger=0)
    assert count >= 10


def test_the_page_names_every_verb(rpc) -> None:
    table = PAGE[PAGE.index("## Verbs") : PAGE.index("### Commands")]
    first = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    named = {verb for cell in first for verb in re.findall(r"`([a-z/_]+)`", cell)}
    assert named == set(rpc.call("rpc/verbs"))


def test_the_notifications_of_the_page_are_told(rpc) -> None:
    wanted = [json.loads(line) for lines in blocks('{"typ"') for line in lines]
    with rpc.listen() as listener:
        heard_until(listener, lambda m: m["typ"] == "rpc/alive")
        rpc.call("mon/add", path="M.samx")
        rpc.call("cmd/submit", function="scan",
            args=[{"dev": "M.samx"}, 0, 1, 5], kwargs={"time": 0.3})  # fmt: skip
        heard = heard_all(listener, "rpc/alive", *(message["typ"] for message in wanted))
        rpc.call("mon/remove", path="M.samx")
    for message in wanted:
        found = [list(m) for m in heard if m["typ"] == message["typ"]]
        assert list(message) in found, (message["typ"], found[:1])


def test_the_plugin_of_the_page_is_a_namespace() -> None:
    block = next(
        text
        for text in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
        if "class Hello" in text
    )
    names: dict[str, Any] = {}
    exec(block, names)

    devices = Names({"M": SimpleNamespace(samx=SynAxis(name="samx"))}, ["M"], print)
    verbs = Verbs()
    verbs.add("hello", names["make"](Offer(devices, None, None, None)))  # type: ignore[arg-type]
    found = verbs.find("hello/world")
    ask = Ask("hello/world", Author("anna"), Role.USER, Peer(0, 0, 0), (b"", 0, 0))
    assert found.call(ask, **found.arguments({"path": "M"})) == ["anna greets M.samx"]
    with pytest.raises(ZError, match="too often"):
        found.call(ask, **found.arguments({"path": "M", "times": 4}))


def test_a_plan_typed_into_the_shared_prompt_runs(rpc) -> None:
    rpc.call("cmd", cmd="def look(n):\n    yield from bp.count([D.diode], num=n)\n    1 / (n - 2)")
    assert rpc.call("cmd", cmd="RE(look(3))").startswith("('")
    with pytest.raises(ZError, match=r"division by zero, at In\[\d+\], line 3: 1 / \(n - 2\)"):
        rpc.call("cmd", cmd="RE(look(2))")


def test_a_session_killed_in_mid_scan_still_tells_its_end(beamline, rpc) -> None:
    before = beamline.pid("session")
    with rpc.listen() as listener:
        heard_until(listener, lambda m: m["typ"] == "rpc/alive")
        rpc.call("cmd/submit", function="scan",
            args=[{"dev": "M.samx"}, 0, 1, 100], kwargs={"time": 0.1})  # fmt: skip
        number = heard_until(listener, lambda m: m["typ"] == "scan/start")[-1]["id"]
        os.kill(before, signal.SIGKILL)
        until(lambda: beamline.pid("session") not in (0, before), "it is not started again")
    with rpc.listen() as listener:
        heard_until(listener, lambda m: m["typ"] == "rpc/alive")
        rpc.call("scan/abort")
        stop = heard_until(listener, lambda m: m["typ"] == "scan/stop")[-1]
    assert (stop["id"], stop["status"]) == (number, "abort")

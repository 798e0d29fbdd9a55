"""The supervisor on real processes: order, restart, adoption, refusal, an end without remains."""

import json
import socket
import subprocess
import sys
import textwrap
from contextlib import suppress

import pytest

from undula.core import procs
from undula.core.errors import BusyError, ServiceError
from undula.processes import bringup, supervisor_client, supervisor_model

MUTE = ("/bin/sh", "-c", "echo no licence found; exec sleep 600")
FAILING = "import sys; print('cannot open the device file'); sys.exit(3)"


def test_services_start_in_order_and_stop_in_the_reverse_order(beamline) -> None:
    status = beamline.up()
    assert status["state"] == "up"
    started = beamline.told("start")
    assert started[0] == "broker"
    assert started[-1] == "engine"
    assert supervisor_client.take_down(beamline.paths)
    assert beamline.told("stop") == ["engine", "publisher", "writer"]


def test_down_leaves_no_process_and_no_socket(beamline) -> None:
    beamline.up()
    pids = [row["pid"] for row in beamline.status()["services"]]
    supervisor_client.take_down(beamline.paths)
    assert [pid for pid in pids if procs.start_ticks(pid) is not None] == []
    assert list(beamline.paths.run.glob("*.sock")) == []
    assert not supervisor_model.spec_file(beamline.paths).exists()
    assert not supervisor_model.state_file(beamline.paths).exists()
    assert not supervisor_client.take_down(beamline.paths)


def test_status_shows_memory_uptime_and_the_last_heartbeat(beamline) -> None:
    beamline.up()
    beamline.until(lambda: beamline.row("engine")["text"] == "well", "no heartbeat")
    assert beamline.row("engine")["pss_bytes"] is None, "it was not asked for"
    row = beamline.row("engine", memory=True)
    assert row["state"] == "ready"
    assert row["heartbeat_age_s"] < 60.0
    assert row["pss_bytes"] > 1_000_000
    assert 0 <= row["uptime_s"] < 300
    assert row["restarts"] == 0


def test_a_killed_service_is_started_again_and_nothing_else_is(beamline) -> None:
    beamline.up()
    before = {row["name"]: row["pid"] for row in beamline.status()["services"]}
    beamline.kill(before["broker"])
    beamline.until(
        lambda: (
            beamline.row("broker")["restarts"] == 1 and beamline.row("broker")["state"] == "ready"
        ),
        "the broker did not come back",
    )
    after = {row["name"]: row["pid"] for row in beamline.status()["services"]}
    assert after.pop("broker") != before.pop("broker")
    assert after == before


def test_a_service_that_keeps_ending_waits_longer_each_time(beamline) -> None:
    beamline.up([beamline.service("writer")])
    for count in (1, 2, 3):
        beamline.kill(beamline.pid("writer"))
        beamline.until(
            lambda count=count: (
                beamline.row("writer")["restarts"] == count
                and beamline.row("writer")["state"] == "ready"
            ),
            "the writer did not come back",
        )
    log = (beamline.paths.logs / "supervisor.jsonl").read_text().splitlines()
    times = {"service_ended": [], "service_started": []}
    for line in log:
        event = json.loads(line)
        if event["event"] in times:
            times[event["event"]].append(event["time"])
    waits = [
        b - a for a, b in zip(times["service_ended"], times["service_started"][1:], strict=True)
    ]
    assert waits[0] >= 0.19
    assert waits[1] >= 0.39
    assert waits[2] >= 0.79


def test_services_outlive_the_supervisor_and_the_next_one_adopts_them(beamline) -> None:
    beamline.up()
    before = beamline.status()
    beamline.kill(before["supervisor"]["pid"])
    assert len(supervisor_client.living(beamline.paths)) == 4
    assert supervisor_client.ensure(beamline.paths)
    after = beamline.status()
    assert [row["pid"] for row in after["services"]] == [row["pid"] for row in before["services"]]
    assert all(row["adopted"] for row in after["services"])
    beamline.until(
        lambda: beamline.row("engine")["text"] == "well", "the adopted engine is unheard"
    )


def test_an_adopted_service_is_restarted_when_it_ends(beamline) -> None:
    beamline.up()
    beamline.kill(beamline.status()["supervisor"]["pid"])
    supervisor_client.ensure(beamline.paths)
    old = beamline.pid("writer")
    beamline.kill(old)
    beamline.until(
        lambda: beamline.row("writer")["state"] == "ready" and beamline.pid("writer") != old,
        "the adopted writer was not restarted",
    )


def test_what_ended_while_no_supervisor_lived_is_started_by_the_next_one(beamline) -> None:
    beamline.up()
    beamline.kill(beamline.status()["supervisor"]["pid"])
    beamline.kill(supervisor_client.living(beamline.paths)["writer"].pid)
    supervisor_client.ensure(beamline.paths)
    beamline.until(lambda: beamline.status()["state"] == "up", "not up again")
    assert beamline.told("start").count("writer") == 2
    assert beamline.told("start").count("engine") == 1


def test_down_works_after_the_supervisor_was_killed(beamline) -> None:
    beamline.up()
    beamline.kill(beamline.status()["supervisor"]["pid"])
    processes = supervisor_client.living(beamline.paths).values()
    assert supervisor_client.take_down(beamline.paths)
    assert not any(process.alive for process in processes)


@pytest.mark.parametrize("passage", [1, 3])
def test_a_supervisor_killed_while_starting_leaves_no_twin_services(
    beamline, monkeypatch, tmp_path, passage: int
) -> None:
    token = tmp_path / "once"
    token.touch()
    monkeypatch.setenv("UNDULA_TEST", "1")
    monkeypatch.setenv("UNDULA_FAULT", f"supervisor.started_service:{passage}")
    monkeypatch.setenv("UNDULA_FAULT_ONCE", str(token))
    status = beamline.up()
    assert status["state"] == "up"
    assert not token.exists()
    assert sorted(beamline.told("start")) == ["broker", "engine", "publisher", "writer"]


def test_a_supervisor_killed_when_all_is_ready_is_followed_by_one_that_adopts(
    beamline, monkeypatch, tmp_path
) -> None:
    token = tmp_path / "once"
    token.touch()
    monkeypatch.setenv("UNDULA_TEST", "1")
    monkeypatch.setenv("UNDULA_FAULT", "supervisor.ready")
    monkeypatch.setenv("UNDULA_FAULT_ONCE", str(token))
    assert beamline.up()["state"] == "up"
    supervisor_client.ensure(beamline.paths)
    assert sorted(beamline.told("start")) == ["broker", "engine", "publisher", "writer"]


def test_a_second_start_is_refused_with_pid_and_remedy(beamline) -> None:
    beamline.up([beamline.service("writer")])
    pid = beamline.status()["supervisor"]["pid"]
    with pytest.raises(BusyError, match=rf"already up, supervisor pid {pid}.*undula down"):
        beamline.up()
    refused = supervisor_client.launch(beamline.paths)
    assert refused.wait(60.0) == 4
    said = " ".join(supervisor_client.tail(beamline.paths.logs / "supervisor.out", 3))
    assert f"pid {pid}" in said


def test_a_service_that_never_becomes_ready_is_named_with_its_last_words(beamline) -> None:
    specs = [
        beamline.service("writer"),
        supervisor_model.ServiceSpec("engine", MUTE, needs=("writer",), ready_timeout_s=1.0),
    ]
    with pytest.raises(bringup.StartError, match="engine was not ready after 1 s") as caught:
        beamline.up(specs)
    assert "no licence found" in caught.value.output
    assert supervisor_client.living(beamline.paths) == {}
    assert not supervisor_client.is_up(beamline.paths)
    assert beamline.told("stop") == ["writer"]


def test_a_service_that_ends_while_starting_fails_the_start_at_once(beamline) -> None:
    specs = [beamline.service("engine", code=FAILING)]
    with pytest.raises(bringup.StartError, match="ended with code 3 before it was ready") as caught:
        beamline.up(specs)
    assert "cannot open the device file" in caught.value.output


def test_a_program_that_is_absent_fails_the_start_with_its_name(beamline) -> None:
    absent = supervisor_model.ServiceSpec("broker", ("/absent/valkey-server",))
    with pytest.raises(bringup.StartError, match="broker cannot be started"):
        beamline.up([absent])


def test_a_service_deaf_to_sigterm_is_killed_with_its_children(beamline) -> None:
    deaf = textwrap.dedent("""
        import os, signal, subprocess, sys, time
        from undula.core import notify
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        notify.ready(str(child.pid))
        time.sleep(600)
        """)
    beamline.up([beamline.service("engine", code=deaf, stop_timeout_s=0.3)])
    row = beamline.row("engine")
    grandchild = int(row["text"])
    supervisor_client.take_down(beamline.paths)
    assert procs.start_ticks(row["pid"]) is None
    beamline_end = [pid for pid in (row["pid"], grandchild) if procs.start_ticks(pid)]
    assert beamline_end == []


def test_one_service_is_restarted_on_request(beamline) -> None:
    beamline.up()
    before = beamline.pid("writer")
    answer = supervisor_client.ask(beamline.paths, {"do": "restart", "name": "writer"})
    assert answer["pid_before"] == before
    beamline.until(
        lambda: beamline.row("writer")["state"] == "ready" and beamline.pid("writer") != before,
        "the writer was not restarted",
    )
    assert "known" in supervisor_client.ask(beamline.paths, {"do": "restart", "name": "wrtier"})


def test_the_supervisor_answers_nonsense_and_lives_on(beamline) -> None:
    beamline.up([beamline.service("writer")])
    assert "error" in supervisor_client.ask(beamline.paths, {"do": "dance"})
    for payload in (b"\xff\xfe\n", b"[1]\n", b"\n", b"{}\n", b"x" * 200_000 + b"\n"):
        _send_raw(beamline, payload)
    assert supervisor_client.ask(beamline.paths, {"do": "ping"})["pid"]


def _send_raw(beamline, payload: bytes) -> None:
    with socket.socket(socket.AF_UNIX) as sock, suppress(OSError):
        sock.settimeout(5.0)
        sock.connect(str(beamline.paths.supervisor_socket))
        sock.sendall(payload)
        sock.recv(100)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock, suppress(OSError):
        sock.sendto(payload, str(beamline.paths.notify_socket))


def test_a_beamline_that_is_not_up_says_how_to_start_it(beamline) -> None:
    with pytest.raises(ServiceError, match="undula up --beamline t"):
        supervisor_client.ensure(beamline.paths)


def test_the_supervisor_needs_little_memory(beamline) -> None:
    beamline.up([beamline.service("writer")])
    assert beamline.status(memory=True)["supervisor"]["pss_bytes"] < 16_000_000
    code = (
        "import undula.processes.supervisor, sys;"
        "print(*{'pydantic', 'structlog', 'redis', 'yaml', 'numpy'} & set(sys.modules))"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert loaded.stdout.strip() == b""

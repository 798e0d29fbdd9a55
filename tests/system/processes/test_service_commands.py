"""`undula ...` as a person runs it, on a beamline of tiny services."""

import json
import os
import subprocess
import sys
import textwrap

import pytest

from undula import __version__ as undula_version
from undula.bus.broker import _POWER_CUT as POWER_CUT
from undula.cli.services import in_words
from undula.core.settings import BeamlineSettings, load_settings, save_settings
from undula.processes import supervisor_client
from undula.testing.law import line_of

HOLDS_STOP_SOCKET = textwrap.dedent("""
    import json, os, socket, sys
    from undula.core import notify
    with open(sys.argv[1], "a") as file:
        file.write(f"start {sys.argv[2]} {os.getpid()}\\n")
    path, answers = os.environ["STOP_SOCKET"], os.environ["STOP_ANSWERS"] == "yes"
    if os.path.exists(path):
        os.unlink(path)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen()
    notify.ready()
    held = []
    while True:
        peer, _ = listener.accept()
        held.append(peer)
        if answers and peer.recv(100).startswith(b"stop "):
            peer.sendall(json.dumps({"stopped": ["samx"], "failed": {}}).encode() + b"\\n")
    """)


def undula(*words: str, **more) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from undula.cli import main; main()", *words],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "UNDULA_BEAMLINE": "t", "COLUMNS": "200"},
        **more,
    )


def engine(beamline, answers: str):
    env = {"STOP_SOCKET": str(beamline.paths.stop_socket), "STOP_ANSWERS": answers}
    return beamline.service("engine", code=HOLDS_STOP_SOCKET, env=env, stop_timeout_s=0.2)


def test_status_of_a_beamline_that_is_not_up_exits_3_with_the_remedy(beamline) -> None:
    done = undula("status")
    assert done.returncode == 3
    assert "undula up --beamline t" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_status_shows_each_service_as_table_and_as_json(beamline) -> None:
    beamline.up([beamline.service("writer")])
    beamline.until(lambda: beamline.row("writer")["text"] == "well", "no heartbeat")
    shown = undula("status")
    assert shown.returncode == 0, shown.stderr
    assert "writer" in shown.stdout
    assert "well" in shown.stdout
    state = json.loads(undula("status", "--json").stdout)
    assert state["services"][0]["state"] == "ready"
    assert state["services"][0]["pid"] == beamline.pid("writer")


def test_status_starts_a_supervisor_when_it_had_died(beamline) -> None:
    beamline.up([beamline.service("writer")])
    pid = beamline.pid("writer")
    beamline.kill(beamline.status()["supervisor"]["pid"])
    shown = undula("status", "--json")
    assert shown.returncode == 0, shown.stderr
    assert "supervisor had died" in shown.stderr
    assert json.loads(shown.stdout)["services"][0]["pid"] == pid


def test_a_second_up_exits_4_and_names_the_pid(beamline) -> None:
    beamline.up([beamline.service("writer")])
    done = undula("up")
    assert done.returncode == 4
    assert f"pid {beamline.status()['supervisor']['pid']}" in done.stderr
    assert "undula down" in done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("up", "--devices", "absent.yaml"), "no device file"),
        (("up", "--beamline", "no/name"), "no beamline name"),
        (("up", "--data", "/proc/nowhere"), "cannot be made"),
        (("logs", "--level", "loud"), "no level"),
    ],
)
def test_wrong_input_exits_2_with_one_line_that_says_what_to_do(beamline, words, said) -> None:
    done = undula(*words)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Remedy: " in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_restart_starts_one_service_anew_and_knows_the_others(beamline) -> None:
    beamline.up([beamline.service("writer")])
    before = beamline.pid("writer")
    done = undula("restart", "writer", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["pid"] != before
    wrong = undula("restart", "wrtier")
    assert wrong.returncode == 2
    assert "use one of: writer" in wrong.stderr


def test_down_takes_it_down_and_says_when_there_was_nothing(beamline) -> None:
    beamline.up()
    done = undula("down")
    assert done.returncode == 0, done.stderr
    assert supervisor_client.living(beamline.paths) == {}
    again = undula("down")
    assert again.returncode == 0
    assert "was not up: nothing to take down" in again.stdout
    assert json.loads(undula("down", "--json").stdout)["was_up"] is False


def test_logs_merge_the_files_by_time_and_filter(beamline) -> None:
    events = {
        "engine": [(3.0, "info", "scan_started"), (5.0, "error", "axis_failed")],
        "writer": [(4.0, "warning", "disk_slow")],
    }
    for service, lines in events.items():
        with (beamline.paths.logs / f"{service}.jsonl").open("w") as file:
            file.write("half a line that is no JSON\n")
            for time, level, event in lines:
                record = {"time": time, "level": level, "event": event, "service": service}
                file.write(json.dumps(record) + "\n")

    def seen(*words: str) -> list[str]:
        return [
            json.loads(line)["event"]
            for line in undula("logs", "--json", *words).stdout.splitlines()
        ]

    assert seen() == ["scan_started", "disk_slow", "axis_failed"]
    assert seen("--level", "warning") == ["disk_slow", "axis_failed"]
    assert seen("--service", "engine", "--lines", "1") == ["axis_failed"]
    assert seen("writer") == ["disk_slow"]
    unknown = undula("logs", "wrtier")
    assert unknown.returncode == 2
    assert "use one of: engine, writer" in unknown.stderr
    assert "disk_slow" in undula("logs").stdout


def test_logs_follow_shows_what_is_written_from_now_on(beamline) -> None:
    path = beamline.paths.logs / "engine.jsonl"
    path.write_text("")
    follower = subprocess.Popen(
        [sys.executable, "-c", "from undula.cli import main; main()", "logs", "--follow", "--json"],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "UNDULA_BEAMLINE": "t"},
    )
    try:
        first = {"time": 1.0, "level": "info", "event": "first", "service": "engine"}
        path.write_text(json.dumps(first) + "\n")
        assert json.loads(line_of(follower))["event"] == "first"
        late = beamline.paths.logs / "late.jsonl"
        late.write_text(json.dumps({**first, "event": "second", "service": "late"}) + "\n")
        assert json.loads(line_of(follower))["event"] == "second"
    finally:
        follower.kill()
        follower.wait()


def test_stop_is_done_by_the_engine_when_it_answers(beamline) -> None:
    beamline.up([engine(beamline, "yes")])
    before = beamline.pid("engine")
    done = undula("stop", "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["by"] == "engine"
    assert report["stopped"] == ["samx"]
    assert beamline.pid("engine") == before


def test_stop_falls_to_the_stopper_and_a_silent_engine_is_started_anew(beamline) -> None:
    beamline.up([engine(beamline, "no")])
    before = beamline.pid("engine")
    touched = {"run_uid": "u", "devices": {"samx": {"stop": []}}}
    beamline.paths.touched.write_text(json.dumps(touched))
    done = undula("stop", "--json")
    report = json.loads(done.stdout)
    assert done.returncode == 0, done.stderr
    assert report["by"] == "stopper"
    assert report["engine_killed"] == before
    assert report["stopped"] == ["samx"]
    beamline.until(
        lambda: beamline.row("engine")["state"] == "ready" and beamline.pid("engine") != before,
        "the engine was not started anew",
    )


def test_stop_without_an_engine_exits_3(beamline) -> None:
    done = undula("stop")
    assert done.returncode == 3
    assert "no engine of beamline t runs" in done.stderr


def test_doctor_names_each_thing_it_looked_at(beamline) -> None:
    beamline.up([beamline.service("writer")])
    done = undula("doctor", "--json")
    findings = {one["name"]: one for one in json.loads(done.stdout)}
    assert findings["python"]["verdict"] == "ok"
    assert findings["socket path"]["verdict"] == "ok"
    assert findings["service writer"]["verdict"] == "ok"
    assert "broker" in findings
    assert all(one["remedy"] for one in findings.values() if one["verdict"] == "wrong")


@pytest.mark.parametrize("command", ["up", "down", "restart", "status", "logs", "doctor", "stop"])
def test_each_help_has_an_example_and_the_exit_codes(command: str) -> None:
    shown = undula(command, "--help").stdout
    assert f"Example: undula {command}" in shown
    assert "Exit: 0" in shown


def test_a_second_up_with_other_options_names_what_runs_and_what_to_do(beamline, tmp_path) -> None:
    running = BeamlineSettings(name="t", data=tmp_path / "data", devices=tmp_path / "one.yaml")
    save_settings(running, beamline.paths.config)
    beamline.up([beamline.service("writer")])
    other = tmp_path / "two.yaml"
    other.write_text("{}")
    done = undula("up", "--devices", str(other), "--data", str(tmp_path / "data"))
    assert done.returncode == 4
    assert f"keeps --devices {tmp_path / 'one.yaml'}" in done.stderr
    assert f"--devices {other} was not taken over" in done.stderr
    assert "undula config load FILE" in done.stderr
    assert f"then undula up --beamline t --devices {other}" in done.stderr
    assert "--data" not in done.stderr
    simulated = undula("up", "--devices", "simulated")
    assert "--devices simulated was not taken over" in simulated.stderr
    assert load_settings(beamline.paths.config) == running


def test_logs_of_a_beamline_that_was_never_started_say_so(beamline) -> None:
    done = undula("logs", "--beamline", "never")
    assert (done.returncode, done.stdout) == (0, "")
    assert "never started here (undula up)" in done.stderr


def test_undula_alone_shows_its_help_and_its_version() -> None:
    alone = undula()
    assert alone.returncode == 0, alone.stderr
    assert "Usage: undula" in alone.stdout
    assert "scan" in alone.stdout
    assert undula("--version").stdout == f"undula {undula_version}\n"


def test_the_line_about_a_power_cut_is_a_sentence() -> None:
    row = {"pid": 1, "uptime_s": 1.0, "pss_bytes": 1_000_000}
    state = {"beamline": "t", "state": "up", "supervisor": row, "services": []}
    for policy, costs in POWER_CUT.items():
        kept = {"fsync": policy, "fsync_ms": None, "power_cut_costs": costs}
        line = in_words({**state, "broker": kept}).splitlines()[-1]
        assert line == f"Journal: fsync {policy}; a power cut costs {costs}."

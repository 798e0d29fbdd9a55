"""The paper's Figure 4 in a real plain IPython, in a pseudo-terminal, with motors of a caproto IOC.

One IPython for the module: importing ophyd and connecting takes it some seconds.
"""

from __future__ import annotations

import contextlib
import json
import re
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import zmq

from undula.core.paths import beamline_paths
from undula.session.rpc.client import RpcClient, ZError, run_folder
from undula.testing.beamline import short_folder
from undula.testing.iocs import start_motor
from undula.testing.law import until
from undula.testing.terminal import CTRL_C, PtyPerson

PAGE = Path(__file__).parents[3] / "docs" / "how-to" / "plain-ipython.md"
SCRIPT = """
print("Example beamline init script loading...")
import os
os.environ["OPHYD_CONTROL_LAYER"] = "pyepics"
from bluesky import RunEngine
import bluesky.plans as bp
from ophyd import EpicsMotor
from ophyd.sim import SynSignal
from undula.session.plain import server_start

class AttrDict(dict):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.__dict__ = self

M = AttrDict(
    m1 = EpicsMotor("MOT:m1", name = "M.m1"),
    m2 = EpicsMotor("MOT:m2", name = "M.m2"),
)
for motor in M.values():
    motor.wait_for_connection(timeout=20)
D = AttrDict(
    det = SynSignal(name = "D.det", func = lambda: M.m1.position),
)
RE = RunEngine()
U = server_start(M, D, RE, name="plain", raw=True)
print("Beamline init script loaded.")
"""


class Desk:
    """A person at a terminal that is always read, also while the test waits for a reply."""

    def __init__(self, person: PtyPerson) -> None:
        self._person, self._lock, self._ended = person, threading.Lock(), threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        while not self._ended.is_set():
            with self._lock:
                busy = self._person.read(0.01)
            if not busy:
                self._ended.wait(0.01)

    @property
    def text(self) -> str:
        with self._lock:
            return "\n".join(self._person.lines).rstrip()

    def type(self, keys: str) -> None:
        with self._lock:
            self._person.type(keys)

    def see(self, wanted: str, timeout_s: float = 30.0) -> None:
        until(
            lambda: re.search(wanted, self.text) is not None,
            f"no {wanted!r}",
            timeout_s,
        )

    def close(self) -> None:
        self._ended.set()
        self._thread.join()
        self._person.close()


class Plain:
    """The IPython's terminal, a client, and plain sockets."""

    def __init__(self, desk: Desk, folder: Path) -> None:
        self.desk, self.folder = desk, folder
        self.context: zmq.Context[Any] = zmq.Context()
        self.rpc = RpcClient(folder, timeout_s=60.0)
        self.socket = self.plain("rpc.sock")

    def plain(self, name: str) -> zmq.Socket[bytes]:
        made = self.context.socket(zmq.REQ)
        made.setsockopt(zmq.RCVTIMEO, 20_000)
        made.connect(f"ipc://{self.folder / name}")
        return made

    def ask(self, text: str) -> Any:
        self.socket.send_string(text)
        return json.loads(self.socket.recv())

    def close(self) -> None:
        self.rpc.close()
        self.context.destroy(linger=0)


@contextlib.contextmanager
def ipython(script: str, last: str) -> Iterator[Desk]:
    """A plain IPython in a terminal that has run a script, with motors `MOT:m1` and `MOT:m2`."""
    with short_folder("up-") as folder, start_motor() as ioc, pytest.MonkeyPatch.context() as patch:
        (folder / "run").mkdir(mode=0o700)
        place = folder / "init.py"
        place.write_text(script)
        env = {**ioc.env, "XDG_RUNTIME_DIR": str(folder / "run"), "IPYTHONDIR": str(folder / "ip")}
        for name, value in env.items():
            patch.setenv(name, value)
        options = ["--no-banner", "--no-confirm-exit", "--colors=nocolor", "-i", str(place)]
        desk = Desk(PtyPerson([sys.executable, "-m", "IPython", *options], env, size=(40, 100)))
        try:
            desk.see(last, 60.0)
            desk.see(r"In \[1\]:")
            yield desk
        finally:
            desk.close()


@pytest.fixture(scope="module")
def plain() -> Iterator[Plain]:
    with ipython(SCRIPT, r"Beamline init script loaded\.") as desk:
        made = Plain(desk, beamline_paths("plain").run)
        yield made
        made.close()


@pytest.fixture
def free(plain: Plain) -> None:
    """The test begins with a prompt that is free."""
    plain.desk.see(r"In \[\d+\]: *$")
    until(lambda: plain.ask('{"typ": "cmd/list"}')["ret"]["running"] == [], "it is busy")
    until(lambda: plain.ask('{"typ": "cmd/list"}')["ret"]["typing"] == [], "somebody types")


def test_the_notice_says_how_the_motors_are_named_now(plain: Plain, free: None) -> None:
    assert "M.m1: its ophyd name is now 'm1'" in plain.desk.text
    assert "requests of programs are answered at" in plain.desk.text
    assert plain.rpc.call("cmd", cmd="M.m1.name, M.m1.user_readback.name") == "('m1', 'm1')"
    assert plain.rpc.call("cmd", cmd="M.m1.velocity.name") == "'m1_velocity'"


def test_figure_3a_word_for_word(plain: Plain, free: None) -> None:
    plain.socket.send(b'{"typ": "dev/keys", "path": "M"}')
    assert plain.socket.recv() == b'{"err": "", "ret": ["M.m1", "M.m2"]}'


def test_figure_3b_word_for_word(plain: Plain, free: None) -> None:
    plain.socket.send(b'{"typ": "cmd", "cmd": "1 / 0"}')
    reply = b'{"err": "exc", "desc": "ZeroDivisionError: division by zero"}'
    assert plain.socket.recv() == reply
    raising = 'from undula.session.rpc.client import ZError; raise ZError("error", "description")'
    plain.socket.send_string(json.dumps({"typ": "cmd", "cmd": raising}))
    assert plain.socket.recv() == b'{"err": "error", "desc": "description"}'


def test_devices_are_read_and_described_with_their_settings(plain: Plain, free: None) -> None:
    reading = plain.ask('{"typ": "dev/read", "path": "M.m1"}')["ret"]
    assert set(reading) == {"m1", "m1_user_setpoint"}
    assert plain.ask('{"typ": "dev/describe", "path": "M.m1"}')["ret"]["m1"]["dtype"] == "number"
    settings = plain.ask('{"typ": "dev/read_configuration", "path": "M.m1"}')["ret"]
    assert settings["m1_velocity"]["value"] == pytest.approx(20.0)
    near = plain.ask('{"typ": "dev/read", "path": "M.m3"}')
    assert near["err"] == "input"
    assert "M.m1" in near["remedy"]


def test_a_call_is_typed_into_the_prompt_and_its_result_comes_back(
    plain: Plain, free: None
) -> None:
    done = plain.rpc.call("cmd/run", function="M.m1.set", args=[2.5])
    assert done["line"] == "M.m1.set(2.5)"
    assert "MoveStatus" in done["result"]
    plain.desk.see(r"In \[\d+\]: M\.m1\.set\(2\.5\)")
    until(
        lambda: abs(plain.rpc.call("dev/value", path="M.m1")["value"] - 2.5) < 0.01,
        "the motor does not arrive",
    )


def test_what_a_command_prints_is_told_and_stays_on_the_screen(plain: Plain, free: None) -> None:
    with plain.rpc.listen("cmd/output", "cmd/finished", "rpc/alive") as listener:
        listener.next(60.0)
        text = "print('one'); print('two', end=''); import sys; _ = sys.stderr.write('three\\n')"
        command = plain.rpc.call("cmd/code", cmd=text)["id"]
        heard = [listener.next(60.0)]
        while heard[-1]["typ"] != "cmd/finished":
            heard.append(listener.next(60.0))
    said = [(m["id"], m["stream"], m["text"]) for m in heard if m["typ"] == "cmd/output"]
    expected = [("stdout", "one\n"), ("stderr", "three\n"), ("stdout", "two")]
    assert sorted(said) == sorted((command, *line) for line in expected)
    plain.desk.see(r"\ntwothree")


def test_a_half_typed_line_is_not_harmed(plain: Plain, free: None) -> None:
    plain.desk.type("21 +")
    until(lambda: plain.rpc.call("cmd/list")["typing"] != [], "nobody types")
    with pytest.raises(ZError, match="somebody is typing: terminal:") as caught:
        plain.rpc.call("cmd", cmd="never = 1")
    assert caught.value.code == "busy"
    later = plain.rpc.call("cmd/code", cmd="after = 2", policy="queue")
    plain.desk.type(" 21")
    plain.desk.see(r"In \[\d+\]: 21 \+ 21")
    plain.desk.type("\r")
    plain.desk.see(r"Out\[\d+\]: 42")
    assert plain.rpc.call("cmd/wait", id=later["id"])["status"] == "ok"
    assert plain.rpc.call("cmd", cmd="after, 'never' in globals()") == "(2, False)"


def test_while_a_cell_runs_others_are_refused_and_queries_answered(
    plain: Plain, free: None
) -> None:
    with plain.rpc.listen("cmd/", "rpc/alive") as listener:
        listener.next(60.0)
        plain.desk.type("import threading; threading.Event().wait(60)\r")
        while (heard := listener.next(60.0))["typ"] != "cmd/started":
            pass
        assert (heard["origin"], heard["line"][:16]) == ("terminal", "import threading")
        with pytest.raises(ZError, match="the prompt is busy with import threading"):
            plain.rpc.call("cmd", cmd="1")
        assert plain.rpc.call("dev/keys", path="D") == ["D.det"]
        plain.rpc.call("cmd/interrupt")
        while (heard := listener.next(60.0))["typ"] != "cmd/finished":
            pass
        assert (heard["status"], heard["error"]) == ("error", "KeyboardInterrupt")


def test_many_queued_commands_each_get_their_own_result(plain: Plain, free: None) -> None:
    sent = [
        plain.rpc.call("cmd/code", cmd=f"{n} * 2 if {n} % 5 else 1 / 0", policy="queue")["id"]
        for n in range(30)
    ]
    for n, command in enumerate(sent):
        outcome = plain.rpc.call("cmd/wait", id=command)
        if n % 5:
            assert (outcome["status"], outcome["result"]) == ("ok", str(n * 2))
        else:
            assert (outcome["status"], outcome["error"]) == ("error", "ZeroDivisionError")


def test_a_scan_is_told_paused_resumed_and_ended(plain: Plain, free: None) -> None:
    with plain.rpc.listen("scan/", "doc/", "rpc/alive") as listener:
        listener.next(60.0)
        command = plain.rpc.call("cmd/code", cmd="RE(bp.scan([D.det], M.m1, -1, 1, 25))")["id"]
        heard = [listener.next(60.0)]
        while heard[-1]["typ"] != "scan/progress":
            heard.append(listener.next(60.0))
        assert plain.rpc.call("scan/status")["state"] == "running"
        plain.rpc.call("scan/pause")
        while heard[-1]["typ"] != "scan/pause":
            heard.append(listener.next(60.0))
        until(lambda: plain.rpc.call("cmd/list")["running"] == [], "the prompt is not back")
        plain.rpc.call("scan/resume")
        while heard[-1]["typ"] != "scan/stop":
            heard.append(listener.next(60.0))
    typs = [message["typ"] for message in heard if message["typ"] != "scan/progress"]
    typs = [typ for typ in typs if typ != "rpc/alive"]
    expected = ["scan/start", "doc/start", "scan/pause", "scan/resume", "doc/stop", "scan/stop"]
    assert typs == expected
    start = next(m for m in heard if m["typ"] == "scan/start")
    assert start == {"typ": "scan/start", "id": start["id"]}
    assert heard[-1]["status"] == "success"
    outcome = plain.rpc.call("cmd/wait", id=command)
    assert outcome["run_numbers"] == [start["id"]]
    assert outcome["error"] == "RunEngineInterrupted"


def test_a_running_scan_is_aborted(plain: Plain, free: None) -> None:
    with plain.rpc.listen("scan/", "rpc/alive") as listener:
        listener.next(60.0)
        plain.rpc.call("cmd/code", cmd="RE(bp.scan([D.det], M.m2, -1, 1, 50))")
        while listener.next(60.0)["typ"] != "scan/progress":
            pass
        plain.rpc.call("scan/abort", reason="enough")
        while (heard := listener.next(60.0))["typ"] != "scan/stop":
            pass
    assert heard["status"] == "abort"


def test_a_paused_scan_is_aborted_by_typing_it(plain: Plain, free: None) -> None:
    with plain.rpc.listen("scan/", "rpc/alive") as listener:
        listener.next(60.0)
        plain.rpc.call("cmd/code", cmd="RE(bp.scan([D.det], M.m2, -1, 1, 50))")
        while listener.next(60.0)["typ"] != "scan/progress":
            pass
        plain.rpc.call("scan/pause", at_point=True)
        while listener.next(60.0)["typ"] != "scan/pause":
            pass
        until(lambda: plain.rpc.call("cmd/list")["running"] == [], "the prompt is not back")
        command = plain.rpc.call("scan/abort", reason="seen enough")["command_id"]
        while (heard := listener.next(60.0))["typ"] != "scan/stop":
            pass
    assert heard["status"] == "abort"
    assert plain.rpc.call("cmd/wait", id=command)["status"] == "ok"
    plain.desk.see(r"RE\.abort\(reason='seen enough'\)")
    with pytest.raises(ZError, match="the RunEngine is idle"):
        plain.rpc.call("scan/pause")


def test_devices_may_be_added_while_it_runs(plain: Plain, free: None) -> None:
    new = 'D.two = SynSignal(name="D.two", func=lambda: 2)'
    plain.rpc.call("cmd", cmd=new)
    assert plain.rpc.call("dev/keys", path="D") == ["D.det", "D.two"]
    assert plain.rpc.call("cmd", cmd="D.two.name") == "'two'"
    plain.rpc.call("cmd", cmd="del D['two']")


def test_a_device_with_a_wrong_name_is_told_once_and_ends_no_session(
    plain: Plain, free: None
) -> None:
    plain.rpc.call("cmd", cmd='D.odd = SynSignal(name="D.other", func=lambda: 2)')
    plain.rpc.call("cmd", cmd="1 + 1")
    assert plain.rpc.call("cmd", cmd="6 * 7") == "42"
    assert plain.desk.text.replace("\n", "").count("is named D.other, which is another path") == 1
    with pytest.raises(ZError, match=r"is named D\.other"):
        plain.rpc.call("cmd", cmd="server_start(M, D, RE, name='plain')")
    assert plain.rpc.call("cmd", cmd="del D['odd']") == ""
    assert plain.rpc.call("dev/keys", path="D") == ["D.det"]


def test_a_monitor_follows_a_motor(plain: Plain, free: None) -> None:
    with plain.rpc.listen("monitor/M.m2", "rpc/alive") as listener:
        listener.next(60.0)
        plain.rpc.call("mon/add", path="M.m2", period_s=0.02)
        plain.rpc.call("cmd", cmd="M.m2.set(0.5)")
        while (heard := listener.next(60.0)).get("value", 0) != pytest.approx(0.5, abs=0.01):
            pass
        assert heard["typ"] == "monitor/M.m2"
        plain.rpc.call("mon/remove", path="M.m2")


def test_figure_3d_word_for_word(plain: Plain, free: None) -> None:
    keys = plain.plain("rpc-keys.sock")
    with plain.rpc.listen("cmd/finished", "rpc/alive") as listener:
        listener.next(60.0)
        keys.send(b"1 / 0\n")
        assert keys.recv() == b""
        while (heard := listener.next(60.0))["typ"] != "cmd/finished":
            pass
    assert (heard["line"], heard["error"]) == ("1 / 0", "ZeroDivisionError")


def test_it_ends_and_leaves_the_prompt_as_it_was(plain: Plain, free: None) -> None:
    plain.desk.type("U.close()\r")
    until(lambda: not (plain.folder / "rpc.sock").exists(), "the socket is still there")
    plain.desk.type(CTRL_C + "6 * 111\r")
    plain.desk.see(r"Out\[\d+\]: 666")


def test_the_script_of_the_how_to_page_starts() -> None:
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) == 1
    with (
        ipython(blocks[0], "requests of programs are answered at"),
        RpcClient(run_folder("mybeamline"), timeout_s=60.0) as client,
    ):
        assert client.call("dev/keys") == ["M.m1", "M.m2", "D.det"]
        assert set(client.call("dev/read", path="M.m1")) == {"m1", "m1_user_setpoint"}
        assert "mybeamline" in client.call("cmd", cmd="U")

"""Roles are kept by the services, and a password stays where it was typed.

Slow for a reason: a whole beamline with its shared prompt, real terminals, and some thirty
passwords that are checked at full cost.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import pty
import select
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from undula.bus import broker
from undula.bus.endpoints import ENGINE_MOVE
from undula.bus.signing import signed
from undula.client import Client, connect
from undula.client import login as door
from undula.client.fits import Fit
from undula.client.importing import import_file
from undula.client.link import acting_for
from undula.core.clock import now
from undula.core.errors import AccessError
from undula.core.ids import new_id
from undula.core.passwords import Cost
from undula.core.roles import Role
from undula.core.secret import Secret
from undula.core.tokens import Tokens
from undula.core.users import Users
from undula.messages import FitResult, MoveRequest
from undula.session.kernel.link import KernelLink, Message
from undula.session.kernel.places import KernelPlaces
from undula.session.rpc.client import RpcClient
from undula.session.rpc.errors import ZError
from undula.testing.beamline import LocalBeamline, local_beamline

PASSWORD = "Zq7-correct-horse-battery"
NEW_PASSWORD = "Xw4-another-staple-entirely"
WRONG = "Jk9-nobody-has-this-one"
PEOPLE = {"olga": Role.OBSERVER, "uwe": Role.USER, "stef": Role.STAFF}
WITHIN_S = 60.0


@pytest.fixture(scope="module")
def beamline() -> Iterator[LocalBeamline]:
    with local_beamline(prompt=True) as running, pytest.MonkeyPatch.context() as patch:
        patch.setenv("UNDULA_BEAMLINE", running.paths.name)
        patch.setenv("UNDULA_TOKEN_FILE", str(running.folder / "own" / "token"))
        users = Users(running.paths.access, Cost(log_n=10))
        for name, role in PEOPLE.items():
            users.add(name, PASSWORD, role)
        yield running


@pytest.fixture
def client(beamline: LocalBeamline) -> Iterator[Client]:
    with connect(beamline.paths.name) as made:
        yield made
    door.KeptToken(door.token_file(beamline.paths)).forget()


def _as(beamline: LocalBeamline, name: str) -> None:
    """Logged in as this person, as `undula login` does it."""
    kept = door.KeptToken(door.token_file(beamline.paths))
    kept.keep(Tokens(beamline.paths.access).issue(name, PEOPLE[name], "login"))


# ---- roles ---------------------------------------------------------------------------------


CHANGES: dict[str, Callable[[Client], object]] = {
    "mv": lambda c: c.mv("samx", 0.5),
    "jog": lambda c: c.motors.jog("samx", "+"),
    "scan": lambda c: c.scan("samx", -1, 1, 3),
    "motor": lambda c: c.motors.set("samx", "velocity", 2.0),
    "position": lambda c: c.motors.set_position("samx", 0.0),
    "home": lambda c: c.motors.home("samx"),
    "enable": lambda c: c.enable("samx", False),
    "pause": lambda c: c.queue.pause(),
    "resume": lambda c: c.queue.resume(),
    "abort": lambda c: c.queue.abort(),
    "clear": lambda c: c.queue.clear(),
    "update": lambda c: c.config.update("samx", {"readoutPriority": "baseline"}),
    "undo": lambda c: c.config.undo(),
    "import": lambda c: import_file(Path("not there.jsonl"), c.paths.name if c.paths else None),
    "keep a fit": lambda c: c.runs.keep_fit(1, Fit(FitResult(model="gaussian"))),
    "acknowledge": lambda c: c.alarms.acknowledge(),
}


@pytest.mark.parametrize("who", ["olga", ""], ids=["observer", "not logged in"])
@pytest.mark.parametrize("what", CHANGES)
def test_who_may_only_look_changes_nothing(
    beamline: LocalBeamline, client: Client, who: str, what: str
) -> None:
    if who:
        _as(beamline, who)
    before = client.read("samx")["samx"]["samx"]["value"]
    with pytest.raises(AccessError, match=r"(is an observer|is not logged in), but .* needs the"):
        CHANGES[what](client)
    assert client.read("samx")["samx"]["samx"]["value"] == before


def test_an_observer_sees_all(beamline: LocalBeamline, client: Client) -> None:
    _as(beamline, "olga")
    assert client.devices.table()
    assert client.queue.list().state == "idle"
    assert client.check("scan", "samx", -1, 1, 3).num_points == 3
    assert client.motors.parameters("samx")
    assert client.config.history()
    client.alarms.list()
    client.stop()  # and may always stop


def test_a_user_measures_and_stands_in_the_run_by_name(
    beamline: LocalBeamline, client: Client
) -> None:
    client.link.user = "somebody else"  # what a message says of itself does not count
    _as(beamline, "uwe")
    client.mv("samx", 0.25)
    handle = client.scan("samx", -0.1, 0.1, 3, detectors=["diode"])
    assert handle.run is not None
    assert handle.run.record.user == "uwe"
    with pytest.raises(AccessError, match="uwe is a user, but changing limits"):
        client.motors.set_limits("samx", -1, 1)
    _as(beamline, "stef")
    client.motors.set_limits("samx", -40, 40)


def _move(**more: Any) -> MoveRequest:
    return MoveRequest(request_id=new_id(), deadline=now() + 60, targets={"samx": 0.3}, **more)


def test_requests_made_by_hand_are_refused_by_the_engine(beamline: LocalBeamline) -> None:
    tokens = Tokens(beamline.paths.access)
    uwe = tokens.issue("uwe", Role.USER, "login")
    observer = tokens.issue("olga", Role.OBSERVER, "login")
    other = Tokens(beamline.folder / "other.access").issue("uwe", Role.STAFF, "login")
    stolen = signed(_move(), uwe).token
    raised = tokens.issue("olga", Role.STAFF, "login")  # the users' file says observer
    connector = broker.connect(beamline.paths, beamline.settings, "client", "by hand")
    try:
        for request in (
            _move(user="stef"),
            _move(user="stef", token="nonsense"),
            _move(user="stef", token=uwe.reveal()),
            _move(user="stef", token=stolen),
            signed(_move(user="stef"), observer),
            signed(_move(user="stef"), other),
            signed(_move(user="stef"), raised),
            signed(_move(), uwe).model_copy(update={"targets": {"samx": 0.4}}),
        ):
            with pytest.raises(AccessError):
                connector.request(ENGINE_MOVE, request)
        assert connector.request(ENGINE_MOVE, signed(_move(), uwe)).error is None
    finally:
        connector.close()


def test_a_request_that_is_sent_again_moves_nothing_again(
    beamline: LocalBeamline, client: Client
) -> None:
    uwe = Tokens(beamline.paths.access).issue("uwe", Role.USER, "login")
    first = signed(_move(), uwe)
    connector = broker.connect(beamline.paths, beamline.settings, "client", "by hand")
    try:
        assert connector.request(ENGINE_MOVE, first).error is None
        with acting_for("uwe", uwe):
            client.mv("samx", 0.0)
        connector.request(ENGINE_MOVE, first)  # gets the first outcome
        assert client.read("samx")["samx"]["samx"]["value"] == pytest.approx(0.0, abs=0.01)
    finally:
        connector.close()


def test_a_log_in_that_expires_or_ends_holds_no_longer(
    beamline: LocalBeamline, client: Client
) -> None:
    tokens = Tokens(beamline.paths.access)
    short = tokens.issue("uwe", Role.USER, "login", lifetime_s=0.5)
    with acting_for("uwe", short), pytest.raises(AccessError, match="has expired"):
        _until_refused(client)
    _as(beamline, "uwe")
    client.mvr("samx", 0.0)
    held = door.KeptToken(door.token_file(beamline.paths))()
    door.logout(beamline.paths)
    with acting_for("uwe", held), pytest.raises(AccessError, match="has logged out"):
        client.mvr("samx", 0.0)


def _until_refused(client: Client) -> None:
    deadline = time.monotonic() + WITHIN_S
    while time.monotonic() < deadline:
        client.mvr("samx", 0.0)


def test_a_move_on_another_thread_asks_for_the_same_person(
    beamline: LocalBeamline, client: Client
) -> None:
    with acting_for("uwe", Tokens(beamline.paths.access).issue("uwe", Role.USER, "login")):
        move = client.start_move({"samx": 0.1})
    move.result()


def test_what_waits_in_the_queue_is_stored_without_a_pass(
    beamline: LocalBeamline, client: Client
) -> None:
    _as(beamline, "uwe")
    handle = client.submit("count", 1)
    with contextlib.closing(sqlite3.connect(beamline.paths.catalogue)) as catalogue:
        rows = catalogue.execute("SELECT payload FROM items").fetchall()
    kept = [json.loads(row[0])["request"] for row in rows]
    assert any(request["request_id"] == handle.item_id for request in kept)
    assert all(request["token"] == "" for request in kept)
    handle.wait()


# ---- the shared prompt ---------------------------------------------------------------------


async def _cell(
    paths: Any, code: str, token: str, username: str = "terminal:anybody"
) -> tuple[dict[str, Any], list[Message]]:
    """Reply and publications of one cell, as a front end made by hand gets them."""
    published: list[Message] = []
    link = KernelLink(KernelPlaces.of(paths), username, published=published.append)
    await link.open()
    try:
        content = {"code": code, "silent": False, "user_expressions": {}, "allow_stdin": False}
        identity, reply = link.post(
            "execute_request", content, metadata={"undula": {"token": token}}
        )
        answer = (await asyncio.wait_for(reply, WITHIN_S))["content"]
        deadline = time.monotonic() + WITHIN_S

        def mine() -> list[Message]:
            return [m for m in published if m["parent_header"].get("msg_id") == identity]

        def idle(message: Message) -> bool:
            return message["content"].get("execution_state") == "idle"

        while not any(idle(m) for m in mine()) and time.monotonic() < deadline:
            await asyncio.sleep(0.01)
        return dict(answer), mine()
    finally:
        await link.close()


def _run_cell(beamline: LocalBeamline, code: str, who: str = "") -> tuple[dict[str, Any], str]:
    tokens = Tokens(beamline.paths.access)
    token = tokens.issue(who, PEOPLE[who], "login").reveal() if who else ""
    reply, messages = asyncio.run(_cell(beamline.paths, code, token))
    inputs = [m for m in messages if m["header"]["msg_type"] == "execute_input"]
    return reply, str(inputs[-1]["parent_header"]["username"]) if inputs else ""


@pytest.mark.parametrize("who", ["olga", ""], ids=["observer", "not logged in"])
def test_who_is_no_user_executes_no_code(beamline: LocalBeamline, tmp_path: Path, who: str) -> None:
    trace = tmp_path / "executed"
    reply, _ = _run_cell(beamline, f"open({str(trace)!r}, 'w').close()", who)
    assert (reply["status"], reply["ename"]) == ("error", "AccessError")
    assert "needs the role user" in reply["evalue"]
    assert not trace.exists()


def test_expressions_are_code_too(beamline: LocalBeamline, tmp_path: Path) -> None:
    trace = tmp_path / "executed"

    async def ask() -> dict[str, Any]:
        link = KernelLink(KernelPlaces.of(beamline.paths), "x", published=lambda _: None)
        await link.open()
        try:
            wanted = {"x": f"open({str(trace)!r}, 'w')"}
            content = {"code": "", "silent": True, "user_expressions": wanted}
            return await link.request("execute_request", content)
        finally:
            await link.close()

    assert asyncio.run(ask())["status"] == "error"
    assert not trace.exists()


def test_a_cell_asks_for_its_author_whoever_that_claims_to_be(beamline: LocalBeamline) -> None:
    reply, author = _run_cell(beamline, "count(1, detectors=['diode'])", "uwe")
    assert reply["status"] == "ok", reply
    assert author == "terminal:uwe"  # it had said "anybody"
    with connect(beamline.paths.name) as client:
        assert client.runs[-1].record.user == "uwe"


def test_a_cell_cannot_do_what_its_author_may_not(beamline: LocalBeamline) -> None:
    reply, _ = _run_cell(beamline, "set_lm(samx, -1, 1)", "uwe")
    assert reply["status"] == "error"
    assert "uwe is a user, but changing limits" in reply["evalue"]


def test_nobody_types_a_password_on_the_shared_prompt(beamline: LocalBeamline) -> None:
    reply, _ = _run_cell(beamline, "login('uwe')", "uwe")
    assert "this prompt belongs to everybody" in reply["evalue"]


# ---- passwords -----------------------------------------------------------------------------


class Terminal:
    """A program at a real pseudo-terminal."""

    def __init__(self, *argv: str) -> None:
        self.shown = ""
        self.pid, self._end = pty.fork()
        if self.pid == 0:
            os.execve(argv[0], argv, {**os.environ, "TERM": "xterm"})

    def see(self, text: str) -> None:
        """Wait until it shows this, after what was seen before."""
        seen = len(self.shown)
        deadline = time.monotonic() + WITHIN_S
        while text not in self.shown[max(0, seen - len(text)) :]:
            ready = select.select([self._end], [], [], deadline - time.monotonic())[0]
            assert ready, f"{text!r} was not shown: {self.shown!r}"
            try:
                self.shown += os.read(self._end, 4096).decode("utf-8", "replace")
            except OSError:
                break
        assert text in self.shown, self.shown

    def type(self, text: str) -> None:
        """Type a line."""
        os.write(self._end, text.encode() + b"\r")

    def end(self) -> int:
        """Wait for its end; the exit code."""
        with contextlib.suppress(OSError):
            while more := os.read(self._end, 4096):
                self.shown += more.decode("utf-8", "replace")
        os.close(self._end)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


class Processes(threading.Thread):
    """Reads command lines and environments of all processes again and again."""

    def __init__(self, secrets: list[bytes]) -> None:
        super().__init__(daemon=True)
        self.found: list[str] = []
        self.looked = 0
        self._secrets, self._ended = secrets, threading.Event()

    def run(self) -> None:
        while not self._ended.wait(0.02):
            self.looked += 1
            for folder in Path("/proc").glob("[0-9]*"):
                for name in ("cmdline", "environ"):
                    with contextlib.suppress(OSError):
                        content = (folder / name).read_bytes()
                        if any(secret in content for secret in self._secrets):
                            self.found.append(f"{folder}/{name}")

    def end(self) -> None:
        self._ended.set()
        self.join()


def _forms(secret: str) -> list[bytes]:
    raw = secret.encode()
    encoded = [base64.b64encode(raw[i:])[4:-4] for i in range(3)]  # at any offset of its text
    return [raw, secret.encode("utf-16-le"), raw.hex().encode(), *encoded]


def _undula(*words: str, typed: list[tuple[str, str]], code: int = 0) -> str:
    terminal = Terminal(str(Path(sys.executable).with_name("undula")), *words)
    for prompt, answer in typed:
        terminal.see(prompt)
        terminal.type(answer)
    assert terminal.end() == code, terminal.shown
    return terminal.shown


def _everything_typed(beamline: LocalBeamline) -> str:
    """Every way in which a password is given, and all that the terminals showed."""
    twice = [("New password:", PASSWORD), ("The same again:", PASSWORD)]
    shown = _undula("users", "add", "ida", "--role", "user", typed=twice)
    shown += _undula("login", "ida", typed=[("Password:", WRONG)], code=5)
    shown += _undula("login", typed=[("User:", "ida"), ("Password:", PASSWORD)])
    shown += _undula("login", typed=[("User:", WRONG), ("Password:", PASSWORD)], code=5).replace(
        f"User: {WRONG}",
        "",  # the terminal echoes what is typed as a name
    )
    shown += _undula("mv", "samx", "0.2", typed=[])
    shown += _undula("shell", "--private", "-c", "login('ida')", typed=[("Password:", PASSWORD)])
    shown += _undula(
        "users", "password", "ida", "--own",
        typed=[("Old password:", PASSWORD), ("New password:", NEW_PASSWORD),
               ("The same again:", NEW_PASSWORD)],
    )  # fmt: skip
    for line, arguments in (
        (f"{NEW_PASSWORD}\n", ("login", "ida", "--password-stdin")),
        (f"{WRONG}\n", ("users", "password", "ida", "--password-stdin")),
        ("short\n", ("users", "add", "tim", "--password-stdin")),
    ):
        program = str(Path(sys.executable).with_name("undula"))
        done = subprocess.run(
            [program, *arguments], input=line, capture_output=True, text=True, check=False
        )
        shown += done.stdout + done.stderr
    return shown + _sent(beamline)


def _sent(beamline: LocalBeamline) -> str:
    """Passwords over the RPC, right and wrong and in places where none belongs; all that was told.

    Notifications are listened to from before the first until after the last.
    """
    heard: list[Any] = []
    with contextlib.closing(RpcClient(beamline.paths.run, timeout_s=WITHIN_S)) as program:
        listener = program.listen(callback=heard.append)
        program.log_in("uwe", PASSWORD)
        for verb, fields in (
            ("auth/login", {"name": "uwe", "password": WRONG}),
            ("auth/login", {"name": WRONG, "password": WRONG}),
            ("auth/login", {"name": "uwe", "password": WRONG, "surplus": 1}),
            ("auth/login", {"name": "uwe", "password": [WRONG]}),
            ("dev/keys", {"path": "M", "password": WRONG}),
        ):
            with contextlib.suppress(ZError):
                heard.append(program.call(verb, **fields))
        token = Tokens(beamline.paths.access).issue("uwe", Role.USER, "login").reveal()
        for line in (f"x = dict(password={WRONG!r})", f"1 / 0, dict(password={WRONG!r})"):
            heard.append(asyncio.run(_cell(beamline.paths, line, token)))
        with contextlib.suppress(ZError):
            program.call("auth/logout")
        listener.close()
    return json.dumps(heard, default=repr)


def test_a_password_is_found_nowhere(beamline: LocalBeamline) -> None:
    """Typed at terminals, given on standard input, right and wrong: then everything is searched."""
    secrets = [form for word in (PASSWORD, NEW_PASSWORD, WRONG) for form in _forms(word)]
    processes = Processes(secrets)
    processes.start()
    shown = _everything_typed(beamline)
    processes.end()
    assert processes.looked > 20
    assert not processes.found
    assert not any(secret in shown.encode() for secret in secrets)
    searched = {path for path in beamline.folder.rglob("*") if path.is_file()}
    names = {path.name for path in searched}
    assert {"users.json", "engine.jsonl", "catalogue.sqlite", "commands.sqlite"} <= names
    assert any("appendonly" in str(path) or path.suffix == ".aof" for path in searched)
    assert not [path for path in searched if any(secret in _read(path) for secret in secrets)]


def _read(path: Path) -> bytes:
    """What a file holds; nothing when it has gone, as the journal of a database does."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""


def test_a_token_lies_in_the_file_of_its_person_only(beamline: LocalBeamline) -> None:
    _as(beamline, "uwe")
    token = door.KeptToken(door.token_file(beamline.paths))().reveal()
    with connect(beamline.paths.name) as client:
        client.mv("samx", 0.1)
        client.submit("count", 1).wait()
    asyncio.run(_cell(beamline.paths, "mv(samx, 0)", token))
    signature = token.split(".")[2].encode()
    found = [
        path for path in beamline.folder.rglob("*") if path.is_file() and signature in _read(path)
    ]
    assert found == [door.token_file(beamline.paths)]


def test_ctrl_c_at_the_password_leaves_the_terminal_as_it_was(beamline: LocalBeamline) -> None:
    terminal = Terminal(str(Path(sys.executable).with_name("undula")), "login", "uwe")
    terminal.see("Password:")
    os.kill(terminal.pid, signal.SIGINT)
    assert terminal.end() == 130
    assert "Traceback" not in terminal.shown


def test_a_secret_given_to_a_client_is_not_shown_by_it(beamline: LocalBeamline) -> None:
    with connect(beamline.paths.name) as client:
        token = Tokens(beamline.paths.access).issue("uwe", Role.USER, "login")
        with acting_for("uwe", token):
            assert token.reveal() not in f"{client!r} {vars(client.link)!r}"
    assert Secret(token) == token

"""The door where people log in, with its real socket; and what it never tells."""

from __future__ import annotations

import json
import os
import socket
import stat
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from undula.client import login as client
from undula.core import log
from undula.core.access import Access
from undula.core.errors import AccessError, InputError, ServiceError
from undula.core.passwords import Cost
from undula.core.paths import BeamlinePaths
from undula.core.roles import Role
from undula.core.secret import Secret
from undula.core.users import Users
from undula.processes.login_door import MAX_LINE, LoginDoor
from undula.testing.beamline import short_folder

PASSWORD = "open sesame 7"
WRONG = "close sesame 8"


@pytest.fixture
def paths(monkeypatch: pytest.MonkeyPatch) -> Iterator[BeamlinePaths]:
    with short_folder("ud-") as folder:
        (folder / "run").mkdir()
        monkeypatch.setenv("UNDULA_TOKEN_FILE", str(folder / "own" / "token"))
        yield BeamlinePaths("test", folder / "state" / "test", folder / "run")


@pytest.fixture
def access(paths: BeamlinePaths) -> Access:
    made = Access(paths.access, users=Users(paths.access, Cost(log_n=10)))
    made.users.add("eva", PASSWORD, Role.USER)
    return made


@pytest.fixture
def events() -> Iterator[list[dict[str, Any]]]:
    found: list[dict[str, Any]] = []
    log.configure("test", None)
    log.add_sink(found.append)
    yield found
    structlog.reset_defaults()


@pytest.fixture
def door(paths: BeamlinePaths, access: Access) -> Iterator[LoginDoor]:
    made = LoginDoor(paths.login_socket, access)
    yield made
    made.close()


def _say(paths: BeamlinePaths, line: bytes) -> dict[str, Any]:
    with socket.socket(socket.AF_UNIX) as visitor:
        visitor.settimeout(20.0)
        visitor.connect(str(paths.login_socket))
        visitor.sendall(line)
        with visitor.makefile("rb") as stream:
            answer: dict[str, Any] = json.loads(stream.readline())
            return answer


@pytest.mark.usefixtures("door")
def test_who_logs_in_is_known_until_the_log_out(paths: BeamlinePaths, access: Access) -> None:
    claims = client.login(paths, "eva", PASSWORD)
    assert (claims.user, claims.role) == ("eva", Role.USER)
    token = client.KeptToken(client.token_file(paths))()
    assert access.claims(token).user == "eva"
    assert client.whoami(paths) == claims
    out = client.logout(paths)
    assert out is not None
    assert out.user == "eva"
    with pytest.raises(AccessError, match="logged out"):
        access.claims(token)
    with pytest.raises(AccessError, match="not logged in"):
        client.whoami(paths)
    assert client.logout(paths) is None


@pytest.mark.usefixtures("door")
def test_the_kept_token_is_for_its_person_only(paths: BeamlinePaths) -> None:
    client.login(paths, "eva", PASSWORD)
    kept = client.token_file(paths)
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert stat.S_IMODE(kept.parent.stat().st_mode) == 0o700
    kept.chmod(0o644)
    with pytest.raises(AccessError, match="by others"):
        client.KeptToken(kept)()


@pytest.mark.usefixtures("door")
def test_the_socket_is_for_the_group_only(paths: BeamlinePaths) -> None:
    assert stat.S_IMODE(paths.login_socket.stat().st_mode) == 0o660


@pytest.mark.usefixtures("door")
def test_everybody_gives_themselves_another_password(paths: BeamlinePaths, access: Access) -> None:
    client.login(paths, "eva", PASSWORD)
    with pytest.raises(AccessError, match="wrong"):
        client.change_password(paths, "eva", WRONG, "another one 9")
    client.change_password(paths, "eva", PASSWORD, "another one 9")
    with pytest.raises(AccessError, match="were changed since"):
        client.whoami(paths)
    assert access.users.verify("eva", "another one 9") is Role.USER


@pytest.mark.usefixtures("door")
def test_without_users_the_door_says_that_nobody_has_to_log_in(
    paths: BeamlinePaths, access: Access
) -> None:
    access.users.remove("eva")
    assert client.whoami(paths) is None
    with pytest.raises(AccessError, match="nobody has to"):
        client.login(paths, "eva", PASSWORD)


def test_without_a_door_the_remedy_is_to_start_the_services(paths: BeamlinePaths) -> None:
    with pytest.raises(ServiceError, match="undula up"):
        client.login(paths, "eva", PASSWORD)


@pytest.mark.usefixtures("door")
@pytest.mark.parametrize(
    "line",
    [
        b"\n", b"{}\n", b"[]\n", b"null\n", b"\x00\xff\xfe\n", b'{"do": "login"}\n',
        b'{"do": "login", "name": 1, "password": 2}\n',
        b'{"do": "login", "name": "eva", "password": null}\n',
        b'{"do": "login", "name": "eva", "password": ["open sesame 7"]}\n',
        b'{"do": "logout", "token": "nonsense"}\n', b'{"do": "whoami", "token": {}}\n',
        b'{"do": "login", "name": "\\ud800", "password": "\\ud800 open sesame"}\n',
        b"[" * 10_000 + b"\n", b"x" * (MAX_LINE + 1),
        b'{"do": "login", "name": "' + b"e" * 9000 + b'", "password": "' + b"p" * 5000 + b'"}\n',
    ],
)  # fmt: skip
def test_nonsense_gets_one_error_and_does_no_harm(paths: BeamlinePaths, line: bytes) -> None:
    answer = _say(paths, line)
    assert set(answer) == {"error"}
    assert client.login(paths, "eva", PASSWORD).user == "eva"


@pytest.mark.usefixtures("door")
def test_silent_visitors_keep_nobody_out(paths: BeamlinePaths) -> None:
    silent = [socket.socket(socket.AF_UNIX) for _ in range(8)]
    try:
        for visitor in silent:
            visitor.connect(str(paths.login_socket))
        assert client.login(paths, "eva", PASSWORD).user == "eva"
    finally:
        for visitor in silent:
            visitor.close()


@pytest.mark.usefixtures("door")
def test_the_log_tells_who_came_and_no_word_of_what_was_sent(
    paths: BeamlinePaths, events: list[dict[str, Any]]
) -> None:
    client.login(paths, "eva", PASSWORD)
    for name, password in (("eva", WRONG), (WRONG, PASSWORD)):  # also typed at the wrong prompt
        with pytest.raises(AccessError):
            client.login(paths, name, password)
    token = client.KeptToken(client.token_file(paths))().reveal()
    client.logout(paths)
    assert [event["event"] for event in events] == [
        "logged_in", "log_in_refused", "log_in_refused", "logged_out",
    ]  # fmt: skip
    assert events[0]["peer_uid"] == os.getuid()
    assert events[0]["peer_pid"] == os.getpid()
    text = json.dumps(events)
    for secret in (PASSWORD, WRONG, token, token.split(".")[2]):
        assert secret not in text


@pytest.mark.usefixtures("door")
def test_a_traceback_with_all_values_shows_no_password(
    paths: BeamlinePaths, access: Access, tmp_path: Path
) -> None:
    long_one = WRONG * 100
    attempts: list[tuple[Callable[[], object], str]] = [
        (lambda: client.login(paths, "eva", Secret(WRONG)), WRONG),
        (lambda: client.change_password(paths, "eva", Secret(WRONG), Secret(PASSWORD)), WRONG),
        (lambda: access.users.verify("eva", Secret(WRONG)), WRONG),
        (lambda: access.users.add("ben", Secret(long_one), Role.USER), WRONG),
        (lambda: access.login("eva", Secret(WRONG)), WRONG),
        (lambda: client.login(_nowhere(tmp_path), "eva", Secret(WRONG)), WRONG),
    ]
    for attempt, secret in attempts:
        with pytest.raises((AccessError, InputError, ServiceError)) as caught:
            attempt()
        for shown in _values(caught.value):
            assert secret not in shown


def _values(error: BaseException | None) -> Iterator[str]:
    """All that a traceback with values shows of our own code, causes included."""
    while error is not None:
        told = traceback.TracebackException.from_exception(error, capture_locals=True)
        yield str(error)
        for frame in told.stack:
            if frame.filename != __file__:
                yield from (frame.locals or {}).values()
        error = error.__cause__ or error.__context__


def _nowhere(folder: Path) -> BeamlinePaths:
    return BeamlinePaths("none", folder / "state", folder / "run")

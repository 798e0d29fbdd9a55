"""Who a peer is: by the kernel, by a log in, by a token; and where a password must not stand."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

import pytest

from undula.core import log
from undula.core.access import Access
from undula.core.errors import AccessError
from undula.core.passwords import Cost
from undula.core.roles import Role
from undula.core.users import Users
from undula.session.rpc.client import RpcClient
from undula.session.rpc.errors import ZError
from undula.session.rpc.login import Login
from undula.session.rpc.peers import Admission, Peer, look_up

PASSWORD = "correct horse 77"


@pytest.fixture
def access(tmp_path) -> Access:
    folder = tmp_path / "access"
    users = Users(folder, Cost(log_n=10))
    made = Access(folder, users=users)
    users.add("eva", PASSWORD, Role.STAFF)
    users.add("otto", PASSWORD, Role.OBSERVER)
    return made


@pytest.fixture
def people(start, access, folder):
    login = Login(access)
    with start(identify=login.identify) as rpc:
        rpc.server.verbs.add("auth", login)
        with RpcClient(folder) as client:
            yield client


def test_who_is_not_logged_in_observes(people) -> None:
    who = people.call("auth/whoami")
    assert (who["role"], who["logged_in"], who["uid"]) == ("observer", False, os.getuid())
    with pytest.raises(ZError, match="is an observer, but dev/for_staff needs the role staff"):
        people.call("dev/for_staff")


def test_a_log_in_gives_name_and_role_until_the_log_out(people) -> None:
    found = people.log_in("eva", PASSWORD)
    assert (found["name"], found["role"]) == ("eva", "staff")
    assert people.call("dev/for_staff") == "yes"
    assert people.call("dev/who")[0] == "eva"
    people.log_out()
    assert people.call("auth/whoami")["role"] == "observer"
    with pytest.raises(ZError, match="nobody is logged in"):
        people.log_out()


def test_the_token_holds_on_another_connection_and_not_after_the_log_out(people, folder) -> None:
    token = people.log_in("eva", PASSWORD)["token"]
    with RpcClient(folder) as other:
        assert other.call("auth/whoami")["role"] == "observer"
        assert other.call("dev/who", token=token)[0] == "eva"
        people.log_out()
        with pytest.raises(ZError, match="has logged out") as caught:
            other.call("dev/who", token=token)
        assert caught.value.code == "access"


def test_the_connection_that_logged_in_needs_no_token(people) -> None:
    people.log_in("eva", PASSWORD)
    people.token = ""
    assert people.call("dev/who")[0] == "eva"


def test_a_wrong_password_and_a_forged_token_are_refused(people) -> None:
    with pytest.raises(ZError, match="user name or password is wrong"):
        people.log_in("eva", "no")
    with pytest.raises(ZError) as caught:
        people.call("dev/who", token="und1.x.y")
    assert caught.value.code == "access"


def test_an_observer_who_logged_in_stays_one(people) -> None:
    people.log_in("otto", PASSWORD)
    with pytest.raises(ZError, match="otto is an observer"):
        people.call("dev/for_staff")


def test_the_password_stands_nowhere(people, tmp_path) -> None:
    log.configure("session", tmp_path / "logs", "debug")
    with people.listen() as listener:
        assert listener.next(20) is not None
        people.log_in("eva", PASSWORD)
        for fields in (
            {"name": "eva", "password": PASSWORD, "extra": 1},
            {"name": 5, "password": PASSWORD},
            {"name": "eva", "password": [PASSWORD]},
            {"name": "nobody", "password": PASSWORD},
        ):
            with pytest.raises(ZError) as caught:
                people.call("auth/login", **fields)
            assert PASSWORD not in str(caught.value)
        with pytest.raises(ZError) as caught:
            people.call("dev/fail", how=PASSWORD)  # fails with a traceback in the log
        heard = []
        while (message := listener.next(1.5)) is not None and len(heard) < 1:
            heard.append(message)
    log.configure("session", None)
    assert PASSWORD not in json.dumps(heard)
    kept = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert any(path.name == "session.jsonl" for path in kept)
    for path in kept:
        assert PASSWORD.encode() not in path.read_bytes(), path
    assert PASSWORD.encode() not in Path("/proc/self/cmdline").read_bytes()


def test_who_is_of_the_group_may_come_in(tmp_path) -> None:
    group = tmp_path.stat().st_gid
    assert look_up(Peer(os.getuid(), 65_533, 1), tmp_path)[1]
    assert look_up(Peer(4_000_000, group, 1), tmp_path) == ("uid:4000000", True)
    assert look_up(Peer(4_000_000, 65_533, 1), tmp_path) == ("uid:4000000", False)


def test_who_is_not_is_told_which_group(tmp_path) -> None:
    stranger = Peer(4_000_000, 65_533, 1)
    with pytest.raises(AccessError, match="uid:4000000 is not in the group"):
        asyncio.run(Admission(tmp_path).admit(stranger))

"""A minute of damage at the door where people log in: nobody gets in, nobody is kept out."""

from __future__ import annotations

import json
import os
import random
import socket
import time

import pytest

from undula.client import login as door
from undula.core.passwords import Cost
from undula.core.roles import Role
from undula.core.tokens import Tokens
from undula.core.users import Users
from undula.testing.beamline import LocalBeamline, local_beamline

pytestmark = pytest.mark.soak
DURATION_S = 60.0
PASSWORD = "open sesame 7"


def _mutated(rng: random.Random, token: str) -> bytes:
    good = {
        "do": rng.choice(["login", "logout", "whoami", "password", "dance"]),
        "name": rng.choice(["eva", "", "x" * 200, 7, None]),
        "password": rng.choice(["wrong one", "", 5, [PASSWORD], "\udcff"]),
        "token": rng.choice([token[:-1], token[::-1], "und1.a.b", "", {}]),
        "old": "wrong one", "new": PASSWORD,
    }  # fmt: skip
    line = bytearray(json.dumps(good).encode() + b"\n")
    for _ in range(rng.choice([0, 0, 1, 5])):
        line[rng.randrange(len(line))] = rng.randrange(256)
    return bytes(line[: rng.choice([len(line), rng.randrange(len(line))])])


def _said(beamline: LocalBeamline, line: bytes, rng: random.Random) -> bytes:
    with socket.socket(socket.AF_UNIX) as visitor:
        visitor.settimeout(30.0)
        visitor.connect(str(beamline.paths.login_socket))
        visitor.sendall(line)
        if rng.random() < 0.1:
            return b""  # leaves without waiting
        visitor.shutdown(socket.SHUT_WR)
        return visitor.recv(65536)


def test_a_minute_of_damage_at_the_door(monkeypatch: pytest.MonkeyPatch) -> None:
    seed = int(os.environ.get("UNDULA_SOAK_SEED", time.time()))
    rng = random.Random(seed)
    with local_beamline() as beamline:
        monkeypatch.setenv("UNDULA_TOKEN_FILE", str(beamline.folder / "token"))
        users = Users(beamline.paths.access, Cost(log_n=10))
        users.add("eva", PASSWORD, Role.USER)
        users.add("uwe", PASSWORD, Role.USER)
        token = Tokens(beamline.paths.access).issue("eva", Role.STAFF, "login").reveal()
        engine, end, count = beamline.pid("engine"), time.monotonic() + DURATION_S, 0
        while time.monotonic() < end:
            answer = _said(beamline, _mutated(rng, token), rng)
            assert b"error" in answer or not answer, (seed, answer)
            count += 1
        assert count > 100
        assert door.login(beamline.paths, "uwe", PASSWORD).user == "uwe"
        assert beamline.pid("engine") == engine

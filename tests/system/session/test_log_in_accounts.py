"""Roles between real accounts of one group: who works under another one cannot get round them.

Needs root, which alone may be somebody else. Slow for a reason: a beamline of its own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from undula.core.passwords import Cost
from undula.core.roles import Role
from undula.core.users import Users
from undula.testing.beamline import LocalBeamline, local_beamline

OTHER_UID = 41_002
PASSWORD = "open sesame 7"

AS_SOMEBODY_ELSE = """
import json, os, sys
import encodings.ascii
from undula.client import connect
from undula.client import login as door
from undula.core.errors import UndulaError
from undula.core.paths import beamline_paths
from undula.core.users import Users
from undula.processes import supervisor_client
from undula.testing.beamline import NAME

paths, password = beamline_paths(NAME), json.load(sys.stdin)
with connect(NAME) as first:
    first.read("samx")  # imports what it needs: a Python of root may be closed to others
os.setgroups([]); os.setgid(int(sys.argv[1])); os.setuid(int(sys.argv[2]))
client = connect(NAME)

def tried(call):
    try:
        call()
    except (UndulaError, OSError) as error:
        return getattr(error, "category", type(error).__name__)
    return "done"

steps = {
    "move without": lambda: client.mv("samx", 0.1),
    "read the users": lambda: Users(paths.access).all(),
    "add a user": lambda: Users(paths.access).add("mallory", password, 3),
    "read the key": lambda: (paths.access / "token.key").read_bytes(),
    "take the users away": lambda: paths.access.rename(paths.state / "gone"),
    "log in as olga": lambda: door.login(paths, "olga", password),
    "move as olga": lambda: client.mv("samx", 0.1),
    "restart as olga": lambda: supervisor_client.ask(paths, {"do": "restart", "name": "writer"}),
    "take down as olga": lambda: supervisor_client.take_down(paths),
    "stop as olga": client.stop,
    "log in as uwe": lambda: door.login(paths, "uwe", password),
    "move as uwe": lambda: client.mv("samx", 0.1),
    "log out": lambda: door.logout(paths),
    "move afterwards": lambda: client.mv("samx", 0.2),
}
print(json.dumps({name: tried(call) for name, call in steps.items()}))
os._exit(0)
"""


def _group_may_enter(beamline: LocalBeamline) -> None:
    beamline.folder.chmod(0o755)
    for name in ("state", "run"):
        (beamline.folder / name).chmod(0o750)
    own = beamline.folder / "own"
    own.mkdir()
    os.chown(own, OTHER_UID, -1)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may be somebody else")
def test_another_account_of_the_group_may_what_its_log_in_says() -> None:
    with local_beamline() as beamline:
        _group_may_enter(beamline)
        users = Users(beamline.paths.access, Cost(log_n=10))
        users.add("olga", PASSWORD, Role.OBSERVER)
        users.add("uwe", PASSWORD, Role.USER)
        environment = {**os.environ, "UNDULA_TOKEN_FILE": str(beamline.folder / "own" / "token")}
        done = subprocess.run(
            [sys.executable, "-c", AS_SOMEBODY_ELSE, str(os.getegid()), str(OTHER_UID)],
            input=json.dumps(PASSWORD), env=environment, capture_output=True, text=True,
            timeout=120, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout) == {
            "move without": "access",
            "read the users": "access",
            "add a user": "access",
            "read the key": "PermissionError",
            "take the users away": "PermissionError",
            "log in as olga": "done",
            "move as olga": "access",
            "restart as olga": "access",
            "take down as olga": "access",
            "stop as olga": "done",
            "log in as uwe": "done",
            "move as uwe": "done",
            "log out": "done",
            "move afterwards": "access",
        }

"""Real system users at the RPC's sockets: the group's are let in, others are refused twice.

Making users needs root. Without it `test_rpc_login.py` tests the check alone.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from undula.session.rpc.server import RpcServer
from undula.session.rpc.verbs import Verbs
from undula.testing.beamline import short_folder

pytestmark = pytest.mark.skipif(
    os.getuid() != 0 or shutil.which("useradd") is None,
    reason="only root can make system users: run this as root, as the CI does",
)

ASK = """
import json, os, socket, sys
import zmq
folder, name, gid, uid = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
os.initgroups(name, gid); os.setgid(gid); os.setuid(uid)
found = {}
try:
    with socket.socket(socket.AF_UNIX) as line:
        line.connect(folder + "/rpc.sock")
    found["connect"] = "ok"
except OSError as error:
    found["connect"] = type(error).__name__
context = zmq.Context()
one = context.socket(zmq.REQ); one.connect(f"ipc://{folder}/rpc.sock")
one.send(b'{"typ": "rpc/ping"}')
found["reply"] = json.loads(one.recv()) if one.poll(WAIT) else None
heard = context.socket(zmq.SUB); heard.connect(f"ipc://{folder}/rpc-notify.sock")
heard.subscribe(b"")
found["heard"] = bool(heard.poll(WAIT))
print(json.dumps(found))
context.destroy(linger=0)
"""


@dataclass(frozen=True, slots=True)
class Account:
    name: str
    uid: int
    gid: int


def _account(name: str, group: str | None) -> Account:
    more = ["-G", group] if group else []
    subprocess.run(["useradd", "-M", "-N", "-s", "/usr/sbin/nologin", *more, name], check=True)
    uid = int(subprocess.check_output(["id", "-u", name]))
    gid = int(subprocess.check_output(["id", "-g", name]))
    return Account(name, uid, gid)


@pytest.fixture(scope="module")
def accounts() -> Iterator[tuple[Account, Account, int]]:
    """One inside the beamline's group, one outside, and the group."""
    mark = f"{os.getpid() % 100_000}"
    group = f"undg{mark}"
    subprocess.run(["groupadd", group], check=True)
    names = [f"undi{mark}", f"undo{mark}"]
    try:
        gid = int(subprocess.check_output(["getent", "group", group]).split(b":")[2])
        yield _account(names[0], group), _account(names[1], None), gid
    finally:
        for name in names:
            subprocess.run(["userdel", name], check=False)
        subprocess.run(["groupdel", group], check=False)


@pytest.fixture
def folder(accounts: tuple[Account, Account, int]) -> Iterator[Path]:
    with short_folder("uu-") as outer:
        outer.chmod(0o755)
        made = outer / "run"
        made.mkdir()
        os.chown(made, -1, accounts[2])
        made.chmod(0o2770)
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_forever, daemon=True)
        thread.start()
        server = RpcServer(Verbs(), made)
        asyncio.run_coroutine_threadsafe(server.open(), loop).result(60.0)
        yield made
        asyncio.run_coroutine_threadsafe(server.close(), loop).result(60.0)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def ask_as(account: Account, folder: Path, wait_ms: int) -> dict[str, object]:
    """What this user meets: the socket file, a reply, a notification."""
    given = [str(folder), account.name, str(account.gid), str(account.uid)]
    done = subprocess.run(
        [sys.executable, "-c", ASK.replace("WAIT", str(wait_ms)), *given],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def test_a_member_of_the_group_is_let_in_under_the_login_name(accounts, folder) -> None:
    inside, _, _ = accounts
    found = ask_as(inside, folder, 20_000)
    assert found["connect"] == "ok"
    assert found["reply"]["ret"]["user"] == inside.name
    assert found["reply"]["ret"]["role"] == "user"
    assert found["heard"]


def test_somebody_else_is_refused_by_the_mode_of_the_files(accounts, folder) -> None:
    found = ask_as(accounts[1], folder, 1500)
    assert found == {"connect": "PermissionError", "reply": None, "heard": False}


def test_and_again_by_the_check_where_somebody_opened_the_files(accounts, folder) -> None:
    _, outside, _ = accounts
    folder.chmod(0o2777)
    for made in folder.iterdir():
        made.chmod(0o666)
    found = ask_as(outside, folder, 3000)
    assert found["connect"] == "ok"
    assert found["reply"]["err"] == "access"
    assert f"user {outside.name} is not in the group" in found["reply"]["desc"]
    assert found["heard"] is False
    assert ask_as(accounts[0], folder, 20_000)["reply"]["err"] == ""

"""The RPC server with plain pyzmq clients: replies, errors, who asks, and what may not hurt it."""

from __future__ import annotations

import json
import os
import pwd
import stat
import subprocess
import sys
import threading
from typing import Any

import pytest
import zmq

from undula.core.errors import OutcomeUnknownError
from undula.core.roles import Role
from undula.session.bridge.model import Author
from undula.session.rpc.client import RpcClient
from undula.session.rpc.errors import ZError
from undula.session.rpc.server import Limits


def ask(socket: zmq.Socket[bytes], text: str | bytes) -> Any:
    socket.send(text.encode() if isinstance(text, str) else text)
    return json.loads(socket.recv())


def test_figure_3a_of_the_paper_word_for_word(rpc, context) -> None:
    socket = rpc.plain(context)
    socket.send(b'{"typ": "dev/keys", "path": "M"}')
    assert socket.recv() == b'{"err": "", "ret": ["M.m1", "M.m2"]}'


def test_figure_3b_of_the_paper_word_for_word(rpc, context) -> None:
    socket = rpc.plain(context)
    socket.send(b'{"typ": "dev/fail"}')
    assert socket.recv() == b'{"err": "exc", "desc": "ZeroDivisionError: division by zero"}'
    socket.send(b'{"typ": "dev/fail", "how": "zerror"}')
    assert socket.recv() == b'{"err": "error", "desc": "description"}'


def test_figure_3c_of_the_paper_word_for_word(rpc, context) -> None:
    listener = context.socket(zmq.SUB)
    listener.setsockopt(zmq.RCVTIMEO, 20_000)
    listener.connect(f"ipc://{rpc.folder}/rpc-notify.sock")
    listener.subscribe(b'{"typ": "rpc/alive"')
    listener.recv()  # from here on it hears
    listener.unsubscribe(b'{"typ": "rpc/alive"')
    listener.subscribe(b'{"typ": "scan/')
    listener.subscribe(b'{"typ": "rpc/alive"')
    listener.recv()
    rpc.notify(typ="doc/start", id=1234)
    rpc.notify(typ="scan/start", id=1234)
    heard = listener.recv()
    while b"rpc/alive" in heard:
        heard = listener.recv()
    assert heard == b'{"typ": "scan/start", "id": 1234}'


def test_an_error_of_ours_brings_its_remedy_and_device(rpc, context) -> None:
    assert ask(rpc.plain(context), '{"typ": "dev/fail", "how": "limit"}') == {
        "err": "limits",
        "desc": "31 mm is above 30 mm",
        "remedy": "stay inside",
        "device": "samx",
    }


def test_the_kernel_says_who_asks(rpc, context) -> None:
    me = pwd.getpwuid(os.getuid()).pw_name
    reply = ask(rpc.plain(context), '{"typ": "dev/who", "token": "t"}')
    assert reply["ret"] == [me, "rpc", os.getuid(), os.getpid(), "t"]


def test_sockets_are_for_the_group_only(rpc) -> None:
    for name in ("rpc.sock", "rpc-notify.sock"):
        assert stat.S_IMODE((rpc.folder / name).stat().st_mode) == 0o660


def test_a_slow_verb_blocks_nobody(rpc, context) -> None:
    slow = [rpc.plain(context) for _ in range(4)]
    for n, socket in enumerate(slow):
        socket.send(b'{"typ": "dev/block"}' if n < 2 else b'{"typ": "dev/wait"}')
    assert ask(rpc.plain(context), '{"typ": "dev/keys", "path": "D"}')["ret"] == ["D.m1", "D.m2"]
    rpc.small.open.set()
    assert [json.loads(socket.recv())["ret"] for socket in slow] == ["done"] * 4


def test_one_client_takes_only_its_share_of_the_threads(rpc, context) -> None:
    greedy = rpc.plain(context, zmq.DEALER)
    for _ in range(8):
        greedy.send_multipart([b"", b'{"typ": "dev/block"}'])
    other = rpc.plain(context)
    assert ask(other, '{"typ": "dev/keys", "path": "M"}')["err"] == ""
    rpc.small.open.set()
    assert [json.loads(greedy.recv_multipart()[1])["err"] for _ in range(8)] == [""] * 8


def test_who_asks_too_much_at_once_is_told_so_and_can_go_on(rpc, context) -> None:
    greedy = rpc.plain(context, zmq.DEALER)
    for n in range(12):
        greedy.send_multipart([b"", json.dumps({"typ": "dev/wait", "req": n}).encode()])
    refused = [json.loads(greedy.recv_multipart()[1]) for _ in range(4)]
    assert {reply["err"] for reply in refused} == {"busy"}
    rpc.small.open.set()
    assert all(json.loads(greedy.recv_multipart()[1])["ret"] == "done" for _ in range(8))


def test_a_process_with_many_connections_leaves_room_for_others(rpc, context) -> None:
    greedy = [rpc.plain(context, zmq.DEALER) for _ in range(3)]
    for socket in greedy:
        for _ in range(8):
            socket.send_multipart([b"", b'{"typ": "dev/wait"}'])
    refused: list[str] = []
    while len(refused) < 4:
        refused += [
            json.loads(s.recv_multipart()[1])["desc"] for s in greedy if s.poll(100, zmq.POLLIN)
        ]
    assert refused == ["20 requests of your process are still open"] * 4
    other = (
        "import sys; from pathlib import Path; from undula.session.rpc.client import RpcClient\n"
        "with RpcClient(Path(sys.argv[1])) as rpc: print(rpc.call('dev/keys', path='M'))"
    )
    said = subprocess.run(
        [sys.executable, "-c", other, str(rpc.folder)], capture_output=True, text=True, check=True
    )
    assert said.stdout == "['M.m1', 'M.m2']\n"


def test_replies_to_many_open_requests_bear_their_tags(rpc, context) -> None:
    socket = rpc.plain(context, zmq.DEALER)
    socket.send(b'{"typ": "dev/wait", "req": "late"}')  # without the empty frame of REQ, too
    socket.send(b'{"typ": "dev/echo", "value": 1, "req": 7}')
    assert json.loads(socket.recv()) == {"err": "", "ret": 1, "req": 7}
    rpc.small.open.set()
    assert json.loads(socket.recv()) == {"err": "", "ret": "done", "req": "late"}


def test_a_chosen_routing_id_is_refused(rpc, context) -> None:
    socket = context.socket(zmq.REQ)
    socket.setsockopt(zmq.ROUTING_ID, b"victim")
    socket.setsockopt(zmq.RCVTIMEO, 20_000)
    socket.connect(f"ipc://{rpc.folder}/rpc.sock")
    assert ask(socket, '{"typ": "dev/keys", "path": "M"}')["err"] == "wire"


def test_unknown_verbs_and_fields_name_what_comes_near(rpc, context) -> None:
    socket = rpc.plain(context)
    reply = ask(socket, '{"typ": "dev/kys"}')
    assert (reply["err"], reply["remedy"]) == ("input", "did you mean dev/keys?")
    reply = ask(socket, '{"typ": "dev/keys", "pth": "M"}')
    assert reply["err"] == "input"
    assert "pth" in reply["desc"]
    assert reply["remedy"] == "dev/keys takes path"


def test_a_wrong_password_field_is_not_told_back(rpc, context) -> None:
    reply = ask(rpc.plain(context), '{"typ": "dev/secret", "name": "a", "password": 427183}')
    assert reply["err"] == "input"
    assert "427183" not in json.dumps(reply)


def test_a_result_that_json_cannot_hold_is_an_error(rpc, context) -> None:
    assert ask(rpc.plain(context), '{"typ": "dev/odd"}')["err"] == "wire"


def test_a_verb_may_need_a_role(rpc, context) -> None:
    assert ask(rpc.plain(context), '{"typ": "dev/for_staff"}')["ret"] == "yes"


def test_who_may_not_is_refused(start, context) -> None:
    async def observer(peer, connection, token):
        return Author("olga"), Role.OBSERVER

    with start(identify=observer) as rpc:
        reply = ask(rpc.plain(context), '{"typ": "dev/for_staff"}')
        assert reply["err"] == "access"
        assert "olga is an observer" in reply["desc"]


def test_a_peer_that_never_reads_costs_the_others_nothing(start, context) -> None:
    with start(limits=Limits(unread=5)) as rpc:
        deaf = rpc.plain(context, zmq.DEALER)
        deaf.setsockopt(zmq.RCVHWM, 1)
        large = json.dumps({"typ": "dev/echo", "value": "x" * 500_000}).encode()
        for _ in range(40):
            deaf.send_multipart([b"", large])
        assert ask(rpc.plain(context), '{"typ": "dev/echo", "value": 3}')["ret"] == 3


def test_the_server_says_what_verbs_there_are(client) -> None:
    table = client.call("rpc/verbs")
    assert table["dev/keys"]["required"] == ["path"]
    assert table["dev/for_staff"]["needs"] == "staff"
    assert client.call("rpc/ping")["role"] == "staff"


def test_the_client_raises_what_the_server_says(client) -> None:
    with pytest.raises(ZError, match="description") as caught:
        client.call("dev/fail", how="zerror")
    assert (caught.value.code, caught.value.text) == ("error", "description")
    with pytest.raises(ZError) as caught:
        client.call("dev/fail", how="limit")
    assert (caught.value.code, caught.value.remedy) == ("limits", "stay inside")


def test_the_client_gives_up_at_its_deadline_and_takes_no_late_reply(rpc, client) -> None:
    with pytest.raises(OutcomeUnknownError, match="no reply to dev/wait"):
        client.call("dev/wait", timeout_s=0.1)
    rpc.small.open.set()
    assert client.call("dev/echo", value="next") == "next"


def test_the_client_finds_a_server_that_was_started_anew(start, folder) -> None:
    with RpcClient(folder, timeout_s=20) as client:
        with start():
            assert client.call("dev/echo", value=1) == 1
        with start():
            assert client.call("dev/echo", value=2) == 2


def test_the_client_hears_notifications_and_calls_back(rpc, client) -> None:
    heard: list[Any] = []
    arrived = threading.Event()

    def note(message: Any) -> None:
        heard.append(message)
        if message["typ"] == "scan/stop":
            arrived.set()

    with client.listen("rpc/alive") as alive, client.listen("scan/", callback=note):
        assert alive.next(20) is not None
        assert alive.next(20) is not None  # the other one, begun before, hears, too
        rpc.notify(typ="scan/start", id=7)
        rpc.notify(typ="other", id=7)
        rpc.notify(typ="scan/stop", id=7)
        assert arrived.wait(20)
    assert heard == [{"typ": "scan/start", "id": 7}, {"typ": "scan/stop", "id": 7}]


def test_notifications_are_counted_so_that_a_loss_can_be_seen(rpc, client) -> None:
    with client.listen() as listener:
        first = listener.next(20)
        assert first is not None
        while first["typ"] != "rpc/alive":
            first = listener.next(20)
        rpc.notify(typ="a")
        rpc.notify(typ="b")
        got = 1
        while (message := listener.next(20))["typ"] != "rpc/alive":
            got += 1
        assert message["sent"] - first["sent"] == got


def test_nothing_is_left_of_a_closed_server(start, folder) -> None:
    with start():
        assert sorted(p.name for p in folder.iterdir()) == ["rpc-notify.sock", "rpc.sock"]
    assert list(folder.iterdir()) == []


def test_raw_text_is_off_unless_switched_on_and_answers_as_figure_3d(start, context) -> None:
    typed: list[tuple[str, str]] = []

    async def inject(text, author, role):
        if role is not Role.STAFF:
            raise ZError("refused", "staff only")
        if not text.endswith("\n"):
            raise ZError("input", "a line ends with a newline")
        typed.append((text, author.name))

    with start(inject=inject) as rpc:
        socket = context.socket(zmq.REQ)
        socket.setsockopt(zmq.RCVTIMEO, 20_000)
        socket.connect(f"ipc://{rpc.folder}/rpc-keys.sock")
        socket.send(b"1 / 0\n")
        assert socket.recv() == b""
        assert typed == [("1 / 0\n", pwd.getpwuid(os.getuid()).pw_name)]
        socket.send(b"1 / 0")
        assert socket.recv() == b"input: a line ends with a newline"
        socket.send(b"\xff\n")
        assert b"can't decode" in socket.recv()

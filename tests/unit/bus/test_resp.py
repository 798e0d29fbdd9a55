"""A connection to the broker: whole replies however they come, and each way in which it may end."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from undula.bus import resp
from undula.bus.link import Address, Link
from undula.bus.resp import Connection, Target, parse_url, refusal
from undula.core.errors import ConfigError

REPLIES = (
    b"+OK\r\n:7\r\n$-1\r\n$4\r\n\r\n\x00x\r\n"
    b"*3\r\n:1\r\n-NOPERM not you\r\n*1\r\n$1\r\na\r\n*-1\r\n"
)
Serve = Callable[[socket.socket], None]


@contextmanager
def served(serve: Serve, *, timeout_s: float = 30.0, **more: str) -> Iterator[Connection]:
    """A connection to a server that does what `serve` does with each of its connections."""
    with TemporaryDirectory(prefix="ur-") as folder:
        door = socket.socket(socket.AF_UNIX)
        door.bind(f"{folder}/s")
        door.listen()

        def run() -> None:
            with suppress(OSError):
                while True:
                    near, _ = door.accept()
                    with near, suppress(OSError):
                        serve(near)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        made = Connection(
            Target(path=f"{folder}/s", **more),
            "",
            answer_timeout_s=timeout_s,
            connect_timeout_s=30.0,
        )
        try:
            yield made
        finally:
            made.disconnect()
            door.shutdown(socket.SHUT_RDWR)
            door.close()
            thread.join(30)


@given(st.lists(st.integers(1, len(REPLIES) - 1)))
@settings(max_examples=40)
def test_replies_come_whole_however_they_are_cut(cuts: list[int]) -> None:
    def serve(near: socket.socket) -> None:
        near.recv(1000)
        edges = [0, *sorted(set(cuts)), len(REPLIES)]
        for begin, end in pairwise(edges):
            near.sendall(REPLIES[begin:end])
        near.recv(1000)

    with served(serve) as connection:
        connection.send([("PING",)])
        assert connection.read() == b"OK"
        assert connection.can_read(30.0)
        assert connection.read() == 7
        assert connection.read() is None
        assert connection.read() == b"\r\n\x00x"
        one, refused, last = connection.read()
        assert (one, last) == (1, [b"a"])
        assert isinstance(refused, resp.NoPermissionError)
        assert connection.read() is None
        assert not connection.can_read(0)


def test_what_is_sent_arrives_as_it_is_whatever_its_size() -> None:
    arrived = bytearray()
    large = b"\r\n" * 500_000

    def serve(near: socket.socket) -> None:
        while b"END" not in arrived[-20:]:
            arrived.extend(near.recv(1 << 16))
        near.sendall(b"+OK\r\n")

    with served(serve) as connection:
        connection.send([("SET", "é", 1, 2.5, b"\x00"), ("SET", "large", large), ("END",)])
        assert connection.read() == b"OK"
    first = b"*5\r\n$3\r\nSET\r\n$2\r\n\xc3\xa9\r\n$1\r\n1\r\n$3\r\n2.5\r\n$1\r\n\x00\r\n"
    assert arrived.startswith(first)
    assert large in arrived


def test_a_connection_that_the_server_ends_is_lost_and_made_anew_when_needed() -> None:
    def serve(near: socket.socket) -> None:
        near.recv(1000)
        near.sendall(b"+PONG\r\n$100\r\nhalf")

    with served(serve) as connection:
        for _ in range(2):
            connection.send([("PING",)])
            assert connection.read() == b"PONG"
            with pytest.raises(resp.LostError, match="closed by the server"):
                connection.read()
            assert not connection.is_connected
            with pytest.raises(resp.LostError, match="not connected"):
                connection.fileno()


def test_a_server_that_says_nothing_is_left_so_that_no_late_answer_is_taken_for_another() -> None:
    asked = threading.Event()

    def serve(near: socket.socket) -> None:
        near.recv(1000)
        asked.wait(30)

    with served(serve, timeout_s=0.05) as connection:
        connection.send([("PING",)])
        with pytest.raises(resp.NoAnswerError):
            connection.read()
        assert not connection.is_connected
        asked.set()


@pytest.mark.parametrize("said", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x00\x01\x02\x03"])
def test_a_server_that_speaks_something_else_is_no_broker(said: bytes) -> None:
    def serve(near: socket.socket) -> None:
        near.recv(1000)
        near.sendall(said)
        near.recv(1000)

    with served(serve) as connection:
        connection.send([("PING",)])
        with pytest.raises(resp.LostError):
            connection.read()
        assert not connection.is_connected


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"-WRONGPASS invalid username-password pair\r\n", resp.AuthenticationError),
        (b"-ERR wrong number of arguments for 'auth' command\r\n", resp.AuthenticationError),
        (b"-LOADING the dataset\r\n", resp.LoadingError),
        (b"-ERR max number of clients reached\r\n", resp.LostError),
        (b"", resp.LostError),
    ],
)
def test_who_is_not_let_in_is_not_connected(answer: bytes, error: type[Exception]) -> None:
    said = bytearray()

    def serve(near: socket.socket) -> None:
        said.extend(near.recv(1000))
        near.sendall(answer)

    with served(serve, user="eva", password="Zq7") as connection:  # of a test
        with pytest.raises(error):
            connection.connect()
        assert not connection.is_connected
    assert said == b"*3\r\n$4\r\nAUTH\r\n$3\r\neva\r\n$3\r\nZq7\r\n"


def test_a_place_where_nobody_listens_is_named(tmp_path: Path) -> None:
    path = str(tmp_path / "none.sock")
    nobody = Connection(Target(path=path), "", answer_timeout_s=1.0, connect_timeout_s=1.0)
    with pytest.raises(resp.LostError, match=r"none\.sock: No such file"):
        nobody.connect()


@pytest.mark.parametrize(
    ("text", "kind", "left"),
    [
        ("OOM command not allowed", resp.OutOfMemoryError, "command not allowed"),
        ("NOAUTH Authentication required.", resp.AuthenticationError, "Authentication required."),
        ("ERR syntax error", resp.RefusedError, "syntax error"),
        ("ERR invalid password", resp.AuthenticationError, "invalid password"),
        ("WRONGTYPE Operation", resp.RefusedError, "WRONGTYPE Operation"),
        ("", resp.RefusedError, ""),
    ],
)
def test_a_refusal_is_known_by_its_first_word(text: str, kind: type[Exception], left: str) -> None:
    found = refusal(text)
    assert (type(found), str(found)) == (kind, left)


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("redis://", Target()),
        ("redis://there:6380/2", Target(host="there", port=6380, db=2)),
        ("redis://:p%40ss@there", Target(host="there", password="p@ss")),
        ("redis://[::1]:7/", Target(host="::1", port=7)),
        ("unix://eva:x@/run/a%20b?db=3", Target("/run/a b", db=3, user="eva", password="x")),
        (
            "rediss://there?ssl_ca_certs=/a&ssl_check_hostname=false&ssl_certfile=c&ssl_keyfile=k",
            Target(host="there", tls=True, cafile="/a", hostname=False, certfile="c", keyfile="k"),
        ),
        ("rediss://there?ssl_cert_reqs=none", Target(host="there", tls=True, verify=False)),
    ],
)  # fmt: skip
def test_a_url_says_where_and_who(url: str, target: Target) -> None:
    assert parse_url(url, Target()) == target


@pytest.mark.parametrize(
    "url",
    ["http://there", "redis://there:port", "redis://there/first", "redis://there?ssl_cert_reqs=no",
     "redis://there?timeout=3", "redis://there?db", "redis://there:99999"],
)  # fmt: skip
def test_a_wrong_url_is_refused_without_its_password(url: str) -> None:
    told = url.replace("://", "://eva:secret@")
    with pytest.raises(ConfigError, match="is no broker URL") as caught:
        Link(Address(told))
    assert "secret" not in str(caught.value)

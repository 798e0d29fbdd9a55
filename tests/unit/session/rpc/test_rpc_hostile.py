"""The corpus of hostile requests: each is answered in words, and the server lives on."""

from __future__ import annotations

import json
import random
import socket
from typing import Any

import pytest
import zmq
from hypothesis import given
from hypothesis import strategies as st

from undula.core.errors import WireError
from undula.session.rpc import wire
from undula.testing.hostile_rpc import MALFORMED, ODD, RAW, mutated


@pytest.mark.parametrize("payload", MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_request_is_answered_with_an_error(rpc, context, payload) -> None:
    one = rpc.plain(context)
    one.send(payload)
    reply = json.loads(one.recv())
    assert reply["err"] in ("wire", "input"), reply
    assert reply["desc"]
    assert len(json.dumps(reply)) < 2000


@pytest.mark.parametrize("payload", ODD.values(), ids=ODD)
def test_an_odd_request_is_answered(rpc, context, payload) -> None:
    one = rpc.plain(context)
    one.send(payload)
    assert "err" in json.loads(one.recv())


@pytest.mark.parametrize("payload", RAW.values(), ids=RAW)
def test_bytes_that_are_no_zeromq_disturb_nobody(rpc, context, payload) -> None:
    lines = []
    for name in ("rpc.sock", "rpc-notify.sock"):
        line = socket.socket(socket.AF_UNIX)
        line.settimeout(10)
        line.connect(str(rpc.folder / name))
        line.sendall(payload)
        lines.append(line)
    one = rpc.plain(context)
    one.send(b'{"typ": "dev/echo", "value": 5}')
    assert json.loads(one.recv())["ret"] == 5
    for line in lines:
        line.close()


def test_many_silent_connections_leave_room_for_others(rpc, context) -> None:
    silent = []
    for _ in range(150):
        line = socket.socket(socket.AF_UNIX)
        line.connect(str(rpc.folder / "rpc.sock"))
        silent.append(line)
    one = rpc.plain(context)
    one.send(b'{"typ": "dev/echo", "value": 6}')
    assert json.loads(one.recv())["ret"] == 6
    for line in silent:
        line.close()


def test_messages_of_strange_frames_are_dropped_or_answered(rpc, context) -> None:
    strange = rpc.plain(context, zmq.DEALER)
    for frames in ([b""], [b"", b""], [b""] * 7, [b"x"] * 30, [b"", b"\x00" * 10]):
        strange.send_multipart(frames)
    one = rpc.plain(context)
    one.send(b'{"typ": "dev/echo", "value": 7}')
    assert json.loads(one.recv())["ret"] == 7


def test_a_message_beyond_the_limit_ends_only_its_connection(rpc, context) -> None:
    huge = rpc.plain(context, zmq.DEALER)
    huge.send(b"x" * (8 << 20))
    one = rpc.plain(context)
    one.send(b'{"typ": "dev/echo", "value": 8}')
    assert json.loads(one.recv())["ret"] == 8


def test_damaged_requests_are_each_answered(rpc, context) -> None:
    rng = random.Random(11)
    one = rpc.plain(context)
    for _ in range(300):
        one.send(mutated(rng))
        assert "err" in json.loads(one.recv())


JSON: Any = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs"]), max_size=5), inner, max_size=4),
    max_leaves=20,
)  # fmt: skip


@given(JSON)
def test_whatever_json_holds_goes_there_and_back(value: Any) -> None:
    payload = json.dumps({"typ": "dev/echo", "value": value}).encode()
    fields = wire.decode_request(payload).fields
    assert fields == {"value": value}
    assert json.loads(wire.encode_reply(None, fields["value"]))["ret"] == value


@given(st.binary(max_size=300))
def test_any_bytes_are_a_request_or_a_wire_error(payload: bytes) -> None:
    try:
        asked = wire.decode_request(payload)
    except WireError:
        return
    assert isinstance(asked.typ, str)


def test_numbers_that_json_lacks_are_sent_as_words() -> None:
    values = [float("nan"), float("inf"), float("-inf"), 1.5]
    assert json.loads(wire.encode_reply(None, values))["ret"] == [
        "NaN",
        "Infinity",
        "-Infinity",
        1.5,
    ]

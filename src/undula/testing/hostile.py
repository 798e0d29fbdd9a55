"""Hostile payloads: what no reader may die of. One corpus for every reader of the bus.

`MALFORMED` must be refused with a `WireError`; `INSANE` is well formed and valid but absurd: it
must be read, or refused with a `WireError`, and the reader lives on. `hostile(model)` adds the
faults that depend on the message a reader expects.
"""

from __future__ import annotations

from typing import Any

import ormsgpack

from undula.bus.codec import ARRAY_EXT, MAX_BYTES, encode
from undula.messages import Message, RunDocument, RunOpened


def _pack(value: Any) -> bytes:
    return ormsgpack.packb(value, option=ormsgpack.OPT_NON_STR_KEYS)


def _document(doc: Any, **more: Any) -> bytes:
    return _pack(
        {"tag": "run_document", "v": 1, "index": 1, "name": "event", "doc": doc, "sent": 0.0} | more
    )


def _array(dtype: str, shape: Any, raw: bytes) -> ormsgpack.Ext:
    return ormsgpack.Ext(ARRAY_EXT, ormsgpack.packb([dtype, shape, raw]))


def _nested(depth: int) -> bytes:
    inner = b"\x81\xa1a" * depth + b"\x01"
    head = _document({})
    return head.replace(b"\xa3doc\x80", b"\xa3doc" + inner)


GOOD: bytes = encode(RunDocument(index=1, name="start", doc={"uid": "u"}))

MALFORMED: dict[str, bytes] = {
    "empty": b"",
    "zeros": b"\x00" * 64,
    "reserved byte": b"\xc1",
    "text": b"hello",
    "json": b'{"tag": "run_document"}',
    "pickle": b"\x80\x04\x95\x10\x00\x00\x00\x00\x00\x00\x00\x8c\x02os\x8c\x06system\x93.",
    "not a map": _pack([1, 2, 3]),
    "nil": b"\xc0",
    "number": _pack(7),
    "truncated": GOOD[:-1],
    "half": GOOD[: len(GOOD) // 2],
    "trailing byte": GOOD + b"\xc0",
    "twice": GOOD + GOOD,
    "array claims 4 G items": b"\xdd\xff\xff\xff\xff",
    "map claims 4 G items": b"\xdf\xff\xff\xff\xff",
    "bytes claim 4 GB": b"\xc6\xff\xff\xff\xff",
    "bad utf-8": b"\x81\xa3tag\xa2\xff\xfe",
    "map as key": b"\x81\x80\x01",
    "integer keys": _pack({1: 2}),
    "no tag": _pack({"v": 1}),
    "unknown tag": _pack({"tag": "no_such_message", "v": 1}),
    "tag is a list": _pack({"tag": [], "v": 1}),
    "no version": _pack({"tag": "run_document", "index": 1, "name": "event", "doc": {}}),
    "newer version": _document({}, v=10_000),
    "version is text": _document({}, v="1"),
    "version is true": _document({}, v=True),
    "version 0": _document({}, v=0),
    "missing fields": _pack({"tag": "run_document", "v": 1}),
    "index is text": _document({}, index="one"),
    "index 0": _document({}, index=0),
    "doc is a list": _document([1, 2]),
    "deep": _nested(500),
    "abyss": b"\x91" * 100_000 + b"\x01",
    "unknown extension": _document({"a": ormsgpack.Ext(99, b"abc")}),
    "array of objects": _document({"a": _array("|O", [1], b"12345678")}),
    "array of no dtype": _document({"a": _array("nonsense", [1], b"1")}),
    "array too short": _document({"a": _array("<f8", [1000], b"1234")}),
    "array negative": _document({"a": _array("<f8", [-1], b"12345678")}),
    "array shape overflows": _document({"a": _array("<f8", [2**62, 2**62], b"")}),
    "array is no array": _document({"a": ormsgpack.Ext(ARRAY_EXT, b"\x01")}),
    "array as key": b"\x81\xc7\x01\x01\x01\x01",
    "over-long": b"\xa1" * (MAX_BYTES + 1),
}

INSANE: dict[str, bytes] = {
    "nan": _document({"a": float("nan"), "b": float("-inf")}),
    "far past": _document({"time": -1e300}, sent=-1e300),
    "far future": _document({"time": 1e300}, sent=float("inf")),
    "huge index": _document({}, index=2**63),
    "largest index": _document({}, index=2**64 - 1),
    "unknown field": _document({}, surprise=1),
    "empty name": _document({}, name=""),
    "long name": _document({}, name="x" * 100_000),
    "control characters": _document({"\x00\x1b[2J": "\x00\r\n\u202e"}),
    "many keys": _document({str(i): i for i in range(20_000)}),
    "empty array": _document({"a": _array("<f8", [0], b"")}),
    "no dimension": _document({"a": _array("<f8", [], b"12345678")}),
    "empty with a large axis": _document({"a": _array("<f8", [0, 2**40], b"")}),
    "text array": _document({"a": _array("<U1", [1], b"a\x00\x00\x00")}),
    "bytes": _document({"a": b"\xff" * 1000}),
    "type confusion": _document({"data": 3, "timestamps": "x", "seq_num": [], "uid": None}),
    "name is a path": _document({"uid": "../../etc/passwd"}, name="../../start"),
}

WRONG_MESSAGE: bytes = encode(
    RunOpened(uid="u", number=1, plan_name="p", command="c", path="/tmp/x", time=0.0)  # noqa: S108  # nothing is written
)


def hostile(model: type[Message]) -> dict[str, bytes]:
    """Payloads that a reader of `model` must refuse with a `WireError`."""
    wrong = WRONG_MESSAGE if model is not RunOpened else GOOD
    own = {
        "another message": wrong,
        "own tag, no fields, wrong type": _pack({"tag": model.tag, "v": 1, "request_id": []}),
        "own tag, newer": _pack({"tag": model.tag, "v": model.version + 1}),
    }
    return {k: v for k, v in MALFORMED.items() if k != "over-long"} | own

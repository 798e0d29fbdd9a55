"""The codec: what goes in comes out; what is no message is a WireError."""

from __future__ import annotations

import math
from enum import Enum
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from undula.bus.codec import MAX_BYTES, decode, encode, encode_document
from undula.core.errors import WireError
from undula.messages import (
    REGISTRY,
    BrokerStatus,
    DeviceInfo,
    DeviceTable,
    Message,
    MoveRequest,
    Readback,
    RunDocument,
    ScanRequest,
)
from undula.testing.hostile import GOOD, INSANE, MALFORMED, hostile

TEXT = st.text(st.characters(codec="utf-8"), max_size=20)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | TEXT
    | st.binary(max_size=20)
)
VALUES = st.recursive(
    SCALARS, lambda v: st.lists(v, max_size=4) | st.dictionaries(TEXT, v, max_size=4), max_leaves=15
)
DTYPES = st.sampled_from(["?", "i1", ">i2", "<u4", "u8", "f4", ">f8", "c16", "U3", "S4", "M8[s]"])


@st.composite
def arrays(draw: st.DrawFn) -> np.ndarray[Any, Any]:
    shape = draw(st.lists(st.integers(0, 4), max_size=3))
    dtype = np.dtype(draw(DTYPES))
    raw = draw(st.binary(min_size=0, max_size=64)) + bytes(8)
    size = math.prod(shape) * dtype.itemsize
    if dtype.kind == "U":  # not every bit pattern is a character
        return np.full(shape, "aµ", dtype)
    if dtype.kind == "b":
        return np.zeros(shape, dtype)
    return np.frombuffer((raw * (size // len(raw) + 1))[:size], dtype).reshape(shape)


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, float) and isinstance(b, float):
        return a == b or (math.isnan(a) and math.isnan(b))
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(_same(a[k], b[k]) for k in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(_same(x, y) for x, y in zip(a, b, strict=True))
    return type(a) is type(b) and bool(a == b)


@given(st.dictionaries(TEXT, VALUES, max_size=5), st.floats(allow_nan=False))
def test_documents_come_back_as_they_were(doc: dict[str, Any], sent: float) -> None:
    back = decode(encode(RunDocument(index=3, name="event", doc=doc, sent=sent)), RunDocument)
    assert _same(back.doc, doc)
    assert (back.index, back.name, back.sent) == (3, "event", sent)


@given(st.dictionaries(TEXT, VALUES, max_size=5), st.integers(1, 2**63), TEXT, st.floats())
def test_the_quick_way_for_documents_gives_the_same_bytes(
    doc: dict[str, Any], index: int, name: str, sent: float
) -> None:
    model = RunDocument(index=index, name=name, doc=doc, sent=sent)
    assert encode_document(index, name, doc, sent) == encode(model)


@given(arrays())
def test_arrays_keep_bytes_shape_and_dtype(array: np.ndarray[Any, Any]) -> None:
    doc = {"data": {"image": array, "rows": [array, 1]}}
    for payload in (encode_document(1, "event", doc, 0.0), encode(Readback(**_readback(array)))):
        message = decode(payload)
        values = message.doc["data"] if isinstance(message, RunDocument) else message.values  # type: ignore[attr-defined]
        back = values["image"]
        assert back.dtype == array.dtype
        assert back.shape == array.shape
        assert back.tobytes() == array.tobytes()
        assert back.flags.writeable


def _readback(array: Any) -> dict[str, Any]:
    return {"name": "cam", "values": {"image": array}, "timestamps": {"image": 1.0}, "time": 1.0}


@given(st.binary(max_size=200))
def test_noise_is_a_wire_error_and_nothing_else(noise: bytes) -> None:
    with pytest.raises(WireError):
        decode(noise)


@settings(max_examples=200)
@given(st.data())
def test_a_damaged_message_is_read_or_refused_and_never_breaks(data: st.DataObject) -> None:
    payload = bytearray(encode_document(1, "event", {"a": np.arange(4.0), "b": {"c": [1]}}, 1.0))
    for _ in range(data.draw(st.integers(1, 4))):
        payload[data.draw(st.integers(0, len(payload) - 1))] = data.draw(st.integers(0, 255))
    try:
        message = decode(bytes(payload))
    except WireError:
        return
    assert isinstance(message, Message)


@pytest.mark.parametrize("name", sorted(MALFORMED))
def test_malformed_payloads_are_refused(name: str) -> None:
    with pytest.raises(WireError):
        decode(MALFORMED[name])


@pytest.mark.parametrize("name", sorted(INSANE))
def test_insane_payloads_are_read_or_refused(name: str) -> None:
    try:
        message = decode(INSANE[name], RunDocument)
    except WireError:
        return
    assert message.tag == "run_document"


@pytest.mark.parametrize("tag", sorted(REGISTRY))
def test_every_reader_refuses_the_hostile_corpus(tag: str) -> None:
    model = REGISTRY[tag]
    for payload in hostile(model).values():
        with pytest.raises(WireError):
            decode(payload, model)


def test_a_message_that_was_not_expected_is_refused() -> None:
    with pytest.raises(WireError, match="expected BrokerStatus, got run_document"):
        decode(GOOD, BrokerStatus)


def test_no_message_has_a_field_that_the_wire_needs_itself() -> None:
    assert not [m for m in REGISTRY.values() if {"tag", "v"} & set(m.model_fields)]


def test_plain_values_of_the_field_are_made_plain() -> None:
    class Shape(Enum):
        ROUND = "round"

    uid = UUID(int=5)
    doc = {
        "scalar": np.float32(0.5), "count": np.uint64(2**64 - 1), "yes": np.True_,
        "text": np.str_("a"), "tuple": (1, (2,)), "path": Path("/a/b"), "uid": uid,
        "enum": Shape.ROUND, "set": {3}, "surrogate": "a\udcff",
    }  # fmt: skip
    assert decode(encode_document(1, "start", doc, 0.0), RunDocument).doc == {
        "scalar": 0.5, "count": 2**64 - 1, "yes": True, "text": "a", "tuple": [1, [2]],
        "path": "/a/b", "uid": str(uid), "enum": "round", "set": [3], "surrogate": "a?",
    }  # fmt: skip


@pytest.mark.parametrize(
    "value",
    [object(), np.array([object()]), 2**64, {1: 2}, lambda: None, {"a": [b"", object()]}],
    ids=["object", "object array", "big integer", "integer key", "function", "deep object"],
)
def test_what_cannot_be_sent_is_a_wire_error(value: Any) -> None:
    with pytest.raises(WireError, match="cannot be"):
        encode_document(1, "event", {"value": value}, 0.0)


def test_what_is_too_long_is_refused_by_the_sender() -> None:
    with pytest.raises(WireError, match="the bound is"):
        encode_document(1, "event", {"a": bytes(MAX_BYTES)}, 0.0)


def test_nested_models_come_back() -> None:
    info = DeviceInfo(
        name="samx", path="M.samx", device_class="Sim", kind="positioner",
        readout_priority="baseline", enabled=True, connected=True, limits=(-1.0, 1.0),
        data_keys={"samx": {"dtype": "number"}},
    )  # fmt: skip
    table = DeviceTable(devices=[info])
    assert decode(encode(table), DeviceTable) == table


@pytest.mark.parametrize("bad", [math.nan, math.inf, np.float64("nan"), np.array([1.0, np.nan])])
def test_commands_with_numbers_that_are_none_are_refused_at_both_ends(bad: Any) -> None:
    request = ScanRequest.model_construct(
        request_id="r", deadline=1.0, plan="scan", args=["samx", [{"to": bad}]], kwargs={}
    )
    with pytest.raises(WireError, match="'args' of scan_request holds NaN"):
        encode(request)
    event = encode_document(1, "x", {"bad": bad}, 0.0)
    assert decode(event, RunDocument).doc.keys() == {"bad"}


def test_a_command_with_not_a_number_is_refused_by_its_reader() -> None:
    good = encode(MoveRequest(request_id="r", deadline=1.0, targets={"samx": 1.25}))
    one, nan = np.array(1.25, ">f8").tobytes(), np.array(math.nan, ">f8").tobytes()
    with pytest.raises(WireError, match="NaN"):
        decode(good.replace(one, nan), MoveRequest)


def test_a_command_with_an_unknown_field_is_refused_and_an_event_is_not() -> None:
    def with_more(payload: bytes) -> bytes:
        return bytes([payload[0] + 1]) + payload[1:] + b"\xa5extra\x01"

    event = encode(BrokerStatus(fsync="always", power_cut_costs=""))
    assert decode(with_more(event), BrokerStatus).fsync == "always"
    command = encode(MoveRequest(request_id="r", deadline=1.0, targets={"samx": 1.0}))
    with pytest.raises(WireError, match="extra"):
        decode(with_more(command), MoveRequest)

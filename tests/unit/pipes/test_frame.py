"""A descriptor says all of a frame, and nonsense is refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from undula.core.errors import WireError
from undula.pipes.errors import PipeError
from undula.pipes.frame import (
    DESCRIPTOR,
    Frame,
    checksum,
    in_slot,
    marked_again,
    pack,
    unpack,
)

SHAPES = st.lists(st.integers(0, 5), max_size=4).map(tuple)
DTYPES = st.sampled_from(["u1", "<u2", "<i4", "<f4", "<f8", "<c16", "?", ">u2"])


@given(
    SHAPES, DTYPES, st.integers(1, 2**60), st.none() | st.integers(0, 2**60),
    st.none() | st.floats(0, 1e12), st.text("abc_é", min_size=1, max_size=12), st.booleans(),
)  # fmt: skip
def test_a_frame_comes_back_as_it_was(
    shape: tuple[int, ...], dtype: str, seq: int, trigger: int | None, clock: float | None,
    stream: str, checked: bool,
) -> None:  # fmt: skip
    data = np.frombuffer(np.random.default_rng(1).bytes(16384), "u1").copy()
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    data = np.ndarray(shape, dtype, data) if size else np.zeros(shape, dtype)
    frame = Frame(
        seq, data, stream, trigger, 12.5, clock, checksum=checksum(data) if checked else None
    )
    memory = bytes(100) + data.tobytes() + bytes(8)
    found = unpack(DESCRIPTOR.unpack(pack(frame, 7)), memory, 100, 65536)
    found.check()
    assert found.data.tobytes() == data.tobytes()
    assert (found.seq_num, found.stream, found.trigger, found.time, found.hardware_time) == (
        seq, stream, trigger, 12.5, clock,
    )  # fmt: skip
    assert (found.shape, found.dtype, found.slot) == (shape, np.dtype(dtype), 7)
    assert not found.again
    assert not found.data.flags.writeable


def test_compressed_data_keep_shape_and_dtype_of_the_frame() -> None:
    data = np.arange(10, dtype="u1")
    frame = Frame(1, data, compression="bslz4", shape=(4, 8), dtype=np.dtype("<u2"))
    found = unpack(DESCRIPTOR.unpack(pack(frame, 0)), data.tobytes(), 0, 64)
    assert (found.compression, found.shape, found.dtype) == ("bslz4", (4, 8), np.dtype("<u2"))
    assert found.data.tobytes() == data.tobytes()


def test_a_descriptor_is_of_one_size_and_can_be_marked_and_moved() -> None:
    text = pack(Frame(3, np.zeros(4)), 9)
    assert len(text) == DESCRIPTOR.size == 112
    moved = in_slot(marked_again(text), 11, 1)
    fields = DESCRIPTOR.unpack(moved)
    assert fields[:3] == (11, 1, 1)
    assert moved[6:] == text[6:]


def test_a_changed_byte_is_found_by_the_checksum() -> None:
    data = np.arange(100, dtype="u1")
    frame = Frame(1, data, checksum=checksum(data))
    data[3] += 1
    with pytest.raises(WireError, match="checksum differs"):
        frame.check()


@pytest.mark.parametrize(
    "frame",
    [
        Frame(1, np.zeros((1, 1, 1, 1, 1))),
        Frame(1, np.array(["a"])),
        Frame(1, np.array([object()])),
        Frame(1, np.zeros(1, [("a", "u1")])),
        Frame(1, np.zeros(1), "x" * 25),
        Frame(1, np.zeros(1), ""),
    ],
)
def test_what_has_no_place_in_a_descriptor_is_refused(frame: Frame) -> None:
    with pytest.raises(PipeError, match="Remedy"):
        pack(frame, 0)


@given(st.binary(min_size=112, max_size=112))
def test_any_bytes_are_a_frame_within_the_slot_or_an_error(text: bytes) -> None:
    memory = bytes(256)
    try:
        frame = unpack(DESCRIPTOR.unpack(text), memory, 64, 128)
    except WireError:
        return
    assert frame.data.nbytes <= 128

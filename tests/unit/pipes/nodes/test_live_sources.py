"""Frames from the network: all that came, by the sender's numbers; nonsense is left out."""

from __future__ import annotations

import importlib
import json
import select
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import zmq
from hypothesis import given, settings
from hypothesis import strategies as st

from undula.core.errors import InputError, WireError
from undula.files import bslz4
from undula.pipes.errors import PipeError
from undula.pipes.frame import Frame
from undula.pipes.nodes.live import LiveSource
from undula.pipes.nodes.pva_images import PvaImages
from undula.pipes.nodes.zmq_images import ZmqImages, frame_of, split

WAIT_S = 20.0


def taken(source: LiveSource, enough: Callable[[list[Frame]], bool]) -> list[Frame]:
    """Frames as they come, up to the end or until they are enough."""
    frames: list[Frame] = []
    source.start()
    while not source.ended and not enough(frames):
        assert select.select([source], [], [], WAIT_S)[0], "nothing came"
        frames += source.take(5.0)
    return frames


def simplon(number: int, image: Any, *, packed: bool = False, **more: Any) -> list[bytes]:
    """A message as SIMPLON's stream has it."""
    bits = 8 * image.dtype.itemsize
    encoding = f"bs{bits}-lz4<" if packed else "<"
    data = bslz4.compress(image).tobytes() if packed else image.tobytes()
    headers = [
        {"htype": "dimage-1.0", "series": 1, "frame": number, "hash": ""},
        {"htype": "dimage_d-1.0", "shape": list(reversed(image.shape)), "type": str(image.dtype),
         "encoding": encoding, "size": len(data), **more},
        {"htype": "dconfig-1.0", "start_time": number * 10**8, "stop_time": 0, "real_time": 0},
    ]  # fmt: skip
    head = [json.dumps(one).encode() for one in headers]
    return [head[0], head[1], data, head[2]]


@pytest.fixture
def pushing() -> Any:
    with zmq.Context() as context, context.socket(zmq.PUSH) as socket:
        socket.linger = 0
        port = socket.bind_to_random_port("tcp://127.0.0.1")
        yield socket, f"tcp://127.0.0.1:{port}"


@pytest.mark.parametrize("packed", [False, True])
def test_a_series_of_a_detectors_stream_becomes_frames(pushing: Any, packed: bool) -> None:
    images = [np.arange(12, dtype="u2").reshape(3, 4) * n for n in range(5)]
    push, address = pushing
    source = ZmqImages(address=address, first=0, packed=packed)
    source.start()
    push.send_multipart([b'{"htype":"dheader-1.0","series":1}', b"{}", b"blob", b"blob"])
    for number, image in enumerate(images):
        if number != 2:
            push.send_multipart(simplon(number, image, packed=number % 2 == 1))
    push.send_multipart([b'{"htype":"dseries_end-1.0","series":1}'])
    frames = taken(source, lambda _: False)
    source.close()
    assert [frame.seq_num for frame in frames] == [1, 2, 4, 5]
    assert [frame.trigger for frame in frames] == [0, 1, 3, 4]
    assert [frame.hardware_time for frame in frames] == pytest.approx([0, 0.1, 0.3, 0.4])
    for frame in frames:
        if packed and frame.seq_num % 2 == 0:
            assert frame.compression == "bslz4"
            data = bslz4.decompress(frame.data, frame.shape, frame.dtype)
        else:
            data = frame.data
        assert np.array_equal(data, images[frame.seq_num - 1])


def test_a_message_that_makes_no_sense_is_left_out_unless_it_is_the_first(pushing: Any) -> None:
    image = np.ones((2, 2), "u1")
    push, address = pushing
    source = ZmqImages(address=address, frames=3)
    source.start()
    push.send_multipart(simplon(7, image))
    push.send_multipart(simplon(8, image, encoding="lz4<"))
    push.send_multipart(simplon(9, image))
    assert [frame.seq_num for frame in taken(source, lambda _: False)] == [1, 3]
    assert source.refused == 1
    assert "lz4<" in source.last_refusal
    source.close()


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("nonsense", ["shape", "time", "number"])
def test_a_header_that_claims_the_impossible_is_left_out_and_the_source_goes_on(
    pushing: Any, packed: bool, nonsense: str
) -> None:
    image = np.ones((2, 2), "u2")
    push, address = pushing
    source = ZmqImages(address=address, frames=3, packed=packed)
    source.start()
    push.send_multipart(simplon(7, image))
    if nonsense == "shape":
        shape = [2**20 - 1] * 4
        push.send_multipart(simplon(8, image, packed=True, shape=shape))
    elif nonsense == "time":
        head = {"frame": 8, "shape": [2, 2], "type": "uint16", "start_time": 10**400}
        push.send_multipart([json.dumps(head).encode(), image.tobytes()])
    else:
        push.send_multipart(simplon(10**30, image))
    push.send_multipart(simplon(9, image))
    assert [frame.seq_num for frame in taken(source, lambda _: False)] == [1, 3]
    assert source.refused == 1
    source.close()


def test_a_source_whose_listening_breaks_says_so_to_whoever_takes_frames() -> None:
    class Broken(ZmqImages):
        def _listen(self) -> None:
            raise MemoryError("no room for 1 PiB")

    source = Broken(address="tcp://127.0.0.1:1")
    with pytest.raises(PipeError, match="hears nothing any more: MemoryError: no room for 1 PiB"):
        taken(source, lambda _: False)
    source.close()


def test_a_first_message_that_makes_no_sense_and_a_wrong_address_end_the_source(
    pushing: Any,
) -> None:
    push, address = pushing
    source = ZmqImages(address=address)
    source.start()
    push.send_multipart(simplon(1, np.ones((2, 2), "u1"), shape=[0]))
    with pytest.raises(WireError, match="its shape"):
        taken(source, lambda _: False)
    source.close()
    wrong = ZmqImages(address="nonsense")
    with pytest.raises(InputError, match="cannot be listened to"):
        taken(wrong, lambda _: False)
    wrong.close()


def test_frames_that_nobody_takes_are_bounded_and_counted() -> None:
    source = ZmqImages(keep_bytes=30, kind="subscribe")
    source._thread = None
    for number in (1, 2, 3, 4, 5):
        source._put(Frame(number, np.zeros(10, "u1")))
    assert source.overruns == 2
    source._thread = object()  # type: ignore[assignment]  # it listens to nobody
    assert [frame.seq_num for frame in source.take(3.0)] == [1, 2, 3]
    source._put(Frame(6, np.zeros(100, "u1"), time=1.0))
    assert [(frame.seq_num, frame.time) for frame in source.take(3.0)] == [(6, 1.0)]
    source._thread = None
    source.close()


def test_a_stream_ends_behind_its_last_number_though_that_one_was_lost() -> None:
    source = ZmqImages(frames=3)
    for number in (0, 1, 2, 4):
        assert not source.ended
        source._put(Frame(number, np.zeros(1)))
    source._thread = object()  # type: ignore[assignment]  # it listens to nobody
    assert [frame.seq_num for frame in source.take()] == [1, 2]
    assert source.ended
    source._thread = None
    source.close()


def numbered(source: LiveSource, *theirs: int, stamp: object = None) -> list[int]:
    """The numbers of frames that the sender numbers so."""
    source._thread = object()  # type: ignore[assignment]  # it listens to nobody
    for number in theirs:
        source._put(Frame(source._number(number, stamp), np.zeros(1)))
    source._thread, frames = None, source.take() if source._waiting else []
    return [frame.seq_num for frame in frames]


def quiet(**parameters: Any) -> LiveSource:
    """A source that listens to nobody."""

    class Quiet(ZmqImages):
        def start(self) -> None:
            pass

    return Quiet(**parameters)


def test_a_sender_that_begins_to_number_anew_loses_no_frame() -> None:
    source = quiet()
    assert numbered(source, 100, 101, 102, 1, 2, 3, 1, 2) == [1, 2, 3, 4, 5, 6, 7, 8]
    assert source.epochs == 3
    source.close()


def test_a_frame_that_is_late_keeps_its_number() -> None:
    source = quiet()
    assert numbered(source, 7, 9, 8, 10) == [1, 3, 2, 4]
    assert source.epochs == 1
    source.close()


def test_a_frame_that_is_sent_again_with_the_same_stamp_is_left_out_and_counted() -> None:
    source = quiet()
    assert numbered(source, 7, 7, stamp=(5, 0)) == [1]
    assert numbered(source, 7, stamp=(6, 0)) == [2], "a camera that always says 7"
    assert source.twice == 1
    source.close()


def test_a_source_that_is_started_anew_numbers_as_the_one_before_it() -> None:
    before = quiet()
    assert numbered(before, 40, 41, 42) == [1, 2, 3]
    words = before.remember()
    before.close()
    source = quiet()
    source.recall(words, made=3)
    assert numbered(source, 45, 46) == [6, 7], "what came meanwhile is missing, and is named"
    source.close()
    anew = quiet()
    anew.recall(words, made=3)
    assert numbered(anew, 2, 3) == [4, 5], "the camera was started anew as well"
    anew.close()


def test_frames_from_before_the_first_trigger_are_left_out() -> None:
    source = quiet()
    source._put(Frame(source._number(56), np.zeros(1)))
    source.drain()
    assert numbered(source, 57, 58) == [1, 2]
    assert source.before == source.left_out == 1
    source.close()


def test_a_sender_that_waits_is_not_listened_to_while_too_much_waits() -> None:
    with zmq.Context() as context, context.socket(zmq.PUSH) as push:
        push.linger, push.sndhwm, push.sndbuf = 0, 1, 1 << 16
        port = push.bind_to_random_port("tcp://127.0.0.1")
        image = np.ones((512, 512), "u1")
        source = ZmqImages(address=f"tcp://127.0.0.1:{port}", keep_bytes=image.nbytes, frames=60)
        source.start()
        push.send_multipart(simplon(0, image))
        assert select.select([source], [], [], WAIT_S)[0]
        sent = 1
        while push.poll(200, zmq.POLLOUT):
            push.send_multipart(simplon(sent, image))
            sent += 1
        assert sent < 60, "it was held up"
        frames: list[Frame] = []
        while not source.ended:
            assert select.select([source], [], [], WAIT_S)[0]
            frames += source.take(1.0)
            while sent < 60 and push.poll(0, zmq.POLLOUT):
                push.send_multipart(simplon(sent, image))
                sent += 1
        source.close()
    assert [frame.seq_num for frame in frames] == list(range(1, 61))
    assert source.overruns == 0


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


@given(
    st.dictionaries(
        st.sampled_from(["shape", "type", "dtype", "encoding", "frame", "htype", "start_time"]),
        JSON | st.sampled_from(["uint16", "bs16-lz4<", "<", 10**400, [2, 3], [2**20 - 1] * 4]),
    ),
    st.binary(max_size=40),
    st.booleans(),
)
@settings(max_examples=150, deadline=None)
def test_any_message_makes_a_frame_or_a_wire_error(
    header: dict[str, Any], data: bytes, packed: bool
) -> None:
    parts = [memoryview(json.dumps(header).encode()), memoryview(data)]
    try:
        found, blob = split(parts)
        if blob is not None:
            frame = frame_of(found, blob, 1, packed=packed)
            assert frame.compression in (("none", "bslz4") if packed else ("none",))
    except WireError:
        pass


def test_a_pv_that_serves_images_becomes_frames() -> None:
    p4p_server = importlib.import_module("p4p.server")
    from p4p.nt import NTNDArray
    from p4p.server.thread import SharedPV

    kind = NTNDArray.buildType()
    from p4p import Value

    def update(number: int, image: Any, codec: str = "", code: int = 0) -> Any:
        packed = bslz4.compress(image)[12:] if codec else image.ravel()
        value = Value(kind)
        value["value"] = ("ubyteValue", packed) if codec else ("ushortValue", packed)
        value["dimension"] = [{"size": size} for size in reversed(image.shape)]
        value["uniqueId"] = number
        value["uncompressedSize"] = image.nbytes
        value["codec.name"] = codec
        if codec:
            value["codec.parameters"] = code
        value["dataTimeStamp"] = {"secondsPastEpoch": 100 + number, "nanoseconds": 500_000_000}
        return value

    images = [np.arange(12, dtype="u2").reshape(3, 4) + n for n in range(6)]
    pv = SharedPV(initial=update(1, images[1]), nt=None)
    with p4p_server.Server(providers=[{"UNDULA:IMAGE": pv}], isolate=True) as server:
        conf = {key: str(value) for key, value in server.conf().items()}
        source = PvaImages(pv="UNDULA:IMAGE", provider=conf, first=1, frames=5)
        frames = taken(source, lambda frames: len(frames) == 1)
        pv.post(update(2, images[2], "bslz4", 3))
        frames += taken(source, lambda frames: len(frames) == 1)
        huge = update(3, images[3], "bslz4", 6)
        huge["dimension"] = [{"size": 2**31 - 1}] * 2
        huge["uncompressedSize"] = 2 * (2**31 - 1) ** 2
        pv.post(huge)
        pv.post(update(4, images[4], "bslz4", 6))
        pv.post(update(5, images[5]))
        frames += taken(source, lambda _: False)
        source.close()
    assert [frame.seq_num for frame in frames] == [1, 2, 4, 5]
    assert [frame.hardware_time for frame in frames] == [101.5, 102.5, 104.5, 105.5]
    for frame in frames:
        assert np.array_equal(frame.data, images[frame.seq_num])
        assert frame.data.dtype == np.uint16
    assert source.refused == 1
    assert "are no bitshuffle/LZ4 chunk" in source.last_refusal

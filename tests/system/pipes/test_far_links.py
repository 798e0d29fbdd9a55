"""Links between hosts, over loopback: cuts, deaths and keys."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import zmq

from undula.core.clock import Deadline
from undula.pipes.errors import PipeError
from undula.pipes.frame import Frame
from undula.pipes.ledger import EdgeLedger, merged
from undula.pipes.link import wire
from undula.pipes.link.far import Liveness
from undula.pipes.link.far_inlet import FarInlet
from undula.pipes.link.far_outlet import FarOutlet
from undula.pipes.link.keys import Keys, load_keys, trust
from undula.pipes.policy import Policy
from undula.testing.law import until

LARGE = 200_000
QUICK = Liveness(beat_s=0.1, dead_s=0.5, patience_s=30.0)
PATIENCE_S = 30.0


class Cable:
    """A TCP connection through here, that can be pulled out."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._door = socket.create_server(("127.0.0.1", 0))
        self.address = f"tcp://127.0.0.1:{self._door.getsockname()[1]}"
        self._ends: list[socket.socket] = []
        self.connections = 0
        self._plugged, self._carries = threading.Event(), threading.Event()
        self._plugged.set()
        self._carries.set()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                near, _ = self._door.accept()
            except OSError:
                return
            self.connections += 1
            if not self._plugged.is_set():
                near.close()
                continue
            far = socket.create_connection(("127.0.0.1", self._port))
            self._ends += [near, far]
            for one, other in ((near, far), (far, near)):
                threading.Thread(target=self._carry, args=(one, other), daemon=True).start()

    def _carry(self, one: socket.socket, other: socket.socket) -> None:
        with suppress(OSError):
            while raw := one.recv(1 << 16):
                self._carries.wait()
                other.sendall(raw)
        for end in (one, other):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def pull(self) -> None:
        """What is under way is lost."""
        self._plugged.clear()
        ends, self._ends = self._ends, []
        for end in ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def freeze(self) -> None:
        """As when the other host loses its power: nothing more comes, and no end either."""
        self._carries.clear()

    def thaw(self) -> None:
        self._carries.set()

    def plug(self) -> None:
        self._plugged.set()

    def close(self) -> None:
        self._door.close()
        self.thaw()
        self.pull()


@pytest.fixture
def ours(tmp_path: Path) -> Keys:
    return load_keys(tmp_path / "keys")


class Feed:
    """A producer that goes on by itself, in a thread of its own."""

    def __init__(self, outlet: FarOutlet, frames: int, size: int = LARGE) -> None:
        self.outlet, self.frames, self.size = outlet, frames, size
        self.counts: dict[str, int] = {}
        self.ledger = EdgeLedger()
        self.quit = threading.Event()
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self) -> None:
        for seq in range(1, self.frames + 1):
            data = np.full(self.size // 8, seq, "<i8")
            while not self.outlet.send(Frame(seq, data, trigger=seq - 1), timeout_s=0.1):
                if self.quit.is_set():
                    return
        self.outlet.finish()
        while not self.quit.is_set():
            self.outlet.pump(0.05)
        self.ledger = self.outlet.ledgers()["writer"]
        self.counts = self.ledger.counts

    def close(self) -> None:
        self.quit.set()
        self.thread.join()
        self.outlet.close()


def port(outlet: FarOutlet) -> int:
    return int(outlet.address.rpartition(":")[2])


def batches(inlet: FarInlet, most: int = 64) -> Iterator[list[Frame]]:
    """What it takes until it ends. Raises: AssertionError when it does not, PipeError when lost."""
    deadline = Deadline(2 * PATIENCE_S)
    while inlet.ended == "no":
        assert not deadline.passed, f"{inlet.ledger.counts}, and no end"
        yield inlet.take(most, 1.0)


def take_all(inlet: FarInlet) -> None:
    for _ in batches(inlet):
        pass


def check(frame: Frame) -> int:
    assert np.all(frame.data == frame.seq_num), "these are another frame's data"
    return frame.seq_num


@pytest.mark.parametrize("size", [80, LARGE])
def test_a_consumer_goes_on_at_its_first_unconfirmed_frame_after_each_cut(
    ours: Keys, size: int
) -> None:
    outlet = FarOutlet(
        "tcp://127.0.0.1:*", frame_bytes=size, budget_bytes=20 * size + 2000,
        expect={"writer": Policy()}, keys=ours, alive=QUICK,
    )  # fmt: skip
    cable = Cable(port(outlet))
    feed = Feed(outlet, 300, size)
    inlet = FarInlet(cable.address, "writer", keys=ours, alive=QUICK, wait=False)
    got: list[int] = []
    kept: list[Frame] = []
    try:
        for batch in batches(inlet, 7):
            for frame in batch:
                got.append(check(frame))
                kept.append(frame)
                if len(got) in (40, 120, 200):
                    cable.pull()
                    for each in kept[: len(kept) // 2]:  # while there is no way to the producer
                        inlet.confirm(each)
                    del kept[: len(kept) // 2]
                    inlet.flush()
                    cable.plug()
            while len(kept) > 5:  # some stay in hand over each cut
                inlet.confirm(kept.pop(0))
        assert [check(frame) for frame in kept] == got[-len(kept) :], "what is in hand was not kept"
        for each in kept:
            inlet.confirm(each)
        assert inlet.settled(PATIENCE_S)
        until(lambda: outlet.in_flight == 0, "the last confirmation was not heard")
    finally:
        inlet.close()
        feed.close()
        cable.close()
    assert inlet.ended == "end"
    assert got == list(range(1, 301)), "in order, none twice, none left out"
    assert feed.counts["passed"] == feed.counts["seen"] == 300
    assert inlet.ledger.counts["passed"] == 300


def test_a_successor_gets_what_was_not_confirmed_marked_as_such(ours: Keys) -> None:
    outlet = FarOutlet(
        "tcp://127.0.0.1:*", frame_bytes=LARGE, budget_bytes=10 * LARGE,
        expect={"writer": Policy()}, keys=ours, alive=QUICK,
    )  # fmt: skip
    cable = Cable(port(outlet))
    feed = Feed(outlet, 30)
    first = FarInlet(cable.address, "writer", keys=ours, alive=QUICK)
    got = first.take(4, PATIENCE_S)
    assert [check(frame) for frame in got] == list(range(1, len(got) + 1))
    first.confirm(got[0])
    assert first.settled(PATIENCE_S)
    cable.close()  # it is cut off, for good
    second = FarInlet(outlet.address, "writer", keys=ours, alive=QUICK, wait=False)
    seen: list[tuple[int, bool]] = []
    try:
        for batch in batches(second):
            for frame in batch:
                seen.append((check(frame), frame.again))
                second.confirm(frame)
        assert second.settled(PATIENCE_S)
    finally:
        for end in (first, second, feed):
            end.close()
    assert [number for number, _ in seen] == list(range(2, 31))
    assert seen[0] == (2, True)
    assert seen[-1] == (30, False)
    assert merged([first.ledger, second.ledger, feed.ledger]).counts["passed"] == 30


def test_a_successor_does_not_wait_until_a_silent_consumer_counts_as_dead(ours: Keys) -> None:
    never = Liveness(beat_s=100.0, dead_s=1000.0, patience_s=1000.0)
    outlet = FarOutlet(
        "tcp://127.0.0.1:*", frame_bytes=LARGE, budget_bytes=10 * LARGE,
        expect={"writer": Policy()}, keys=ours, alive=never,
    )  # fmt: skip
    cable = Cable(port(outlet))
    feed = Feed(outlet, 30)
    first = FarInlet(cable.address, "writer", keys=ours, alive=never)
    got = first.take(1, PATIENCE_S)
    first.confirm(got[0])
    assert first.settled(PATIENCE_S)
    cable.freeze()
    with pytest.raises(PipeError, match="there is a consumer 'writer' already"):
        FarInlet(outlet.address, "writer", keys=ours, alive=never)
    second = FarInlet(outlet.address, "writer", keys=ours, alive=never, turn=1)
    seen: list[int] = []
    try:
        for batch in batches(second):
            for frame in batch:
                seen.append(check(frame))
                second.confirm(frame)
        assert second.settled(PATIENCE_S)
        cable.thaw()
        with pytest.raises(PipeError, match="a successor has taken the place"):
            take_all(first)  # it was not dead after all
    finally:
        for end in (first, second, feed, cable):
            end.close()
    assert seen == list(range(2, 31))
    assert merged([second.ledger, feed.ledger]).counts["lost"] == 0


def test_a_producer_listens_at_the_first_free_port_of_a_range(ours: Keys) -> None:
    for _ in range(20):  # two neighbours that are free: nobody else on this host may come between
        with socket.create_server(("127.0.0.1", 0)) as taken:
            number = taken.getsockname()[1]
            try:
                outlet = FarOutlet(
                    f"tcp://127.0.0.1:{number}-{number + 1}", frame_bytes=64, keys=ours
                )
            except PipeError:
                continue
            assert port(outlet) == number + 1
            outlet.close()
            with pytest.raises(PipeError, match="cannot be handed on"):
                FarOutlet(f"tcp://127.0.0.1:{number}-{number}", frame_bytes=64, keys=ours)
            return
    pytest.fail("no two neighbouring ports were free")


def test_a_key_that_is_not_known_is_refused(ours: Keys, tmp_path: Path) -> None:
    stranger = load_keys(tmp_path / "stranger")
    trust(tmp_path / "stranger", "det", ours.public.decode())
    expect = {"writer": Policy()}
    outlet = FarOutlet("tcp://127.0.0.1:*", frame_bytes=64, expect=expect, keys=ours, alive=QUICK)
    feed = Feed(outlet, 1, 64)
    try:
        with pytest.raises(PipeError, match="does not know the key of this host"):
            FarInlet(
                outlet.address, "writer", keys=load_keys(tmp_path / "stranger"), host="det",
                alive=QUICK,
            )  # fmt: skip
        trust(tmp_path / "keys", "roi", stranger.public.decode())
    finally:
        feed.close()
    outlet = FarOutlet(
        "tcp://127.0.0.1:*", frame_bytes=64, expect=expect, keys=load_keys(tmp_path / "keys")
    )
    feed = Feed(outlet, 1, 64)
    known = load_keys(tmp_path / "stranger")
    try:
        inlet = FarInlet(outlet.address, "writer", keys=known, host="det")
        assert inlet.connected
        inlet.close()
    finally:
        feed.close()


def test_a_producer_that_is_not_the_one_that_is_known_is_not_believed_and_seldom_asked(
    ours: Keys, tmp_path: Path
) -> None:
    outlet = FarOutlet("tcp://127.0.0.1:*", frame_bytes=64, keys=load_keys(tmp_path / "false"))
    trust(tmp_path / "keys", "det", load_keys(tmp_path / "true").public.decode())
    cable = Cable(port(outlet))
    inlet = FarInlet(
        cable.address, "writer", keys=load_keys(tmp_path / "keys"), host="det", wait=False,
        alive=Liveness(beat_s=0.1, dead_s=0.2, patience_s=0.5),
    )  # fmt: skip
    try:

        def ask_again_and_again() -> None:
            deadline = Deadline(PATIENCE_S)
            while not deadline.passed:
                inlet.pump()
                outlet.pump(0.002)

        with pytest.raises(PipeError, match="compare the key that `undula pipes keys` says there"):
            ask_again_and_again()
        assert inlet.ended == "lost"
        assert outlet.present == []
        assert cable.connections <= 6, "with pauses of 0, 0.05, 0.1, 0.2 and 0.4 s"
    finally:
        inlet.close()
        cable.close()
        outlet.close()


def test_a_producer_that_had_welcomed_it_and_is_away_for_good_is_lost_without_an_error(
    ours: Keys,
) -> None:
    outlet = FarOutlet("tcp://127.0.0.1:*", frame_bytes=64, keys=ours)
    cable = Cable(port(outlet))
    alive = Liveness(beat_s=0.1, dead_s=0.2, patience_s=0.5)
    inlet = FarInlet(cable.address, "writer", keys=ours, alive=alive, wait=False)
    try:
        until(lambda: (outlet.pump(0.01), inlet.pump(), inlet.connected)[-1], "it is welcomed")
        cable.pull()
        outlet.close()
        assert inlet.take(timeout_s=None) == []
        assert inlet.ended == "lost"
    finally:
        inlet.close()
        cable.close()
        outlet.close()


@pytest.mark.parametrize(
    "said",
    ['"have": [[0, Infinity]]', '"have": [[0, 1, 2]]', '"passed": [[5, 9], [1, 3]]',
     '"failed": [[4, 4]]', '"passed": "all"', '"passed": [[1, 1e3]]'],
)  # fmt: skip
def test_a_consumer_that_tells_nonsense_is_refused_and_the_producer_goes_on(said: str) -> None:
    outlet = FarOutlet("tcp://127.0.0.1:*", frame_bytes=64)
    hello = (
        f'{{"name": "roi", "token": "t", "kind": "latest", "every": 1, "disk_bytes": 0, {said}}}'
    )
    with zmq.Context() as context, context.socket(zmq.DEALER) as door:
        door.linger = 0
        door.connect(outlet.address)
        door.send(wire.packet(wire.HELLO, hello.encode()))
        until(lambda: outlet.pump(0.01) or door.poll(10), "nobody answers")
        kind, _, body = wire.opened(door.recv())
    assert kind == wire.REFUSED
    assert b"speaks nonsense" in bytes(body)
    assert outlet.present == []
    outlet.close()


def test_without_keys_nobody_listens_where_others_could_reach() -> None:
    with pytest.raises(PipeError, match="needs keys"):
        FarOutlet("tcp://0.0.0.0:*", frame_bytes=64)
    with pytest.raises(PipeError, match="needs keys"):
        FarInlet("tcp://192.0.2.1:7000", "writer")


def test_a_viewer_that_is_cut_off_frees_its_slots_and_comes_back(ours: Keys) -> None:
    outlet = FarOutlet(
        "tcp://127.0.0.1:*", frame_bytes=LARGE, budget_bytes=8 * LARGE, keys=ours, alive=QUICK
    )
    cable = Cable(port(outlet))
    viewer = FarInlet(cable.address, "view", Policy("latest"), keys=ours, alive=QUICK, wait=False)
    try:

        def connected() -> bool:
            viewer.pump()
            outlet.pump(0.01)
            return viewer.connected

        until(connected, "the viewer is not connected")
        held: list[Frame] = []
        seq = 0

        def another(taken: list[Frame]) -> bool:
            """One more frame is made; whether the viewer has got any."""
            nonlocal seq
            seq += 1
            outlet.send(Frame(seq, np.full(LARGE // 8, seq, "<i8")), timeout_s=0)
            outlet.pump(0.0)
            taken += viewer.take(timeout_s=0.02)
            return bool(taken)

        until(lambda: another(held), "the viewer gets nothing")
        cable.pull()
        until(lambda: outlet.pump(0.02) or not outlet.present, "it is not missed")
        assert outlet.depths()["view"] == 0
        cable.plug()
        first = held[0].seq_num
        for _ in range(20):  # its slots are written over, and what it has is still its own
            seq += 1
            outlet.send(Frame(seq, np.full(LARGE // 8, seq, "<i8")), timeout_s=0)
        assert check(held[0]) == first
        later: list[Frame] = []
        until(lambda: another(later), "the viewer does not come back")
        viewer.confirm(held[0])
        viewer.confirm(later[0])
        viewer.flush()
        assert check(later[0]) > first + 20
    finally:
        viewer.close()
        outlet.close()
        cable.close()

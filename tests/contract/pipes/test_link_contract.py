"""What every link does: between hosts, between processes, and within one (references)."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from undula.core.clock import Deadline
from undula.pipes.errors import PipeError
from undula.pipes.frame import Frame
from undula.pipes.intervals import IntervalSet
from undula.pipes.ledger import EdgeLedger
from undula.pipes.link import Inlet, MemoryInlet, MemoryOutlet, Outlet, Receiving, Sending
from undula.pipes.link.far_inlet import FarInlet
from undula.pipes.link.far_outlet import FarOutlet
from undula.pipes.link.keys import load_keys
from undula.pipes.policy import Policy

SIZE = 4096


class Links:
    """Makes outlets and inlets of one kind, and closes them."""

    def __init__(self, kind: str, folder: Path) -> None:
        self.kind, self.folder = kind, folder
        self.made: list[Any] = []

    def outlet(
        self, slots: int, expect: Mapping[str, Policy] | None = None, *, spill: int = 0,
        checked: bool = False,
    ) -> Sending:  # fmt: skip
        options: dict[str, Any] = {
            "frame_bytes": SIZE, "budget_bytes": slots * SIZE, "expect": expect,
            "spill_bytes": spill * SIZE, "checked": checked,
        }  # fmt: skip
        made: Sending
        if self.kind == "memory":
            made = MemoryOutlet(**options)
        elif self.kind == "sockets":
            made = Outlet(self.folder / "det", spill=self.folder, **options)
        else:
            keys = load_keys(self.folder / "keys")
            made = FarOutlet("tcp://127.0.0.1:*", spill=self.folder, keys=keys, **options)
        self.made.append(made)
        return made

    def inlet(
        self, outlet: Sending, name: str, policy: Policy | None = None,
        ledger: EdgeLedger | None = None,
    ) -> Receiving:  # fmt: skip
        if isinstance(outlet, MemoryOutlet):
            made: Receiving = MemoryInlet(outlet, name, policy, ledger=ledger)
        else:
            found: list[Any] = []

            def connect() -> None:
                try:
                    if isinstance(outlet, FarOutlet):
                        keys = load_keys(self.folder / "keys")
                        found.append(
                            FarInlet(outlet.address, name, policy, keys=keys, ledger=ledger)
                        )
                    else:
                        found.append(Inlet(self.folder / "det", name, policy, ledger=ledger))
                except PipeError as exc:
                    found.append(exc)

            thread = threading.Thread(target=connect)
            thread.start()
            while thread.is_alive():
                outlet.pump(0.01)
            thread.join()
            if isinstance(found[0], PipeError):
                raise found[0]
            made = found[0]
        self.made.append(made)
        return made

    def hand(self, outlet: Sending) -> None:
        """Let everything that is on its way arrive, in both directions."""
        outlet.flush()
        outlet.pump(0.0)
        if not isinstance(outlet, FarOutlet):
            return
        open_ones = [made for made in self.made if isinstance(made, FarInlet) and not made.closed]
        here, deadline = {inlet.name for inlet in open_ones}, Deadline(60)
        while not set(outlet.present) <= here:
            assert not deadline.passed, f"{outlet.present} are there, {here} should be"
            outlet.pump(0.01)
        for inlet in open_ones:
            thread = threading.Thread(target=inlet.settled, args=(10.0,))
            thread.start()
            while thread.is_alive():
                outlet.pump(0.01)
            thread.join()

    def close(self) -> None:
        for made in reversed(self.made):
            made.close()


@pytest.fixture(params=["memory", "sockets", "hosts"])
def links(request: pytest.FixtureRequest) -> Iterator[Links]:
    with tempfile.TemporaryDirectory(prefix="ul-") as folder:
        made = Links(request.param, Path(folder))
        yield made
        made.close()


def frame(seq: int) -> Frame:
    return Frame(seq, np.full((4, 8), seq, "<u2"), trigger=seq - 1)


def numbers(frames: list[Frame]) -> list[int]:
    for got in frames:
        assert np.all(got.data == got.seq_num), "these are another frame's data"
        assert got.data.shape == (4, 8)
        assert got.trigger == got.seq_num - 1
    return [got.seq_num for got in frames]


def test_frames_arrive_in_order_and_as_they_were_sent(links: Links) -> None:
    outlet = links.outlet(8)
    inlet = links.inlet(outlet, "roi")
    for seq in range(1, 6):
        assert outlet.send(frame(seq))
    links.hand(outlet)
    got = inlet.take()
    assert numbers(got) == [1, 2, 3, 4, 5]
    assert all(f.time > 0 for f in got)
    for each in got:
        inlet.confirm(each)
    inlet.flush()
    links.hand(outlet)
    assert outlet.in_flight == 0
    assert outlet.ledgers()["roi"].counts["passed"] == 5
    assert inlet.ledger.counts["passed"] == 5


def test_a_producer_may_write_in_place_and_publish_a_part(links: Links) -> None:
    outlet = links.outlet(4)
    inlet = links.inlet(outlet, "roi")
    loan = outlet.loan((4, 8), "<u2")
    assert loan is not None
    loan.data[:] = 7
    outlet.publish(loan, Frame(1, loan.data[:2]))
    links.hand(outlet)
    (got,) = inlet.take()
    assert got.data.shape == (2, 8)
    assert np.all(got.data == 7)
    other = outlet.loan((4, 8), "<u2")
    assert other is not None
    with pytest.raises(PipeError, match="not written into its loan"):
        outlet.publish(other, frame(2))
    outlet.give_back(other)


def test_a_consumer_cannot_write_into_a_frame(links: Links) -> None:
    outlet = links.outlet(4)
    inlet = links.inlet(outlet, "roi")
    outlet.send(frame(1))
    links.hand(outlet)
    (got,) = inlet.take()
    with pytest.raises(ValueError, match="read-only"):
        got.data[:] = 0


def test_a_frame_that_does_not_fit_is_refused(links: Links) -> None:
    outlet = links.outlet(4)
    with pytest.raises(PipeError, match="does not fit"):
        outlet.send(Frame(1, np.zeros(SIZE + 1, "u1")))


def test_a_lossless_consumer_that_sleeps_holds_the_producer_up(links: Links) -> None:
    outlet = links.outlet(8)
    inlet = links.inlet(outlet, "writer", Policy(budget_bytes=3 * SIZE))
    sent = [outlet.send(frame(seq), timeout_s=0) for seq in range(1, 6)]
    assert sent == [True, True, True, False, False]
    assert outlet.blocked_by() == ["writer"]
    links.hand(outlet)
    (first, *_) = inlet.take()
    inlet.confirm(first)
    inlet.flush()
    links.hand(outlet)
    assert outlet.send(frame(4), timeout_s=0)


def test_a_viewer_gets_the_newest_frame_and_holds_nobody_up(links: Links) -> None:
    outlet = links.outlet(8)
    inlet = links.inlet(outlet, "view", Policy("latest"))
    for seq in range(1, 50):
        assert outlet.send(frame(seq), timeout_s=0)
        links.hand(outlet)
    got = []
    for _ in range(2):
        for each in inlet.take():
            got += numbers([each])
            inlet.confirm(each)
        inlet.flush()
        links.hand(outlet)
    assert got in ([1, 49], [49])  # between processes the first was on its way already
    assert outlet.ledgers()["view"].counts["dropped"] == 49 - len(got)


def test_a_sample_of_the_frames(links: Links) -> None:
    outlet = links.outlet(8)
    inlet = links.inlet(outlet, "some", Policy("sample", every=5))
    got = []
    for seq in range(1, 21):
        assert outlet.send(frame(seq), timeout_s=0)
        links.hand(outlet)
        for each in inlet.take():
            got.append(each.seq_num)
            inlet.confirm(each)
        inlet.flush()
        links.hand(outlet)
    assert got == [1, 6, 11, 16]
    assert outlet.ledgers()["some"].counts["dropped"] == 16


def test_what_spills_arrives_in_order_and_the_rest_is_counted(links: Links) -> None:
    outlet = links.outlet(20, spill=6)
    policy = Policy("spill", disk_bytes=6 * SIZE, budget_bytes=16 * SIZE)  # 8 may be copied at once
    inlet = links.inlet(outlet, "disk", policy)
    for seq in range(1, 18):
        assert outlet.send(frame(seq), timeout_s=0)
    got: list[Frame] = []
    deadline = Deadline(60)
    while len(got) < 14:
        assert not deadline.passed, f"{numbers(got)} arrived"
        links.hand(outlet)
        got += inlet.take(timeout_s=0.01)
    assert numbers(got) == list(range(1, 15))
    for each in got:
        inlet.confirm(each)
    inlet.flush()
    links.hand(outlet)
    counts = outlet.ledgers()["disk"].counts
    assert (counts["passed"], counts["dropped"], counts["on_the_way"]) == (14, 3, 0)
    outlet.send(frame(18))
    links.hand(outlet)
    assert numbers(inlet.take()) == [18]


def test_one_frame_goes_to_all_consumers_under_the_policy_of_each(links: Links) -> None:
    outlet = links.outlet(12)
    writer = links.inlet(outlet, "writer")
    viewer = links.inlet(outlet, "view", Policy("latest"))
    for seq in (1, 2, 3):
        outlet.send(frame(seq))
        links.hand(outlet)
    assert numbers(writer.take()) == [1, 2, 3]
    assert len(numbers(viewer.take())) == 1


def test_a_dead_lossless_consumer_leaves_all_it_had_to_its_successor(links: Links) -> None:
    outlet = links.outlet(8)
    first = links.inlet(outlet, "writer")
    for seq in range(1, 5):
        outlet.send(frame(seq))
    links.hand(outlet)
    got = first.take(3)
    first.confirm(got[0])
    first.flush()
    links.hand(outlet)
    first.close()
    links.hand(outlet)
    outlet.send(frame(5))
    second = links.inlet(outlet, "writer")
    links.hand(outlet)
    again = second.take()
    assert numbers(again) == [2, 3, 4, 5]
    assert [f.again for f in again[:2]] == [True, True]
    assert not again[-1].again
    for each in again:
        second.confirm(each)
    second.flush()
    links.hand(outlet)
    assert outlet.ledgers()["writer"].counts["passed"] == 5


def test_what_a_consumer_confirmed_before_it_died_does_not_come_again(tmp_path: Path) -> None:
    links = Links("sockets", tmp_path)
    outlet = links.outlet(8, {"w": Policy()})
    inlet = links.inlet(outlet, "w")
    for number in (1, 2, 3):
        outlet.send(Frame(number, np.zeros(9)))
    outlet.flush()
    for frame in inlet.take(10, 5.0):
        inlet.confirm(frame)
    inlet.close()
    outlet.send(Frame(4, np.zeros(9)))
    outlet.flush()  # before it has heard of the death
    assert outlet.ledgers()["w"].passed.text() == "1-3"
    successor = links.inlet(outlet, "w")
    outlet.pump(0.0)
    assert [(f.seq_num, f.again) for f in successor.take(10, 5.0)] == [(4, True)]
    links.close()


def test_a_frame_in_hand_of_one_that_was_given_up_can_still_be_done_with(links: Links) -> None:
    outlet = links.outlet(8, {"w": Policy()})
    inlet = links.inlet(outlet, "w")
    outlet.send(Frame(1, np.zeros(9)))
    links.hand(outlet)
    frames = inlet.take(10, 5.0)
    outlet.forget("w")
    for frame in frames:
        inlet.confirm(frame)
    inlet.close()
    assert outlet.in_flight == 0


def test_a_dead_viewer_frees_its_slots_at_once(links: Links) -> None:
    outlet = links.outlet(5, {"view": Policy("latest")})
    viewer = links.inlet(outlet, "view", Policy("latest"))
    outlet.send(frame(1))
    links.hand(outlet)
    viewer.take()
    viewer.close()
    links.hand(outlet)
    assert outlet.depths()["view"] == 0
    assert outlet.ledgers()["view"].counts["lost"] == 1
    outlet.send(frame(2))
    assert outlet.ledgers()["view"].counts["dropped"] == 1


def test_a_lossless_consumer_that_is_expected_misses_nothing(links: Links) -> None:
    outlet = links.outlet(6, {"writer": Policy()})
    sent = [outlet.send(frame(seq), timeout_s=0) for seq in range(1, 9)]
    assert sent == [True] * 4 + [False] * 4
    inlet = links.inlet(outlet, "writer")
    links.hand(outlet)
    assert numbers(inlet.take()) == [1, 2, 3, 4]


def test_one_that_is_given_up_holds_nobody_up(links: Links) -> None:
    outlet = links.outlet(6, {"writer": Policy()})
    for seq in range(1, 5):
        outlet.send(frame(seq), timeout_s=0)
    outlet.forget("writer")
    assert outlet.send(frame(5), timeout_s=0)


def test_a_second_consumer_of_that_name_is_refused(links: Links) -> None:
    outlet = links.outlet(6)
    links.inlet(outlet, "writer")
    with pytest.raises(PipeError, match="already"):
        links.inlet(outlet, "writer")


def test_a_consumer_for_whom_there_is_no_room_is_refused(links: Links) -> None:
    outlet = links.outlet(4)
    links.inlet(outlet, "view", Policy("latest"))
    with pytest.raises(PipeError, match="larger budget"):
        links.inlet(outlet, "another", Policy("latest"))


def test_the_end_comes_behind_the_last_frame(links: Links) -> None:
    outlet = links.outlet(6)
    inlet = links.inlet(outlet, "roi")
    outlet.send(frame(1))
    outlet.finish()
    links.hand(outlet)
    before = inlet.ended
    got = inlet.take()
    assert numbers(got) == [1]
    assert before == "no"
    inlet.confirm(got[0])
    inlet.flush()
    assert inlet.take(timeout_s=None) == []
    assert inlet.ended == "end"


def test_frames_handed_on_before_a_producer_died_can_still_be_read(links: Links) -> None:
    outlet = links.outlet(6)
    inlet = links.inlet(outlet, "roi")
    outlet.send(frame(1))
    outlet.send(frame(2))
    links.hand(outlet)
    outlet.close()
    got = inlet.take()
    assert numbers(got) == [1, 2]
    for each in got:
        inlet.confirm(each)
    assert inlet.take(timeout_s=None) == []
    assert inlet.ended == "lost"


def test_what_the_consumer_before_was_done_with_is_confirmed_and_not_handed_out(
    links: Links,
) -> None:
    outlet = links.outlet(8, {"file": Policy()})
    known = EdgeLedger()
    known.done(IntervalSet([(1, 4)]))
    inlet = links.inlet(outlet, "file", ledger=known)
    for seq in range(1, 6):
        assert outlet.send(frame(seq))
    links.hand(outlet)
    assert numbers(inlet.take()) == [4, 5]
    inlet.flush()
    links.hand(outlet)
    assert outlet.in_flight == 2


def test_a_frame_that_failed_is_counted_as_such(links: Links) -> None:
    outlet = links.outlet(6)
    inlet = links.inlet(outlet, "roi")
    outlet.send(frame(1))
    links.hand(outlet)
    inlet.fail(inlet.take()[0])
    inlet.flush()
    links.hand(outlet)
    assert outlet.ledgers()["roi"].counts["failed"] == 1
    assert inlet.ledger.counts["failed"] == 1


def test_checksums_are_sent_when_asked_for(links: Links) -> None:
    outlet = links.outlet(6, checked=True)
    inlet = links.inlet(outlet, "roi")
    outlet.send(frame(1))
    links.hand(outlet)
    (got,) = inlet.take()
    assert got.checksum is not None
    got.check()


def test_frames_confirmed_in_any_order_free_their_own_slots(links: Links) -> None:
    outlet = links.outlet(6)
    inlet = links.inlet(outlet, "roi")
    for seq in (1, 2, 3):
        outlet.send(frame(seq))
    links.hand(outlet)
    first, second, third = inlet.take()
    inlet.confirm(third)
    inlet.confirm(first)
    inlet.flush()
    links.hand(outlet)
    for seq in (4, 5):
        outlet.send(frame(seq), timeout_s=0)
    links.hand(outlet)
    assert numbers([second, *inlet.take()]) == [2, 4, 5]


def test_of_what_a_successor_of_the_producer_makes_again_only_what_has_no_fate_is_handed_out(
    links: Links,
) -> None:
    """One frame was done with, on one the node raised, one was only in hand."""
    first = links.outlet(8, {"roi": Policy()})
    before = links.inlet(first, "roi")
    for seq in range(1, 4):
        assert first.send(frame(seq))
    links.hand(first)
    done, failed, _ = before.take()
    before.confirm(done)
    before.fail(failed)
    first.close()
    before.close()
    successor = links.outlet(8, {"roi": Policy()})
    inlet = links.inlet(successor, "roi", ledger=before.ledger)
    for seq in range(1, 5):
        assert successor.send(frame(seq))
    links.hand(successor)
    again = inlet.take()
    assert numbers(again) == [3, 4]
    for each in again:
        inlet.confirm(each)
    inlet.flush()
    links.hand(successor)
    ledger = successor.ledgers()["roi"]
    assert (ledger.passed.text(), ledger.failed.text()) == ("1, 3-4", "2")
    assert (inlet.ledger.passed.text(), inlet.ledger.failed.text()) == ("1, 3-4", "2")
    assert successor.in_flight == 0


def test_a_successor_of_the_consumer_is_handed_what_was_in_hand_and_not_what_failed(
    links: Links,
) -> None:
    outlet = links.outlet(8, {"roi": Policy()})
    before = links.inlet(outlet, "roi")
    for seq in (1, 2):
        assert outlet.send(frame(seq))
    links.hand(outlet)
    before.fail(before.take()[0])
    before.flush()
    links.hand(outlet)
    before.close()
    links.hand(outlet)
    inlet = links.inlet(outlet, "roi")
    links.hand(outlet)
    again = inlet.take()
    assert [(f.seq_num, f.again) for f in again] == [(2, True)]
    inlet.confirm(again[0])
    inlet.flush()
    links.hand(outlet)
    ledger = outlet.ledgers()["roi"]
    assert (ledger.passed.text(), ledger.failed.text()) == ("2", "1")


def test_what_the_consumer_before_failed_on_is_not_handed_to_its_successor_by_a_new_producer(
    links: Links,
) -> None:
    outlet = links.outlet(8, {"file": Policy()})
    known = EdgeLedger()
    known.done(IntervalSet([(1, 2)]), IntervalSet([(2, 3)]))
    inlet = links.inlet(outlet, "file", ledger=known)
    for seq in range(1, 4):
        assert outlet.send(frame(seq))
    links.hand(outlet)
    assert numbers(inlet.take()) == [3]
    inlet.flush()
    links.hand(outlet)
    assert outlet.ledgers()["file"].failed.text() == "2"


def test_confirmations_that_find_no_room_are_owed_until_the_producer_listens_again(
    tmp_path: Path,
) -> None:
    """A node that ended would else keep them for ever, and its producer wait as long."""
    links = Links("sockets", tmp_path)
    frames = 1000
    outlet = links.outlet(frames + 2)
    inlet = links.inlet(outlet, "low")
    for seq in range(1, frames + 1):
        assert outlet.send(frame(seq), timeout_s=0)
    outlet.finish()
    got: list[Frame] = []
    while len(got) < frames:
        got += inlet.take()
    assert not inlet.owing
    for each in got:
        inlet.confirm(each)
        inlet.flush()  # one packet each, as of large frames
    assert inlet.owing
    while inlet.owing:
        outlet.pump(0.0)
        inlet.flush()
    outlet.pump(0.0)
    assert outlet.in_flight == 0
    links.close()

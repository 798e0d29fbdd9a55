"""A camera takes one frame for each trigger, and each frame that comes finds its trigger."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from undula.pipes.nodes.firing import LATE_S, Firing

PV = "CAM:Acquire"


class Camera:
    """What a camera does: one frame for each put, the answer some time after it, or it crashes.

    A frame is served before its answer or after it, less than `LATE_S` later, or never.
    """

    def __init__(self) -> None:
        self.firing = Firing(PV, 1, {"CAM:Mode": "Single"})
        self.now = 0.0
        self.asked = self.run = 0
        self.exposed: list[tuple[int, int]] = []
        """By its own count the run and the trigger that each frame was taken for."""
        self.to_serve: list[tuple[int, int, int]] = []
        self.epoch = 0
        self.mode = ""
        self.got: dict[int, tuple[int, int]] = {}
        self.lost: set[int] = set()
        self.firing.heard(None)

    def ask(self) -> None:  # at any time: who gives up a frame need not wait for the camera
        self.asked += 1
        self.firing.ask(self.asked)

    def another_run(self) -> None:
        self.run += 1
        self.firing.resume(self.asked)
        self.lost.update(range(1, self.asked + 1))
        self.ask()

    def write(self) -> None:
        due = self.firing.put(self.now)
        if due is None:
            return
        pv, value = due
        if pv == PV:
            assert self.mode == "Single", "settings are written before the first trigger"
            self.exposed.append((self.run, self.firing.fired))
            self.to_serve.append((self.epoch, self.run, len(self.exposed)))
        else:
            self.mode = str(value)
            self.firing.answered(pv, self.now)
            self.write()

    def answer(self) -> None:
        self.firing.answered(self.firing.busy, self.now)

    def serve(self) -> None:
        if self.to_serve:
            stamp = self.to_serve.pop(0)
            number = self.firing.heard(stamp)
            if number:
                assert number not in self.got, "a trigger has one frame"
                self.got[number] = self.exposed[stamp[2] - 1]
                assert self.got[number][0] == self.run, "a run has no frame of another one"

    def lose(self) -> None:
        if self.to_serve:
            self.lost.add(self.exposed[self.to_serve.pop(0)[2] - 1][1])

    def later(self) -> None:
        if not self.to_serve or self.firing.busy:
            self.now += LATE_S

    def stray(self) -> None:
        if not self.to_serve and self.firing.fired == self.firing.made:
            self.exposed.append((self.run, -1))
            assert self.firing.heard((self.epoch, self.run, len(self.exposed))) == 0

    def crash(self) -> None:
        self.firing.lost()
        self.to_serve.clear()
        self.mode = ""
        self.epoch += 1
        self.firing.heard(None)


OFTEN, SELDOM = ["ask", "write", "answer", "serve"], ["another_run", "lose", "later", "stray"]
STEPS = st.sampled_from([*OFTEN * 3, *SELDOM, "crash"])


@given(st.lists(STEPS, max_size=60))
@settings(deadline=None, max_examples=300)
def test_every_frame_is_given_to_the_trigger_that_it_was_taken_for(steps: list[str]) -> None:
    camera = Camera()
    for step in steps:
        getattr(camera, step)()
    camera.ask()
    while camera.firing.made < camera.asked:  # whatever happened: it comes in the end
        camera.write()
        camera.serve()
        camera.answer()
        camera.later()
    assert all(number == found for number, (_, found) in camera.got.items())
    assert set(range(1, camera.asked + 1)) - camera.lost <= set(camera.got)


def test_nothing_is_written_to_a_camera_that_is_not_there_or_is_busy() -> None:
    firing = Firing(PV, 1, {})
    firing.ask(1)
    assert firing.put(0.0) is None
    firing.heard(None)
    assert firing.put(0.0) == (PV, 1)
    firing.ask(2)
    firing.answered(PV, 0.0)
    assert firing.put(0.0) is None, (
        "the first frame is on its way, and would be taken for the second"
    )
    assert firing.heard("a") == 1
    assert firing.put(0.0) == (PV, 1)


def test_a_frame_that_the_camera_lost_is_waited_for_no_longer_than_its_scan_does() -> None:
    firing = Firing(PV, 1, {})
    firing.heard(None)
    firing.ask(1)
    assert firing.put(0.0) == (PV, 1)
    firing.answered(PV, 5.0)
    firing.ask(2)
    assert firing.put(5.0) is None, "its frame may only be a little late"
    assert firing.put(5.0 + LATE_S) == (PV, 1)
    assert firing.heard("a") == 2


def test_a_frame_whose_word_came_late_over_a_cut_is_not_taken_again() -> None:
    firing = Firing(PV, 1, {})
    firing.heard("old")
    firing.ask(1)
    assert firing.put(0.0) == (PV, 1)
    firing.lost()
    assert firing.heard("new") == 1
    assert firing.put(0.0) is None


def test_who_takes_over_asks_for_the_frame_that_the_one_before_it_did_not_get() -> None:
    firing = Firing(PV, 1, {})
    firing.resume(6)
    firing.ask(7)
    assert firing.heard("of the sixth") == 0
    assert firing.put(0.0) == (PV, 1)
    assert firing.heard("of the seventh") == 7


def test_a_setting_that_is_changed_is_written_before_the_next_trigger() -> None:
    firing = Firing(PV, 1, {"CAM:Time": 0.1})
    firing.heard(None)
    assert firing.put(0.0) == ("CAM:Time", 0.1)
    firing.answered("CAM:Time", 0.0)
    firing.change("CAM:Time", 0.5)
    firing.ask(1)
    assert firing.put(0.0) == ("CAM:Time", 0.5)
    firing.answered("CAM:Time", 0.0)
    assert firing.put(0.0) == (PV, 1)


def test_a_frame_that_comes_after_its_run_is_none_of_the_next_run() -> None:
    firing = Firing(PV, 1, {})
    firing.heard(None)
    firing.ask(1)
    assert firing.put(0.0) == (PV, 1)
    firing.resume(1)  # the run was aborted, and the next one begins
    firing.ask(2)
    firing.answered(PV, 1.0)
    assert firing.put(1.0) is None
    assert firing.heard("late") == 0
    assert firing.put(1.0) == (PV, 1)
    assert firing.heard("own") == 2

"""A camera takes one frame for each trigger, and each frame that comes finds its trigger."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from undula.pipes.nodes.firing import Firing

PV = "CAM:Acquire"


class Camera:
    """What a camera does: one frame for each put, the answer some time after it, or it crashes."""

    def __init__(self) -> None:
        self.firing = Firing(PV, 1, {"CAM:Mode": "Single"})
        self.exposed: list[int] = []
        """By its own count the trigger that each frame was taken for."""
        self.to_serve: list[tuple[int, int]] = []
        self.epoch = 0
        self.mode = ""
        self.got: dict[int, int] = {}
        self.firing.heard(None)

    def write(self) -> None:
        due = self.firing.put()
        if due is None:
            return
        pv, value = due
        if pv == PV:
            assert self.mode == "Single", "settings are written before the first trigger"
            self.exposed.append(self.firing.fired)
            self.to_serve.append((self.epoch, len(self.exposed)))
        else:
            self.mode = str(value)

    def answer(self) -> None:  # a frame may be served after the answer
        self.firing.answered(self.firing.busy)

    def serve(self) -> None:
        if self.to_serve:
            stamp = self.to_serve.pop(0)
            number = self.firing.heard(stamp)
            if number:
                assert number not in self.got, "a trigger has one frame"
                self.got[number] = self.exposed[stamp[1] - 1]

    def stray(self) -> None:
        if not self.to_serve and self.firing.fired == self.firing.made:
            self.exposed.append(-1)
            assert self.firing.heard((self.epoch, len(self.exposed))) == 0

    def crash(self) -> None:
        self.firing.lost()
        self.to_serve.clear()
        self.mode = ""
        self.epoch += 1
        self.firing.heard(None)


STEPS = st.sampled_from(["ask", "write", "answer", "serve", "stray", "crash"])


@given(st.lists(STEPS, max_size=60))
@settings(deadline=None)
def test_every_frame_is_given_to_the_trigger_that_it_was_taken_for(steps: list[str]) -> None:
    camera, asked = Camera(), 0
    for step in steps:
        if step == "ask":
            # a scan waits for its frame, or takes the point again while the camera is at work
            if camera.firing.made == asked or camera.firing.busy or not camera.firing.up:
                asked += 1
                camera.firing.ask(asked)
        else:
            getattr(camera, step)()
    while camera.firing.made < asked:  # whatever happened: it comes in the end
        camera.write()
        camera.serve()
        camera.answer()
    assert camera.got == {n: n for n in range(1, asked + 1)}


def test_nothing_is_written_to_a_camera_that_is_not_there_or_is_busy() -> None:
    firing = Firing(PV, 1, {})
    firing.ask(1)
    assert firing.put() is None
    firing.heard(None)
    assert firing.put() == (PV, 1)
    firing.ask(2)
    firing.answered(PV)
    assert firing.put() is None, "the first frame is on its way, and would be taken for the second"
    assert firing.heard("a") == 1
    assert firing.put() == (PV, 1)


def test_a_frame_that_the_camera_lost_is_waited_for_no_longer_than_its_scan_does() -> None:
    firing = Firing(PV, 1, {})
    firing.heard(None)
    firing.ask(1)
    assert firing.put() == (PV, 1)
    firing.answered(PV)
    firing.ask(2)
    assert firing.put() == (PV, 1)
    assert firing.heard("a") == 2


def test_a_frame_whose_word_came_late_over_a_cut_is_not_taken_again() -> None:
    firing = Firing(PV, 1, {})
    firing.heard("old")
    firing.ask(1)
    assert firing.put() == (PV, 1)
    firing.lost()
    assert firing.heard("new") == 1
    assert firing.put() is None


def test_who_takes_over_asks_for_the_frame_that_the_one_before_it_did_not_get() -> None:
    firing = Firing(PV, 1, {})
    firing.resume(6)
    firing.ask(7)
    assert firing.heard("of the sixth") == 0
    assert firing.put() == (PV, 1)
    assert firing.heard("of the seventh") == 7


def test_a_setting_that_is_changed_is_written_before_the_next_trigger() -> None:
    firing = Firing(PV, 1, {"CAM:Time": 0.1})
    firing.heard(None)
    assert firing.put() == ("CAM:Time", 0.1)
    firing.answered("CAM:Time")
    firing.change("CAM:Time", 0.5)
    firing.ask(1)
    assert firing.put() == ("CAM:Time", 0.5)
    firing.answered("CAM:Time")
    assert firing.put() == (PV, 1)

"""What a device tells of its own accord: bounded in rate and size, silent outside of a beamline."""

from __future__ import annotations

import numpy as np

from undula.devices.sim import SimCamera
from undula.devices.telling import MAX_PIXELS, Telling, Told
from undula.messages import DevicePreview, DeviceProgress, FileEvent


def _telling() -> tuple[Telling, list[Told]]:
    said: list[Told] = []
    return Telling("cam", said.append), said


def test_of_many_previews_the_first_is_told_and_the_others_wait() -> None:
    telling, said = _telling()
    for value in range(100):
        telling.preview(np.full((2, 3), value))
    telling.preview(np.zeros(4), signal="spectrum")  # another signal has a bound of its own

    first, other = said
    assert isinstance(first, DevicePreview)
    assert isinstance(other, DevicePreview)
    assert first.data.tolist() == [[0, 0, 0], [0, 0, 0]]
    assert (other.signal, other.shape) == ("spectrum", [4])


def test_a_large_preview_is_thinned_and_says_its_size() -> None:
    telling, said = _telling()
    telling.preview(np.zeros((4000, 3000), dtype="<u2"))

    preview = said[0]
    assert isinstance(preview, DevicePreview)
    assert preview.shape == [4000, 3000]
    assert preview.data.size <= MAX_PIXELS
    assert preview.data.shape == (1000, 750)


def test_the_end_of_a_progress_is_always_told() -> None:
    telling, said = _telling()
    for done in range(11):
        telling.progress(done, 10, "frames")

    steps = [step for step in said if isinstance(step, DeviceProgress)]
    assert [(step.done, step.finished) for step in steps] == [(0, False), (10, True)]


def test_each_file_event_is_told() -> None:
    telling, said = _telling()
    telling.file("a.h5", "open")
    telling.file("a.h5", "closed", dataset="/entry/data/data", frames=3)

    events = [event for event in said if isinstance(event, FileEvent)]
    assert [(event.state, event.frames) for event in events] == [("open", None), ("closed", 3)]


def test_a_camera_outside_of_a_beamline_is_silent() -> None:
    assert SimCamera("cam").counted(0.1).shape == (48, 64)

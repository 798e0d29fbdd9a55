"""The names in the shell, on an engine that answers by the contract."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from undula.analysis.view import RunView
from undula.client import Client, Step
from undula.core.errors import InputError
from undula.messages import QueueStatus
from undula.session.commands import Shell
from undula.session.display import QuietDisplay
from undula.session.follow import follow
from undula.session.shell import make_ipython
from undula.testing.law import until
from undula.testing.toy_engine import ToyEngine


def test_after_a_scan_the_peak_is_known_and_can_be_gone_to(
    shell: Shell, engine: ToyEngine, capsys: Any
) -> None:
    names = shell.namespace()

    names["scan"](names["samx"], -1, 2, 31, detectors=[names["diode"]])
    names["goto_cen"]()

    assert names["cen"]() == pytest.approx(0.5, abs=0.01)
    assert names["fwhm"]() == pytest.approx(0.706, rel=0.02)
    assert engine.samx.position == pytest.approx(0.5, abs=0.01)
    assert "run 1: success, 31 of 31 points" in capsys.readouterr().out


@pytest.mark.parametrize("word", ["goto_cen", "goto_com", "goto_peak"])
def test_nobody_is_sent_to_a_chance(shell: Shell, engine: ToyEngine, word: str) -> None:
    before = engine.samx.position
    view = shell.view = RunView(7)
    view.feed("start", {"uid": "r", "time": 0.0, "motors": ["samx"], "detectors": ["diode"]})
    keys = {name: {"dtype": "number", "shape": []} for name in ("samx", "diode")}
    view.feed("descriptor", {"uid": "d", "name": "primary", "data_keys": keys})
    noise = np.random.default_rng(3).normal(100, 10, 41)
    noise[[0, -1]] = noise.min()  # so that its half height is crossed
    for n, value in enumerate(noise.tolist(), 1):
        data = {"samx": n / 10, "diode": value}
        view.feed("event", {"descriptor": "d", "seq_num": n, "time": float(n), "data": data,
                            "timestamps": dict.fromkeys(data, float(n))})  # fmt: skip
    with pytest.raises(InputError, match="diode shows no peak: its highest point stands only"):
        getattr(shell, word)()
    assert engine.samx.position == before


def test_of_a_map_the_highest_point_and_the_centre_have_a_place_on_both_axes(
    shell: Shell,
) -> None:
    view = shell.view = RunView(7)
    hints = {"dimensions": [[["y"], "primary"], [["x"], "primary"]]}
    view.feed("start", {"uid": "r", "time": 0.0, "motors": ["y"], "shape": [5, 7], "hints": hints})
    keys = {name: {"dtype": "number", "shape": []} for name in ("y", "x", "light")}
    view.feed("descriptor", {"uid": "d", "name": "primary", "data_keys": keys})
    for n in range(35):
        y, x = divmod(n, 7)
        data = {"y": y, "x": x, "light": 100 * np.exp(-((y - 2) ** 2 + (x - 3) ** 2) / 3)}
        view.feed("event", {"descriptor": "d", "seq_num": n + 1, "time": float(n), "data": data,
                            "timestamps": dict.fromkeys(data, float(n))})  # fmt: skip
    assert shell.peak() == (2.0, 3.0)
    assert shell.com() == pytest.approx((2.0, 3.0))
    assert shell.cen() == pytest.approx((2.0, 3.0))
    assert shell.fwhm() == pytest.approx((2.88, 2.88), abs=0.5)
    with pytest.raises(InputError, match="the last scan moved 1 axis"):
        shell.goto_peak()  # its axes are not those of the place


def test_before_any_scan_there_is_no_peak(shell: Shell) -> None:
    with pytest.raises(InputError, match="there is no peak yet"):
        shell.goto_peak()


def test_a_path_is_the_expression_that_reaches_a_device(shell: Shell) -> None:
    names = shell.namespace()

    assert eval("M.samx", names) == names["dev"].samx == names["samx"]  # the claim itself
    assert repr(names["M"]) == "M.samx positioner, ophyd.sim.Toy, -10..10 mm"
    assert dir(names["dev"]) == ["diode", "samx"]
    with pytest.raises(AttributeError, match="M has no device 'diode'"):
        _ = names["M"].diode


def test_where_an_axis_is(shell: Shell, capsys: Any) -> None:
    shell.mv("samx", 1.5)
    shell.wa()
    shell.read("samx")

    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "samx 1.5 mm"
    assert lines[2] == "M.samx                       1.5        -10         10  mm"
    assert lines[3] == "samx                             1.5 mm"


def test_errors_are_one_line_in_the_prompt(client: Client, capsys: Any) -> None:
    ipython, _ = make_ipython(client, plot=False)

    result = ipython.run_cell("mv(samx, 99)")

    assert not result.success
    shown = capsys.readouterr()
    assert shown.err == "[samx] 99 mm is outside. Remedy: stay inside.\n"
    assert "Traceback" not in shown.out


class CtrlC(QuietDisplay):
    """Sends this process SIGINT at the first point, and again when paused if `twice`."""

    def __init__(self, twice: bool = False) -> None:
        super().__init__()
        self.sent = 0
        self._wanted = 2 if twice else 1

    def step(self, step: Step, status: QueueStatus | None = None) -> None:
        super().step(step, status)
        at_point = self.sent == 0 and self.view is not None and self.view.rows
        at_pause = self.sent == 1 and status is not None and status.state == "paused"
        if (at_point or at_pause) and self.sent < self._wanted:
            self.sent += 1
            os.kill(os.getpid(), signal.SIGINT)


def test_the_first_ctrl_c_pauses_and_resume_goes_on(client: Client, engine: ToyEngine) -> None:
    engine.diode.exposure_time = 0.05
    handle = client.submit("count", num=100)

    followed = follow(client, handle, CtrlC(), leave_when_paused=True)

    assert not followed.ended
    assert "scan paused: resume()" in followed.interrupted
    assert handle.status == "paused"
    engine.diode.exposure_time = 0
    client.queue.resume()
    assert handle.wait(60.0).status == "success"
    assert len(list(handle.events())) == 100


def test_the_second_ctrl_c_aborts(client: Client, engine: ToyEngine) -> None:
    engine.diode.exposure_time = 0.05
    handle = client.submit("count", num=100)

    followed = follow(client, handle, CtrlC(twice=True))

    assert followed.ended
    assert handle.status == "abort"
    assert handle.finished is not None
    assert handle.finished.reason == "Ctrl-C"


class Noted(QuietDisplay):
    """Presses Ctrl-C twice when a run begins, and keeps what is told behind its end."""

    def __init__(self, ended: Callable[[], bool]) -> None:
        super().__init__()
        self._ended, self.notes = ended, [""]

    def step(self, step: Step, status: QueueStatus | None = None) -> None:
        super().step(step, status)
        if step.document is not None and step.document.name == "start":
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)
        if step.document is not None and step.document.name == "stop":
            until(self._ended, "it does not end")
            self.notes = []

    def note(self, text: str) -> None:
        self.notes.append(text)


def test_after_its_end_nobody_is_told_that_a_scan_is_paused(
    client: Client, engine: ToyEngine
) -> None:
    engine.diode.exposure_time = 0.05
    handle = client.submit("count", num=100)
    display = Noted(lambda: client.queue.list().running is None)
    assert follow(client, handle, display, leave_when_paused=True).ended
    assert not any("scan paused" in text for text in display.notes), display.notes

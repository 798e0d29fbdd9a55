"""Fits run in a process of their own, which may hang or die without harm."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from undula.analysis.fitter import Fitter
from undula.testing.armed import armed
from undula.testing.beamline import fault_environment

X = np.linspace(-1, 1, 31)
Y = 5 * np.exp(-((X - 0.2) ** 2) / 0.02) + 1
MODELS = """
import time
import numpy as np

def hanging(x, a=1.0):
    while True:
        time.sleep(0.01)

def dying(x, a=1.0):
    import os
    os.kill(os.getpid(), 9)

def talking(x, a=1.0):
    print("a model may print")
    return a * x
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    (folder / "odd.py").write_text(MODELS)
    return folder


@pytest.fixture(scope="module")
def fitter(folder: Path) -> Iterator[Fitter]:
    fitter = Fitter(folder, deadline_s=4.0)
    try:
        yield fitter
    finally:
        fitter.close()


def test_a_process_starts_with_the_first_fit_and_serves_the_next(fitter: Fitter) -> None:
    assert fitter.pid is None
    first = fitter.fit("gaussian + constant", X, Y)
    pid = fitter.pid
    assert first.parameter("center").value == pytest.approx(0.2, abs=1e-3)
    assert fitter.fit("talking", X, 3 * X).parameter("a").value == pytest.approx(3)
    assert fitter.pid == pid is not None


def test_a_fit_that_hangs_is_ended_at_its_deadline_and_the_next_one_works(fitter: Fitter) -> None:
    fitter.fit("linear", X, X)
    found = fitter.fit("hanging", X, Y)
    assert found.problem == "hanging could not be fitted: it took longer than 4 s and was ended"
    assert fitter.pid is None
    assert not fitter.fit("gaussian + constant", X, Y).problem


def test_a_model_that_kills_its_process_is_told(fitter: Fitter) -> None:
    assert "its process died" in fitter.fit("dying", X, Y).problem
    assert fitter.pid is None


def test_a_process_killed_in_mid_fit_is_replaced_and_the_fit_done_again(fitter: Fitter) -> None:
    fitter.fit("linear", X, X)
    pid = fitter.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)  # the request lies unread in its pipe
    found = []
    thread = threading.Thread(target=lambda: found.append(fitter.fit("linear", X, 2 * X)))
    thread.start()
    os.kill(pid, signal.SIGKILL)
    thread.join()
    assert found[0].parameter("slope").value == pytest.approx(2)
    assert fitter.pid not in (None, pid)


def test_a_process_killed_at_the_begin_of_a_fit_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fault = fault_environment(tmp_path, "fits", "analysis.fit_begun:1")
    for name, value in fault.items():
        monkeypatch.setenv(name, value)
    fitter = Fitter()
    try:
        assert fitter.fit("linear", X, 2 * X).parameter("slope").value == pytest.approx(2)
        assert not (tmp_path / "fault-fits").exists(), "nobody was killed"
    finally:
        fitter.close()


def test_the_process_ends_when_nobody_fits() -> None:
    fitter = Fitter(idle_s=0.05)
    fitter.start()
    assert fitter.pid is not None
    end = time.monotonic() + 60.0
    while fitter.pid is not None:
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_model_is_read_anew_when_its_file_changes(fitter: Fitter, folder: Path) -> None:
    mine = folder / "mine.py"
    assert "there is no model 'mine'" in fitter.fit("mine", X, Y).problem
    mine.write_text("def mine(x, a=1.0):\n    return a * nothing\n")
    told = "mine.py, line 2: NameError: name 'nothing' is not defined"
    assert fitter.fit("mine", X, Y).problem == told
    mine.write_text("def mine(x, a=1.0):\n    return a * x +\n")
    assert "mine.py, line 2: SyntaxError" in fitter.fit("mine", X, Y).problem
    assert not fitter.fit("linear", X, X).problem, "the other models are there all the same"
    mine.write_text("def mine(x, a=1.0):\n    return a * x\n")
    found = fitter.fit("mine + constant", X, 4 * X + 1)
    assert found.parameter("a").value == pytest.approx(4)


def test_ctrl_c_leaves_no_old_reply_for_the_next_fit(fitter: Fitter) -> None:
    fitter.fit("linear", X, X)
    with armed("analysis.fit_asked:1:SIGINT"), pytest.raises(KeyboardInterrupt):
        fitter.fit("linear", X, 7 * X)
    assert fitter.fit("linear", X, 2 * X).parameter("slope").value == pytest.approx(2)

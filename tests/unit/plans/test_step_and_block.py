"""Both ways of stepping give the same documents, on a real RunEngine."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from bluesky.run_engine import RunEngine
from bluesky.utils import RunEngineInterrupted

from undula.plans import VERBS, StepRun, block_scan, step_scan
from undula.testing.instant import Axis, Collected, Counter


@pytest.fixture
def engine() -> RunEngine:
    engine = RunEngine({}, context_managers=[], call_returns_result=True)
    for verb, function in VERBS.items():
        engine.register_command(verb, function)
    return engine


WAYS = {"message by message": step_scan, "in blocks": block_scan}


@pytest.mark.parametrize("way", WAYS)
def test_every_point_becomes_a_row_in_order(engine: RunEngine, way: str) -> None:
    axis, counter, got = Axis("x"), Counter("c"), Collected()
    points = np.linspace(0, 1, 250)[:, None]
    engine(WAYS[way](StepRun([counter], [axis], points)), got)
    assert list(got.rows) == list(range(1, 251))
    assert list(got.rows.values()) == points.ravel().tolist()
    assert got.docs["stop"][0]["exit_status"] == "success"


@pytest.mark.parametrize("way", WAYS)
def test_a_pause_at_the_next_point_loses_and_repeats_nothing(engine: RunEngine, way: str) -> None:
    axis, counter, got = Axis("x"), Counter("c"), Collected()
    points = np.linspace(0, 1, 500)[:, None]
    ask = threading.Event()
    axis.hook = lambda: ask.set() if len(axis.visited) == 120 else None

    def asked() -> bool:
        was = ask.is_set()
        ask.clear()
        return was

    with pytest.raises(RunEngineInterrupted):
        engine(WAYS[way](StepRun([counter], [axis], points, pause_requested=asked)), got)
    assert engine.state == "paused"
    engine.resume()
    assert list(got.rows.values()) == points.ravel().tolist()
    assert got.docs["stop"][0]["exit_status"] == "success"


@pytest.mark.parametrize("way", WAYS)
def test_an_abort_keeps_the_rows_taken_and_stops_the_axis(engine: RunEngine, way: str) -> None:
    axis, counter, got = Axis("x"), Counter("c"), Collected()
    points = np.linspace(0, 1, 500)[:, None]
    ask = threading.Event()
    axis.hook = lambda: ask.set() if len(axis.visited) == 230 else None
    with pytest.raises(RunEngineInterrupted):
        engine(WAYS[way](StepRun([counter], [axis], points, pause_requested=ask.is_set)), got)
    engine.abort("enough")
    assert list(got.rows.values()) == points.ravel().tolist()[: len(got.rows)]
    assert len(got.rows) >= 200
    assert got.docs["stop"][0]["exit_status"] == "abort"
    assert axis.stopped
    assert engine.rewindable


def test_relative_scans_return_only_when_they_ended_by_themselves(engine: RunEngine) -> None:
    axis, counter, got = Axis("x"), Counter("c"), Collected()
    engine(step_scan(StepRun([counter], [axis], np.array([[1.0], [2.0]]), return_to=[0.5])), got)
    assert axis.visited == [1.0, 2.0, 0.5]


def test_counting_without_axes_takes_the_number_of_points(engine: RunEngine) -> None:
    counter, got = Counter("x"), Collected()
    engine(step_scan(StepRun([counter], num=3)), got)
    assert len(got.rows) == 3


class LateStatus:
    """Done a moment later, from another thread."""

    def __init__(self) -> None:
        self.done = self.success = False
        self._callbacks: list[Callable[[Any], None]] = []
        self._lock = threading.Lock()

    def finish(self, success: bool = True) -> None:
        with self._lock:
            if self.done:
                return
            self.done, self.success = True, success
        for callback in self._callbacks:
            callback(self)

    def add_callback(self, callback: Callable[[Any], None]) -> None:
        with self._lock:
            if not self.done:
                self._callbacks.append(callback)
                return
        callback(self)

    def exception(self, timeout: float | None = 0.0) -> BaseException | None:
        return None if self.success else RuntimeError("stopped on the way")


class LateAxis(Axis):
    """Moves for 2 ms, in its own time; `stop` ends a move without success."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.at = 0.0
        self._status = LateStatus()

    def set(self, value: float) -> LateStatus:  # type: ignore[override]  # another status
        super().set(value)
        self._status = status = LateStatus()

        def arrive() -> None:
            if self._status is status and not status.done:
                self.at = value
                status.finish()

        threading.Timer(0.002, arrive).start()
        return status

    def stop(self, *, success: bool = False) -> None:
        super().stop()
        self._status.finish(success)

    def read(self) -> dict[str, Any]:
        return {self.name: {"value": self.at, "timestamp": time.time()}}


def test_a_pause_in_mid_move_takes_the_point_again_at_the_right_place(engine: RunEngine) -> None:
    axis, counter, got = LateAxis("x"), Counter("c"), Collected()
    points = np.arange(1.0, 41.0)[:, None]
    pauses = {7.0, 8.0, 23.0}

    def pause_once() -> None:
        if axis.visited[-1] in pauses:
            pauses.discard(axis.visited[-1])
            threading.Thread(target=engine.request_pause, args=(False,), daemon=True).start()

    axis.hook = pause_once
    call: Callable[[], Any] = lambda: engine(step_scan(StepRun([counter], [axis], points)), got)  # noqa: E731
    for _ in range(20):
        try:
            call()
            break
        except RunEngineInterrupted:
            call = engine.resume
    assert pauses == set()
    assert got.rows == {i + 1: float(i + 1) for i in range(40)}
    assert got.docs["stop"][0]["exit_status"] == "success"


def test_a_move_past_its_deadline_names_the_device(engine: RunEngine) -> None:
    axis, counter = LateAxis("samx"), Counter("c")
    points = np.array([[1.0], [2.0]])
    stuck = LateStatus()
    plan = step_scan(StepRun([counter], [axis], points, move_timeout_s=0.05))

    def jam() -> None:
        if len(axis.visited) == 2:
            axis._status = stuck  # the arrival of the second move is never told

    axis.hook = jam
    original = axis.set

    def set_(value: float) -> Any:
        status = original(value)
        return stuck if len(axis.visited) == 2 else status

    axis.set = set_  # type: ignore[method-assign]  # this one axis never tells
    with pytest.raises(Exception, match=r"samx.*did not finish within"):
        engine(plan)

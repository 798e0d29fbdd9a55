"""A point in which a device was lost is taken again after a pause; other errors end a run."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from bluesky.run_engine import RunEngine
from bluesky.utils import RunEngineInterrupted

from undula.devices.sim import SimMonitor, SimPositioner
from undula.plans import VERBS, StepRun, step_scan


class Link:
    """A connection that breaks at a given moment, and the losses counted by it."""

    def __init__(self, counts: bool = True) -> None:
        self.count = 0
        self.breaks = 0
        self._counts = counts

    def broken(self, at: int, now: int) -> None:
        if at == now and not self.breaks:
            self.breaks = 1
            self.count += self._counts
            raise ConnectionError("virtual circuit disconnect")

    def since(self, count: int) -> bool:
        return self.count > count


class FailsWhenRead(SimMonitor):
    def __init__(self, name: str, link: Link, at: int, where: str) -> None:
        super().__init__(name)
        self._link, self._at, self._where = link, at, where
        self.reads = self.triggers = 0

    def trigger(self) -> Any:
        self.triggers += 1
        if self._where == "trigger":
            self._link.broken(self._at, self.triggers)
        return super().trigger()

    def read(self) -> dict[str, Any]:
        self.reads += 1
        if self._where == "read":
            self._link.broken(self._at, self.reads)
        return super().read()


def _run(link: Link, where: str) -> tuple[RunEngine, list[tuple[str, Any]], list[float]]:
    engine = RunEngine({}, context_managers=[])
    for verb, function in VERBS.items():
        engine.register_command(verb, function)
    axis, documents, visited = SimPositioner("samx"), list[tuple[str, Any]](), list[float]()
    plain = axis.set
    axis.set = lambda value: (visited.append(value), plain(value))[1]  # type: ignore[method-assign]
    run = StepRun(
        detectors=[FailsWhenRead("diode", link, 3, where)],
        axes=[axis],
        points=np.array([[0.0], [1.0], [2.0], [3.0]]),
        num=4,
        losses=link,
    )
    with pytest.raises((RunEngineInterrupted, ConnectionError)):
        engine(step_scan(run), lambda name, doc: documents.append((name, doc)))
    return engine, documents, visited


@pytest.mark.parametrize("where", ["trigger", "read"])
def test_the_point_is_taken_again_once_the_runner_resumes(where: str) -> None:
    engine, documents, visited = _run(Link(), where)
    assert engine.state == "paused"
    engine.resume()
    events = [doc for name, doc in documents if name == "event"]
    assert [doc["seq_num"] for doc in events] == [1, 2, 3, 4]
    assert [doc["data"]["samx"] for doc in events] == [0, 1, 2, 3]
    assert visited == [0, 1, 2, 2, 3], "a lost axis may stand anywhere: it is sent again"
    assert documents[-1][1]["exit_status"] == "success"


def test_an_error_without_a_loss_ends_the_run() -> None:
    engine, documents, _ = _run(Link(counts=False), "trigger")
    assert engine.state == "idle"
    assert documents[-1][1]["exit_status"] == "fail"
    assert "virtual circuit disconnect" in documents[-1][1]["reason"]

"""Requests that lie untaken while motion is stopped: they are dropped, and their askers are told.

Each test hangs or kills services of the beamline and waits for the next ones: over 5 s.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from undula.bus import broker
from undula.bus.endpoints import ENGINE_MOVE, ENGINE_SCAN
from undula.bus.link import Link
from undula.cli.stop import in_words, stop_motion
from undula.client import Client
from undula.core.errors import UndulaError
from undula.processes import supervisor_client
from undula.testing.beamline import LocalBeamline, local_beamline
from undula.testing.law import until

PATIENCE_S = 60.0


@pytest.fixture(scope="module")
def running() -> Iterator[LocalBeamline]:
    with local_beamline() as made:
        yield made


@pytest.fixture
def beamline(running: LocalBeamline) -> LocalBeamline:
    """The one of this file, whose axes are at zero."""
    with running.connect() as client:
        client.mv(samx=0, samy=0)
    return running


class Asker:
    """Asks in a thread; keeps the answer."""

    def __init__(self, ask: Callable[[], Any]) -> None:
        self.error = ""
        self._ask = ask
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._ask()
        except UndulaError as exc:
            self.error = str(exc)

    def answer(self) -> str:
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive(), "no answer"
        return self.error


def _ask_both(beamline: LocalBeamline, client: Client, other: Client) -> tuple[list[Asker], int]:
    """A scan and a move whose requests nobody takes, in the broker; how many runs there were."""
    runs = len(client.runs)
    link = Link(broker.address(beamline.paths, beamline.settings, "service", "witness"))
    link.connect()
    keys = (ENGINE_SCAN.key(), ENGINE_MOVE.key())
    before = [link.call("XLEN", key) for key in keys]
    askers = [
        Asker(lambda: client.scan("samx", 1, 2, 5, detectors=["diode"], wait=False)),
        Asker(lambda: other.mv(samy=2)),
    ]
    until(lambda: [link.call("XLEN", k) for k in keys] == [n + 1 for n in before], "not sent")
    link.close()
    return askers, runs


def _nothing_moved(client: Client, askers: list[Asker], runs: int) -> None:
    for asker in askers:  # what was delivered to an engine that hung is "ended by" the stop
        assert " by undula stop (" in asker.answer()
    assert client.read("samx", "samy")["samx"]["samx"]["value"] == pytest.approx(0, abs=0.5)
    assert client.queue.list().running is None
    assert list(client.queue) == []
    assert len(client.runs) == runs
    assert client.mv(samy=1)["samy"]["value"] == pytest.approx(1, abs=0.01)
    assert client.scan("samx", 0, 1, 3, detectors=["diode"]).finished.exit_status == "success"


def test_what_a_hung_engine_had_not_begun_is_dropped_by_its_successor(
    beamline: LocalBeamline,
) -> None:
    with beamline.connect() as client, beamline.connect() as other:
        engine = beamline.pid("engine")
        os.kill(engine, signal.SIGSTOP)
        askers, runs = _ask_both(beamline, client, other)
        report = stop_motion(beamline.paths)
        assert (report["by"], report["engine_killed"]) == ("stopper", engine)
        assert "what was asked before is dropped" in in_words(report)
        _nothing_moved(client, askers, runs)


def test_what_was_asked_while_the_engine_was_down_is_dropped_when_it_is_up(
    beamline: LocalBeamline,
) -> None:
    with beamline.connect() as client, beamline.connect() as other:
        status = supervisor_client.ask(beamline.paths, {"do": "status", "memory": False})
        supervisor = int(status["supervisor"]["pid"])
        os.kill(supervisor, signal.SIGSTOP)
        try:
            engine = supervisor_client.living(beamline.paths)["engine"]
            engine.kill()
            until(lambda: not engine.alive, "the engine does not end")
            askers, runs = _ask_both(beamline, client, other)
            report = stop_motion(beamline.paths)
            assert report["by"] == "nobody"
            assert "the engine was not running" in in_words(report)
        finally:
            os.kill(supervisor, signal.SIGCONT)
        _nothing_moved(client, askers, runs)


def test_what_a_sleeping_engine_had_not_taken_is_dropped_when_it_goes_on(
    beamline: LocalBeamline,
) -> None:
    """The mark of a stop that the engine slept through holds without a restart, too."""
    from undula.core.stop_mark import stopped_now, write_mark

    with beamline.connect() as client, beamline.connect() as other:
        engine = beamline.pid("engine")
        os.kill(engine, signal.SIGSTOP)
        try:
            askers, runs = _ask_both(beamline, client, other)
            write_mark(beamline.paths.stopped, stopped_now("alice"))
        finally:
            os.kill(engine, signal.SIGCONT)
        _nothing_moved(client, askers, runs)
        assert beamline.pid("engine") == engine
        assert "alice" in askers[0].answer()

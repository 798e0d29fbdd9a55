"""A person's generator is ended while it computes, and only then."""

from __future__ import annotations

import threading
from collections.abc import Generator
from typing import Any

import pytest

from undula.core.interruptible import EndedError, OwnCode

PATIENCE_S = 30.0


def test_it_is_the_same_generator() -> None:
    def plan() -> Generator[Any, Any, Any]:
        got = yield 1
        try:
            yield got
        except ValueError as exc:
            yield str(exc)
        return 5

    own = OwnCode()
    run = own.run(plan())
    assert (next(run), run.send(2), run.throw(ValueError("no"))) == (1, 2, "no")
    assert own.piece == 0
    assert not own.interrupt(1)
    with pytest.raises(StopIteration) as told:
        next(run)
    assert told.value.value == 5


def test_what_computes_on_is_ended_and_cleans_up() -> None:
    computing = threading.Event()

    def plan() -> Generator[Any, Any, Any]:
        tries = 0
        try:
            while True:
                computing.set()
                try:
                    tries += 1
                except Exception:
                    tries = 0
        finally:
            yield "cleaned up"

    own, found = OwnCode(), []

    def work() -> None:
        run = own.run(plan())
        try:
            found.append(next(run))
            next(run)
        except EndedError:
            found.append("ended")

    thread = threading.Thread(target=work)
    thread.start()
    assert computing.wait(PATIENCE_S)
    piece = own.piece
    assert not own.interrupt(piece + 1)
    while own.interrupt(piece):
        thread.join(0.01)
    thread.join(PATIENCE_S)
    assert found == ["cleaned up", "ended"]


def test_an_interruption_that_comes_as_the_code_leaves_hits_nothing_else() -> None:
    def plan() -> Generator[Any, Any, Any]:
        while True:
            yield

    own, over = OwnCode(), threading.Event()

    def interrupt() -> None:
        while not over.is_set():
            own.interrupt(own.piece)

    outside = ended = 0
    thread = threading.Thread(target=interrupt)
    thread.start()
    try:
        for _ in range(300):
            run = own.run(plan())
            for _ in range(50):
                try:
                    next(run)
                except EndedError:
                    ended += 1
                    break
                outside += 1
    finally:
        over.set()
        thread.join()
    assert outside + ended > 300

"""The line between runner and worker: who must not wait does not, and nothing is lost unsaid."""

from __future__ import annotations

import select
import socket

from undula.pipes.runner.control import Line

BOUND = 1 << 20
WORDS = "x" * 10_000


def lines(kept_bytes: int = BOUND) -> tuple[Line, Line]:
    ours, theirs = socket.socketpair()
    return Line(ours, kept_bytes=kept_bytes), Line(theirs)


def test_words_to_one_that_does_not_listen_are_kept_and_heard_in_order_when_it_does() -> None:
    runner, worker = lines()
    said = 0
    while not runner.keeps:
        runner.say(number=said, words=WORDS)
        said += 1
    for _ in range(20):
        runner.say(number=said, words=WORDS)
        said += 1
    assert not runner.deaf
    heard = []
    while len(heard) < said:
        heard += [words["number"] for words in worker.heard()]
        runner.flush()
    assert heard == list(range(said))
    assert not runner.keeps
    runner.close()
    worker.close()


def test_one_that_listens_to_nothing_counts_as_deaf_beyond_the_bound() -> None:
    runner, worker = lines()
    said = 0
    while not runner.deaf:
        runner.say(number=said, words=WORDS)
        said += 1
        assert said * len(WORDS) < 2 * BOUND
    assert said * len(WORDS) > BOUND
    assert worker.heard()[0]["number"] == 0
    runner.close()
    worker.close()


def test_one_large_thing_is_said_however_large_it_is() -> None:
    runner, worker = lines(kept_bytes=1000)
    runner.say(graph=WORDS * 100)
    assert not runner.deaf
    heard: list[object] = []
    while not heard:
        select.select([worker], [runner] if runner.keeps else [], [])
        runner.flush()
        heard = [words["graph"] for words in worker.heard()]
    assert heard == [WORDS * 100]
    runner.close()
    worker.close()


def test_words_to_one_that_died_are_dropped() -> None:
    runner, worker = lines()
    while not runner.keeps:
        runner.say(words=WORDS)
    worker.close()
    runner.flush()
    assert runner.ended
    assert not runner.keeps
    runner.say(words=WORDS)
    assert not runner.keeps
    runner.close()

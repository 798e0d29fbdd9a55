"""Producers and consumers are killed for real; frames, order and sums hold."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from undula.core.faults import POINTS
from undula.testing.law import line_of, until

ENDS = Path(__file__).with_name("ends.py")
FRAMES = 120
CONSUMER_POINTS = ["pipes.received", "pipes.confirmed"]
PRODUCER_POINTS = ["pipes.loaned", "pipes.published", "pipes.sent", "pipes.welcomed"]


class Ends:
    """Processes at both ends of a link in a folder of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.started: list[subprocess.Popen[str]] = []

    def start(self, *words: Any, fault: str = "", **extra: str) -> subprocess.Popen[str]:
        what, *rest = map(str, words)
        environment = os.environ | extra
        if fault:
            environment |= {"UNDULA_TEST": "1", "UNDULA_FAULT": fault}
        process = subprocess.Popen(
            [sys.executable, str(ENDS), what, str(self.folder), *rest],
            env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.started.append(process)
        return process

    def producer(
        self, fault: str = "", first: int = 1, wait_for: str = ""
    ) -> subprocess.Popen[str]:
        """Returns when it listens."""
        (self.folder / "det").unlink(missing_ok=True)
        process = self.start("producer", FRAMES, fault=fault, FIRST=str(first), WAIT_FOR=wait_for)
        assert line_of(process) == "listening\n"
        return process

    def seen(self, name: str) -> list[str]:
        path = self.folder / f"{name}.seen"
        return path.read_text().splitlines() if path.exists() else []

    def numbers(self, name: str, *, again: bool = True) -> list[int]:
        lines = [line.split() for line in self.seen(name) if line[0].isdigit()]
        return [int(line[0]) for line in lines if again or len(line) == 1]

    def close(self) -> None:
        for process in self.started:
            if process.poll() is None:
                process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    stream.close()


@pytest.fixture
def ends() -> Iterator[Ends]:
    with tempfile.TemporaryDirectory(prefix="ul-") as folder:
        made = Ends(Path(folder))
        try:
            yield made
        finally:
            made.close()


def killed(process: subprocess.Popen[str]) -> bool:
    return process.wait(60) == -signal.SIGKILL


def sums(producer: subprocess.Popen[str]) -> dict[str, dict[str, int]]:
    out, _ = producer.communicate(timeout=60)
    assert producer.returncode == 0
    found: dict[str, dict[str, int]] = json.loads(out)
    return found


def slabs(pid: int) -> set[str]:
    """Inodes of the pipes' memory that a process has mapped."""
    try:
        maps = Path(f"/proc/{pid}/maps").read_text()
    except OSError:
        return set()
    return {line.split()[4] for line in maps.splitlines() if "undula-pipes" in line}


def test_every_point_of_a_link_is_tried_here() -> None:
    assert set(CONSUMER_POINTS + PRODUCER_POINTS) == {
        point for point in POINTS if point.startswith("pipes.")
    }


@pytest.mark.parametrize(("point", "passage"), [("pipes.received", 7), ("pipes.confirmed", 1)])
def test_a_lossless_consumer_is_killed_and_its_successor_goes_on(
    ends: Ends, point: str, passage: int
) -> None:
    producer = ends.producer()
    assert killed(ends.start("consumer", "writer", "lossless", fault=f"{point}:{passage}"))
    first = ends.numbers("writer")
    successor = ends.start("consumer", "writer", "lossless")
    counts = sums(producer)["writer"]
    successor.wait(60)
    numbers = ends.numbers("writer")
    assert first == list(range(1, len(first) + 1))
    later = numbers[len(first) :]
    assert later == list(range(later[0], FRAMES + 1)), "in order, without a gap"
    assert later[0] <= len(first) + 1
    assert set(numbers) == set(range(1, FRAMES + 1))
    assert counts == {
        "seen": FRAMES, "passed": FRAMES, "dropped": 0, "lost": 0, "failed": 0, "on_the_way": 0,
    }  # fmt: skip


def test_a_viewer_is_killed_and_the_writer_notices_nothing(ends: Ends) -> None:
    producer = ends.producer(wait_for="view")
    assert killed(ends.start("consumer", "view", "latest", fault="pipes.received:1"))
    writer = ends.start("consumer", "writer", "lossless")
    counts = sums(producer)
    writer.wait(60)
    assert ends.numbers("writer") == list(range(1, FRAMES + 1))
    assert counts["writer"]["passed"] == FRAMES
    view = counts["view"]
    assert view["passed"] + view["dropped"] + view["lost"] == view["seen"] == FRAMES


def test_a_viewer_that_sleeps_for_ever_holds_nobody_up(ends: Ends) -> None:
    producer = ends.producer(wait_for="view")
    viewer = ends.start("consumer", "view", "latest")
    until(lambda: bool(ends.seen("view")), "the viewer is not connected")
    viewer.send_signal(signal.SIGSTOP)
    ends.start("consumer", "writer", "lossless").wait(60)
    counts = sums(producer)
    assert counts["writer"]["passed"] == FRAMES
    assert counts["view"]["on_the_way"] <= 2


@pytest.mark.parametrize("point", PRODUCER_POINTS)
def test_a_producer_is_killed_and_its_consumer_has_all_that_was_handed_on(
    ends: Ends, point: str
) -> None:
    passage = 1 if point == "pipes.welcomed" else 40
    producer = ends.producer(fault=f"{point}:{passage}")
    writer = ends.start("consumer", "writer", "lossless")
    assert killed(producer)
    until(lambda: any(line.startswith("lost") for line in ends.seen("writer")), "it goes on")
    before = ends.numbers("writer")
    assert before == list(range(1, len(before) + 1))
    successor = ends.producer(first=max(1, len(before) - 3))  # some of them it makes again
    assert writer.stdin is not None
    writer.stdin.write("there is a new one\n")
    writer.stdin.flush()
    counts = sums(successor)["writer"]
    assert writer.wait(60) == 0
    assert ends.numbers("writer") == list(range(1, FRAMES + 1)), "none twice, none left out"
    assert counts["passed"] == counts["seen"]


def test_nothing_is_left_of_the_memory_when_both_were_killed(ends: Ends) -> None:
    producer = ends.producer()
    writer = ends.start("consumer", "writer", "lossless", fault="pipes.received:2")
    memory = slabs(producer.pid)
    assert len(memory) == 1
    maps = Path(f"/proc/{producer.pid}/maps").read_text()
    assert "/dev/shm/" not in maps, "what has a name there would be left"
    assert killed(writer)
    producer.kill()
    producer.wait(60)
    still = [pid.name for pid in Path("/proc").iterdir() if pid.name.isdigit()]
    assert not any(slabs(int(pid)) & memory for pid in still)

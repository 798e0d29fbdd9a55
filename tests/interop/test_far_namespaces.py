"""Links between two network namespaces of this host, over a line with delay, loss and cuts.

The line is a pair of TUN devices and a thread that carries packets between them: it delays, loses
and cuts as it is told, with a seed. Needs root.
"""

from __future__ import annotations

import fcntl
import heapq
import os
import random
import select
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from undula.pipes.ledger import EdgeLedger
from undula.pipes.link.keys import load_keys, trust

pytestmark = pytest.mark.interop

ENDS = Path(__file__).with_name("far_ends.py")
FRAMES = 400
WAIT_S = 120
_TUNSETIFF, _IFF_TUN, _IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
MTU = 9000
ADDRESSES = ("10.211.7.1", "10.211.7.2")


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


class Line:
    """Two namespaces, `near` and `far`, and what lies between."""

    def __init__(self) -> None:
        self.names = [f"ul{os.getpid()}{side}" for side in "ab"]
        self.delay_s, self.loss, self.cut = 0.0, 0.0, False
        self.lost = 0
        self._random = random.Random(7)
        self._ends: list[int] = []
        for name, address in zip(self.names, ADDRESSES, strict=True):
            ip("netns", "add", name)
            end = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
            fcntl.ioctl(end, _TUNSETIFF, struct.pack("16sH", name.encode(), _IFF_TUN | _IFF_NO_PI))
            self._ends.append(end)
            ip("link", "set", name, "netns", name)
            ip("-n", name, "link", "set", "lo", "up")
            ip("-n", name, "address", "add", f"{address}/24", "dev", name)
            ip("-n", name, "link", "set", name, "mtu", str(MTU), "up")
        self._quit = os.eventfd(0)
        self._thread = threading.Thread(target=self._carry)
        self._thread.start()

    def _carry(self) -> None:
        waiting: list[tuple[float, int, int, bytes]] = []
        number = 0
        while True:
            left = max(0.0, waiting[0][0] - time.monotonic()) if waiting else None
            ready, _, _ = select.select([*self._ends, self._quit], [], [], left)
            if self._quit in ready:
                return
            for end in ready:
                packet = os.read(end, MTU + 100)
                if self.cut or self._random.random() < self.loss:
                    self.lost += 1
                    continue
                other = self._ends[1 - self._ends.index(end)]
                number += 1
                heapq.heappush(waiting, (time.monotonic() + self.delay_s, number, other, packet))
            while waiting and waiting[0][0] <= time.monotonic():
                _, _, other, packet = heapq.heappop(waiting)
                if not self.cut:
                    os.write(other, packet)

    def close(self) -> None:
        os.eventfd_write(self._quit, 1)
        self._thread.join()
        for end in (*self._ends, self._quit):
            os.close(end)
        for name in self.names:
            subprocess.run(["ip", "netns", "delete", name], check=False)


class Ends:
    """A producer in one namespace, consumers in the other; each host has keys of its own."""

    def __init__(self, line: Line, folder: Path) -> None:
        self.line, self.folder = line, folder
        keys = {name: load_keys(folder / name) for name in ("near", "far")}
        trust(folder / "near", "far", keys["far"].public.decode())
        trust(folder / "far", "near", keys["near"].public.decode())
        self.started: list[subprocess.Popen[str]] = []

    def start(self, side: int, *words: str, **extra: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            ["ip", "netns", "exec", self.line.names[side], sys.executable, str(ENDS), *words],
            env=os.environ | extra, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.started.append(process)
        return process

    def producer(self, dead_s: float, size: int, rate_hz: float = 400) -> subprocess.Popen[str]:
        """Returns when it listens."""
        process = self.start(
            0, "producer", f"tcp://{ADDRESSES[0]}:7411", str(self.folder / "near"), str(FRAMES),
            str(size), str(rate_hz), str(dead_s),
        )  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline() == "listening\n"
        return process

    def consumer(self, dead_s: float, name: str = "writer") -> subprocess.Popen[str]:
        return self.start(
            1, "consumer", f"tcp://{ADDRESSES[0]}:7411", str(self.folder / "far"), name,
            str(self.folder / f"{name}.seen"), str(dead_s),
        )  # fmt: skip

    def seen(self, name: str = "writer") -> list[str]:
        path = self.folder / f"{name}.seen"
        return path.read_text().splitlines() if path.exists() else []

    def numbers(self, name: str = "writer") -> list[int]:
        return [int(line.split()[0]) for line in self.seen(name) if line[0].isdigit()]

    def until(self, frames: int) -> None:
        while len(self.numbers()) < frames:
            assert all(process.poll() is None for process in self.started)
            select.select([], [], [], 0.01)

    def close(self) -> None:
        for process in self.started:
            process.kill()
            process.wait()
            if process.stdout is not None:
                process.stdout.close()


@pytest.fixture
def line() -> Iterator[Line]:
    made = Line()
    yield made
    made.close()


@pytest.fixture
def ends(line: Line, tmp_path: Path) -> Iterator[Ends]:
    made = Ends(line, tmp_path)
    yield made
    made.close()


def ledger(producer: subprocess.Popen[str]) -> dict[str, int]:
    assert producer.stdout is not None
    text = producer.stdout.readline()
    assert producer.wait(WAIT_S) == 0
    counts = dict(part.split("=") for part in text.split())
    return {name: int(count) for name, count in counts.items()}


COMPLETE = EdgeLedger().counts | {"seen": FRAMES, "passed": FRAMES}


@pytest.mark.parametrize("size", [800, 100_000])
def test_a_slow_and_lossy_line_loses_no_frame(line: Line, ends: Ends, size: int) -> None:
    line.delay_s, line.loss = 0.02, 0.01
    producer, consumer = ends.producer(5.0, size), ends.consumer(5.0)
    assert ledger(producer) == COMPLETE
    assert consumer.wait(WAIT_S) == 0
    assert ends.numbers() == list(range(1, FRAMES + 1))


@pytest.mark.parametrize(("dead_s", "connections"), [(10.0, 1), (0.6, 2)])
def test_a_cut_of_two_seconds_loses_and_doubles_nothing(
    line: Line, ends: Ends, dead_s: float, connections: int
) -> None:
    line.delay_s = 0.02
    producer, consumer = ends.producer(dead_s, 100_000, 100), ends.consumer(dead_s)
    ends.until(50)
    line.cut = True
    select.select([], [], [], 2.0)
    line.cut = False
    assert ledger(producer) == COMPLETE
    assert consumer.wait(WAIT_S) == 0
    assert ends.numbers() == list(range(1, FRAMES + 1))
    said = [line for line in ends.seen() if line == "connected"]
    assert len(said) >= connections, "a death that was not noticed"
    assert dead_s < 2.0 or len(said) == 1, "a cut that should have been ridden out"


def test_a_consumer_whose_host_vanished_has_a_successor(line: Line, ends: Ends) -> None:
    producer, first = ends.producer(0.6, 100_000, 100), ends.consumer(0.6)
    ends.until(50)
    line.cut = True  # no word of its end comes through
    for child in Path(f"/proc/{first.pid}/task/{first.pid}/children").read_text().split():
        os.kill(int(child), signal.SIGKILL)
    first.kill()
    first.wait()
    had = ends.numbers()
    select.select([], [], [], 2.0)
    line.cut = False
    ends.started.remove(first)
    if first.stdout is not None:
        first.stdout.close()
    second = ends.consumer(0.6)
    assert ledger(producer) == COMPLETE
    assert second.wait(WAIT_S) == 0
    later = ends.numbers()[len(had) :]
    assert had == list(range(1, len(had) + 1))
    assert later == list(range(later[0], FRAMES + 1))
    assert later[0] <= len(had) + 1
    again = [int(line.split()[0]) for line in ends.seen() if line.endswith("again")]
    assert set(had) & set(later) <= set(again), "doubled, and not marked"


def test_a_producer_whose_host_vanished_is_lost_after_the_patience(line: Line, ends: Ends) -> None:
    producer, consumer = ends.producer(0.6, 800, 100), ends.consumer(0.6)
    ends.until(20)
    line.cut = True
    producer.kill()
    ends.started.remove(producer)
    producer.wait()
    if producer.stdout is not None:
        producer.stdout.close()
    assert consumer.wait(WAIT_S) == 3, "it did not say that its producer was lost"
    assert ends.numbers() == list(range(1, len(ends.numbers()) + 1))

"""The supervisor's door lives on with silent callers and without a free file descriptor."""

from __future__ import annotations

import json
import resource
import selectors
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from undula.processes.supervisor_door import MAX_PEERS, SILENT_S, ControlDoor


class Porch:
    """A door, the loop that a supervisor would run, and callers."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "d"
        self.selector = selectors.DefaultSelector()
        self.door = ControlDoor(self.path, self.selector, lambda request, _: {"did": request["do"]})

    def call(self) -> socket.socket:
        caller = socket.socket(socket.AF_UNIX)
        caller.settimeout(5.0)
        caller.connect(str(self.path))
        return caller

    def turn(self, now: float | None = None) -> int:
        """One round of the loop; how many events there were."""
        self.door.look(time.monotonic() if now is None else now)
        events = self.selector.select(0.02)
        for key, _ in events:
            key.data()
        return len(events)

    def until(self, condition: Callable[[], bool]) -> None:
        end = time.monotonic() + 60.0
        while not condition():
            assert time.monotonic() < end
            self.turn()

    def answer(self, caller: socket.socket) -> dict[str, str]:
        caller.sendall(b'{"do": "ping"}\n')
        caller.setblocking(False)
        heard = bytearray()

        def read() -> bool:
            try:
                heard.extend(caller.recv(1000))
            except BlockingIOError:
                return False
            return True

        self.until(read)
        found: dict[str, str] = json.loads(heard)
        return found


@pytest.fixture
def porch() -> Iterator[Porch]:
    with tempfile.TemporaryDirectory(prefix="und") as folder:
        made = Porch(Path(folder))
        yield made
        made.door.close()
        made.selector.close()


def _gone(caller: socket.socket) -> bool:
    caller.setblocking(False)
    try:
        return caller.recv(1) == b""
    except BlockingIOError:
        return False
    except ConnectionError:
        return True


def test_a_silent_caller_is_hung_up_on_after_its_time(porch: Porch) -> None:
    with porch.call() as silent:
        porch.until(lambda: porch.door.moment is not None)
        porch.turn(time.monotonic() + SILENT_S - 1.0)
        assert not _gone(silent)
        porch.turn(time.monotonic() + SILENT_S + 1.0)
        assert _gone(silent)
    assert porch.door.moment is None


def test_many_silent_callers_do_not_keep_the_next_one_waiting(porch: Porch) -> None:
    silent = []
    for _ in range(MAX_PEERS + 8):
        silent.append(porch.call())
        porch.turn()
    with porch.call() as caller:
        assert porch.answer(caller) == {"did": "ping"}
    assert _gone(silent[0])
    assert not _gone(silent[-1])
    for one in silent:
        one.close()


def test_without_a_free_descriptor_it_rests_and_then_answers(
    porch: Porch, monkeypatch: pytest.MonkeyPatch
) -> None:
    silent = porch.call()
    porch.turn()
    caller = porch.call()
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    # what threads of other tests in this process meet meanwhile is not of this test
    monkeypatch.setattr(threading, "excepthook", lambda _: None)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, before[1]))
    try:
        assert porch.turn() == 1  # the accept fails
        assert porch.turn() == 0  # it does not spin
        assert porch.door.moment is not None
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert _gone(silent)
    assert porch.answer(caller) == {"did": "ping"}
    caller.close()

"""Code with a time limit: it gives its result, raises, or is ended and names its place."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from undula.core.in_time import OverTimeError, in_time

SOON_S = 0.2
GRACE_S = 30.0


def test_what_ends_in_time_gives_its_result_or_raises_what_it_raised() -> None:
    assert in_time(lambda: 3, GRACE_S) == 3
    with pytest.raises(ZeroDivisionError) as told:
        in_time(lambda: 1 // 0, GRACE_S)
    assert "<lambda>" in {entry.name for entry in told.traceback}


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("while True:\n    pass\n", {1, 2}),
        ("while True:\n    try:\n        n = 1\n    except Exception:\n        pass\n", {1, 2, 3}),
        (
            "while True:\n    try:\n        n = 1\n    except BaseException:\n        pass\n",
            {1, 2, 3},
        ),
        ("while True:\n    try:\n        n = 1\n    finally:\n        n = 2\n", {1, 2, 3, 5}),
    ],
)
def test_an_endless_loop_is_ended_and_named(tmp_path: Path, text: str, lines: set[int]) -> None:
    code = compile(text, str(tmp_path / "endless.py"), "exec")
    running: list[threading.Thread] = []

    def work() -> None:
        running.append(threading.current_thread())
        exec(code, {})

    with pytest.raises(OverTimeError, match=r"longer than 0\.2 s") as told:
        in_time(work, SOON_S, GRACE_S)
    assert not running[0].is_alive()
    place = next(place for place in told.value.places if place[0].endswith("endless.py"))
    assert place[1] in lines


def test_what_waits_outside_of_python_holds_nobody_up_and_ends_when_it_can() -> None:
    go_on = threading.Event()
    running: list[threading.Thread] = []
    passed: list[bool] = []

    def work() -> None:
        running.append(threading.current_thread())
        go_on.wait(GRACE_S)
        while True:
            passed.append(True)

    with pytest.raises(OverTimeError):
        in_time(work, SOON_S, 0.0)
    go_on.set()
    running[0].join(GRACE_S)
    assert not running[0].is_alive()

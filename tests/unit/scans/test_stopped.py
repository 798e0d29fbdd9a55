"""What was asked before a stop does not move anything after it."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

from undula.core.clock import now
from undula.core.errors import UndulaError
from undula.core.procs import boot_id
from undula.core.stop_mark import StopMark, read_mark, stopped_now, write_mark
from undula.scans.stopped import Stops


def test_what_was_sent_before_the_stop_is_dropped_and_names_who_stopped_and_when(
    tmp_path: Path,
) -> None:
    stops = Stops(tmp_path / "stopped")
    sent = now()
    permit = stops.permit(sent)
    permit.check()
    mark = stops.mark("alice")
    with pytest.raises(UndulaError, match=r"dropped by undula stop \(alice, ..:..:..\): it had"):
        permit.check()
    with pytest.raises(UndulaError, match="dropped"):
        stops.permit(sent).check()
    stops.permit(mark.time + 0.001).check()


def test_a_taken_request_is_dropped_whatever_its_clock_says(tmp_path: Path) -> None:
    stops = Stops(tmp_path / "stopped")
    permit = stops.permit(now() + 3600)
    stops.mark("alice")
    assert permit.revoked
    with pytest.raises(UndulaError, match="dropped"):
        permit.check()


def test_a_successor_and_a_sleeper_know_the_stop_from_the_file(tmp_path: Path) -> None:
    path = tmp_path / "stopped"
    sleeper = Stops(path)
    sent = now()
    other = Stops(path)
    other.mark("bob")
    other.keep()
    for engine in (sleeper, Stops(path)):
        with pytest.raises(UndulaError, match="bob"):
            engine.permit(sent).check()
        engine.permit(now() + 0.001).check()


def test_without_any_stop_everything_passes(tmp_path: Path) -> None:
    Stops(tmp_path / "stopped").permit(0.0).check()


def test_an_unreadable_mark_counts_from_when_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "stopped"
    path.write_text("")
    os.utime(path, (1000.0, 1000.0))
    mark = read_mark(path)
    assert mark is not None
    assert (mark.covers(999.0), mark.covers(1001.0)) == (True, False)


def test_a_clock_that_was_set_back_does_not_drop_what_is_asked_afterwards() -> None:
    since_boot = time.clock_gettime(time.CLOCK_BOOTTIME)
    before = StopMark(now() + 3600, "alice", since_boot - 5.0, boot_id())
    assert not before.covers(now())
    assert before.covers(now() - 6.0)


def test_the_file_is_for_the_group_and_nothing_else_is_left(tmp_path: Path) -> None:
    path = tmp_path / "stopped"
    write_mark(path, stopped_now("alice"))
    assert path.stat().st_mode & 0o777 == 0o660
    assert [p.name for p in tmp_path.iterdir()] == ["stopped"]


def test_a_folder_that_refuses_does_not_keep_the_stop_from_holding(tmp_path: Path) -> None:
    stops = Stops(tmp_path / "absent" / "stopped")
    sent = now()
    stops.mark("alice")
    thread = threading.Thread(target=stops.keep)
    thread.start()
    thread.join(60.0)
    with pytest.raises(UndulaError, match="alice"):
        stops.permit(sent).check()

"""A pid and its start time name one process for good."""

import os
import select
import subprocess
import sys

from undula.core import procs
from undula.core.procs import ProcessId


def test_a_process_is_known_by_pid_and_start_and_not_by_pid_alone() -> None:
    me = ProcessId.of(os.getpid())
    assert me is not None
    assert me.alive
    assert not ProcessId(me.pid, me.ticks + 1).alive
    assert ProcessId(me.pid, me.ticks + 1).open() is None
    assert ProcessId(me.pid, me.ticks + 1).kill() is False


def test_an_ended_process_is_not_alive_even_before_anybody_waits_for_it() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    process = ProcessId.of(child.pid)
    assert process is not None
    pidfd = process.open()
    assert pidfd is not None
    assert process.kill()
    assert select.select([pidfd], [], [], 5.0)[0]
    assert not process.alive
    os.close(pidfd)
    child.communicate()


def test_memory_is_told_in_bytes_and_none_for_nobody() -> None:
    mine = procs.pss_bytes(os.getpid())
    assert mine is not None
    assert 1_000_000 < mine < 2_000_000_000
    assert procs.pss_bytes(2**22 + 1) is None


def test_processes_are_found_by_the_environment_they_were_started_with() -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", "print(flush=True); input()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "UNDULA_MARK": f"mark-{os.getpid()}"},
        start_new_session=True,
    )
    assert child.stdout is not None
    child.stdout.readline()
    found = procs.with_environment("UNDULA_MARK", f"mark-{os.getpid()}")
    assert [process.pid for process in found] == [child.pid]
    assert procs.environment_of(child.pid, "UNDULA_MARK") == f"mark-{os.getpid()}"
    child.communicate(b"\n")

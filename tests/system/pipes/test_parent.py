"""Workers are forked by one preloaded parent, which may die like anything else."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from undula.pipes.graph import Graph, GraphBuilder, checked
from undula.pipes.nodes.registry import Shipped
from undula.pipes.runner import Runner
from undula.pipes.runner.parent import WORKER, Parent
from undula.testing.flow import flow_until, run_out, started_anew
from undula.testing.law import ended, line_of

TYPES = Shipped()
RUNS_GRAPHS = """
import sys
from undula.pipes.graph import GraphBuilder, checked
from undula.pipes.nodes.registry import Shipped
from undula.pipes.runner import Runner
types = Shipped()
made = GraphBuilder("live").node("det", "simulated", width=8, height=8).node("total", "sum")
with Runner(checked(made.edge("det -> total").graph(), types), types) as runner:
    runner.begin()
    print(*runner.pids().values(), flush=True)
    sys.stdin.read()
"""


def graph(frames: int, rate_hz: float = 0) -> Graph:
    made = (
        GraphBuilder("live")
        .node("det", "simulated", width=16, height=16, frames=frames, rate_hz=rate_hz)
        .node("low", "threshold")
        .node("total", "sum")
        .edge("det -> low")
        .edge("low.frames -> total")
    )
    return checked(made.graph(), TYPES)


def parent_of(pid: int) -> int:
    """Of a living process. 0 when it is gone."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def test_a_parent_without_threads_forks_all_workers() -> None:
    with Runner(graph(5), TYPES) as first, Runner(graph(5), TYPES) as second:
        pids = [*first.pids().values(), *second.pids().values()]
        parents = {parent_of(pid) for pid in pids}
        assert len(parents) == 1
        assert len(os.listdir(f"/proc/{parents.pop()}/task")) == 1
        assert first.run().ok
        assert second.run().ok


def test_ps_and_top_show_which_part_of_which_graph_a_process_is() -> None:
    made = (
        GraphBuilder("a_graph_with_a_long_name")
        .node("det", "simulated", width=8, height=8)
        .node("low", "threshold", process="work")
        .node("total", "sum", process="work")
        .edge("det -> low")
        .edge("low.frames -> total")
    )
    with Runner(checked(made.graph(), TYPES), TYPES) as runner:
        pids = runner.pids()
        words = {name: Path(f"/proc/{pid}/cmdline").read_text() for name, pid in pids.items()}
        short = {name: Path(f"/proc/{pid}/comm").read_text() for name, pid in pids.items()}
        parent = Path(f"/proc/{parent_of(pids['det'])}/cmdline").read_text()
    assert {name: text.rstrip("\0") for name, text in words.items()} == {
        "det": f"{WORKER} a_graph_with_a_long_name/det",
        "work": f"{WORKER} a_graph_with_a_long_name/work (low, total)",
    }
    assert short == {"det": "a_graph_wit/det\n", "work": "a_graph_wi/work\n"}
    assert parent.rstrip("\0") == f"{WORKER} parent of the graphs of process {os.getpid()}"


def test_a_killed_parent_costs_no_frame_and_the_next_worker_has_another() -> None:
    with Runner(graph(0, rate_hz=200), TYPES) as runner:
        runner.begin()
        parent = parent_of(runner.pids()["low"])
        os.kill(parent, signal.SIGKILL)
        ended(parent)
        nodes = runner.status.nodes  # what is told replaces what is in it
        flow_until(runner, lambda: nodes["total"].frames >= 20, "the sum has no frames")
        os.kill(runner.pids()["low"], signal.SIGKILL)
        started_anew(runner, "low", 1)
        flow_until(runner, lambda: nodes["low"].frames, "the successor has no frame")
        assert parent_of(runner.pids()["low"]) not in (0, parent)
        runner.stop()
        run_out(runner)
        assert runner.outcome().ok


@pytest.mark.parametrize("how", [signal.SIGKILL, None])
def test_parent_and_workers_end_with_the_process_that_runs_graphs(
    how: signal.Signals | None,
) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", RUNS_GRAPHS], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with process:
        workers = [int(word) for word in line_of(process).split()]
        parents = {parent_of(pid) for pid in workers}
        if how is not None:
            process.send_signal(how)
        else:
            process.communicate(b"", timeout=60)
    assert len(parents) == 1
    for pid in [*workers, *parents]:
        ended(pid)


def test_a_worker_is_waited_for_and_asked_how_it_ended() -> None:
    parent = Parent()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        child = parent.fork(theirs)
        with pytest.raises(TimeoutError):
            child.wait(0)
        os.kill(child.pid, signal.SIGTERM)
        assert child.wait(60) == -signal.SIGTERM
        child.kill()  # it is gone: nothing is killed in its place
        second = parent.fork(theirs)
        theirs.close()
        ours.close()
        assert second.wait(60) == 0, "nobody speaks to it any more"

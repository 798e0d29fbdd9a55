"""Graphs in tests: let them go on until something holds, and never for ever.

In: a runner whose graph has begun. Out: nothing, or an AssertionError that says what was waited for
and how each node stands.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from undula.core.clock import Deadline
from undula.core.procs import environment_of
from undula.pipes.runner import Runner
from undula.pipes.runner.parent import WORKER
from undula.testing.law import PATIENCE_S

LOOK_S = 0.1
"""So long the runner waits for words of its processes between two looks at a condition."""


def flow_until(
    runner: Runner, condition: Callable[[], object], what: str, timeout_s: float = PATIENCE_S
) -> None:
    """Let a graph go on until the condition holds; looked at after each word of a process.

    Raises: AssertionError with `what` when it does not hold in time, or when the graph ends first.
    """
    deadline = Deadline(timeout_s)
    while not condition():
        if deadline.passed or runner.over:
            raise AssertionError(f"{what}{' before it ended' * runner.over}: {standing(runner)}")
        runner.pump(LOOK_S)


def flow_past(runner: Runner, edge: str, frames: int) -> None:
    """Until an edge has passed so many frames. Raises: AssertionError."""
    flow_until(runner, lambda: runner.status.edges[edge].passed >= frames, f"{edge} stands still")


def started_anew(runner: Runner, node: str, restarts: int) -> None:
    """Until the process of a node was started anew so often. Raises: AssertionError."""
    flow_until(runner, lambda: runner.restarts(node) >= restarts, f"no successor of {node}")


def run_out(runner: Runner, timeout_s: float = PATIENCE_S) -> None:
    """Until the graph has ended. Raises: AssertionError."""
    flow_until(runner, lambda: runner.over, "the graph does not end", timeout_s)


def standing(runner: Runner) -> str:
    """How each node of a graph stands, and why it failed, in one line."""
    nodes = (
        f"{name} {node.state}, {node.frames} frames, {node.restarts} restarts {node.error}".rstrip()
        for name, node in runner.status.nodes.items()
    )
    return "; ".join([*nodes, runner.failed]).rstrip("; ")


def graph_workers() -> list[int]:
    """Processes of graphs of this very beamline (`XDG_STATE_HOME`), of no other on this host."""
    own = os.environ["XDG_STATE_HOME"]
    found = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        with suppress(OSError):
            words, pid = (folder / "cmdline").read_bytes(), int(folder.name)
            if WORKER.encode() in words and environment_of(pid, "XDG_STATE_HOME") == own:
                found.append(pid)
    return found

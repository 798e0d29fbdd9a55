"""Room: pipes. Waits until all processes of a graph have said how they are doing.

In: the processes, which may be started anew meanwhile; a way to hear them. Out: whether all that
are waited for have said so in time. Called by: `runner`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from undula.pipes.runner.process import Process


def all_told(
    processes: Mapping[str, Process], viewers: frozenset[str], pump: Callable[[float], object],
    timeout_s: float, viewers_s: float,
) -> bool:  # fmt: skip
    """Ask all, and hear them.

    Args:
        processes: those of now, by name.
        viewers: nodes that may sleep.
        pump: hears the processes for so many seconds at most.
        timeout_s: so long one may take, s.
        viewers_s: so long one with nothing but viewers may take, s.
    Returns: False when one that is not only of viewers does not say so in time.
    """
    begun = time.monotonic()
    end, viewers_end = begun + timeout_s, begun + viewers_s
    asked: dict[str, Process] = {}
    for process in processes.values():
        process.told = process.over
    while True:
        waiting = [p for p in processes.values() if not p.told and not p.over]
        for process in waiting:  # one that died meanwhile: its successor
            if process.ready and asked.get(process.name) is not process:
                asked[process.name] = process
                process.line.say(do="tell")
        awake = any(not viewers.issuperset(process.nodes) for process in waiting)
        left_s = (end if awake else viewers_end) - time.monotonic()
        if not waiting or left_s <= 0:
            return not awake
        pump(left_s)

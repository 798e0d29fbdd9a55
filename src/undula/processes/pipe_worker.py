"""Room: processes. The processes of a graph of pipes: a parent that forks, and its workers.

`python -m undula.processes.pipe_worker DESCRIPTOR`: the parent imports what every node needs, and
forks a worker for each socket that comes over that descriptor. It has no threads, and ends when the
other end is closed and its workers have ended: those that still run after a while, because a node
hangs, are killed, so that none outlives whoever ran the graph. The first line on a worker's own
socket says which graph, and which of its processes this is; it ends when the runner says so, or
dies.
A worker's exit: 0 as asked, 1 when a node could not be made.
"""

from __future__ import annotations

import gc
import json
import math
import os
import select
import signal
import socket
import sys
import time
import traceback
from contextlib import suppress
from typing import Any, NoReturn

from setproctitle import setproctitle, setthreadtitle

from undula.core import faults
from undula.pipes.graph import Graph
from undula.pipes.nodes import frame_file, live, replay, rois, simulated, statistics
from undula.pipes.runner.control import Line
from undula.pipes.runner.parent import PACKET_BYTES, QUIT_S, WORKER
from undula.pipes.runner.serving import serve

PRELOADED = (frame_file, live, replay, rois, simulated, statistics)
"""Nodes, and what they import, that every worker shares; others are imported when asked for."""
SHORT = 15
"""Letters of a process's short name, which `top` shows."""


def parent(descriptor: int) -> int:
    """Fork a worker for each socket that comes; say how each ends."""
    _call([WORKER, f"parent of the graphs of process {os.getppid()}"], "undula pipes")
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the runner, which ends us in order
    control = socket.socket(fileno=descriptor)
    workers: dict[int, int] = {}  # descriptor of a process: its number
    poll = select.poll()
    poll.register(control, select.POLLIN)
    gc.collect()
    gc.freeze()  # what was imported stays shared with the workers
    asked, kill_at = True, math.inf
    while asked or workers:
        left_s = kill_at - time.monotonic()
        for worker in workers if left_s <= 0 else ():
            signal.pidfd_send_signal(worker, signal.SIGKILL)
        for ready, _ in poll.poll(max(0.0, left_s) * 1000 if 0 < left_s < math.inf else None):
            if ready == control.fileno():
                asked = _fork(control, workers, poll)
                if not asked:
                    kill_at = time.monotonic() + QUIT_S
                    poll.unregister(control)
                continue
            pid = workers.pop(ready)
            poll.unregister(ready)
            os.close(ready)
            _, status = os.waitpid(pid, 0)
            with suppress(OSError):
                _say(control, pid=pid, code=os.waitstatus_to_exitcode(status))
    return 0


def _say(control: socket.socket, **words: int) -> None:
    control.send(json.dumps(words).encode(), socket.MSG_NOSIGNAL)


def _fork(control: socket.socket, workers: dict[int, int], poll: select.poll) -> bool:
    """One more worker; False when nobody will ask again."""
    try:
        packet, descriptors, _, _ = socket.recv_fds(control, PACKET_BYTES, 1)
    except OSError:
        return False
    if not packet:
        return False
    (line,) = descriptors
    pid = os.fork()
    if pid == 0:
        control.close()
        for other in workers:
            os.close(other)
        _become_worker(line, json.loads(packet))
    os.close(line)
    handle = os.pidfd_open(pid)
    workers[handle] = pid
    poll.register(handle, select.POLLIN)
    with suppress(OSError):
        socket.send_fds(control, [json.dumps({"pid": pid}).encode()], [handle])
    return True


def _call(words: list[str], short: str) -> None:
    setproctitle(" ".join(words))
    setthreadtitle(short)


def _be_called(graph: Graph, process: str) -> None:
    """Let `ps` and `top` show which part of which graph this process is."""
    nodes = graph.processes()[process]
    several = [f"({', '.join(nodes)})"] * (nodes != [process])
    short = f"{graph.name[: max(0, SHORT - 1 - len(process))]}/{process}"[-SHORT:]
    _call([WORKER, f"{graph.name}/{process}", *several], short)


def _become_worker(line: int, words: dict[str, Any]) -> NoReturn:
    """In the child: what the runner's own child would have, then its work, then the end."""
    code = 1
    try:
        os.environ.clear()
        os.environ.update(words["environment"])
        os.chdir(words["folder"])
        faults.arm()
        code = serve(Line(socket.socket(fileno=line)), _be_called)
    except BaseException:  # also sys.exit() of a node: the process ends here, and says why
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    sys.exit(parent(int(sys.argv[1])))

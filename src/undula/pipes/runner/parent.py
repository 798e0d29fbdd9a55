"""Room: pipes. The preloaded parent: one process that has imported what every worker needs.

In: a socket for a worker. Out: a worker that was forked with it, in milliseconds, and the memory of
all that was imported shared. The parent has no threads and no other work. Each process that runs
graphs has one, made when the first worker is asked for; it ends with that process, and when it dies
its workers go on and the next worker gets a new parent.

A worker's death is the end of file on its own line, as ever; here it is only waited for (by a
descriptor of the process, never by its number), and asked how it ended.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from typing import Any

from undula.pipes.errors import PipeError

WORKER = "undula.processes.pipe_worker"
ROOM = " " * 120
"""An argument that means nothing, and makes room for the title of a process (`ps`)."""
PACKET_BYTES = 1 << 17
START_S = 60.0
QUIT_S = 5.0
"""So long a worker may take to end; then it is killed."""
CODE_S = 5.0
"""A parent that is alive tells within so long how a worker ended."""


class Child:
    """A worker that was forked by a parent."""

    def __init__(self, parent: Parent, pid: int, descriptor: int) -> None:
        self._parent, self.pid, self._descriptor = parent, pid, descriptor
        self.code: int | None = None
        """Exit code, negative for a signal, once it was waited for; 0 if nobody knows it."""

    def wait(self, timeout_s: float | None = None) -> int:
        """Wait for its end. Returns: exit code. Raises: TimeoutError."""
        if self.code is None:
            poll = select.poll()
            poll.register(self._descriptor, select.POLLIN)
            if not poll.poll(None if timeout_s is None else timeout_s * 1000):
                raise TimeoutError(f"process {self.pid} has not ended")
            self.code = self._parent.code_of(self.pid)
            os.close(self._descriptor)
        return self.code

    def kill(self) -> None:
        """End it, whatever it does."""
        if self.code is None:
            try:
                signal.pidfd_send_signal(self._descriptor, signal.SIGKILL)
            except OSError:
                return  # it has just ended


class Parent:
    """The parent of workers, seen from the process that runs graphs. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._codes: dict[int, int] = {}
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket = ours
        environment = os.environ | {"OPENBLAS_NUM_THREADS": "1"}  # a fork wants one thread
        environment["SPT_NOENV"] = "1"  # a title that leaves /proc/PID/environ as it is
        for name in ("UNDULA_FAULT", "UNDULA_FAULT_ONCE"):  # of a worker, which is told
            environment.pop(name, None)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", WORKER, str(theirs.fileno()), ROOM],
                pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, env=environment,
            )  # fmt: skip

    @property
    def pid(self) -> int:
        """Of the parent itself."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it can fork."""
        return self._process.poll() is None

    def fork(self, line: socket.socket) -> Child:
        """A new worker at the other end of `line`, with this process's environment and folder.

        Raises: PipeError when the parent is dead.
        """
        words = json.dumps({"environment": dict(os.environ), "folder": os.getcwd()}).encode()
        with self._lock:
            try:
                socket.send_fds(self._socket, [words], [line.fileno()])
                while True:
                    told, descriptors = self._hear(START_S)
                    if descriptors:
                        return Child(self, told["pid"], descriptors[0])
            except OSError as exc:
                raise PipeError(
                    f"the parent of the workers is gone: {exc}", remedy="start the graph again"
                ) from exc

    def code_of(self, pid: int) -> int:
        """How a worker ended that has ended. 0 when its parent died before it."""
        end = time.monotonic() + CODE_S
        with self._lock:
            try:
                while pid not in self._codes and time.monotonic() < end:
                    self._hear(CODE_S)
            except OSError:
                pass
            return self._codes.pop(pid, 0)

    def _hear(self, timeout_s: float) -> tuple[dict[str, Any], list[int]]:
        """One word of the parent; the codes in it are kept. Raises: OSError when it is dead."""
        self._socket.settimeout(timeout_s)
        packet, descriptors, _, _ = socket.recv_fds(self._socket, PACKET_BYTES, 1)
        if not packet:
            raise ConnectionError("it has ended")
        told = json.loads(packet)
        if "code" in told:
            self._codes[told["pid"]] = told["code"]
        return told, descriptors


_lock = threading.Lock()
_parent: Parent | None = None


def fork_worker(line: socket.socket) -> Child:
    """A worker at the other end of `line`, from this process's parent.

    Raises: PipeError when the parent died just now; the next call has a new one. It may have forked
    all the same: call again with another line, whose end nobody else has.
    """
    global _parent
    with _lock:
        if _parent is None or not _parent.alive:
            _parent = Parent()
        try:
            return _parent.fork(line)
        except PipeError:
            _parent = None
            raise

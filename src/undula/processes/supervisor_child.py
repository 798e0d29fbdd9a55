"""One service as a process: started by us or adopted, watched by a pidfd, ended with its group.

In: a `ServiceSpec`, or a `ProcessId` left by a dead supervisor. Out: a `Child`. Called by:
`supervisor` only. Standard library and `undula.core` only. Not here: when to start and restart.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import struct
import subprocess
from contextlib import suppress
from pathlib import Path

from undula.core import procs
from undula.core.errors import ServiceError
from undula.core.notify import FRESH_VARIABLE, SERVICE_VARIABLE, SOCKET_VARIABLE
from undula.core.paths import BeamlinePaths
from undula.core.procs import ProcessId
from undula.processes.supervisor_model import ServiceSpec

MAX_OUTPUT_BYTES = 5_000_000
_PING_S = 0.05


class Child:
    """A running service process: its identity, its pidfd, and its exit code if it is our child."""

    def __init__(self, process: ProcessId, pidfd: int, popen: subprocess.Popen[bytes] | None):
        self.process = process
        self.pidfd = pidfd
        self._popen = popen

    @property
    def adopted(self) -> bool:
        """Whether somebody else had started it; its exit code is then unknown."""
        return self._popen is None

    def ended(self) -> bool:
        """Whether the process has ended; does not wait."""
        poller = select.poll()
        poller.register(self.pidfd, select.POLLIN)
        return bool(poller.poll(0))

    def terminate(self) -> None:
        """Ask the process to end (SIGTERM, to it alone: it ends its own children)."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """End the process and its group now."""
        self._signal(signal.SIGKILL)
        self._kill_group()

    def bury(self) -> int | None:
        """After its end: end what is left of its group, close the pidfd, return the exit code.

        Negative codes are signals; None for an adopted process.
        """
        self._kill_group()
        os.close(self.pidfd)
        return None if self._popen is None else self._popen.wait()

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.pidfd, number)

    def _kill_group(self) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)


def output_file(paths: BeamlinePaths, name: str) -> Path:
    """Standard output and error of a service; emptied at its start when above 5 MB."""
    return paths.logs / f"{name}.out"


def spawn(spec: ServiceSpec, paths: BeamlinePaths, *, fresh: bool = False) -> Child:
    """Start a service in a session of its own.

    Args:
        fresh: the beamline is being brought up; not when a service is started again.
    Raises: ServiceError when it cannot be executed.
    """
    output = output_file(paths, spec.name)
    too_long = output.exists() and output.stat().st_size > MAX_OUTPUT_BYTES
    own = {
        SOCKET_VARIABLE: str(paths.notify_socket),
        SERVICE_VARIABLE: spec.name,
        FRESH_VARIABLE: "1" if fresh else "",
    }
    try:
        with output.open("wb" if too_long else "ab") as out:
            popen = subprocess.Popen(
                spec.argv,
                env={**os.environ, **spec.env, **own},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
    except OSError as exc:
        raise ServiceError(
            f"service {spec.name} cannot be started: {exc}",
            remedy="check the installation with undula doctor",
            where=spec.argv[0],
        ) from exc
    pidfd = os.pidfd_open(popen.pid)  # an ended child keeps its pid until we wait for it
    ticks = procs.start_ticks(popen.pid)
    return Child(ProcessId(popen.pid, ticks or 0), pidfd, popen)


def adopt(process: ProcessId) -> Child | None:
    """Take over a process that a dead supervisor had started; None when it is gone."""
    pidfd = process.open()
    return None if pidfd is None else Child(process, pidfd, None)


def find_orphan(spec: ServiceSpec, paths: BeamlinePaths) -> ProcessId | None:
    """A process of this service that no state file names: its supervisor died while starting it.

    It is known by the socket it listens on, or by the environment it was started with.
    """
    owner = _listener(spec.ready_path) if spec.ready != "notify" else None
    if owner is not None:
        return owner
    for process in procs.with_environment(SOCKET_VARIABLE, str(paths.notify_socket)):
        if procs.environment_of(process.pid, SERVICE_VARIABLE) == spec.name:
            return process
    return None


def _listener(path: str) -> ProcessId | None:
    """The process that listens on a Unix socket."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.setblocking(False)
        try:
            sock.connect(path)
        except OSError:
            return None
        size = struct.calcsize("3i")
        pid, _, _ = struct.unpack(
            "3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
        )
    return ProcessId.of(pid)


def answers(spec: ServiceSpec) -> bool:
    """Whether a service's socket takes connections, and for a broker answers PING."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(_PING_S)
        try:
            sock.connect(spec.ready_path)
            if spec.ready == "accepts":
                return True
            sock.sendall(b"PING\r\n")
            reply = sock.recv(64)
        except OSError:
            return False
    return reply.startswith((b"+PONG", b"-NOAUTH", b"-NOPERM"))

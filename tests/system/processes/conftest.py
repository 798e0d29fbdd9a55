"""A beamline of tiny services, each a real process, under a real supervisor."""

import os
import select
import signal
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from undula.core.paths import BeamlinePaths, beamline_paths
from undula.processes import bringup, supervisor_client
from undula.processes.supervisor_model import ServiceSpec

SERVICE = textwrap.dedent("""
    import os, signal, sys, time
    from undula.core import notify
    with open(sys.argv[1], "a") as file:
        file.write(f"start {sys.argv[2]} {os.getpid()}\\n")
    def end(*_):
        with open(sys.argv[1], "a") as file:
            file.write(f"stop {sys.argv[2]} {os.getpid()}\\n")
        sys.exit(0)
    signal.signal(signal.SIGTERM, end)
    notify.ready("here")
    while True:
        notify.heartbeat("well")
        time.sleep(0.05)
    """)

BROKER = textwrap.dedent("""
    import os, signal, socket, sys
    with open(sys.argv[1], "a") as file:
        file.write(f"start broker {os.getpid()}\\n")
    try:
        os.unlink(sys.argv[2])
    except FileNotFoundError:
        pass
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(sys.argv[2])
    listener.listen()
    while True:
        peer, _ = listener.accept()
        try:
            peer.recv(100)
            peer.sendall(b"+PONG\\r\\n")
        except OSError:
            pass
        peer.close()
    """)


class Beamline:
    """Paths, witness file and helpers of one test beamline."""

    def __init__(self, paths: BeamlinePaths, witness: Path) -> None:
        self.paths = paths
        self.witness = witness

    def service(self, name: str, *needs: str, code: str = SERVICE, **more: Any) -> ServiceSpec:
        argv = (sys.executable, "-c", code, str(self.witness), name)
        return ServiceSpec(name, argv, needs=needs, **{"ready_timeout_s": 60.0, **more})

    def broker(self) -> ServiceSpec:
        path = str(self.paths.broker_socket)
        argv = (sys.executable, "-c", BROKER, str(self.witness), path)
        return ServiceSpec("broker", argv, ready="broker", ready_path=path, ready_timeout_s=60.0)

    def all(self) -> list[ServiceSpec]:
        return [
            self.broker(),
            self.service("writer", "broker"),
            self.service("publisher", "broker"),
            self.service("engine", "publisher"),
        ]

    def up(self, specs: list[ServiceSpec] | None = None) -> dict[str, Any]:
        return bringup.bring_up(self.paths, lambda: specs or self.all(), lambda _: None)

    def status(self, *, memory: bool = False) -> dict[str, Any]:
        return supervisor_client.ask(self.paths, {"do": "status", "memory": memory})

    def row(self, name: str, *, memory: bool = False) -> dict[str, Any]:
        return next(r for r in self.status(memory=memory)["services"] if r["name"] == name)

    def pid(self, name: str) -> int:
        return int(self.row(name)["pid"])

    def told(self, kind: str) -> list[str]:
        lines = self.witness.read_text().splitlines() if self.witness.exists() else []
        return [line.split()[1] for line in lines if line.startswith(kind)]

    def kill(self, pid: int) -> None:
        """SIGKILL, and wait until it has taken effect."""
        pidfd = os.pidfd_open(pid)
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        assert select.select([pidfd], [], [], 60.0)[0]
        os.close(pidfd)

    def until(self, condition: Callable[[], bool], what: str, timeout_s: float = 60.0) -> None:
        end = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < end, f"{what}; status: {self.status()}"
            time.sleep(0.01)


@pytest.fixture
def beamline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Beamline]:
    """A beamline that is taken down, whatever the test did, with nothing left running."""
    with tempfile.TemporaryDirectory(prefix="und") as run:
        monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
        monkeypatch.setenv("XDG_RUNTIME_DIR", run)
        paths = beamline_paths("t")
        paths.create()
        made = Beamline(paths, tmp_path / "witness.txt")
        try:
            yield made
        finally:
            known = supervisor_client.living(paths)
            supervisor_client.take_down(paths)
            left = [process for process in known.values() if process.alive]
            for process in left:
                process.kill()
            assert not left

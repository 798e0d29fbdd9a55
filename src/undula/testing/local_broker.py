"""A broker of one's own for tests: start it, kill it, start it again, connect to it.

It lies in a folder with a short path, and uses the code that a beamline uses.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from undula.bus import broker
from undula.bus.connector import BrokerConnector
from undula.bus.endpoints import Role
from undula.core.paths import BeamlinePaths
from undula.core.settings import BeamlineSettings


class LocalBroker:
    """One embedded broker and its beamline's folders.

    Args:
        limit_bytes: memory bound.
        fsync: overrides the measured policy: `always` or `everysec`.
        env: more environment for the server, e.g. LD_PRELOAD.
    """

    def __init__(
        self,
        *,
        name: str = "test",
        limit_bytes: int = 200_000_000,
        fsync: str | None = None,
        env: dict[str, str] | None = None,
    ) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="undula-t-"))
        run = self.folder / "r"
        run.mkdir()
        self.paths = BeamlinePaths(name, self.folder / "undula" / name, run / f"undula-{name}")
        self.paths.create()
        self.settings = BeamlineSettings(
            name=name, data=self.folder / "data", broker_limit_bytes=limit_bytes
        )
        self.process: subprocess.Popen[bytes] | None = None
        self._fsync, self._env = fsync, env or {}
        self._connectors: list[BrokerConnector] = []

    @property
    def env(self) -> dict[str, str]:
        """Environment in which other processes find this beamline by its name."""
        return os.environ | {
            "XDG_STATE_HOME": str(self.folder),
            "XDG_RUNTIME_DIR": str(self.folder / "r"),
            "UNDULA_BEAMLINE": self.paths.name,
        }

    def start(self, *, wait: bool = True) -> None:
        """Start the server (again); with `wait` until it answers."""
        argv = broker.prepare(self.paths, self.settings)
        if self._fsync:
            config = self.paths.broker_folder / "broker.conf"
            text = config.read_text() + f"appendfsync {self._fsync}\n"
            config.write_text(text)
        with (self.folder / "broker.log").open("ab") as output:
            self.process = subprocess.Popen(
                argv, stdout=output, stderr=output, env=self.env | self._env
            )
        if wait:
            process = self.process
            broker.wait_ready(self.paths, self.settings, 60.0, alive=lambda: process.poll() is None)

    def kill(self) -> None:
        """`kill -9`."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def connect(self, role: Role = "service", client_name: str = "test") -> BrokerConnector:
        """A connector, closed by `close`."""
        connector = broker.connect(self.paths, self.settings, role, client_name, wait_s=60.0)
        self._connectors.append(connector)
        return connector

    def close(self) -> None:
        """End the server and remove its folder."""
        for connector in self._connectors:
            connector.close()
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

"""The Tango test server in a process of its own: started, killed, started again on its port."""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import sys
from collections.abc import Iterator

from undula.core.errors import ServiceError

START_TIMEOUT_S = 20.0


class TangoServer:
    """A device server; without a database, unless one is named.

    Args:
        database: `HOST:PORT` of a database; '' for none.
        instance: as which `undula/INSTANCE` it is registered there.
    """

    def __init__(self, database: str = "", instance: str = "test") -> None:
        from undula.testing.tango_server import free_port

        self.port = free_port()
        self._database, self._instance = database, instance
        self._process: subprocess.Popen[bytes] | None = None

    def uri(self, device: str, attribute: str = "") -> str:
        """Address of a device or of its attribute."""
        path = f"{device}/{attribute}" if attribute else device
        return f"tango://127.0.0.1:{self.port}/{path}#dbase=no"

    def start(self) -> None:
        """Start it and wait until it serves. Raises: ServiceError."""
        ready, said = os.pipe()
        command = [sys.executable, "-m", "undula.testing.tango_server", str(self.port), str(said)]
        environment = dict(os.environ)
        if self._database:
            command.append(self._instance)
            environment["TANGO_HOST"] = self._database
        try:
            self._process = subprocess.Popen(
                command,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=(said,),
            )
            os.close(said)
            if not select.select([ready], [], [], START_TIMEOUT_S)[0] or not os.read(ready, 1):
                self.kill()
                raise ServiceError(
                    "the Tango test server does not start",
                    remedy="see what it says: python -m undula.testing.tango_server 10000 1",
                )
        finally:
            os.close(ready)

    def kill(self) -> None:
        """End it at once, as a crash would."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait(5.0)
            if process.stdin is not None:
                process.stdin.close()


@contextlib.contextmanager
def tango_server() -> Iterator[TangoServer]:
    """A server that runs."""
    server = TangoServer()
    server.start()
    try:
        yield server
    finally:
        server.kill()

"""A publisher process on a broker of one's own, and one life of an engine as a process."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from undula.core.settings import save_settings
from undula.testing.local_broker import LocalBroker


class Processes:
    """Publisher and other processes of one test, ended by pid."""

    def __init__(self, local: LocalBroker) -> None:
        self.broker = local
        self.started: list[subprocess.Popen[bytes]] = []
        save_settings(local.settings, local.paths.config)

    def run(self, *argv: str, fault: str = "") -> subprocess.Popen[bytes]:
        """Start a Python process of this beamline, with one fault point armed once."""
        env = dict(self.broker.env)
        if fault:
            token = self.broker.folder / "fault-token"
            token.touch()
            env |= {"UNDULA_TEST": "1", "UNDULA_FAULT": fault, "UNDULA_FAULT_ONCE": str(token)}
        with (self.broker.folder / "processes.log").open("ab") as output:
            process = subprocess.Popen(
                [sys.executable, *argv], env=env, stdout=output, stderr=output
            )
        self.started.append(process)
        return process

    def publisher(self, fault: str = "") -> subprocess.Popen[bytes]:
        """Start a publisher."""
        return self.run("-m", "undula.processes.publisher", fault=fault)

    def engine(self, script: str) -> subprocess.Popen[bytes]:
        """Run a script that plays the engine's part."""
        path = Path(self.broker.folder / f"engine{len(self.started)}.py")
        path.write_text(script)
        return self.run(str(path))

    def close(self) -> None:
        for process in self.started:
            if process.poll() is None:
                process.kill()
            process.wait()


@pytest.fixture
def processes(own_broker: LocalBroker) -> Iterator[Processes]:
    """Processes around `own_broker`, which is running."""
    if own_broker.process is None:
        own_broker.start()
    made = Processes(own_broker)
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def until() -> Callable[[Callable[[], bool]], None]:
    """Wait for a condition, up to a minute."""

    def wait(condition: Callable[[], bool]) -> None:
        end = time.monotonic() + 60.0
        while not condition():
            assert time.monotonic() < end, "the condition did not come true"
            time.sleep(0.005)

    return wait

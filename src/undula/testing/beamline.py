"""A whole beamline of its own for a test: temporary folders, real services, faults at named points.

`with local_beamline(devices=FILE, faults={"writer": "writer.flushed:2"}) as beamline:` starts
everything and takes everything down. A fault kills its service once; the restarted one lives.
A service with the fault `LATER` is armed by `arm`, as often as one likes.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from undula.bus import broker
from undula.bus.ports import Connector
from undula.client import Client, connect
from undula.core.paths import BeamlinePaths, beamline_paths
from undula.core.settings import BeamlineSettings, save_settings
from undula.processes import supervisor_client
from undula.processes.bringup import bring_up
from undula.processes.services import service_specs
from undula.processes.supervisor_model import ServiceSpec
from undula.session.rpc.client import RpcClient
from undula.testing.law import ended, until

NAME = "test"
PROMPT_SERVICES = ("kernel", "session")
LATER = ""
RUNNING: list[LocalBeamline] = []
"""Those of this process that are up."""


@dataclass(frozen=True, slots=True)
class LocalBeamline:
    """A beamline that runs."""

    folder: Path
    paths: BeamlinePaths
    settings: BeamlineSettings
    prompt: bool = False

    def connect(self) -> Client:
        """A client of it."""
        return connect(NAME)

    def connector(self) -> Connector:
        """A bare connection to its bus, with a service's rights."""
        return broker.connect(self.paths, self.settings, role="service", client_name="witness")

    def pid(self, service: str) -> int:
        """Process id of a service; 0 while it is started anew."""
        rows = self._status()["services"]
        return int(next(row["pid"] for row in rows if row["name"] == service) or 0)

    def token(self, service: str) -> Path:
        """File that exists until the fault of that service has struck."""
        return self.folder / f"fault-{service}"

    def arm(self, service: str, fault: str) -> None:
        """Start a service anew that dies once at this fault, and wait until it is ready.

        The supervisor is killed before: its successor has seen no end of the service, and lets it
        wait no longer than at its first one.
        """
        _armed_file(self.folder, service).write_text(fault)
        self.token(service).touch()
        supervisor = int(self._status()["supervisor"]["pid"])
        os.kill(supervisor, signal.SIGKILL)
        ended(supervisor)
        supervisor_client.ensure(self.paths)
        before = self.pid(service)
        supervisor_client.ask(self.paths, {"do": "restart", "name": service})

        def anew() -> bool:
            row = next(r for r in self._status()["services"] if r["name"] == service)
            return row["state"] == "ready" and row["pid"] not in (None, before)

        until(anew, f"{service} is not started anew")
        _armed_file(self.folder, service).unlink()

    def _status(self) -> dict[str, Any]:
        return supervisor_client.ask(self.paths, {"do": "status", "memory": False}, timeout_s=5.0)

    def calm(self) -> None:
        """End what a failed test left: scans that run or wait, commands of the shared prompt.

        Raises: UndulaError, AssertionError when it cannot be ended.
        """
        with self.connect() as client:
            queue = client.queue
            queue.stop_all("the test has ended")
            until(lambda: queue.list().running is None, "its scan does not end")
            if queue.list().blocked:
                queue.resume()
        if self.prompt:
            with RpcClient(self.paths.run) as rpc:
                until(lambda: _free(rpc), "its command does not end")


def _free(rpc: RpcClient) -> bool:
    """Whether the shared prompt does nothing; what it does is interrupted."""
    found = rpc.call("cmd/list")
    for command in found["waiting"]:
        rpc.call("cmd/cancel", id=command["id"])
    if found["running"]:
        rpc.call("cmd/interrupt")
    return not found["running"] and not found["waiting"]


def _armed(spec: ServiceSpec, folder: Path, faults: Mapping[str, str]) -> ServiceSpec:
    if spec.name not in faults:
        return spec
    return replace(
        spec, env={**spec.env, **fault_environment(folder, spec.name, faults[spec.name])}
    )


def fault_environment(folder: Path, service: str, fault: str) -> dict[str, str]:
    """Environment that kills a process once, at the fault point and passage `NAME:COUNT`."""
    token = folder / f"fault-{service}"
    if fault == LATER:
        fault = f"@{_armed_file(folder, service)}"
    else:
        token.touch()
    return {"UNDULA_TEST": "1", "UNDULA_FAULT": fault, "UNDULA_FAULT_ONCE": str(token)}


def _armed_file(folder: Path, service: str) -> Path:
    return folder / f"armed-{service}"


@contextlib.contextmanager
def short_folder(prefix: str) -> Iterator[Path]:
    """A temporary folder with a path short enough for sockets, removed at the end."""
    folder = Path(tempfile.mkdtemp(prefix=prefix))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _wait_for_all(paths: BeamlinePaths) -> None:
    def ready() -> bool:
        status = supervisor_client.ask(paths, {"do": "status", "memory": False}, timeout_s=5.0)
        return all(row["state"] == "ready" for row in status["services"])

    until(ready, "the shared prompt did not come up")


@contextlib.contextmanager
def local_beamline(
    devices: Path | None = None,
    faults: Mapping[str, str] | None = None,
    *,
    folder: Path | None = None,
    settings: Mapping[str, Any] | None = None,
    prompt: bool = False,
) -> Iterator[LocalBeamline]:
    """Bring a beamline up in a temporary folder; take it down and remove everything.

    `settings` are further fields of `BeamlineSettings`. The services of the shared prompt are
    started only where a test is about them: with `prompt`.
    """
    place = folder or Path(tempfile.mkdtemp(prefix="ub-"))
    (place / "run").mkdir(mode=0o700, exist_ok=True)
    wanted = {"XDG_STATE_HOME": str(place / "state"), "XDG_RUNTIME_DIR": str(place / "run")}
    faults = faults or {}
    if "supervisor" in faults:
        wanted |= fault_environment(place, "supervisor", faults["supervisor"])
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        paths = beamline_paths(NAME)
        chosen = BeamlineSettings(
            name=NAME, devices=devices, data=place / "data", **(settings or {})
        )
        paths.create()
        save_settings(chosen, paths.config)
        specs = [
            _armed(s, place, faults)
            for s in service_specs(paths, chosen)
            if prompt or s.name not in PROMPT_SERVICES
        ]
        made = LocalBeamline(place, paths, chosen, prompt)
        bring_up(paths, lambda: specs, lambda _: None)
        try:
            if prompt:
                _wait_for_all(paths)
            RUNNING.append(made)
            yield made
        finally:
            if made in RUNNING:
                RUNNING.remove(made)
            supervisor_client.take_down(paths)
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        if folder is None:
            shutil.rmtree(place, ignore_errors=True)

"""Where a beamline keeps its state, its sockets and its data.

State in `$XDG_STATE_HOME/undula/NAME`, sockets in `$XDG_RUNTIME_DIR/undula-NAME` with a short
fallback, because a Unix socket path may hold 107 bytes only. Imports the standard library only: the
supervisor uses it.
"""

from __future__ import annotations

import os
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path

from undula.core.errors import ConfigError

MAX_SOCKET_PATH_BYTES = 107
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}")


@dataclass(frozen=True, slots=True)
class BeamlinePaths:
    """All places of one beamline on this host."""

    name: str
    state: Path
    run: Path

    @property
    def config(self) -> Path:
        """Settings of the beamline (`beamline.yaml`), written by `undula up`."""
        return self.state / "beamline.yaml"

    @property
    def logs(self) -> Path:
        """One structured log file a service."""
        return self.state / "logs"

    @property
    def catalogue(self) -> Path:
        """SQLite file of runs and of the queue."""
        return self.state / "catalogue.sqlite"

    @property
    def configurations(self) -> Path:
        """History of the devices' configuration, one file a revision."""
        return self.state / "configuration"

    @property
    def device_settings(self) -> Path:
        """Settings of devices that nobody else owns, with their history."""
        return self.state / "device_settings.jsonl"

    @property
    def alarms(self) -> Path:
        """Alarms that were raised, cleared and acknowledged."""
        return self.state / "alarms.jsonl"

    @property
    def metadata(self) -> Path:
        """What every further run says in its start document."""
        return self.state / "metadata.json"

    @property
    def plans_tried(self) -> Path:
        """Plan files that a prompt did not read, and why."""
        return self.state / "plans_tried.json"

    @property
    def touched(self) -> Path:
        """What the running scan moves and stages; read after an engine's death."""
        return self.state / "touched.json"

    @property
    def velocities(self) -> Path:
        """Velocities to be put back after the moves that changed them; outlives the engine."""
        return self.state / "velocities.json"

    @property
    def stopped(self) -> Path:
        """When motion was stopped last (`core.stop_mark`): nothing asked before moves after it."""
        return self.state / "stopped"

    @property
    def commands(self) -> Path:
        """SQLite file of every command that was typed or sent (`session.bridge.log`)."""
        return self.state / "commands.sqlite"

    @property
    def access(self) -> Path:
        """Users and the key of tokens; beside the state, in which the group may rename files."""
        return self.state.with_name(f"{self.state.name}.access")

    @property
    def host_keys(self) -> Path:
        """Keys of this host for links to others; beside the state, as `access` is."""
        return self.state.with_name(f"{self.state.name}.hosts")

    @property
    def plans(self) -> Path:
        """Plan files of the beamline: their functions are names at the prompt."""
        return self.state / "plans"

    @property
    def models(self) -> Path:
        """Models of the beamline's own that a curve can be fitted with (`analysis.own`)."""
        return self.state / "models"

    @property
    def importing(self) -> Path:
        """Documents of runs that are being imported (`writer.imported`)."""
        return self.state / "importing"

    @property
    def nodes(self) -> Path:
        """Files with nodes of pipes that the beamline wrote itself."""
        return self.state / "nodes"

    @property
    def pipes(self) -> Path:
        """What graphs that run say of themselves."""
        return self.run / "pipes"

    @property
    def broker_folder(self) -> Path:
        """Append-only file and access rules of the embedded broker."""
        return self.state / "broker"

    @property
    def broker_socket(self) -> Path:
        """The embedded broker's Unix socket."""
        return self.run / "broker.sock"

    @property
    def publisher_socket(self) -> Path:
        """Where the engine hands documents to the publisher."""
        return self.run / "publisher.sock"

    @property
    def stop_socket(self) -> Path:
        """The engine's stop path: needs neither broker nor RunEngine."""
        return self.run / "stop.sock"

    @property
    def login_socket(self) -> Path:
        """Where people log in, without the broker, whose file would keep a password."""
        return self.run / "login.sock"

    @property
    def supervisor_socket(self) -> Path:
        """Control of the supervisor."""
        return self.run / "supervisor.sock"

    @property
    def notify_socket(self) -> Path:
        """Readiness and heartbeats of services."""
        return self.run / "notify.sock"

    @property
    def kernel_folder(self) -> Path:
        """Sockets of the shared prompt."""
        return self.run / "kernel"

    def create(self) -> None:
        """Make the folders, for the beamline's group only (mode 2770)."""
        for folder in (
            self.state,
            self.run,
            self.logs,
            self.broker_folder,
            self.plans,
            self.models,
        ):
            folder.mkdir(parents=True, exist_ok=True)
            if folder.is_symlink() or (
                folder == self.run
                and folder.parent == Path(tempfile.gettempdir())
                and folder.stat().st_uid != os.getuid()
            ):
                raise ConfigError(
                    f"{folder} was made by somebody else",
                    remedy="remove it, or set XDG_RUNTIME_DIR to a folder of your own",
                )
            if folder.stat().st_uid == os.getuid():
                folder.chmod(0o2770)


def beamline_paths(name: str) -> BeamlinePaths:
    """The places of beamline `name`; nothing is created.

    Raises: ConfigError when the name is unfit for a folder or the socket path would be too long.

    >>> beamline_paths("x07mb").state.name
    'x07mb'
    """
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"{name!r} is no beamline name",
            remedy="use 1 to 32 letters, digits, '-' or '_', beginning with a letter or digit",
        )
    state_home = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    run = Path(runtime) / f"undula-{name}" if runtime and Path(runtime).is_dir() else None
    if run is None or len(os.fsencode(run / "supervisor.sock")) > MAX_SOCKET_PATH_BYTES:
        run = Path(tempfile.gettempdir()) / f"undula-{os.getuid()}-{name}"
    longest = run / "supervisor.sock"
    if len(os.fsencode(longest)) > MAX_SOCKET_PATH_BYTES:
        raise ConfigError(
            f"the socket path {longest} has {len(os.fsencode(longest))} bytes, "
            f"Linux allows {MAX_SOCKET_PATH_BYTES}",
            remedy="set TMPDIR or XDG_RUNTIME_DIR to a shorter folder",
        )
    return BeamlinePaths(name=name, state=Path(state_home) / "undula" / name, run=run)


def default_beamline() -> str:
    """Name of the beamline when none is given: `$UNDULA_BEAMLINE`, else `default`."""
    return os.environ.get("UNDULA_BEAMLINE") or "default"

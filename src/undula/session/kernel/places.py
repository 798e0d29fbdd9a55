"""Where the kernel's sockets are, and which process it is now. Standard library only.

All of it in `kernel/` below the beamline's folder of sockets, for its group only. The connection
file outlives the kernel: a restarted one has the same sockets and the same key, so that front ends
find it again by themselves.
"""

from __future__ import annotations

import json
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from undula.core.errors import ServiceError
from undula.core.paths import BeamlinePaths
from undula.core.procs import ProcessId

_CHANNELS = ("shell", "iopub", "stdin", "control", "hb")


@dataclass(frozen=True, slots=True)
class KernelPlaces:
    """The files of one kernel."""

    folder: Path

    @classmethod
    def of(cls, paths: BeamlinePaths) -> KernelPlaces:
        """Those of a beamline."""
        return cls(paths.kernel_folder)

    @property
    def connection(self) -> Path:
        """Jupyter's connection file: sockets and key, mode 0660."""
        return self.folder / "connection.json"

    @property
    def identity(self) -> Path:
        """Process id and start time of the kernel that holds the sockets."""
        return self.folder / "kernel.json"

    def prepare(self) -> Path:
        """Make the folder (2770) and the connection file, unless they are there."""
        self.folder.mkdir(mode=0o770, parents=True, exist_ok=True)
        self.folder.chmod(0o2770)
        if not self.connection.exists():
            ports = {f"{channel}_port": n for n, channel in enumerate(_CHANNELS, 1)}
            _write(
                self.connection,
                {
                    **ports,
                    "transport": "ipc",
                    "ip": str(self.folder / "k"),
                    "key": secrets.token_hex(32),
                    "signature_scheme": "hmac-sha256",
                    "kernel_name": "undula",
                },
            )
        return self.connection

    def claim(self) -> None:
        """Say that this process is the kernel now."""
        me = ProcessId.of(os.getpid())
        if me is not None:
            _write(self.identity, {"pid": me.pid, "ticks": me.ticks})

    def holder(self) -> ProcessId | None:
        """The kernel's process; None when there is none or it has ended."""
        try:
            found = json.loads(self.identity.read_text(encoding="utf-8"))
            process = ProcessId(int(found["pid"]), int(found["ticks"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return process if process.alive else None

    def connection_info(self) -> dict[str, str | int]:
        """What the connection file says. Raises: ServiceError when there is none."""
        try:
            found: dict[str, str | int] = json.loads(self.connection.read_text(encoding="utf-8"))
        except FileNotFoundError as exc:
            raise ServiceError(
                "there is no shared prompt here",
                remedy="see undula status, or work alone: undula shell --private",
                where=str(self.connection),
            ) from exc
        except PermissionError as exc:
            raise ServiceError(
                "the shared prompt belongs to another group",
                remedy="ask to be taken into the beamline's group",
                where=str(self.connection),
            ) from exc
        return found


def _write(path: Path, content: dict[str, str | int]) -> None:
    temporary = path.with_suffix(f".{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o660)
    with os.fdopen(descriptor, "w", encoding="utf-8") as out:
        os.fchmod(out.fileno(), 0o660)
        json.dump(content, out)
    temporary.replace(path)

"""The token that a person keeps between commands, in a file that nobody else can read.

In: a beamline. Out: the token, read anew when somebody logs in or out elsewhere. Standard library
only: short commands use it.
"""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from pathlib import Path

from undula.core.guarded_file import read_private, write_private
from undula.core.paths import BeamlinePaths
from undula.core.secret import Secret


def token_file(paths: BeamlinePaths) -> Path:
    """Where a person's token is kept: `$UNDULA_TOKEN_FILE`, else below the own `~/.config`."""
    given = os.environ.get("UNDULA_TOKEN_FILE")
    if given:
        return Path(given)
    base = os.environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return Path(base) / "undula" / f"{paths.name}@{socket.gethostname()}.token"


class KeptToken:
    """The token in a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __call__(self) -> Secret:
        """The token, empty when there is none. Raises: AccessError when others can read it."""
        content = read_private(self.path)
        return Secret("" if content is None else content.decode("utf-8", "replace").strip())

    def keep(self, token: Secret) -> None:
        """Write the token. Raises: AccessError."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_private(self.path, token.reveal().encode() + b"\n")

    def forget(self) -> None:
        """Remove the token."""
        with suppress(FileNotFoundError):
            self.path.unlink()

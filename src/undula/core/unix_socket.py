"""Unix sockets for the beamline's group: at no moment open to anybody else.

In: a path, however long. Out: a bound socket. Standard library only.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from undula.core.paths import MAX_SOCKET_PATH_BYTES

GROUP_MODE = 0o660


def bind_for_group(path: Path, kind: socket.SocketKind = socket.SOCK_STREAM) -> socket.socket:
    """A socket at `path`, in place of what a dead process left there, mode 0660.

    Linux makes the file with the mode of the unbound socket less the umask: it is never wider than
    0660, and set to that once it is there. Raises: OSError.
    """
    made = socket.socket(socket.AF_UNIX, kind)
    try:
        path.unlink(missing_ok=True)
        bind_narrow(made, path)
        path.chmod(GROUP_MODE)
    except OSError:
        made.close()
        raise
    return made


def peer_of(connection: socket.socket) -> tuple[int, int]:
    """Who is at the other end, as the kernel attests: process id and user id. Raises: OSError."""
    size = struct.calcsize("3i")
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
    pid, uid, _ = struct.unpack("3i", raw)
    return pid, uid


def bind_narrow(made: socket.socket, path: Path) -> None:
    """Bind so that the file has mode 0660 or less from the beginning."""
    os.fchmod(made.fileno(), GROUP_MODE)
    with short(path) as name:
        made.bind(name)


@contextmanager
def short(path: Path) -> Iterator[str]:
    """A name for a socket's path that fits into an address, which holds 107 bytes. Raises: OSError.

    A longer one is reached through its open folder.
    """
    if len(os.fsencode(path)) <= MAX_SOCKET_PATH_BYTES:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)

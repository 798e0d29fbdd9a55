"""Who is at the other end of a Unix socket: told by the kernel, never by the message.

In: the address that libzmq notes of a peer, `localhost:UID:GID:PID` (SO_PEERCRED at its connect).
Out: a `Peer`, or a refusal for who is not of the beamline's group. Called by: the server.
"""

from __future__ import annotations

import asyncio
import grp
import os
import pwd
import time
from dataclasses import dataclass
from pathlib import Path

from undula.core.errors import AccessError, WireError

REMEMBERED_S = 60.0
"""How long a user's groups are remembered."""


@dataclass(frozen=True, slots=True)
class Peer:
    """A process and its user; `name` is the login name, or `uid:N` where there is none."""

    uid: int
    gid: int
    pid: int
    name: str = ""


def parse_address(address: str) -> Peer:
    """User, group and process in libzmq's address of an ipc peer. Raises: WireError.

    >>> parse_address("localhost:1000:100:4711")
    Peer(uid=1000, gid=100, pid=4711, name='')
    """
    try:
        uid, gid, pid = (int(part) for part in address.rsplit(":", 3)[1:])
    except ValueError:
        raise WireError(
            f"the kernel does not say who is at {address!r}",
            remedy="connect through the Unix socket of the beamline on this host",
        ) from None
    return Peer(uid, gid, pid)


class Admission:
    """Who may come in: the user of this process, root, members of the folder's group."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: dict[tuple[int, int], tuple[float, str, bool]] = {}

    async def admit(self, peer: Peer) -> Peer:
        """The peer with its name. Raises: AccessError."""
        entry = self._known.get((peer.uid, peer.gid))
        if entry is None or entry[0] < time.monotonic():
            # the user data base may be a directory server that takes its time
            name, good = await asyncio.to_thread(look_up, peer, self._folder)
            if len(self._known) > 1000:
                self._known.clear()
            entry = (time.monotonic() + REMEMBERED_S, name, good)
            self._known[peer.uid, peer.gid] = entry
        _, name, good = entry
        if not good:
            raise AccessError(
                f"user {name} is not in the group of this beamline ({_group(self._folder)})",
                remedy="ask staff to add you to that group, then log in anew",
            )
        return Peer(peer.uid, peer.gid, peer.pid, name)


def look_up(peer: Peer, folder: Path) -> tuple[str, bool]:
    """Login name of a peer, and whether it may use the sockets in `folder`."""
    group = folder.stat().st_gid
    try:
        entry = pwd.getpwuid(peer.uid)
        name = entry.pw_name
        groups = {peer.gid, *os.getgrouplist(name, entry.pw_gid)}
    except KeyError:
        name, groups = f"uid:{peer.uid}", {peer.gid}
    return name, peer.uid in (0, os.getuid()) or group in groups


def _group(folder: Path) -> str:
    number = folder.stat().st_gid
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)

"""Room: pipes. Keys of a host for links to others: its own pair, and the hosts that it knows.

In: a folder that is the beamline's alone. Out: CURVE keys, as 40 characters. A link between hosts
is encrypted, and each end knows the other by its public key: a producer refuses consumers that it
does not know, a consumer believes only the producer whose key it has. Files: `host.key` (secret,
mode 0600), `host.pub`, and `known/NAME.pub` for each other host.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from undula.core.errors import InputError
from undula.core.guarded_file import private_folder, read_private, write_private
from undula.pipes.errors import PipeError

SECRET, PUBLIC, KNOWN = "host.key", "host.pub", "known"
_KEY = re.compile(rb"[0-9A-Za-z.\-:+=^!/*?&<>()\[\]{}@%$#]{40}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


@dataclass(frozen=True, slots=True)
class Keys:
    """A host's own pair, and the public keys of others by name. Its text never shows the secret."""

    public: bytes
    secret: bytes
    known: Mapping[str, bytes]
    folder: Path

    def __repr__(self) -> str:
        return f"Keys({self.public.decode()}, knows {', '.join(sorted(self.known)) or 'nobody'})"

    def of(self, host: str) -> bytes:
        """The public key of a host. Raises: PipeError when it is not known."""
        if host not in self.known:
            raise PipeError(
                f"the key of host {host!r} is not known here",
                remedy=f"see it there with `undula pipes keys`, then here: "
                f"undula pipes trust {host} KEY",
                where=str(self.folder),
            )
        return self.known[host]

    def admits(self, public: bytes) -> str | None:
        """Name of the host with that key, `here` for our own; None: nobody that we know."""
        if public == self.public:
            return "here"
        return next((name for name, key in self.known.items() if key == public), None)


def load_keys(folder: Path) -> Keys:
    """The keys in a folder; made when there are none. Raises: AccessError, PipeError."""
    private_folder(folder)
    secret, public = read_private(folder / SECRET), read_private(folder / PUBLIC)
    if secret is None or public is None:
        import zmq

        public, secret = zmq.curve_keypair()
        write_private(folder / SECRET, secret + b"\n")
        write_private(folder / PUBLIC, public + b"\n")
    known = {}
    for path in sorted((folder / KNOWN).glob("*.pub")):
        known[path.stem] = _checked(read_private(path) or b"", path)
    own = _checked(public, folder / PUBLIC), _checked(secret, folder / SECRET)
    return Keys(*own, known, folder)


def _checked(content: bytes, path: Path) -> bytes:
    key = content.strip()
    if not _KEY.fullmatch(key):
        raise PipeError(
            "this is no key of a host",
            remedy="remove the file; `undula pipes keys` shows a host's key, or makes one",
            where=str(path),
        )
    return key


def trust(folder: Path, host: str, key: str) -> None:
    """Know a host by its public key from now on. Raises: InputError, AccessError."""
    if not _NAME.fullmatch(host):
        raise InputError(f"{host!r} is no name of a host", remedy="use letters, digits, . _ -")
    if not _KEY.fullmatch(key.strip().encode()):
        raise InputError(
            "this is no key of a host",
            remedy="copy the 40 characters that `undula pipes keys` says",
        )
    private_folder(folder)
    private_folder(folder / KNOWN)
    write_private(folder / KNOWN / f"{host}.pub", key.strip().encode() + b"\n")

"""Hashes of passwords: scrypt, with its parameters beside each hash.

In: a password. Out: a line for the users' file; whether a password fits one. The parameters are
those that OWASP recommends (2024): 128 MiB and some tenths of a second a try. Imports nothing
beyond the standard library.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import threading
import unicodedata
from dataclasses import dataclass
from typing import Final

from undula.core.errors import AccessError, InputError
from undula.core.secret import Secret

SALT_BYTES: Final = 16
HASH_BYTES: Final = 32
MIN_CHARACTERS: Final = 8
MAX_CHARACTERS: Final = 256
_SPARE_BYTES: Final = 1 << 20
_MOST_BYTES: Final = 1 << 30
_one_at_a_time = threading.Lock()


@dataclass(frozen=True, slots=True)
class Cost:
    """Parameters of scrypt: 2**log_n blocks of 128 * r bytes, p times."""

    log_n: int = 17
    r: int = 8
    p: int = 1

    @property
    def memory_bytes(self) -> int:
        """What OpenSSL must be allowed: its own count of the memory, and some more."""
        return 128 * self.r * ((1 << self.log_n) + self.p + 2) + _SPARE_BYTES

    @property
    def sensible(self) -> bool:
        """No file makes us take more than 1 GiB, or next to nothing."""
        return (
            10 <= self.log_n <= 24
            and 1 <= self.r <= 64
            and 1 <= self.p <= 16
            and self.memory_bytes <= _MOST_BYTES
        )


CURRENT: Final = Cost()


def acceptable(password: Secret) -> Secret:
    """The password as it is hashed (Unicode NFKC). Raises: InputError, which never quotes it."""
    normal = Secret(unicodedata.normalize("NFKC", password.reveal()))
    characters = len(normal.reveal())
    if not MIN_CHARACTERS <= characters <= MAX_CHARACTERS or not normal.reveal().isprintable():
        raise InputError(
            f"a password has {MIN_CHARACTERS} to {MAX_CHARACTERS} printable characters",
            remedy="choose another one; several words are good",
        )
    return normal


def hashed(password: Secret, cost: Cost = CURRENT) -> str:
    """The line to keep: `scrypt$17$8$1$SALT$HASH`."""
    salt = os.urandom(SALT_BYTES)
    digest = _scrypt(password, salt, cost)
    return "$".join(("scrypt", str(cost.log_n), str(cost.r), str(cost.p), _b64(salt), _b64(digest)))


def fits(password: Secret, kept: str) -> bool:
    """Whether it is the password of this line, compared in constant time.

    Raises: AccessError when the line is none of ours.
    """
    cost, salt, digest = _parts(kept)
    return hmac.compare_digest(_scrypt(password, salt, cost), digest)


def cost_of(kept: str) -> Cost:
    """With which parameters a line was made. Raises: AccessError."""
    return _parts(kept)[0]


def pretend(cost: Cost = CURRENT) -> None:
    """Take as long as a try would, for a person who does not exist."""
    _scrypt(Secret("nobody"), bytes(SALT_BYTES), cost)


def _parts(kept: str) -> tuple[Cost, bytes, bytes]:
    try:
        kind, log_n, r, p, salt, digest = kept.split("$")
        cost = Cost(int(log_n), int(r), int(p))
        found = cost, base64.b64decode(salt, validate=True), base64.b64decode(digest, validate=True)
    except (ValueError, binascii.Error):
        kind, found = "", (CURRENT, b"", b"")
    if kind != "scrypt" or not found[0].sensible or len(found[2]) != HASH_BYTES:
        raise AccessError(
            "the kept hash of a password is damaged",
            remedy="give a new password: undula users password NAME",
        )
    return found


def _scrypt(password: Secret, salt: bytes, cost: Cost) -> bytes:
    with _one_at_a_time:  # 128 MiB once, however many people try
        return hashlib.scrypt(
            _bytes(password),  # no variable: a traceback may show those
            salt=salt,
            n=1 << cost.log_n,
            r=cost.r,
            p=cost.p,
            maxmem=cost.memory_bytes,
            dklen=HASH_BYTES,
        )


def _bytes(password: Secret) -> bytes:
    kept = 4 * MAX_CHARACTERS
    return unicodedata.normalize("NFKC", password.reveal()[:kept]).encode("utf-8", "replace")


def _b64(raw: bytes) -> str:
    return base64.b64encode(raw).decode("ascii")

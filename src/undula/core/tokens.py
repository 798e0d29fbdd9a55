"""Tokens: who somebody is, which role, until when; signed, short-lived, revocable.

In: a person that was let in. Out: a token (`Secret`), later its `Claims`. A token itself does not
travel over the broker, whose file keeps what it is sent: a request carries a *pass*, made of the
token for this one request by `pass_for`. Standard library only.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from undula.core.clock import now
from undula.core.errors import AccessError, InputError
from undula.core.guarded_file import (
    GuardedFile,
    private_folder,
    read_private,
    refused,
    write_private,
)
from undula.core.ids import new_id
from undula.core.roles import Role
from undula.core.secret import PASS_MARK, TOKEN_MARK, Secret

PERSON_LIFETIME_S: Final = 12 * 3600.0
DERIVED_LIFETIME_S: Final = 3600.0
LONGEST_LIFETIME_S: Final = 20 * 3600.0
"""Less than the day for which outcomes are kept: a repeated request is never carried out twice."""
MAX_TOKEN_CHARACTERS: Final = 2000
KEY_BYTES: Final = 32
CLOCK_SLACK_S: Final = 5.0
LOGIN: Final = "undula login"


@dataclass(frozen=True, slots=True)
class Claims:
    """What a token says. Times are UTC epoch s; `issued_by` is the door, e.g. `login` or `rpc`."""

    user: str
    role: Role
    id: str
    issued_by: str
    issued: float
    expires: float


class Tokens:
    """Gives out and checks tokens with the key in a private folder: `Tokens(paths.access)`."""

    def __init__(self, folder: Path, clock: Callable[[], float] = now) -> None:
        self._folder = folder
        self._revoked = GuardedFile(folder / "revoked.json")
        self._clock = clock

    def time(self) -> float:
        """The clock that expiry is measured by, UTC epoch s."""
        return self._clock()

    def issue(
        self, user: str, role: Role, issued_by: str, lifetime_s: float = PERSON_LIFETIME_S
    ) -> Secret:
        """A new token. Raises: InputError for an unfit lifetime; AccessError without the key."""
        if not 0 < lifetime_s <= LONGEST_LIFETIME_S:
            raise InputError(
                f"a token cannot live {lifetime_s:g} s",
                remedy=f"give more than 0 and at most {LONGEST_LIFETIME_S:g} s",
            )
        time = self._clock()
        claims = {"u": user, "r": str(role), "i": new_id(), "b": issued_by, "t": time}
        payload = _b64(json.dumps({**claims, "e": time + lifetime_s}).encode())
        signature = _signature(self._load_key(make=True), payload)
        return Secret(f"{TOKEN_MARK}{payload}.{_b64(signature)}")

    def check(self, token: str | Secret) -> Claims:
        """Who it is. Raises: AccessError when it is forged, damaged, expired or revoked."""
        payload, signature = _split(Secret(token).reveal(), TOKEN_MARK)
        if not hmac.compare_digest(_signature(self._load_key(), payload), signature):
            raise _unknown()
        return self._valid(payload)

    def check_pass(self, given: str | Secret, content: bytes) -> Claims:
        """Who made this pass for a request of this content. Raises: AccessError as `check`."""
        payload, proof = _split(Secret(given).reveal(), PASS_MARK)
        signature = _signature(self._load_key(), payload)
        if not hmac.compare_digest(_proof(signature, content), proof):
            raise _unknown()
        return self._valid(payload)

    def revoke(self, token_id: str, expires: float | None = None) -> None:
        """From now on the token with this id is refused by every service.

        Args:
            expires: when it would have ended by itself, UTC epoch s; remembered so long.
        """
        time = self._clock()
        until = time + LONGEST_LIFETIME_S if expires is None else expires

        def work(revoked: dict[str, Any]) -> None:
            for old in [key for key, end in revoked.items() if end < time - CLOCK_SLACK_S]:
                del revoked[old]
            revoked[token_id] = until

        self._revoked.change(work)

    def _valid(self, payload: str) -> Claims:
        claims = _claims(payload)
        time = self._clock()
        if claims.expires <= time:
            raise AccessError(f"the log in of {claims.user} has expired", remedy=f"again: {LOGIN}")
        if claims.issued > time + CLOCK_SLACK_S:
            raise AccessError(
                f"the log in of {claims.user} is from the future: a clock was set",
                remedy=f"log in again: {LOGIN}",
            )
        if claims.id in self._revoked.read():
            raise AccessError(f"{claims.user} has logged out", remedy=f"log in again: {LOGIN}")
        return claims

    def _load_key(self, make: bool = False) -> bytes:
        file = _KeyFile(self._folder / "token.key")
        key = file.load() or (file.make() if make else b"")
        if not key:
            raise _unknown()
        return key


class _KeyFile:
    """Random bytes in a file of mode 0600, made once and by one process."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self) -> bytes:
        """The key; b"" when there is none. Raises: AccessError when it cannot be trusted."""
        key = read_private(self._path)
        if key is None:
            return b""
        if len(key) != KEY_BYTES:
            raise AccessError(
                f"{self._path} is damaged: no token is trusted",
                remedy="remove it; everybody logs in again",
            )
        return key

    def make(self) -> bytes:
        """The key, made if there is none yet; of two that make one, the first wins."""
        private_folder(self._path.parent)
        fresh = self._path.with_name(f".{self._path.name}.{new_id()}")
        write_private(fresh, os.urandom(KEY_BYTES))
        try:
            os.link(fresh, self._path)
        except FileExistsError:
            pass
        except OSError as exc:
            raise refused(self._path, exc) from None
        finally:
            fresh.unlink(missing_ok=True)
        return self.load()


def pass_for(token: str | Secret, content: bytes) -> str:
    """What a request of this content carries instead of the token; of no use for any other one.

    Raises: AccessError when `token` is none.
    """
    payload, signature = _split(Secret(token).reveal(), TOKEN_MARK)
    return f"{PASS_MARK}{payload}.{_b64(_proof(signature, content))}"


def claims_of(token: str | Secret) -> Claims:
    """What a token says of itself, unproven: for showing it. Raises: AccessError."""
    return _claims(_split(Secret(token).reveal(), TOKEN_MARK)[0])


def _signature(key: bytes, payload: str) -> bytes:
    return hmac.digest(key, b"undula token 1\0" + payload.encode("ascii"), "sha256")


def _proof(signature: bytes, content: bytes) -> bytes:
    return hmac.digest(signature, b"undula pass 1\0" + hashlib.sha256(content).digest(), "sha256")


def _unknown() -> AccessError:
    return AccessError("this log in is not known here", remedy=f"log in: {LOGIN}")


def _split(text: str, mark: str) -> tuple[str, bytes]:
    if not text.startswith(mark) or len(text) > MAX_TOKEN_CHARACTERS or not text.isascii():
        raise _unknown()
    payload, _, signature = text.removeprefix(mark).partition(".")
    return payload, _unb64(signature)


def _claims(payload: str) -> Claims:
    try:
        raw = json.loads(_unb64(payload))
        return Claims(
            user=str(raw["u"]),
            role=Role.of(raw["r"]),
            id=str(raw["i"]),
            issued_by=str(raw["b"]),
            issued=float(raw["t"]),
            expires=float(raw["e"]),
        )
    except (KeyError, TypeError, ValueError, InputError, RecursionError):
        raise _unknown() from None


def _b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")


def _unb64(text: str) -> bytes:
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (ValueError, binascii.Error):
        raise _unknown() from None
    if _b64(raw) != text:  # one text for one token
        raise _unknown()
    return raw

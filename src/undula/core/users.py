"""The people of a beamline: names, roles and hashed passwords, in a file that only services read.

In: names and passwords. Out: roles, or an `AccessError` that never tells which of the two was
wrong. Wrong passwords make the next try wait, for each name. Standard library only.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from undula.core.clock import now
from undula.core.errors import AccessError, InputError
from undula.core.guarded_file import GuardedFile
from undula.core.passwords import CURRENT, Cost, acceptable, cost_of, fits, hashed, pretend
from undula.core.roles import Role
from undula.core.secret import Secret

FREE_TRIES: Final = 3
LONGEST_WAIT_S: Final = 60.0
FORGOTTEN_AFTER_S: Final = 3600.0
MOST_NAMES_WITH_FAILURES: Final = 1000
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@-]{0,63}")


@dataclass(frozen=True, slots=True)
class User:
    """One person. `changed`: when role or password were given last, UTC epoch s."""

    name: str
    role: Role
    changed: float


class Users:
    """The users' file of a beamline, `Users(paths.access)`.

    Args:
        folder: private to the account of the services.
        cost: of hashing new passwords; older ones are hashed anew at the next log in.
        clock: UTC epoch s.
    """

    def __init__(
        self, folder: Path, cost: Cost = CURRENT, clock: Callable[[], float] = now
    ) -> None:
        self._file = GuardedFile(folder / "users.json")
        self._failures = GuardedFile(folder / "failures.json")
        self._cost = cost
        self._clock = clock

    @property
    def exist(self) -> bool:
        """Whether people have to log in: there is a users' file. Raises: AccessError."""
        return self._file.exists()

    def all(self) -> list[User]:
        """Everybody, by name. Raises: AccessError when the file cannot be used."""
        return [_user(name, entry) for name, entry in sorted(self._file.read().items())]

    def find(self, name: str) -> User | None:
        """One of them. Raises: AccessError when the file cannot be used."""
        entry = self._file.read().get(name)
        return None if entry is None else _user(name, entry)

    def add(self, name: str, password: str | Secret, role: Role) -> None:
        """Let somebody in from now on. Raises: InputError, AccessError."""
        if not _NAME.fullmatch(name):
            raise InputError(
                f"{name!r} is no user name",
                remedy="use up to 64 letters, digits, '_', '.', '-' or '@'",
            )
        entry = self._entry(acceptable(Secret(password)), role)

        def work(users: dict[str, Any]) -> None:
            if name in users:
                raise InputError(
                    f"there is a user {name} already",
                    remedy=f"change it: undula users role {name} ROLE, or users password {name}",
                )
            users[name] = entry

        self._file.change(work)

    def set_role(self, name: str, role: Role) -> None:
        """Another role; what was given out to the person before does not hold any more."""
        changed = {"role": str(role), "changed": self._clock()}
        self._file.change(lambda users: _known(users, name).update(changed))

    def set_password(self, name: str, password: str | Secret) -> None:
        """Another password; who is logged in by the old one has to do it again."""
        kept = hashed(acceptable(Secret(password)), self._cost)
        changed = {"password": kept, "changed": self._clock()}
        self._file.change(lambda users: _known(users, name).update(changed))
        self._failures.change(lambda failures: failures.pop(name, None))

    def remove(self, name: str) -> bool:
        """Let somebody in no more. With the last one the file goes: False, log in is off."""

        def work(users: dict[str, Any]) -> bool:
            _known(users, name)
            del users[name]
            return bool(users)

        some_left = self._file.change(work)
        if not some_left:
            self._file.remove()
        return some_left

    def verify(self, name: str, password: str | Secret) -> Role:
        """The role of the person whose password this is; takes some tenths of a second.

        Raises: AccessError, the same for a wrong name and a wrong password, and while the next try
        has to wait.
        """
        secret = Secret(password)
        self._admit_try(name)
        user = self.find(name)
        if user is None:
            pretend(self._cost)
        elif fits(secret, kept := str(self._file.read()[name].get("password"))):
            self._succeeded(name, secret, kept)
            return user.role
        raise AccessError(
            "user name or password is wrong",
            remedy="type them again; staff can give a new password: undula users password NAME",
        )

    def _entry(self, password: Secret, role: Role) -> dict[str, Any]:
        kept = hashed(password, self._cost)
        return {"role": str(role), "password": kept, "changed": self._clock()}

    def _admit_try(self, name: str) -> None:
        """Count this try as a failure, until it succeeds: parallel ones cannot pass the count."""
        key = name if name in self._file.read() else _unknown_key(name)
        wait_s = self._failures.change(lambda failures: _counted(failures, key, self._clock()))
        if wait_s > 0:
            raise AccessError(
                "there were several wrong passwords for this name",
                remedy=f"wait {wait_s:.0f} s, then try again",
            )

    def _succeeded(self, name: str, password: Secret, kept: str) -> None:
        self._failures.change(lambda failures: failures.pop(name, None))
        if cost_of(kept) == self._cost:
            return
        anew = hashed(password, self._cost)

        def work(users: dict[str, Any]) -> None:
            if users.get(name, {}).get("password") == kept:
                users[name]["password"] = anew

        self._file.change(work)


def _unknown_key(name: str) -> str:
    """Where failures of a name that nobody has are counted.

    It may be a password, typed at the wrong prompt: 20 bits give none away.
    """
    return "?" + hashlib.sha256(name.encode("utf-8", "replace")).hexdigest()[:5]


def _known(users: dict[str, Any], name: str) -> dict[str, Any]:
    if name not in users:
        raise InputError(f"there is no user {name}", remedy="see undula users list")
    found: dict[str, Any] = users[name]
    return found


def _user(name: str, entry: dict[str, Any]) -> User:
    try:
        return User(name, Role.of(entry["role"]), float(entry["changed"]))
    except (KeyError, TypeError, ValueError, InputError):
        raise AccessError(
            f"the entry of {name} in the users' file is damaged",
            remedy=f"remove and add it again: undula users remove {name}",
        ) from None


def _counted(failures: dict[str, Any], name: str, time: float) -> float:
    """Seconds that this try comes too early; 0: it is counted and may be made."""
    for old in [n for n, (_, last) in failures.items() if time - last > FORGOTTEN_AFTER_S]:
        del failures[old]
    count, last = failures.get(name, (0, 0.0))
    pause = min(2.0 ** (count - FREE_TRIES), LONGEST_WAIT_S) if count >= FREE_TRIES else 0.0
    too_early = min(last + pause - time, pause)  # the clock may have been set back
    if too_early > 0:
        return float(too_early)
    if name not in failures and len(failures) >= MOST_NAMES_WITH_FAILURES:
        del failures[min(failures, key=lambda n: failures[n][1])]
    failures[name] = [count + 1, time]
    return 0.0

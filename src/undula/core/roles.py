"""What a person may do: see, measure, or look after the beamline.

Standard library only.
"""

from __future__ import annotations

import enum

from undula.core.errors import InputError


class Role(enum.IntEnum):
    """Each role may what the ones before it may.

    >>> Role.OBSERVER < Role.USER < Role.STAFF, Role.of("user"), str(Role.STAFF)
    (True, <Role.USER: 2>, 'staff')
    """

    OBSERVER = 1
    """Sees all, moves and changes nothing."""
    USER = 2
    """Measures: moves, scans, steers the queue, executes code at the prompt."""
    STAFF = 3
    """Looks after the beamline: devices, limits, configuration."""

    def __str__(self) -> str:
        return self.name.lower()

    @property
    def phrase(self) -> str:
        """For sentences: `an observer`, `a user`, `staff`."""
        return {Role.OBSERVER: "an observer", Role.USER: "a user"}.get(self, "staff")

    @classmethod
    def of(cls, word: str) -> Role:
        """The role with this name. Raises: InputError."""
        for role in cls:
            if str(role) == word:
                return role
        raise InputError(f"{word!r} is no role", remedy="give observer, user or staff")

"""Identifiers: request ids and run uids, as text."""

from __future__ import annotations

import uuid

_AFTER = uuid.UUID("5b0c7d3e-6a55-4c0e-9d2b-0f6d6f1c8a41")


def new_id() -> str:
    """A new random identifier, 36 characters.

    >>> len(new_id())
    36
    """
    return str(uuid.uuid4())


def id_after(before: str) -> str:
    """The identifier of what takes the place of another thing: always the same one.

    >>> id_after("a") == id_after("a") != id_after("b")
    True
    """
    return str(uuid.uuid5(_AFTER, before))

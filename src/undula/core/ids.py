"""Identifiers: request ids and run uids, as text."""

from __future__ import annotations

import uuid


def new_id() -> str:
    """A new random identifier, 36 characters.

    >>> len(new_id())
    36
    """
    return str(uuid.uuid4())

"""Words that the kernel and its listeners share: messages of our own on its iopub channel.

Front ends of others ignore them.
"""

from __future__ import annotations

from undula.session.bridge.model import Author

RUNS_MESSAGE = "undula_runs"
"""At the end of a cell: `{"numbers": [...]}`, the runs it made."""

PROGRESS_MESSAGE = "undula_progress"
"""While a cell runs: `{"text": "samx 0.5"}`, what it would redraw in place."""

TAKE_BACK = "take_back_request"
"""On the control channel: `{"msg_id": ...}`, a command that is not to begin."""


def author_of(username: str) -> Author:
    """Who speaks, from the name in a header.

    >>> author_of("terminal:anna"), author_of("anna").origin
    (Author(name='anna', origin='terminal'), 'jupyter')
    """
    origin, mark, name = username.partition(":")
    return Author(name, origin) if mark else Author(username or "somebody", "jupyter")

"""Somebody at an IPython with the beamline's names, for tests: cells in, values and errors out."""

from __future__ import annotations

from typing import Any

from undula.client import Client
from undula.core.errors import UndulaError
from undula.session.shell import make_ipython


class Typist:
    """Types cells. There is one IPython in a process: of several, the newest is the prompt."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.ipython, _ = make_ipython(client, plot=False)

    def __call__(self, cell: str) -> Any:
        """Type a cell. Returns: its value. Raises: what it raised."""
        result = self.ipython.run_cell(cell, store_history=True)
        result.raise_error()
        return result.result

    def refused(self, cell: str) -> str:
        """Type a cell that must be refused. Returns: what was said."""
        try:
            value = self(cell)
        except UndulaError as error:
            return str(error)
        raise AssertionError(f"not refused, but: {value!r}")

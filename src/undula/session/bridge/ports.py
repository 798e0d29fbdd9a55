"""What the bridge needs of a prompt, and what a prompt tells the bridge.

All of it on one asyncio loop; nothing here blocks.
"""

from __future__ import annotations

from typing import Any, Protocol

from undula.session.bridge.model import Command, Outcome


class Listener(Protocol):
    """Hears of every command on the prompt, also of those that the bridge did not send."""

    def started(self, command: Command) -> None:
        """It runs now; a command typed by a person has the author that its terminal names."""

    def output(self, command_id: str, stream: str, text: str) -> None:
        """Text that it wrote: `stdout`, `stderr`, or `result`."""

    def finished(self, command_id: str, outcome: Outcome) -> None:
        """It ended; exactly once for each that started."""

    def lost(self, reason: str) -> None:
        """The prompt's process ended: what ran died with it."""

    def back(self) -> None:
        """There is a prompt again."""


class Prompt(Protocol):
    """A shared prompt: a kernel, or a plain IPython."""

    def send(self, command: Command) -> None:
        """Run it next; the listener hears how it goes. Raises: UndulaError when there is none."""

    async def evaluate(self, wanted: dict[str, str], /) -> dict[str, Any]:
        """Plain values of expressions in the prompt's names, beside whatever runs.

        Raises: UndulaError naming the expression that failed; TimeoutUndulaError.
        """

    async def interrupt(self) -> None:
        """Ctrl-C for what runs now."""

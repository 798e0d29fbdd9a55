"""What helps a person to edit a line: history without secrets, completion, colours.

In: keys as prompt_toolkit gives them. Out: what it asks for.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.history import FileHistory
from prompt_toolkit.lexers import Lexer, PygmentsLexer

from undula.core.errors import UndulaError
from undula.session.bridge.hiding import hidden
from undula.session.kernel.link import KernelLink


class SafeHistory(FileHistory):
    """Lines of one person, without secrets, for that person only."""

    def store_string(self, string: str) -> None:
        """Keep a line."""
        path = Path(str(self.filename))
        if not path.exists():
            path.touch(mode=0o600)
        super().store_string(hidden(string))


class KernelCompleter(Completer):
    """Asks the kernel, beside whatever runs."""

    def __init__(self, link: KernelLink) -> None:
        self._link = link

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Any:
        """Nothing: only the asynchronous way is used."""
        del document, complete_event
        return []

    async def get_completions_async(
        self, document: Document, complete_event: CompleteEvent
    ) -> AsyncGenerator[Completion, None]:
        """What the kernel knows of names that begin so."""
        del complete_event
        cursor = document.cursor_position
        try:
            content = {"code": document.text, "cursor_pos": cursor}
            reply = await self._link.beside("complete_request", content, timeout_s=3.0)
        except UndulaError:
            return
        start = int(reply.get("cursor_start", cursor)) - cursor
        for match in reply.get("matches", ()):
            if not str(match).rpartition(".")[2].startswith("_"):
                yield Completion(str(match), start_position=start)


def python_lexer() -> Lexer:
    """Colours for Python."""
    from pygments.lexers import get_lexer_by_name

    return PygmentsLexer(type(get_lexer_by_name("python")))

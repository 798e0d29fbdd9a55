"""What the kernel publishes, as text for one terminal. Pure.

In: iopub messages. Out: text to print; "" for nothing. A terminal has shown its own line already;
those of others appear with their author.
"""

from __future__ import annotations

import re
from typing import Any

from undula.session.kernel.app_names import PROGRESS_MESSAGE, author_of
from undula.session.kernel.link import Message

RED, DIM, CYAN, PLAIN = "\x1b[31m", "\x1b[2m", "\x1b[36m", "\x1b[0m"

_COLOUR = r"\x1b\[[0-9;:]*m"
_STEERS = re.compile(
    rf"(?P<colour>{_COLOUR})"
    r"|\x1b\[[0-?]*[ -/]*[@-~]?"  # moves the cursor, clears, asks the terminal
    r"|\x1b[\]PX^_][^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c|$)"  # titles, the clipboard
    r"|\x1b[ -/]*[0-~]?|[\x00-\x06\x0b\x0c\x0e-\x1a\x1c-\x1f\x7f-\x9f]"
)


def harmless(text: str, colour: bool = True) -> str:
    """What a cell printed, without what would steer the terminals of everybody.

    >>> harmless("\\x1b[2J\\x1b[31mred\\x1b]0;title\\x07 ä\\n"), harmless("\\x1b[1mx", colour=False)
    ('\\x1b[31mred ä\\n', 'x')
    """
    if text.isprintable():
        return text
    return _STEERS.sub(lambda m: (m["colour"] or "") if colour else "", text)


class Feed:
    """Folds messages into text; knows which command runs and whose it is.

    Args:
        own: the session id of this terminal, in Jupyter's headers.
    """

    def __init__(self, own: str, colour: bool = True) -> None:
        self._own = own
        self._colour = colour
        self._open_line = False
        self.counter = 1
        self.running: dict[str, tuple[str, bool]] = {}
        """Command id to its author (`terminal:anna`) and whether it is our own."""
        self.progress = ""

    def paint(self, text: str, colour: str) -> str:
        """Text in a colour, where there are colours."""
        return f"{colour}{text}{PLAIN}" if self._colour and text else text

    @property
    def others(self) -> str:
        """Who else runs something now; "" when nobody does."""
        return next((author for author, own in self.running.values() if not own), "")

    def clear(self) -> None:
        """The kernel has ended: nothing runs."""
        self.running.clear()
        self.progress = ""

    def take(self, message: Message) -> str:
        """The text of one message, always with whole lines before another command begins."""
        kind, content = message["header"]["msg_type"], message["content"]
        parent = message["parent_header"]
        identity = str(parent.get("msg_id", ""))
        if kind == "execute_input":
            return self._begin(identity, parent, content)
        if kind == "status" and content["execution_state"] == "idle":
            return self._end() if self.running.pop(identity, None) else ""
        if identity not in self.running:
            return ""
        if kind == PROGRESS_MESSAGE:
            self.progress = str(content["text"])
            return ""
        return self._text(kind, content)

    def _begin(self, identity: str, parent: dict[str, Any], content: dict[str, Any]) -> str:
        own = parent.get("session") == self._own
        author = str(author_of(str(parent.get("username") or "")))
        self.running[identity] = (author, own)
        self.counter = int(content["execution_count"]) + 1
        if own:
            return ""
        first, *more = harmless(str(content["code"])).splitlines() or [""]
        head = self.paint(f"In [{content['execution_count']}] <{author}>:", CYAN)
        return "\n".join([f"{head} {first}", *(f"   ...: {line}" for line in more)]) + "\n"

    def _end(self) -> str:
        self.progress = ""
        if not self._open_line:
            return ""
        self._open_line = False
        return "\n"

    def _text(self, kind: str, content: dict[str, Any]) -> str:
        if kind == "stream":
            text = harmless(str(content["text"]), self._colour)
            if text:
                self._open_line = not text.endswith("\n")
            return self.paint(text, RED) if content["name"] == "stderr" else text
        before = "\n" if self._open_line else ""
        if kind == "execute_result":
            shown = harmless(str(content["data"].get("text/plain", "")), self._colour)
            out = self.paint(f"Out[{content['execution_count']}]:", DIM)
            self._open_line = False
            return f"{before}{out} {shown}\n" if "\n" not in shown else f"{before}{out}\n{shown}\n"
        if kind == "display_data":
            self._open_line = False
            shown = harmless(str(content["data"].get("text/plain", "")), self._colour)
            return f"{before}{shown}\n"
        if kind == "error":
            self._open_line = False
            shown = harmless("\n".join(map(str, content["traceback"])), self._colour)
            return before + self.paint(shown, RED) + "\n" * bool(shown)
        return ""

"""How results read at a prompt: lines of 80 columns, and the same as an HTML table. Pure.

The HTML is for Jupyter's front ends; whatever stands in it is escaped.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from typing import Any


def cut(text: str, width: int) -> str:
    """A text on one line, at most so wide.

    >>> cut("scan(samx,  0, 1)", 40), cut("scan(samx, 0, 1)", 8)
    ('scan(samx, 0, 1)', 'scan(sa…')
    """
    line = " ".join(text.split())
    return line if len(line) <= width else line[: width - 1] + "…"


def html_table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A table.

    >>> html_table(["a"], [["<b>"]])
    '<table><tr><th>a</th></tr><tr><td>&lt;b&gt;</td></tr></table>'
    """

    def line(cells: Sequence[Any], tag: str) -> str:
        inner = "".join(f"<{tag}>{html.escape(str(cell))}</{tag}>" for cell in cells)
        return f"<tr>{inner}</tr>"

    return f"<table>{line(head, 'th')}{''.join(line(row, 'td') for row in rows)}</table>"

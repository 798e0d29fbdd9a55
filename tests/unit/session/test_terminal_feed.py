"""What the kernel publishes, as text for one terminal."""

from __future__ import annotations

import re
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from undula.session.terminal.feed import Feed, harmless

COLOUR = re.compile(r"\x1b\[[0-9;:]*m")


def message(kind: str, **content: Any) -> dict[str, Any]:
    parent = {"msg_id": "1", "session": "hers", "username": "terminal:anna"}
    return {"header": {"msg_type": kind}, "parent_header": parent, "content": content}


def test_a_cell_steers_no_terminal() -> None:
    feed = Feed("mine")
    shown = feed.take(message("execute_input", code="f()  # \x1b[2J", execution_count=1))
    assert shown.endswith("<terminal:anna>:\x1b[0m f()  # \n")
    shown = feed.take(
        message("stream", name="stdout", text="\x1b[2J\x1b[H\x1b[31mred\x1b[0m\x1bc!\n")
    )
    assert shown == "\x1b[31mred\x1b[0m!\n"
    shown = feed.take(
        message("execute_result", execution_count=1, data={"text/plain": "\x1b]0;t\x07x"})
    )
    assert shown == "\x1b[2mOut[1]:\x1b[0m x\n"
    plain = Feed("mine", colour=False)
    plain.take(message("execute_input", code="f()", execution_count=1))
    shown = plain.take(message("stream", name="stdout", text="\x1b[31mred\x1b[0m\n"))
    assert shown == "red\n"


PIECES = st.sampled_from(["\x1b", "[", "]", "31m", "2J", "P", "\\", "\x07", "\x9b", "a", "\n", ";"])


@given(st.lists(PIECES | st.text(max_size=3), max_size=12).map("".join))
def test_only_colours_are_left_of_what_a_terminal_obeys(text: str) -> None:
    left = COLOUR.sub("", harmless(text))
    assert not re.search("[\x00-\x06\x0b\x0c\x0e-\x1f\x7f-\x9f]", left)
    assert harmless(harmless(text)) == harmless(text)

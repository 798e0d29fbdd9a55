"""What a command prints in a plain IPython is handed on, whatever it holds."""

from __future__ import annotations

import io

from undula.session.plain.tee import MAX_LINE, MAX_TOLD, _Tee


def test_whole_lines_are_handed_on_and_the_rest_at_the_end() -> None:
    under, told = io.StringIO(), []
    tee = _Tee(under, told.append)
    for text in ("a", "b\nc\nd", "e"):
        tee.write(text)
    assert told == ["ab\nc\n"]
    tee.end()
    assert told == ["ab\nc\n", "de"]
    assert under.getvalue() == "ab\nc\nde"


def test_a_progress_bar_that_never_ends_its_line_fills_no_memory() -> None:
    told: list[str] = []
    tee = _Tee(io.StringIO(), told.append)
    for n in range(20_000):
        tee.write(f"\r{n} of 20000 points")
    assert max(map(len, told)) < MAX_LINE + 100
    assert sum(map(len, told)) < MAX_TOLD + MAX_LINE + 100
    assert len(tee._line) < MAX_LINE + 100

"""Telling that somebody types never disturbs who types."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from undula.client.link import Link
from undula.core.kept_token import KeptToken
from undula.session.terminal.typing import TypingTold


def test_a_token_that_others_can_read_makes_no_key_fail(tmp_path: Path) -> None:
    kept = tmp_path / "token"
    kept.write_text("abc")
    kept.chmod(0o644)
    client: Any = SimpleNamespace(link=Link(cast(Any, None), "anna", KeptToken(kept)))
    told = TypingTold(tmp_path, client)
    told(True)
    told(False)
    told.close()

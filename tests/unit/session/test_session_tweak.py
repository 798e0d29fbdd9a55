"""Stepping an axis by keys, as with SPEC's tw."""

from __future__ import annotations

import pytest

from undula.client import Client
from undula.session.commands import Shell


def test_an_axis_is_stepped_by_keys_until_q(
    shell: Shell, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    shell.mv("samx", 1)
    keys = iter(["p", "+", "n", "0.5", "what", "p", "q"])
    monkeypatch.setattr("builtins.input", lambda _: next(keys))
    shell.tw("samx", 0.1)
    assert client.read("samx")["samx"]["samx"]["value"] == pytest.approx(1.6)
    assert not list(keys)

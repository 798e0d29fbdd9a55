"""Velocities that wait to be put back outlive the engine."""

from __future__ import annotations

from pathlib import Path

import pytest

from undula.scans.velocities import Velocities


def test_what_a_dead_engine_changed_is_known_to_its_successor(tmp_path: Path) -> None:
    path = tmp_path / "velocities.json"
    first = Velocities(path)
    assert first.note("samx", 5.0) == 5.0
    assert first.left() == {}
    second = Velocities(path)
    assert second.left() == {"samx": 5.0}
    assert second.note("samx", 0.1) == 5.0  # the jog of the dead engine is not what to go back to
    second.leave("samx")
    assert second.left() == {"samx": 5.0}
    second.drop("samx")
    assert Velocities(path).left() == {}


@pytest.mark.parametrize("text", ["", "[1]", '{"samx": "fast"}', "null"])
def test_a_broken_file_is_no_velocity(tmp_path: Path, text: str) -> None:
    path = tmp_path / "velocities.json"
    path.write_text(text)
    assert Velocities(path).left() == {}

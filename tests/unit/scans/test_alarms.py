"""Alarms begin, end, are acknowledged, and are known after a restart."""

from __future__ import annotations

from pathlib import Path

import pytest

from undula.core.errors import InputError
from undula.scans.alarms import KEPT, Alarms

BEAM = {"ring_ok": ("major", "ring_ok: no beam")}
COLD = {"cold": ("minor", "cold does not answer")}


class Heard:
    def __init__(self) -> None:
        self.times = 0

    def __call__(self) -> None:
        self.times += 1


def test_an_alarm_lasts_until_it_is_over_and_seen(tmp_path: Path) -> None:
    heard = Heard()
    alarms = Alarms(tmp_path / "alarms.jsonl", heard)
    alarms.see({})
    assert heard.times == 0
    alarms.see(BEAM)
    alarms.see({"ring_ok": ("major", "ring_ok: still no beam")})
    assert heard.times == 1
    (alarm,) = alarms.table().alarms
    assert (alarm.number, alarm.severity, alarm.cleared, alarm.seen_by) == (1, "major", None, "")
    alarms.see({})
    assert alarms.table().alarms[0].cleared is not None
    alarms.acknowledge([1], "anna")
    assert alarms.table().alarms == []
    assert alarms.history()[0].seen_by == "anna"


def test_one_that_was_seen_stays_while_it_lasts_and_comes_again_as_a_new_one(
    tmp_path: Path,
) -> None:
    alarms = Alarms(tmp_path / "alarms.jsonl", Heard())
    alarms.see({**BEAM, **COLD})
    alarms.acknowledge([], "anna")
    assert len(alarms.table().alarms) == 2
    alarms.see(COLD)
    assert [a.source for a in alarms.table().alarms] == ["cold"]
    alarms.see({**BEAM, **COLD})
    again = alarms.table().alarms[-1]
    assert (again.source, again.number, again.seen_by) == ("ring_ok", 3, "")


def test_a_restart_knows_what_nobody_has_seen(tmp_path: Path) -> None:
    path = tmp_path / "alarms.jsonl"
    Alarms(path, Heard()).see({**BEAM, **COLD})
    with path.open("a") as file:
        file.write('{"number": 9, "sou')
    alarms = Alarms(path, Heard())
    assert len(alarms.table().alarms) == 2
    alarms.see({})
    assert all(a.cleared is not None for a in alarms.table().alarms)
    with pytest.raises(InputError, match="no alarm 77"):
        alarms.acknowledge([77], "anna")


def test_the_history_is_bounded(tmp_path: Path) -> None:
    path = tmp_path / "alarms.jsonl"
    alarms = Alarms(path, Heard())
    for _ in range(KEPT + 50):
        alarms.see(BEAM)
        alarms.see({})
    found = Alarms(path, Heard()).history()
    assert len(found) == KEPT
    assert found[-1].number == KEPT + 50

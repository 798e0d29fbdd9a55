"""How an item of the queue ends, by what its plan and its runs say."""

from __future__ import annotations

from pathlib import Path

import pytest

from undula.messages.runs import ExitStatus
from undula.scans.documents import OpenRun
from undula.scans.outcome import outcome_of

EMPTY = "no point was measured: 5 points left out"


def runs(*words: str) -> list[OpenRun]:
    made = []
    for number, word in enumerate(words, 1):
        run = OpenRun(uid=str(number), number=number, path=Path(), key="")
        run.exit_status = {"open": None, "empty": "abort"}.get(word, word)  # type: ignore[assignment]
        run.emptied, run.reason = word == "empty", {"empty": EMPTY}.get(word, "")
        made.append(run)
    return made


@pytest.mark.parametrize(
    ("status", "words", "early", "reason", "outcome"),
    [
        ("success", [], None, "", ("success", "")),
        ("success", ["success", "success"], None, "", ("success", "")),
        ("success", ["success", "abort"], None, "the beam", ("abort", "the beam")),
        ("abort", ["success"], None, "too late", ("success", "")),
        ("abort", ["success"], "abort", "enough", ("abort", "enough")),
        ("fail", ["success", "open"], None, "it broke", ("fail", "it broke")),
        ("success", ["empty"], None, "", ("abort", EMPTY)),
        ("success", ["success", "empty"], None, "", ("success", EMPTY)),
        ("success", ["empty", "success"], None, "", ("success", "")),
        ("success", ["empty", "empty"], None, "", ("abort", EMPTY)),
    ],
)
def test_an_item_ends_as_its_runs_did_unless_somebody_ended_it(
    status: ExitStatus,
    words: list[str],
    early: ExitStatus | None,
    reason: str,
    outcome: tuple[str, str],
) -> None:
    assert outcome_of(status, runs(*words), early, reason) == outcome

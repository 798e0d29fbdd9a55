"""What is wanted of a running scan: nothing that was asked is lost, whenever it is asked."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from undula.scans.wanted import Wanted

PEOPLE = ["pause", "resume", "skip", "retake", "complete"]
OTHERS = ["held", "room", "good", "interrupted", "resuming", "off", "checkpoint"]


def _good(wanted: Wanted) -> Wanted:
    """As a watcher does when what it paused for is over."""
    return wanted.resumed() if wanted.phase == "paused" and not wanted.stays else wanted


def _checkpoint(wanted: Wanted) -> Wanted:
    """The plan pauses where it is to."""
    running = wanted.phase in ("running", "pausing")
    return wanted.interrupted() if running and wanted.pause else wanted


STEPS = {
    "pause": lambda w: w.paused_by(person=True),
    "resume": lambda w: w.resumed() if w.stands else w,
    "skip": lambda w: w.steered_by(now=True),
    "retake": lambda w: w.steered_by(now=False),
    "complete": lambda w: w.completed(),
    "held": lambda w: w if w.stands else w.paused_by(person=False),
    "room": lambda w: w if w.stands else w.paused_by(person=False, room=True),
    "good": _good,
    "interrupted": lambda w: w if w.stands else w.interrupted(),
    "resuming": lambda w: w.resuming() if w.moves_on else w,
    "off": lambda w: w.off(),
    "checkpoint": _checkpoint,
}


def _settled(wanted: Wanted) -> Wanted:
    """When the thread that runs the scans has done all it can."""
    for _ in range(10):
        if wanted.interrupts and not wanted.stands:
            wanted = wanted.interrupted()
        if wanted.phase == "paused" and wanted.moves_on:
            wanted = wanted.resuming()
        wanted = wanted.off()
    return wanted


ASKS = st.lists(st.sampled_from([*PEOPLE, *OTHERS]), max_size=30)
OTHER_ASKS = st.lists(st.sampled_from(OTHERS), max_size=8)


def _after(wanted: Wanted, asks: list[str]) -> Wanted:
    for ask in asks:
        wanted = STEPS[ask](wanted)
    return wanted


@given(ASKS, OTHER_ASKS)
@settings(max_examples=300)
def test_a_pause_that_somebody_asked_for_last_is_taken_and_holds(
    before: list[str], later: list[str]
) -> None:
    wanted = _settled(_after(_after(Wanted(), before).paused_by(person=True), later))
    assert wanted.phase == "paused"
    assert _settled(_good(wanted)).phase == "paused"
    assert _settled(wanted.resumed()).phase == "running"


@given(ASKS, OTHER_ASKS)
@settings(max_examples=300)
def test_a_scan_that_somebody_completes_is_held_by_nothing(
    before: list[str], later: list[str]
) -> None:
    wanted = _settled(_after(_after(Wanted(), before).completed(), later))
    assert wanted.phase == "running"


@given(ASKS, st.sampled_from(["skip", "retake"]))
@settings(max_examples=300)
def test_a_skip_or_retake_neither_takes_a_pause_back_nor_pauses(
    before: list[str], ask: str
) -> None:
    wanted = _after(Wanted(), before)
    paused, pauses = wanted.phase == "paused", wanted.pause
    after = _settled(STEPS[ask](wanted))
    if paused:
        assert after.phase == "running"
    elif not wanted.ends:
        assert after.phase == ("paused" if pauses else "running")


@given(ASKS, ASKS)
def test_an_abort_is_never_taken_back(before: list[str], later: list[str]) -> None:
    wanted = _after(_after(Wanted(), before).aborted(), later)
    assert (wanted.state, wanted.interrupts, wanted.moves_on) == ("aborting", True, True)

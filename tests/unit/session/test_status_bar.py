"""What the status bar of a terminal says."""

from __future__ import annotations

from undula.analysis.view import RunView
from undula.messages import QueueItem, QueueStatus
from undula.session.terminal.status import status_line


def running(**more: object) -> QueueStatus:
    item = QueueItem(
        item_id="i", command="scan(...)", plan="scan", user="anna", submitted=0.0, num_points=20
    )
    fields = {"state": "running", "running": item, "run_number": 12, "points_done": 5} | more
    return QueueStatus.model_validate(fields)


def line(status: QueueStatus | None, view: RunView | None = None, width: int = 80) -> str:
    return status_line(status, view, now=105.0, prompt="prompt idle", user="ben", width=width)


def test_a_scan_is_shown_with_points_share_time_left_and_whose_it_is() -> None:
    view = RunView(12)
    view.feed("start", {"uid": "u", "time": 100.0, "num_points": 20, "motors": ["samx"]})
    view.feed("descriptor", {"uid": "d", "name": "primary", "data_keys": {}})
    for n in range(5):
        event = {"descriptor": "d", "seq_num": n + 1, "time": 100.0 + n, "data": {}}
        view.feed("event", event)
    assert line(running(), view) == "run 12 5/20 25 %, 14.0 s left by anna | prompt idle | ben"


def test_what_is_paused_waits_or_is_queued_is_said() -> None:
    item = running().running
    status = running(state="paused", waiting_for="beam, 12 s", waiting=[item])
    said = "run 12 PAUSED 5/20 25 % by anna | waiting for beam, 12 s | 1 queued | prompt idle | ben"
    assert line(status, width=200) == said
    assert line(status, width=40) == said[:39] + "…"


def test_a_queue_says_how_long_it_takes_and_that_nothing_starts() -> None:
    item = running().running
    status = running(waiting=[item], more=2, left_s=90.0, left_unknown=1)
    assert "| 3 queued, 1 min 30 s and more |" in line(status, width=200)
    locked = QueueStatus(state="idle", waiting=[item], blocked="locked by anna", left_s=5.0)
    assert line(locked) == "idle | 1 queued, 5.0 s | nothing starts | prompt idle | ben"
    mounts = running(waiting_for="mounting S3, since 12 s")
    assert "| mounting S3, since 12 s |" in line(mounts, width=200)


def test_an_engine_that_was_never_heard_is_said() -> None:
    assert line(None) == "engine not heard | prompt idle | ben"
    assert line(QueueStatus(state="idle")).startswith("idle | ")

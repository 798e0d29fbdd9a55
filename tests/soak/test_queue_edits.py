"""Several people edit one queue at random while its engine is killed at random; then the law.

Each scan that was accepted ends exactly once; none of them runs twice; what is in the catalogue at
the end is what was told. `UNDULA_SOAK_SEED=n make soak` draws the same edits again.
"""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections import Counter

import pytest

from undula.bus.endpoints import QUEUE_FINISHED
from undula.bus.ports import BEGIN
from undula.client import Client
from undula.core.errors import OutcomeUnknownError, UndulaError
from undula.testing.beamline import LocalBeamline, local_beamline
from undula.testing.law import until

SEED = os.environ.get("UNDULA_SOAK_SEED") or str(time.time_ns() % 1_000_000)
SECONDS = float(os.environ.get("UNDULA_SOAK_SECONDS", "180")) / 3
LEAST = 20
"""Scans that are accepted at least."""
PEOPLE = ("ann", "ben", "eve")
MOST = 12
"""Scans that wait at most: whoever finds so many adds no more."""

pytestmark = pytest.mark.soak


def _edit(client: Client, dice: random.Random, accepted: set[str]) -> None:
    queue = client.queue
    waiting = queue.list().waiting
    if len(waiting) < MOST and dice.random() < 0.5:
        options = {"at": dice.choice(("front", "end")), "repeats": dice.choice((1, 1, 1, 3))}
        handle = queue.add("count", dice.randint(1, 40), detectors=["diode"], **options)
        accepted.add(handle.item_id)
        return
    if not waiting:
        return
    item = dice.choice(waiting)
    acts = (
        lambda: queue.move(item, dice.choice(("up", "down", "front", "end"))),
        lambda: queue.edit(item, dice.randint(1, 40)),
        lambda: queue.hold(item),
        lambda: queue.release(item),
        lambda: queue.remove(item),
        lambda: queue.duplicate(item),
        lambda: queue.repeat(item, dice.randint(1, 3)),
        queue.lock,
        queue.unlock,
        lambda: queue.abort("at random"),
    )
    dice.choice(acts)()


def _person(beamline: LocalBeamline, name: str, accepted: set[str], end: threading.Event) -> None:
    dice = random.Random(f"{SEED}:{name}")
    with beamline.connect() as client:
        client.link.user = name
        while not end.is_set():
            try:
                _edit(client, dice, accepted)
            except OutcomeUnknownError:  # the engine died before it answered
                continue
            except UndulaError:  # stale, busy, away: one outcome each, and nothing was done
                end.wait(0.01)


def test_each_accepted_scan_ends_once_whatever_is_edited_and_killed() -> None:
    dice, accepted, end = random.Random(SEED), set[str](), threading.Event()
    with local_beamline() as beamline, beamline.connect() as client:
        people = [
            threading.Thread(target=_person, args=(beamline, name, accepted, end))
            for name in PEOPLE
        ]
        for person in people:
            person.start()
        finish = time.monotonic() + SECONDS
        while time.monotonic() < finish or len(accepted) < LEAST:  # longer on a busy machine
            assert time.monotonic() < finish + 10 * SECONDS, f"hardly anything is done, seed {SEED}"
            enough = len(accepted) + dice.randint(5, 60)
            until(lambda: len(accepted) >= enough, f"nothing is accepted, seed {SEED}", 120.0)  # noqa: B023  # in this turn
            if pid := beamline.pid("engine"):
                os.kill(pid, signal.SIGKILL)
        end.set()
        for person in people:
            person.join(60.0)

        def quiet() -> bool:
            try:
                status = client.queue.list()
                for lock in status.locks:
                    client.queue.unlock(lock.owner)
                for item in status.waiting:
                    if item.held_by:
                        client.queue.release(item)
                return status.running is None and not status.waiting
            except UndulaError:
                return False

        until(quiet, f"the queue does not end, seed {SEED}", 120.0)
        told = Counter[str]()
        connector, cursor = beamline.connector(), BEGIN
        while entries := connector.read(QUEUE_FINISHED, after=cursor, count=1000):
            told.update(finished.item_id for _, finished in entries)
            cursor = entries[-1][0]
        runs = Counter(run.record.item_id for run in client.runs.search(limit=100_000))
    assert not accepted - set(told), f"scans that never ended, seed {SEED}"
    assert not [one for one, times in told.items() if times > 1], f"ended twice, seed {SEED}"
    assert not [one for one, times in runs.items() if times > 1], f"ran twice, seed {SEED}"

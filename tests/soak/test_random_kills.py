"""Random scans, random steering, random kills; after each the law is checked.

`make soak` takes some minutes, `UNDULA_SOAK_SECONDS` says how many seconds of kills;
`UNDULA_SOAK_SEED=n make soak` draws the same rounds again.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from undula.bus.ports import Connector
from undula.client import Client
from undula.client.scans import ScanHandle
from undula.core.errors import UndulaError
from undula.processes import supervisor_client
from undula.processes.supervisor_lock import holder
from undula.testing.beamline import LocalBeamline, local_beamline, short_folder
from undula.testing.law import Progress, check_law, file_closed, patient, until
from undula.testing.witness import device_file

SEED = os.environ.get("UNDULA_SOAK_SEED") or str(time.time_ns() % 1_000_000)
SECONDS = float(os.environ.get("UNDULA_SOAK_SECONDS", "180"))
VICTIMS = ("engine", "publisher", "writer", "broker", "supervisor")

pytestmark = pytest.mark.soak


@dataclass(frozen=True)
class Round:
    """What happens in one round, drawn before it begins."""

    plan: str
    args: tuple[Any, ...]
    points: int
    victim: str
    kill_at: int
    steering: str
    steer_at: int

    @classmethod
    def drawn(cls, number: int) -> Round:
        """The same for the same seed and number."""
        dice = random.Random(f"{SEED}:{number}")
        plan = dice.choice(("scan", "grid_scan", "count"))
        if plan == "grid_scan":
            rows, columns = dice.randint(2, 20), dice.randint(2, 40)
            args: tuple[Any, ...] = ("wy", 0, 1, rows, "wx", -1, 1, columns)
            points = rows * columns
        else:
            points = dice.randint(10, 1200)
            args = ("wx", -1, 1, points) if plan == "scan" else (points,)
        return cls(
            plan,
            args,
            points,
            victim=dice.choice(VICTIMS),
            kill_at=dice.randint(0, points),
            steering=dice.choice(("none", "none", "pause", "pause_at_point", "abort")),
            steer_at=dice.randint(0, points),
        )

    def __str__(self) -> str:
        steering = "" if self.steering == "none" else f", {self.steering} at {self.steer_at}"
        return f"{self.plan} of {self.points}, {self.victim} killed at {self.kill_at}{steering}"


class Scene:
    """One beamline and everything that is done to it."""

    def __init__(self, beamline: LocalBeamline, client: Client, connector: Connector) -> None:
        self.beamline, self.client, self.connector = beamline, client, connector
        self.progress = Progress(connector)
        self.log = beamline.folder / "witness.log"

    def kill(self, victim: str) -> None:
        """SIGKILL, as soon as the victim has a pid; a dead supervisor gets its successor."""
        paths = self.beamline.paths
        if victim != "supervisor":
            os.kill(self._pid(victim), signal.SIGKILL)
            return
        dead = holder(paths)
        assert dead is not None
        os.kill(dead, signal.SIGKILL)
        until(lambda: holder(paths) != dead, "the dead supervisor still holds its lock")
        assert supervisor_client.ensure(paths)

    def _pid(self, victim: str) -> int:
        until(lambda: self.beamline.pid(victim) > 0, f"{victim} was not started anew")
        return self.beamline.pid(victim)

    def steer(self, how: str) -> None:
        """Pause or abort; it may come too late, or while nobody is there to hear it."""
        try:
            getattr(self.client.queue, how)()
        except UndulaError:
            return

    def finish(self, scan: ScanHandle) -> list[str]:
        """Resume until the scan has ended; uids of its runs."""

        def ended() -> bool:
            if self.client.queue.list().state == "paused":
                self.client.queue.resume()
            scan.wait(timeout_s=0.5, check=False)
            return True

        until(ended, f"{scan.accepted.command} never ended")
        assert scan.finished is not None
        return scan.finished.run_uids

    def play(self, this: Round) -> str:
        """One round; a line about it."""
        scan = patient(
            lambda: self.client.run_plan(this.plan, *this.args, wait=False), "no scan was accepted"
        )
        acts: list[tuple[int, Callable[[], None]]] = [
            (this.kill_at, lambda: self.kill(this.victim)),
            *([(this.steer_at, lambda: self.steer(this.steering))] * (this.steering != "none")),
        ]
        acts.sort(key=lambda act: act[0])
        self._while_it_runs(scan, acts)
        for _, act in acts:
            act()  # the scan ended, or was paused, before its turn
        rows = []
        for uid in self.finish(scan):
            closed = file_closed(self.connector, uid)
            rows.append(check_law(closed, self.progress.reached.get(uid, 0), self.log))
            assert len(scan.finished.run_uids) > 1 or rows[-1] <= this.points
            if closed.exit_status == "success":
                assert rows[-1] == this.points
            self.expires(uid)
        self.progress.close()
        return f"{scan.finished.exit_status}, {rows} rows, {self.progress.reached.get(uid, 0)} safe"

    def _while_it_runs(self, scan: ScanHandle, acts: list[tuple[int, Callable[[], None]]]) -> None:
        seen = 0
        try:
            for name, doc in scan.documents():
                if name == "start":
                    self.progress.follow(doc["uid"])
                seen += name == "event"
                while acts and seen >= acts[0][0]:
                    acts.pop(0)[1]()
                    if self._paused():
                        return
                if not acts:
                    return
        except UndulaError as error:
            print(f"listening ended after {seen}: {error}")  # by a killed broker: no fault

    def _paused(self) -> bool:
        try:
            return self.client.queue.list().state in ("paused", "pausing")
        except UndulaError:
            return False

    def expires(self, uid: str) -> None:
        """The journal of a closed run leaves the broker within a day."""

        def bounded() -> bool:
            life = self.connector.run([("TTL", f"runs/{uid}/documents")], again=True)[0]
            return life == -2 or 0 < life <= 86_400

        until(bounded, f"the journal of run {uid} stays in the broker for ever", 20.0)

    def picture(self) -> str:
        """How things stand, for whoever has to find out why."""
        lines = []
        for ask in (
            lambda: repr(self.client.queue),
            lambda: str(supervisor_client.ask(self.beamline.paths, {"do": "status"})),
        ):
            try:
                lines.append(ask())
            except UndulaError as error:
                lines.append(str(error))
        for log in sorted(self.beamline.paths.logs.glob("*")):
            lines += [f"-- {log.name}", *supervisor_client.tail(log, 12)]
        return "\n".join(lines)

    def usable(self) -> None:
        """The next scan succeeds without a human."""
        scan = patient(lambda: self.client.scan("wx", 0, 1, 3), "not usable again")
        assert scan.finished is not None
        assert scan.finished.exit_status == "success"


@pytest.fixture
def scene() -> Iterator[Scene]:
    with (
        short_folder("us-") as folder,
        local_beamline(device_file(folder, folder / "witness.log"), folder=folder) as beamline,
        beamline.connect() as client,
    ):
        connector = beamline.connector()
        yield Scene(beamline, client, connector)
        connector.close()


def test_random_kills_lose_nothing(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    def say(text: str) -> None:
        with capsys.disabled():
            print(text, flush=True)

    say(f"\nseed {SEED}")
    end, number = time.monotonic() + SECONDS, 0
    try:
        while time.monotonic() < end:
            number += 1
            this = Round.drawn(number)
            say(f"  {number}: {this}")
            say(f"     {scene.play(this)}")
            scene.usable()
    except BaseException:
        say(scene.picture())
        say(f"failed in round {number}; to repeat: UNDULA_SOAK_SEED={SEED} make soak")
        raise

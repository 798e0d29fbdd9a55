"""What takes longer than it should: each wait of a scan, and the scan as a whole.

In: what the plan says that it waits for, what that should take, the time. Out: lines for people,
and whether something is overdue. Waits for beam, temperature or people are no waits of this kind:
what they should take nobody knows. What is done about it is `steering`'s.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from undula.core.log import get_logger
from undula.core.settings import WatchdogSettings
from undula.devices.registry import LoadedDevice, Registry
from undula.plans.verbs import Wait
from undula.scans.checked_scan import CheckedScan
from undula.scans.scan_hooks import ScanHooks

SHOW_WAIT_AFTER_S = 1.0
_AT_STAGE = ("before stage", "instead of stage", "after stage", "before scan", "instead of scan",
             "after scan")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Pace:
    """How an axis moves: seconds per unit, and seconds that every move costs."""

    per_unit_s: float
    fixed_s: float = 0.0

    def duration_s(self, distance: float) -> float:
        """What a move of that distance should take, seconds."""
        return self.per_unit_s * abs(distance) + self.fixed_s if distance else 0.0


@dataclass(frozen=True, slots=True)
class Expected:
    """What the operations of one scan should take.

    Args:
        paces: of each axis, None where its velocity is not known.
        start: where the axes stand before, each in its unit.
        trigger_s: one trigger; None when nobody knows.
        scan_s: the whole scan without pauses; None when nobody knows.
    """

    paces: Mapping[str, Pace | None] = field(default_factory=dict)
    start: Mapping[str, float] = field(default_factory=dict)
    trigger_s: float | None = None
    scan_s: float | None = None


@dataclass(frozen=True, slots=True)
class Waiting:
    """One wait: since when (monotonic, s), for what, and what it should take."""

    since: float
    text: str
    expected_s: float | None = None


@dataclass(frozen=True, slots=True)
class Late:
    """Something that is overdue: what it is about, and a line for people."""

    source: str
    text: str


class Watchdog:
    """Follows the waits of the running scan. `told` is called by the plan, `look` by a watcher."""

    def __init__(
        self, settings: WatchdogSettings, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._settings = settings
        self.action = settings.action
        self._clock = clock
        self._expected = Expected()
        self._at: dict[str, float] = {}
        self._going: dict[str, float] = {}
        self._noted: dict[str, float | None] = {}
        self._ran_s = 0.0
        self._looked: float | None = None
        self.waiting: Waiting | None = None

    def begin(self, expected: Expected) -> None:
        """The points of a scan begin."""
        self._expected, self._at = expected, dict(expected.start)
        self._going = {}
        self._noted, self._ran_s, self._looked = {}, 0.0, None

    def end(self) -> None:
        """The scan is over."""
        self.begin(Expected())
        self.waiting = None

    def waits(self, text: str, since: float | None = None) -> None:
        """A wait that nobody can tell the length of, e.g. for beam; '' ends it."""
        now = self._clock()
        self.waiting = Waiting(now if since is None else since, text) if text else None

    def sends(self, name: str, verb: str, target: float | None) -> None:
        """A plan whose points nobody knows sets or triggers a device, and will wait for it."""
        if verb == "trigger":
            self._noted[name] = self._expected.trigger_s
        elif target is None:
            self._noted[name] = None
        else:
            self._noted[name] = self._move_s({name: target})
            self._sets_off({name: target})

    def told(self, wait: Wait | None) -> None:
        """The plan waits for this from now on; None: it goes on. Cheap, on the RunEngine's loop."""
        if wait is None:
            self._at |= self._going
            self.waiting, self._noted, self._going = None, {}, {}
            return
        if wait.what == "given up":
            self._going = {}
            return
        if wait.what == "other" and self.waiting is not None:
            return  # the plan has said already what this wait of the RunEngine is for
        expected: float | None = None
        if wait.what == "move":
            expected = self._move_s(wait.targets)
            self._sets_off(wait.targets)
        elif wait.what == "trigger":
            expected = self._expected.trigger_s
        elif wait.what == "stage":
            expected = self._settings.stage_s
        elif self._noted and None not in self._noted.values():
            expected = max(v for v in self._noted.values() if v is not None)
        names = ", ".join(sorted(set(wait.names))) or "a device"
        self.waiting = Waiting(self._clock(), names, expected)

    def stood(self) -> None:
        """The scan was interrupted: axes were stopped on their way, and hooks may have moved them.

        Nobody knows then what the next move of each should take.
        """
        self._at, self._going, self._noted = {}, {}, {}

    def _sets_off(self, targets: Mapping[str, float]) -> None:
        """Where axes are is not known before their move has ended well."""
        for name in targets:
            self._at.pop(name, None)
        self._going |= targets

    def _move_s(self, targets: Mapping[str, float]) -> float | None:
        longest = 0.0
        for name, target in targets.items():
            pace, at = self._expected.paces.get(name), self._at.get(name)
            if pace is None or at is None:
                return None
            longest = max(longest, pace.duration_s(target - at))
        return longest

    def look(self, running: bool) -> list[Late]:
        """What is overdue now. Called often.

        Args:
            running: the scan neither pauses nor is held; only then time counts.
        """
        now = self._clock()
        before, self._looked = self._looked, now if running else None
        if not running:
            return []
        self._ran_s += now - before if before is not None else 0.0
        found = []
        waiting = self.waiting
        if waiting is not None and waiting.expected_s is not None:
            took = now - waiting.since
            if took > self._allowed_s(waiting.expected_s):
                text = f"waiting for {waiting.text}: {took:.0f} s, should take {_s(waiting)}"
                found.append(Late(f"scan, {waiting.text}", text))
        whole = self._expected.scan_s
        if (
            whole is not None
            and self._ran_s > self._allowed_s(whole) + self._settings.scan_margin_s
        ):
            text = f"the scan takes longer than expected: {self._ran_s:.0f} s, not {whole:.0f} s"
            found.append(Late("scan", text))
        return found

    def _allowed_s(self, expected_s: float) -> float:
        return self._settings.factor * expected_s + self._settings.margin_s

    @property
    def text(self) -> str:
        """What is waited for, since when, and what it should take; '' when not for long."""
        waiting = self.waiting
        since = self._clock() - waiting.since if waiting is not None else 0.0
        if waiting is None or since <= SHOW_WAIT_AFTER_S:
            return ""
        should = "" if waiting.expected_s is None else f", should take {_s(waiting)}"
        return f"{waiting.text}, since {since:.0f} s{should}"


def _s(waiting: Waiting) -> str:
    return f"{waiting.expected_s or 0.0:.1f} s"


def expected_of(scan: CheckedScan, devices: Registry, hooks: ScanHooks | None = None) -> Expected:
    """What the operations of a scan should take; asks its axes where they are and how fast.

    Nobody knows how long hooks take at its points or as it is staged, nor where they leave axes.
    """
    paces: dict[str, Pace | None] = {}
    start: dict[str, float] = {}
    hooked = hooks is not None and hooks.at_points
    longer = hooked or (hooks is not None and hooks.has(*_AT_STAGE))
    names = () if hooked else dict.fromkeys((*scan.axes, *scan.driven.axes))
    for name in names:
        try:
            paces[name] = _pace_of(devices[name])
            start[name] = devices[name].position()
        except Exception:  # a driver may raise anything; then nobody knows
            get_logger().exception("pace_not_known", device=name)
    times = scan.form.count_times_s if scan.form is not None else None
    trigger_s = scan.count_time_s if times is None else float(times.max())
    return Expected(paces, start, trigger_s, None if longer else scan.estimate_s)


def _pace_of(device: LoadedDevice) -> Pace | None:
    fixed, one = device.move_duration_s(0.0, 0.0), device.move_duration_s(0.0, 1.0)
    return None if fixed is None or one is None else Pace(one - fixed, fixed)

"""A simulated sample changer: a robot that takes its time, goes on by itself, and may fail.

Its state lies in a file, when it is given one: as a real robot, it neither stops nor forgets when
the process that commands it dies.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from undula.core.errors import DeviceError, InputError
from undula.devices.changer import ChangerState
from undula.devices.sim.base import SimDevice
from undula.devices.sim.status import SimStatus
from undula.devices.sim.timer import TIMER

SAMPLES = ("S1", "S2", "S3", "S4")


@dataclass(frozen=True, slots=True)
class Robot:
    """What the robot does, and since when. Pure: where it is follows from the clock.

    `began` is UTC epoch s, since it must be known to whoever asks after a restart.
    """

    sample: str = ""
    doing: ChangerState = "idle"
    target: str = ""
    began: float = 0.0
    takes_s: float = 0.0
    fault: str = ""
    moves: int = 0

    def at(self, moment: float, fails: Sequence[str]) -> Robot:
        """The robot at that time."""
        if self.doing in ("idle", "fault") or moment < self.began + self.takes_s:
            return self
        if self.target in fails:
            why = f"{self.target} was not gripped"
            return replace(self, doing="fault", fault=why, sample="", target="")
        return replace(self, doing="idle", sample=self.target, target="")


class SimSampleChanger(SimDevice):
    """A sample changer. Set to a sample's name it mounts that, set to '' it puts it back.

    Args:
        samples: names of the samples that it holds.
        mount_s: a mount or unmount takes so long, seconds.
        fails: samples that it fails to grip: then it is in fault until it is enabled anew.
        state_file: where it keeps its state; None: in memory, forgotten at a restart.
    """

    dtype = "string"
    dtype_numpy = "<U64"

    def __init__(
        self,
        name: str,
        *,
        samples: Sequence[str] = SAMPLES,
        mount_s: float = 2.0,
        fails: Sequence[str] = (),
        state_file: str | None = None,
    ) -> None:
        super().__init__(name)
        if not mount_s >= 0:
            raise InputError(f"mount_s is {mount_s}", remedy="give 0 s or more", device=name)
        self._samples, self.mount_s, self.fails = tuple(map(str, samples)), mount_s, tuple(fails)
        self._file = Path(state_file) if state_file is not None else None
        self._lock = threading.Lock()
        self._robot = self._kept()
        if self._robot.doing == "fault":  # somebody has seen to it, and enables it anew
            self._keep(replace(self._robot, doing="idle", fault=""))

    @property
    def instant(self) -> bool:
        """A mount takes its time."""
        return False

    @property
    def longest_s(self) -> float:
        """A mount takes no longer, seconds."""
        return self.mount_s

    @property
    def hints(self) -> dict[str, Any]:
        """A name makes no curve."""
        return {"fields": []}

    def samples(self) -> tuple[str, ...]:
        """Names of the samples that it can mount."""
        return self._samples

    def mounted(self) -> str:
        """The sample in place; '' for none, and while it is changed."""
        robot = self._now()
        return robot.sample if robot.doing == "idle" else ""

    def changer_state(self) -> ChangerState:
        """What it does now."""
        return self._now().doing

    def changer_fault(self) -> str:
        """What is wrong; '' when nothing is."""
        return self._now().fault

    @property
    def moves(self) -> int:
        """Mounts and unmounts so far."""
        return self._now().moves

    def value(self) -> str:
        """The sample in place."""
        return self.mounted()

    def check_value(self, target: object) -> None:
        """Raises: InputError for what is no sample of this changer."""
        if target != "" and target not in self._samples:
            raise InputError(
                f"it holds no sample {target!r}",
                remedy=f"choose one of {', '.join(self._samples)}",
                device=self.name,
            )

    def set(self, target: str) -> SimStatus:
        """Mount a sample; '' puts back the one that is mounted."""
        return self.mount(target) if target else self.unmount()

    def mount(self, sample: str) -> SimStatus:
        """Put a sample in place. Raises: InputError, DeviceError while it is busy or in fault."""
        self.check_value(sample)
        return self._begin("mounting", sample)

    def unmount(self) -> SimStatus:
        """Put the mounted sample back. Raises: DeviceError while it is busy or in fault."""
        return self._begin("unmounting", "")

    def stop(self, *, success: bool = False) -> None:  # noqa: ARG002  # part of the protocol
        """Nothing to do while it rests. Raises: DeviceError on its way, which it finishes."""
        robot = self._now()
        if robot.doing in ("mounting", "unmounting"):
            raise DeviceError(
                "the robot finishes its way: between two places it would drop the sample",
                remedy="wait for its end, or use the hardware stop",
                device=self.name,
            )

    def _begin(self, doing: ChangerState, target: str) -> SimStatus:
        with self._lock:
            robot = self._robot.at(time.time(), self.fails)
            if robot.doing != "idle":
                raise DeviceError(
                    f"it is {robot.doing}" if not robot.fault else f"it is in fault: {robot.fault}",
                    remedy="wait for its end; after a fault see to it, then disable and enable it",
                    device=self.name,
                )
            if robot.sample == target:
                return self._done
            self._keep(
                replace(
                    robot, doing=doing, target=target, sample="", began=time.time(),
                    takes_s=self.mount_s, moves=robot.moves + 1,
                )
            )  # fmt: skip
        status = SimStatus(self)
        TIMER.after(self.mount_s, lambda: self._arrived(status))
        return status

    def _arrived(self, status: SimStatus) -> None:
        robot = self._now()
        if robot.doing in ("mounting", "unmounting"):  # the two clocks differ a little
            TIMER.after(0.01, lambda: self._arrived(status))
        elif robot.fault:
            status.finish(DeviceError(robot.fault, remedy="see to the changer", device=self.name))
        else:
            status.finish()

    def _now(self) -> Robot:
        with self._lock:
            robot = self._robot.at(time.time(), self.fails)
            if robot != self._robot:
                self._keep(robot)
            return robot

    def _kept(self) -> Robot:
        if self._file is None:
            return Robot()
        try:
            return Robot(**json.loads(self._file.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return Robot()

    def _keep(self, robot: Robot) -> None:
        self._robot = robot
        if self._file is not None:
            temporary = self._file.with_suffix(".tmp")
            temporary.write_text(json.dumps(asdict(robot)), encoding="utf-8")
            temporary.replace(self._file)

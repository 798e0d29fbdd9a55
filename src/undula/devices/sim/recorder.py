"""A simulated counter that keeps every sample of its counts in a file of its own, beside the run's.

As a digitiser does that records by itself: the run has one number a point, the device's file, HDF5,
the samples from which it came. The file is told of when it is closed, and linked into the run's.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np

from undula.core.errors import DeviceError
from undula.core.log import get_logger
from undula.devices.sim.detectors import SimMonitor
from undula.devices.sim.world import WORLD, SimWorld
from undula.devices.telling import SILENT, Telling

DATASET = "/entry/samples"
OnFailure = Literal["raise", "buffer", "retry"]


class SimRecorder(SimMonitor):
    """A beam monitor with a file of its own, int64 counts, shape (points, samples).

    Args:
        samples: of each point.
        folder: where the file goes; None: beside the run's file. One that does not take it is a
            file that is missing.
    """

    tell: Telling = SILENT
    on_failure: OnFailure = "retry"
    """What a file that is missing does: `buffer` lets the run go on and warns, else it fails."""

    def __init__(
        self,
        name: str,
        *,
        role: str | None = None,
        samples: int = 10,
        folder: str | None = None,
        precision: int = 0,
        world: SimWorld = WORLD,
    ) -> None:
        super().__init__(name, role=role, precision=precision, world=world)
        self._samples = int(samples)
        self._folder = None if folder is None else Path(folder)
        self._path: Path | None = None
        self._taken: list[np.ndarray[Any, Any]] = []

    def set_run_path(self, path: Path) -> None:
        """A run begins, its file is `path`."""
        folder = path.parent if self._folder is None else self._folder
        self._path = folder / f"{path.stem}_{self.name}.h5"

    def counted(self, count_time_s: float) -> int:
        """Counts in that time, the sum of the samples."""
        one = super().counted
        samples = np.array([one(count_time_s / self._samples) for _ in range(self._samples)])
        if self._staged and self._triggered:
            self._taken.append(samples)
        return int(samples.sum())

    def stage(self) -> list[Any]:
        """Take part in a run: keep samples from now on."""
        self._taken = []
        return super().stage()

    def finish_data(self) -> None:
        """Write the file, before the run closes. Raises: DeviceError when it is missing."""
        taken, self._taken = self._taken, []
        path = self._path
        if path is None or not taken:
            return
        try:
            self._write(path, np.stack(taken))
        except OSError as exc:
            self.tell.file(path, "missing", dataset=DATASET, frames=len(taken))
            error = DeviceError(
                f"its file {path} cannot be written: {exc}",
                remedy="correct folder, owner and mode, or set onFailure: buffer",
                device=self.name,
            )
            if self.on_failure != "buffer":
                raise error from exc
            get_logger().warning("device_file_missing", device=self.name, problem=str(error))
        else:
            self.tell.file(path, "closed", dataset=DATASET, frames=len(taken))

    @staticmethod
    def _write(path: Path, samples: np.ndarray[Any, Any]) -> None:
        import h5py  # here: most simulated beamlines have no recorder

        with h5py.File(path, "w") as file:
            file[DATASET] = samples
            file[DATASET].attrs["units"] = "counts"

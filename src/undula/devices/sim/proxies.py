"""BEC's proxies: one device of the file says what a simulated camera sees.

In: `deviceConfig` with a part for each camera, as in BEC. Out: images of the camera, cut by a slit
that follows two motors (`SlitProxy`), or replayed from an HDF5 file (`H5ImageReplayProxy`). A proxy
is no detector itself: it reads as the number of cameras it stands before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from undula.core.errors import InputError
from undula.devices.sim.base import SimDevice
from undula.devices.sim.detectors import SimCamera

Image = npt.NDArray[np.uint16]
FloatArray = npt.NDArray[np.float64]


class SimProxy(SimDevice):
    """What all proxies share. Each key of `deviceConfig` is a camera, or a part of BEC's."""

    takes_any_key = True
    dtype = "integer"
    dtype_numpy = "<i8"
    defaults: ClassVar[dict[str, Any]] = {}
    """Keys of the part of one camera, with what they are when they are not given."""

    def __init__(self, name: str, **parts: Mapping[str, Any]) -> None:
        super().__init__(name, precision=0)
        self._parts = {camera: self._part(camera, part) for camera, part in parts.items()}

    @classmethod
    def _part(cls, camera: str, part: Any) -> dict[str, Any]:
        if not isinstance(part, Mapping):
            raise InputError(
                f"{camera} is {part!r}", remedy=f"give it {', '.join(cls.defaults)} below its name"
            )
        if unknown := set(part) - set(cls.defaults):
            raise InputError(
                f"{camera}: it takes no {', '.join(sorted(unknown))}",
                remedy=f"it takes {', '.join(cls.defaults)}",
            )
        return {**cls.defaults, **part}

    @classmethod
    def needs_of(cls, config: Mapping[str, Any]) -> tuple[str, ...]:
        """The cameras, and the motors that they refer to. Raises: InputError."""
        names: list[str] = []
        for camera, part in config.items():
            names += [str(camera), *map(str, cls._part(camera, part).get("ref_motors", ()))]
        return tuple(dict.fromkeys(names))

    def bind(self, devices: Mapping[str, Any]) -> None:
        """Stand before the cameras; name to `LoadedDevice`. Raises: InputError."""
        for camera, part in self._parts.items():
            obj = getattr(devices.get(camera), "obj", None)
            if not isinstance(obj, SimCamera):
                raise InputError(
                    f"{camera} is no simulated camera that is enabled",
                    remedy="name one of deviceClass SimCamera",
                    device=self.name,
                )
            self._stand_before(obj, part, devices)

    def _stand_before(
        self, camera: SimCamera, part: Mapping[str, Any], devices: Mapping[str, Any]
    ) -> None:
        raise NotImplementedError

    def value(self) -> int:
        """How many cameras it stands before."""
        return len(self._parts)


class SlitProxy(SimProxy):
    """A beam spot behind two pairs of blades that two motors move.

    Part of a camera: `center_offset` [x, y] and `covariance` (2 x 2) of the spot in mm and mm²,
    `pixel_size` mm, `ref_motors` and for each of them `slit_width` mm and `motor_dir` (0: x, 1: y).
    """

    defaults: ClassVar[dict[str, Any]] = {
        "signal_name": "image",
        "center_offset": [0.0, 0.0],
        "covariance": [[1.0, 0.0], [0.0, 1.0]],
        "pixel_size": 0.05,
        "ref_motors": [],
        "slit_width": [],
        "motor_dir": [0, 1],
    }
    counts = 1000.0

    def _stand_before(
        self, camera: SimCamera, part: Mapping[str, Any], devices: Mapping[str, Any]
    ) -> None:
        motors = [devices[name] for name in part["ref_motors"] if name in devices]
        widths, directions = list(part["slit_width"]), list(part["motor_dir"])
        if len(motors) != len(part["ref_motors"]) or len(widths) != len(motors):
            raise InputError(
                "ref_motors and slit_width do not fit together",
                remedy="name motors of the file, and a width for each",
                device=self.name,
            )
        rows, columns = camera.shape()
        size = float(part["pixel_size"])
        x, y = _middles(columns, size)[None, :], _middles(rows, size)[:, None]
        spot = _spot(x, y, part["center_offset"], np.asarray(part["covariance"], dtype=float))
        slits = list(zip(motors, widths, directions, strict=False))

        def image(count_time_s: float) -> Image:
            seen = spot * self.counts * count_time_s
            for motor, width, direction in slits:
                along = x if direction == 0 else y
                seen = seen * (np.abs(along - motor.position()) <= width / 2)
            return camera.noisy(seen)

        camera.source = image


def _middles(pixels: int, size: float) -> FloatArray:
    """Middles of pixels, with 0 in the middle of the camera."""
    return np.asarray((np.arange(pixels) - (pixels - 1) / 2) * size, dtype=np.float64)


def _spot(x: FloatArray, y: FloatArray, center: Any, covariance: FloatArray) -> FloatArray:
    """A Gaussian of height 1. Raises: InputError when the covariance is none."""
    try:
        inverse = np.linalg.inv(covariance.reshape(2, 2))
        np.linalg.cholesky(covariance.reshape(2, 2))
    except (ValueError, np.linalg.LinAlgError) as exc:
        raise InputError(
            "covariance is no symmetric 2 x 2 matrix of a spot", remedy="e.g. [[1, 0], [0, 1]]"
        ) from exc
    dx, dy = x - float(center[0]), y - float(center[1])
    distance = inverse[0, 0] * dx**2 + 2 * inverse[0, 1] * dx * dy + inverse[1, 1] * dy**2
    return np.asarray(np.exp(-distance / 2), dtype=np.float64)


class H5ImageReplayProxy(SimProxy):
    """Images of a file, one for each that the camera takes, from the beginning again at the end.

    Part of a camera: `file_source`, the file, and `h5_entry`, the dataset in it: (images, rows,
    columns), or one image.
    """

    defaults: ClassVar[dict[str, Any]] = {
        "signal_name": "image",
        "file_source": "",
        "h5_entry": "/entry/data",
    }

    def _stand_before(
        self, camera: SimCamera, part: Mapping[str, Any], devices: Mapping[str, Any]
    ) -> None:
        del devices  # it follows no motor
        images = self._images(Path(str(part["file_source"])).expanduser(), str(part["h5_entry"]))
        camera.source = _replay(images)
        camera.resize(images.shape[1], images.shape[2])

    def _images(self, path: Path, entry: str) -> npt.NDArray[Any]:
        import h5py

        try:
            with h5py.File(path, "r") as file:
                data = np.asarray(file[entry])
        except (OSError, KeyError) as exc:
            raise InputError(
                f"{entry} of {path} cannot be read: {exc}",
                remedy="correct file_source and h5_entry",
                device=self.name,
            ) from exc
        data = data[None] if data.ndim == 2 else data
        if data.ndim != 3 or data.dtype.kind not in "biuf":
            raise InputError(
                f"{entry} has the shape {data.shape}",
                remedy="name a dataset of images",
                device=self.name,
            )
        return data


def _replay(images: npt.NDArray[Any]) -> Callable[[float], Image]:
    taken = 0

    def image(_: float) -> Image:
        nonlocal taken
        taken += 1
        one = images[(taken - 1) % len(images)]
        return np.asarray(np.clip(one, 0, 65535), dtype=np.uint16)

    return image

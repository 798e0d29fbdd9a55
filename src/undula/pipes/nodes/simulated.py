"""Room: pipes. A detector that is made up: rings, spots, drift, noise; and faults on request.

In: a size, a rate, a seed. Out: frames that are the same again for the same parameters. Pure: it
says when a frame is due (`due_s`, `takes_s`), and whoever runs it waits.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from undula.pipes.frame import Frame, checksum
from undula.pipes.nodes.base import Array, Port, Shape, Source, parameter

DRAWN_PIXELS = 16_000_000
"""Noise is drawn once, for as many different frames as have so many pixels together: 2 to 16."""

USUAL_HZ = 10.0
"""Frames a second, when nobody says how many and nobody triggers them."""

Pattern = Literal["flat", "rings", "spots", "spot"]
Fault = Literal["missing", "doubled", "late", "corrupt"]


class SimulatedDetector(Source):
    """A detector that is made up, for trying a graph without beam.

    Frames are (height, width) in the dtype asked for. Patterns: `flat`; `rings`, centred, at 1/8,
    1/4 and 3/8 of the smaller side; `spots`, `spot_count` of them at random places that stay;
    `spot`, one in the centre that goes `drift` pixels a frame along x and comes back at the edge.
    With `noise` the counts are Poisson distributed; 2 to 16 different frames are drawn beforehand
    (fewer of large ones), so that a high rate can be reached, and used in turn. The same seed gives
    the same frames.

    In a scan a frame takes the count time of the scan, else `exposure_s`, and never less than
    `rate_hz` allows: a slow camera is `rate_hz: 0.5`, or `exposure_s: 2`. With neither of them
    frames come as fast as they are asked for.

    Faults, by frame number: `missing` frames never come, `doubled` come twice, `late` come after
    their successor, `corrupt` ones do not fit the checksum that they carry.
    """

    name = "simulated"
    outputs = (Port("frames", "frames, (height, width)", kinds="u", unit="counts"),)
    missing = "has none but those it was asked to lose"
    masked = "every pixel has a value"
    width: int = parameter(1024, "pixels along x", ge=1, le=65536)
    height: int = parameter(1024, "pixels along y", ge=1, le=65536)
    dtype: Literal["uint8", "uint16", "uint32"] = parameter("uint16", "of a pixel")
    rate_hz: float | None = parameter(
        None,
        "frames a second at most; 0: as fast as they are taken; none: 10, in a scan as fast",
        ge=0, unit="Hz",
    )  # fmt: skip
    exposure_s: float = parameter(
        0.0, "a frame of a scan takes so long, unless the scan gives a count time", ge=0, unit="s"
    )
    frames: int = parameter(0, "ends after so many; 0: when it is stopped", ge=0)
    pattern: Pattern = parameter("rings", "what is to be seen")
    level: float = parameter(100.0, "of the pattern's maximum", ge=0, unit="counts")
    background: float = parameter(2.0, "everywhere", ge=0, unit="counts")
    width_px: float = parameter(3.0, "of a ring or spot, standard deviation", gt=0, unit="px")
    spot_count: int = parameter(5, "spots of the pattern `spots`", ge=1, le=1000)
    drift: float = parameter(1.0, "of the pattern `spot`, pixels a frame", unit="px")
    noise: bool = parameter(True, "Poisson noise")
    seed: int = parameter(1, "of all that is random", ge=0)
    faults: dict[int, Fault] = parameter({}, "by frame number", examples=[{5: "missing"}])
    checksums: bool = parameter(False, "give every frame its checksum")

    def clear(self) -> None:
        """Begin with frame 1 again."""
        self._next = 1
        self._held: list[Frame] = []
        self._drawn: list[Array] = []

    def changed(self, names: frozenset[str]) -> None:
        """Draw anew when the picture is another one."""
        if names - {"rate_hz", "exposure_s", "frames", "faults", "checksums"}:
            self._drawn = []

    @classmethod
    def shapes(cls, values: Any, inputs: Mapping[str, Shape]) -> Mapping[str, Shape]:
        """(height, width)."""
        return {"frames": (values.height, values.width)}

    def prepare(self) -> None:
        """Draw the frames that are used in turn."""
        self._draw(1)

    def resume(self, seq_num: int) -> None:
        """Go on behind a frame."""
        self._next = max(self._next, seq_num + 1)

    @classmethod
    def count_time_s(cls, values: Any) -> float:
        """So long a frame of a scan takes that gives no count time."""
        return float(max(values.exposure_s, 1 / values.rate_hz if values.rate_hz else 0.0))

    def takes_s(self) -> float:
        """From a trigger to its frame."""
        return self.count_time_s(self)

    def due_s(self) -> float:
        """When the next frame is due, s after the first one."""
        rate_hz = USUAL_HZ if self.rate_hz is None else self.rate_hz
        return (self._next - 1) / rate_hz if rate_hz else 0.0

    @property
    def ended(self) -> bool:
        """All frames that were asked for were made."""
        return bool(self.frames) and self._next > self.frames and not self._held

    def spot_places(self) -> npt.NDArray[np.float64]:
        """Centres of the spots, (spots, 2) as (x, y), px."""
        rng = np.random.default_rng(self.seed)
        edge = 0.05
        return rng.uniform(edge, 1 - edge, (self.spot_count, 2)) * (self.width, self.height)

    def spot_at(self, number: int) -> tuple[float, float]:
        """Centre (x, y) of the one spot in frame `number`, px."""
        return ((self.width - 1) / 2 + self.drift * (number - 1)) % self.width, (
            self.height - 1
        ) / 2

    def picture(self, number: int) -> npt.NDArray[np.float64]:
        """What is expected in frame `number` without noise, counts."""
        x, y = np.arange(self.width)[None, :], np.arange(self.height)[:, None]
        shape = np.zeros((self.height, self.width))
        if self.pattern == "rings":
            radius = np.hypot(x - (self.width - 1) / 2, y - (self.height - 1) / 2)
            for part in (1, 2, 3):
                at = part * min(self.width, self.height) / 8
                shape += np.exp(-0.5 * ((radius - at) / self.width_px) ** 2)
        elif self.pattern in ("spots", "spot"):
            many = self.pattern == "spots"
            for cx, cy in self.spot_places() if many else [self.spot_at(number)]:
                across = np.exp(-0.5 * ((x - cx) / self.width_px) ** 2)
                shape += across * np.exp(-0.5 * ((y - cy) / self.width_px) ** 2)
        else:
            shape += 1.0
        return self.background + self.level * shape

    def _draw(self, number: int) -> Array:
        if self.pattern == "spot" and self.drift:
            return self._counts(number, self.picture(number))
        if not self._drawn:
            many = max(2, min(16, DRAWN_PIXELS // (self.width * self.height))) if self.noise else 1
            picture = self.picture(1)
            self._drawn = [self._counts(n + 1, picture) for n in range(many)]
            for frame in self._drawn:
                frame.setflags(write=False)
        return self._drawn[(number - 1) % len(self._drawn)]

    def _counts(self, number: int, picture: npt.NDArray[np.float64]) -> Array:
        counts = (
            np.random.default_rng((self.seed, number)).poisson(picture)
            if self.noise
            else np.rint(picture)
        )
        return np.clip(counts, 0, np.iinfo(self.dtype).max).astype(self.dtype)

    def take(self, time: float = 0.0) -> list[Frame]:
        """The frames that come next: one, none when it is missing, two when one is doubled."""
        if self.frames and self._next > self.frames:
            held, self._held = self._held, []
            return held
        number = self._next
        self._next += 1
        fault = self.faults.get(number)
        if fault == "missing":
            return self._released([])
        data = self._draw(number)
        frame = Frame(
            number, data, trigger=number - 1, time=time,
            hardware_time=(number - 1) / self.rate_hz if self.rate_hz else None,
            checksum=checksum(data) if self.checksums or fault == "corrupt" else None,
        )  # fmt: skip
        if fault == "corrupt":
            frame.data = data.copy()
            frame.data.flat[0] ^= 1
        if fault == "late":
            self._held.append(frame)
            return []
        return self._released([frame, frame] if fault == "doubled" else [frame])

    def _released(self, frames: list[Frame]) -> list[Frame]:
        """A frame that is late comes behind the next one."""
        frames, self._held = frames + self._held, []
        return frames

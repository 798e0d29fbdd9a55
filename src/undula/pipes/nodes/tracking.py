"""Room: pipes. Spots followed from frame to frame: each keeps its number. Pure.

In: the spots of each frame, as `spots` gives them. Out: tracks, by number. The number of a spot
stays through jitter and through frames in which it is not to be seen, and is never given again.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from undula.core.errors import InputError
from undula.pipes.frame import Frame
from undula.pipes.nodes.base import Node, Port, Results, parameter
from undula.pipes.nodes.coverage import Coverage

TRACK_FIELDS = ("number", "x", "y", "sum", "seen", "unseen")


@dataclass(slots=True)
class Track:
    """One spot: where it is, how fast it goes (px a frame), in how many frames it was seen."""

    number: int
    x: float
    y: float
    total: float
    at: int
    vx: float = 0.0
    vy: float = 0.0
    seen: int = 1
    unseen: int = 0

    def expected(self, seq_num: int) -> tuple[float, float]:
        """Where it should be in a later frame, when it goes on as it does."""
        frames = seq_num - self.at
        return self.x + self.vx * frames, self.y + self.vy * frames


def assigned(
    expected: npt.NDArray[np.float64],
    found: npt.NDArray[np.float64],
    reach: npt.NDArray[np.float64],
) -> list[tuple[int, int]]:
    """Pairs (track, spot) with the least sum of squared distances, none farther than its reach.

    Args:
        expected: (tracks, 2) px.
        found: (spots, 2) px.
        reach: (tracks,) px.
    """
    if not len(expected) or not len(found):
        return []
    from scipy.optimize import linear_sum_assignment

    squares = ((expected[:, None, :] - found[None, :, :]) ** 2).sum(axis=2)
    allowed = squares <= (reach**2)[:, None]
    # a pair out of reach costs more than all others together, so that it is taken only in need
    dear = 1.0 + float(squares[allowed].sum()) if allowed.any() else 1.0
    rows, columns = linear_sum_assignment(np.where(allowed, squares, dear))
    return [
        (int(row), int(column))
        for row, column in zip(rows, columns, strict=True)
        if allowed[row, column]
    ]


class Tracking(Node):
    """Spots followed over frames: each track keeps its number through jitter and short losses.

    A spot belongs to the track that expects it nearby, going on at the speed that it had; all
    pairs together have the least sum of squared distances. A spot that nobody expects begins a
    track. A track not seen in `patience` frames ends.

    A frame that did not come is no frame without spots: tracks go on over it, with more reach. One
    that comes late, behind its successor, is left out.
    """

    name = "tracking"
    inputs = (Port("spots", "(spots, 5): x, y, sum, max, pixels; from `spots`", kinds="f"),)
    outputs = (
        Port(
            "tracks",
            "(tracks, 6): number, x, y (px), sum, frames seen, frames unseen; by number",
            kinds="f",
        ),
        Port("count", "tracks that are seen in this frame", ndim=0, kinds="i"),
    )
    covers = "start"
    missing = "tracks go on over the gap: the reach grows with the frames that are missing"
    masked = "a spot that a masked region hides is unseen, like any other"
    reach: float = parameter(10.0, "how far from where it is expected, a frame", gt=0, unit="px")
    patience: int = parameter(5, "a track ends when it was not seen in more frames", ge=0)
    most: int = parameter(1000, "tracks at most; spots beyond begin none", ge=1, le=100_000)
    smooth: float = parameter(0.5, "weight of the new speed: 0 stands still, 1 follows", ge=0, le=1)

    def clear(self) -> None:
        """Forget all tracks; numbers begin with 1 again."""
        self.covered = Coverage()
        self._tracks: list[Track] = []
        self._last = 0

    def accumulate(self, frame: Frame) -> None:
        """Take the spots of one frame."""
        spots = np.asarray(frame.data, np.float64)
        if spots.ndim != 2 or spots.shape[1] < 3:
            raise InputError(
                f"{self.name} takes spots (spots, 5), and frame {frame.seq_num} is {spots.shape}",
                remedy="connect it to the port `spots` of a node `spots`",
            )
        if frame.seq_num <= self.covered.last:
            return
        self.covered.add(frame.seq_num)
        now = frame.seq_num
        expected = np.array([track.expected(now) for track in self._tracks]).reshape(-1, 2)
        reach = np.array([self.reach * (now - track.at) for track in self._tracks])
        pairs = assigned(expected, spots[:, :2], reach)
        for at, spot in pairs:
            self._follow(self._tracks[at], spots[spot], now)
        followed, taken = {at for at, _ in pairs}, {spot for _, spot in pairs}
        for at, track in enumerate(self._tracks):
            if at not in followed:
                track.unseen += 1
        self._tracks = [track for track in self._tracks if track.unseen <= self.patience]
        for at, (x, y, total) in enumerate(spots[:, :3].tolist()):
            if at not in taken and len(self._tracks) < self.most:
                self._last += 1
                self._tracks.append(Track(self._last, x, y, total, now))

    def _follow(self, track: Track, spot: npt.NDArray[np.float64], now: int) -> None:
        x, y, total = spot[:3].tolist()
        frames = now - track.at
        track.vx += self.smooth * ((x - track.x) / frames - track.vx)
        track.vy += self.smooth * ((y - track.y) / frames - track.vy)
        track.x, track.y, track.total, track.at = x, y, total, now
        track.seen, track.unseen = track.seen + 1, 0

    def largest_bytes(self, port: str) -> int:
        """Of as many tracks as there may be."""
        return 8 * len(TRACK_FIELDS) * self.most if port == "tracks" else 0

    def result(self) -> Results:
        """Tracks that have not ended; None before the first frame."""
        if not self.covered.frames:
            return None
        now = self.covered.last
        rows = [
            (track.number, *track.expected(now), track.total, track.seen, track.unseen)
            for track in self._tracks
        ]
        return {
            "tracks": np.array(rows, np.float64).reshape(-1, len(TRACK_FIELDS)),
            "count": sum(not track.unseen for track in self._tracks),
        }

"""The other ends of the benchmarks of pipes, each a process: `python -m bench.pipe_ends ...`.

`take PATH NAME POLICY`: takes and confirms every frame, having read one byte of each cache line.
`far ADDRESS NAME KEYS`: like `take`, over ZeroMQ.
`file PATH NAME FOLDER`: writes every frame into a file there, bare.
"""

from __future__ import annotations

import sys
from pathlib import Path

from undula.files.frame_file import FrameFile, Row
from undula.pipes.frame import Frame
from undula.pipes.link import Inlet, Receiving
from undula.pipes.link.far_inlet import FarInlet
from undula.pipes.link.keys import load_keys
from undula.pipes.policy import parse_policy

LINE_BYTES = 64
READ_BYTES = 1 << 16
FLUSH_FRAMES = 32


def look(frame: Frame) -> int:
    """Touch every cache line of a large frame."""
    if frame.data.nbytes < READ_BYTES:
        return 0
    return int(frame.data.reshape(-1).view("u1")[::LINE_BYTES].sum())


def take(path: Path, name: str, policy: str) -> None:
    take_all(Inlet(path, name, parse_policy(policy)))


def far(address: str, name: str, keys: Path) -> None:
    take_all(FarInlet(address, name, keys=load_keys(keys)))


def take_all(inlet: Receiving) -> None:
    while inlet.ended == "no":
        for frame in inlet.take(512, None):
            look(frame)
            inlet.confirm(frame)
        inlet.flush()
    inlet.close()


def file(path: Path, name: str, folder: Path) -> None:
    inlet = Inlet(path, name)
    made: FrameFile | None = None
    kept: list[Frame] = []
    while inlet.ended == "no":
        kept += inlet.take(FLUSH_FRAMES, None)
        for frame in kept:
            if made is None:
                made = FrameFile(
                    folder / f"{name}.h5", frame.shape, frame.dtype, compression="none"
                )
            made.append(frame.data, Row(frame.seq_num, frame.trigger, frame.time))
        if made is not None:
            made.flush()
        for frame in kept:
            inlet.confirm(frame)
        kept.clear()
        inlet.flush()
    if made is not None:
        made.close()
    inlet.close()


if __name__ == "__main__":
    what, place, who, last = sys.argv[1:]
    if what == "take":
        take(Path(place), who, last)
    elif what == "far":
        far(place, who, Path(last))
    else:
        file(Path(place), who, Path(last))

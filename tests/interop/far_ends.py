"""Programs for the tests beside: the two ends of a link between hosts, each a process.

`producer ADDRESS KEYS FRAMES BYTES HZ DEAD_S`, `consumer ADDRESS KEYS NAME FILE DEAD_S`. The
consumer's exit: 0 behind the last frame, 3 when its producer was lost.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np

from undula.pipes.frame import Frame
from undula.pipes.link.far import Liveness
from undula.pipes.link.far_inlet import FarInlet
from undula.pipes.link.far_outlet import FarOutlet
from undula.pipes.link.keys import load_keys
from undula.pipes.policy import Policy

SLOTS = 40


def alive(dead_s: float) -> Liveness:
    return Liveness(beat_s=dead_s / 4, dead_s=dead_s, patience_s=max(8.0, dead_s))


def produce(address: str, keys: Path, frames: int, size: int, rate_hz: float, dead: float) -> None:
    outlet = FarOutlet(
        address, frame_bytes=size, budget_bytes=SLOTS * size, expect={"writer": Policy()},
        keys=load_keys(keys), alive=alive(dead),
    )  # fmt: skip
    print("listening", flush=True)
    start = time.monotonic()
    for seq in range(1, frames + 1):
        while (left := start + seq / rate_hz - time.monotonic()) > 0:
            outlet.pump(left)
        outlet.send(Frame(seq, np.full(size // 8, seq, "<i8"), trigger=seq - 1))
    outlet.finish()
    while outlet.in_flight:
        outlet.pump(None)
    counts = outlet.ledgers()["writer"].counts
    print(*(f"{name}={count}" for name, count in counts.items()), flush=True)
    outlet.close()


def consume(address: str, keys: Path, name: str, file: Path, dead: float) -> int:
    inlet = FarInlet(
        address, name, keys=load_keys(keys), host="near", alive=alive(dead), wait=False
    )
    connected = False
    with file.open("a", buffering=1) as seen:
        while inlet.ended == "no":
            frames = inlet.take(timeout_s=0.1)
            if inlet.connected != connected:
                connected = inlet.connected
                seen.write("connected\n" if connected else "cut\n")
            for frame in frames:
                assert np.all(frame.data == frame.seq_num), "these are another frame's data"
                seen.write(f"{frame.seq_num}{' again' if frame.again else ''}\n")
                inlet.confirm(frame)
            inlet.flush()
    inlet.settled(5.0)
    inlet.close()
    return 3 if inlet.ended == "lost" else 0


if __name__ == "__main__":
    what, address, keys, *rest = sys.argv[1:]
    if what == "producer":
        frames, size, rate, dead = rest
        produce(address, Path(keys), int(frames), int(size), float(rate), float(dead))
    else:
        name, file, dead = rest
        sys.exit(consume(address, Path(keys), name, Path(file), float(dead)))

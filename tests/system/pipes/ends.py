"""Programs for the tests beside: a producer and a consumer of a link, each in a process.

`producer FOLDER FRAMES`: publishes so many frames to the lossless consumer `writer` and the viewer
`view`, waits until the writer has confirmed all, prints its ledgers as JSON.
`consumer FOLDER NAME POLICY`: appends each sequence number that it gets to a file, then confirms.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import numpy as np

from undula.pipes.frame import Frame
from undula.pipes.ledger import EdgeLedger
from undula.pipes.link import Inlet, Outlet
from undula.pipes.policy import Policy, parse_policy

FRAME_BYTES = 80_000
EXPECTED = {"writer": Policy(), "view": Policy("latest")}


def produce(folder: Path, frames: int) -> None:
    first = int(os.environ.get("FIRST", "1"))
    outlet = Outlet(
        folder / "det", frame_bytes=FRAME_BYTES, budget_bytes=10 * FRAME_BYTES, expect=EXPECTED
    )
    print("listening", flush=True)  # its socket had a name before that
    while not set(os.environ.get("WAIT_FOR", "").split()) <= set(outlet.present):
        outlet.pump(None)
    for seq in range(first, frames + 1):
        loan = outlet.loan((FRAME_BYTES // 8,), "<i8")
        assert loan is not None
        loan.data[:] = seq
        outlet.publish(loan, Frame(seq, loan.data, trigger=seq - 1))
    outlet.finish()
    while outlet.in_flight:
        outlet.pump(None)  # no timer: only what a consumer says or its end can wake it
    print(json.dumps({name: ledger.counts for name, ledger in outlet.ledgers().items()}))
    outlet.close()


def consume(folder: Path, name: str, policy: str) -> None:
    with (folder / f"{name}.seen").open("a", buffering=1) as seen:
        ledger = EdgeLedger()
        while True:
            inlet = Inlet(folder / "det", name, parse_policy(policy), ledger=ledger)
            seen.write("connected\n")
            while inlet.ended == "no":
                for frame in inlet.take(timeout_s=None):
                    assert np.all(frame.data == frame.seq_num), "these are another frame's data"
                    seen.write(f"{frame.seq_num}{' again' if frame.again else ''}\n")
                    inlet.confirm(frame)
                inlet.flush()
            inlet.close()
            seen.write(f"{inlet.ended} {ledger.counts['passed']}\n")
            if inlet.ended == "end" or sys.stdin.readline() == "":  # told: there is a new producer
                return


if __name__ == "__main__":
    what, place, *rest = sys.argv[1:]
    if what == "producer":
        produce(Path(place), int(rest[0]))
    else:
        consume(Path(place), *rest)

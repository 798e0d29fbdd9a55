"""Random damage on a real session's sockets for a while: it answers, and it does not grow."""

from __future__ import annotations

import json
import os
import random
import socket
import time
from pathlib import Path
from typing import Any

import pytest
import zmq

from undula.session.rpc.client import RpcClient
from undula.testing.beamline import local_beamline
from undula.testing.hostile_rpc import MALFORMED, ODD, RAW, mutated
from undula.testing.law import until

pytestmark = pytest.mark.soak
DURATION_S = 120.0
MAY_GROW_KB = 150_000


def _memory_kb(pid: int) -> int:
    text = Path(f"/proc/{pid}/status").read_text()
    return int(next(line for line in text.splitlines() if line.startswith("VmRSS")).split()[1])


def test_two_minutes_of_damage_leave_the_session_as_it_was() -> None:
    seed = int(os.environ.get("UNDULA_SOAK_SEED", time.time()))
    rng = random.Random(seed)
    with local_beamline(prompt=True) as beamline, RpcClient(beamline.paths.run) as client:
        until(lambda: client.call("cmd", cmd="1 + 1") == "2", "the kernel does not answer")
        context: zmq.Context[Any] = zmq.Context()
        corpus = [*MALFORMED.values(), *ODD.values()]
        pid, before, end = beamline.pid("session"), 0, time.monotonic() + DURATION_S
        count = 0
        while time.monotonic() < end:
            one = context.socket(zmq.REQ)
            one.setsockopt(zmq.LINGER, 0)
            one.setsockopt(zmq.RCVTIMEO, 20_000)
            one.connect(f"ipc://{beamline.paths.run}/rpc.sock")
            for _ in range(rng.randrange(1, 50)):
                payload = rng.choice(corpus) if rng.random() < 0.1 else mutated(rng)
                one.send(payload)
                assert "err" in json.loads(one.recv()), (seed, payload[:200])
                count += 1
            one.close()
            with socket.socket(socket.AF_UNIX) as line:
                line.connect(str(beamline.paths.run / "rpc.sock"))
                line.sendall(rng.choice(list(RAW.values())) + rng.randbytes(rng.randrange(2000)))
            if count > 2000 and not before:
                before = _memory_kb(pid)
        context.destroy(linger=0)
        assert client.call("cmd", cmd="2 + 2") == "4"
        assert beamline.pid("session") == pid
        assert _memory_kb(pid) - before < MAY_GROW_KB, (seed, before, _memory_kb(pid))

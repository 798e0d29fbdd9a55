"""Room: pipes. The consumer's end of a link between processes of one host.

In: the path of a producer's socket, a name, a policy. Out: frames, as read-only views into the
producer's slots. A producer that ends says so behind its last frame; one that dies is an end of
file. Frames that came twice, because the node before was started anew, are confirmed and not
handed out again.
"""

from __future__ import annotations

import os
import select
import socket
import time
from pathlib import Path
from typing import Any

import numpy as np

from undula.core.errors import UndulaError
from undula.core.faults import reached
from undula.core.unix_socket import short
from undula.pipes.errors import PipeError
from undula.pipes.frame import DESCRIPTOR, Frame, unpack
from undula.pipes.ledger import EdgeLedger
from undula.pipes.link import wire
from undula.pipes.link.ports import Ended
from undula.pipes.link.slab import map_for_reading
from undula.pipes.policy import Policy

AT_ONCE_BYTES = 1 << 16
CONFIRM_FRAMES = 64
MAX_DESCRIPTORS = 2
HELLO_TIMEOUT_S = 10.0


class Inlet:
    """One consumer of a producer.

    Args:
        path: of the producer's socket.
        name: of this consumer; a successor has the same.
        policy: how it wants its frames.
        ledger: of the inlet before, when its producer was started anew.
        wait: until the producer has answered; otherwise the first frames say so, or `take` raises.
    Raises: PipeError when there is no such producer, or it refuses us.
    """

    def __init__(
        self,
        path: Path,
        name: str,
        policy: Policy | None = None,
        *,
        ledger: EdgeLedger | None = None,
        wait: bool = True,
    ) -> None:
        self._path, self.name = path, name
        self._policy = policy or Policy()
        self.ledger = ledger or EdgeLedger()
        """What this end has counted; given to the next inlet of this edge, it goes on."""
        self._resumed = bool(self.ledger.seen or self.ledger.closed)
        self._ready: list[Frame] = []
        self._done: list[int] = []
        self._ended: Ended = "no"
        self._memory: Any = None
        self._spill: Any = None
        self._slots = self._slot_bytes = self._spill_slots = 0
        self._welcomed = self._died = False
        self.room = 1
        """Frames that it may have in hand before it holds the producer up."""
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            self._connect()
            if wait:
                self._socket.settimeout(HELLO_TIMEOUT_S)
                self._hear_welcome()
            self._socket.setblocking(False)
        except BaseException:  # whatever it is, it goes on to the caller
            self._socket.close()
            raise
        self._poll = select.poll()
        self._poll.register(self._socket.fileno(), select.POLLIN)

    def _connect(self) -> None:
        policy = self._policy
        hello = {
            "name": self.name, "kind": policy.kind, "every": policy.every,
            "disk_bytes": policy.disk_bytes, "budget_bytes": policy.budget_bytes,
        }  # fmt: skip
        try:
            with short(self._path) as name:
                self._socket.connect(name)
            self._socket.send(wire.words(wire.HELLO, hello), socket.MSG_NOSIGNAL)
        except OSError as exc:
            raise self._out_of_reach(exc) from exc

    def _hung_up(self, exc: OSError) -> PipeError:
        self._died = True
        return self._out_of_reach(exc)

    def _out_of_reach(self, exc: OSError) -> PipeError:
        return PipeError(
            f"the producer {self._path.name} cannot be reached: {exc.strerror or exc}",
            remedy="start it, or see `undula pipes top` for what runs",
            where=self.name,
        )

    def _hear_welcome(self) -> None:
        """Raises: BlockingIOError when there is no answer yet, PipeError when it is a refusal."""
        try:
            raw, given, _, _ = socket.recv_fds(self._socket, wire.MAX_PACKET, MAX_DESCRIPTORS)
        except BlockingIOError:
            raise
        except OSError as exc:
            raise self._hung_up(exc) from exc
        try:
            self._enter(raw, given)
        finally:
            for descriptor in given:  # those that were not taken
                os.close(descriptor)
        self._welcomed = True

    def _enter(self, raw: bytes, given: list[int]) -> None:
        if not raw:
            raise self._hung_up(OSError(0, "it hung up"))
        kind, _, body = wire.opened(raw)
        answer = wire.content(body)
        if kind == wire.REFUSED:
            raise PipeError(
                str(answer.get("what")), remedy=str(answer.get("remedy")), where=self._path.name
            )
        sizes = [answer.get(name) for name in ("slots", "slot_bytes", "spill_slots")]
        if kind != wire.WELCOME or not all(isinstance(s, int) and s >= 0 for s in sizes):
            raise wire.nonsense("no welcome")
        self._slots, self._slot_bytes, self._spill_slots = (int(str(s)) for s in sizes)
        self.room = wire.room_in(answer)
        if len(given) != 1 + bool(self._spill_slots):
            raise wire.nonsense(f"{len(given)} descriptors")
        self._memory = map_for_reading(given[0], self._slots * self._slot_bytes)
        if self._spill_slots:
            self._spill = map_for_reading(given[1], self._spill_slots * self._slot_bytes)

    # ---- frames --------------------------------------------------------------------------------

    def take(self, most: int = 64, timeout_s: float | None = 0.0) -> list[Frame]:
        """Frames that came, in order; waits so long for the first, with None up to the end.

        Raises: WireError when the producer speaks nonsense; it then counts as lost.
        """
        ready = self._ready
        if not ready:
            self.flush()
            end = None if timeout_s is None else time.monotonic() + timeout_s
            while not self._read_up_to(most) and self._ended == "no":
                left = None if end is None else end - time.monotonic()
                if left is not None and left <= 0:
                    break
                self._poll.poll(None if left is None else left * 1000)
        if len(self._ready) <= most:
            found, self._ready = self._ready, []
        else:
            found, self._ready = self._ready[:most], self._ready[most:]
        return found

    def _read_up_to(self, most: int) -> bool:
        while len(self._ready) < most and self._read():
            pass
        return bool(self._ready)

    def _read(self) -> bool:
        """Read one packet; False when there is none."""
        if self._ended != "no":
            return False
        try:
            if not self._welcomed:
                self._hear_welcome()
            raw = wire.received(self._socket)
        except BlockingIOError:
            return False
        except UndulaError:
            self._ended = "lost"
            if self._died:  # before its welcome: its successor says that it is there
                return False
            raise
        try:
            if not raw:
                self._ended = "lost"
                return False
            kind, count, body = wire.opened(raw)
            if kind == wire.END:
                self._ended = "end"
            elif kind == wire.FRAMES:
                self._unpack(body, count)
            else:
                raise wire.nonsense(f"packet {kind} to a consumer")
        except UndulaError:
            self._ended = "lost"
            raise
        return True

    def _unpack(self, body: bytes | memoryview, count: int) -> None:
        if len(body) != count * DESCRIPTOR.size:
            raise wire.nonsense(f"{len(body)} bytes for {count} descriptors")
        slots, slot_bytes, memory = self._slots, self._slot_bytes, self._memory
        seen, ledger, ready = self.ledger.seen, self.ledger, self._ready
        for fields in DESCRIPTOR.iter_unpack(body):
            slot = fields[0]
            if slot < slots:
                frame = unpack(fields, memory, slot * slot_bytes, slot_bytes)
            elif slot < slots + self._spill_slots:
                frame = unpack(fields, self._spill, (slot - slots) * slot_bytes, slot_bytes)
            else:
                raise wire.nonsense(f"slot {slot} of {slots}")
            if self._resumed and (fate := ledger.fate(frame.seq_num)):
                # the node before it was started anew, and made it again
                self._done.append(slot if fate == "passed" else slot | wire.FAILED)
                continue
            seen.add(frame.seq_num)
            ready.append(frame)
        reached("pipes.received")

    def confirm(self, frame: Frame) -> None:
        """Done with it: its data are no longer valid."""
        self.ledger.passed.add(frame.seq_num)
        self._finish(frame, frame.slot)

    def fail(self, frame: Frame) -> None:
        """Done with it, but it could not be worked on."""
        self.ledger.failed.add(frame.seq_num)
        self._finish(frame, frame.slot | wire.FAILED)

    def _finish(self, frame: Frame, mark: int) -> None:
        self._done.append(mark)
        if frame.data.nbytes >= AT_ONCE_BYTES or len(self._done) >= CONFIRM_FRAMES:
            self.flush()

    def flush(self) -> None:
        """Let the producer know what was confirmed."""
        while self._done and self._ended != "lost":
            part = self._done[: wire.PER_CONFIRM]
            try:
                self._socket.send(wire.confirmation(part), socket.MSG_NOSIGNAL)
            except (BlockingIOError, InterruptedError):
                return  # the next call tries again
            except OSError:
                break  # it is gone; the end of file is still to be read, behind its last frames
            del self._done[: wire.PER_CONFIRM]
            reached("pipes.confirmed")
        self._done.clear()

    # ---- looking and ending --------------------------------------------------------------------

    def fileno(self) -> int:
        """Readable when `take` may have something."""
        return self._socket.fileno()

    @property
    def ended(self) -> Ended:
        """`end` behind the last frame, `lost` when the producer died; not while frames are left."""
        return "no" if self._ready else self._ended

    @property
    def owing(self) -> bool:
        """Whether confirmations wait for room on their way to the producer."""
        return bool(self._done) and self._ended != "lost"

    def close(self) -> None:
        """Hang up; frames not yet confirmed go to a successor, if the policy says so."""
        if self._socket.fileno() < 0:
            return
        self.flush()
        self._socket.close()
        self._ready.clear()


def owned(frame: Frame) -> Frame:
    """The frame with data of its own, which stay valid after it is confirmed."""
    frame.data = np.array(frame.data)
    return frame

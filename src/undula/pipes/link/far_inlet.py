"""Room: pipes. The consumer's end of a link from a producer on another host, over ZeroMQ.

In: the address of a producer, a name, a policy. Out: frames, their data in the memory that they
came in. A connection that breaks is made anew, again and again for `Liveness.patience_s`; what is
done and what is in hand (`in_hand`) is told then, so that nothing is lost or handed out twice.
"""

from __future__ import annotations

import time
import uuid
from typing import Any

import zmq
from zmq.utils.monitor import recv_monitor_message

from undula.core.errors import UndulaError
from undula.core.faults import reached
from undula.pipes.errors import PipeError
from undula.pipes.frame import DESCRIPTOR, Frame, unpack
from undula.pipes.ledger import EdgeLedger
from undula.pipes.link import wire
from undula.pipes.link.far import ALIGN, BATCH_BYTES, Ears, Liveness, need_keys, prepare
from undula.pipes.link.in_hand import InHand
from undula.pipes.link.keys import Keys
from undula.pipes.link.ports import Ended
from undula.pipes.policy import Policy

CONFIRM_FRAMES = 64
HELLO_TIMEOUT_S = 10.0
LINGER_S = 0.5
LOOK_S = 0.25
PAUSE_S, MOST_PAUSE_S = 0.05, 1.0
"""Between connections that nobody welcomes: the first pause, doubled each time, and the last."""
_NOT_TRUSTED = zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
_EVENTS = zmq.EVENT_DISCONNECTED | zmq.EVENT_HANDSHAKE_FAILED_AUTH | _NOT_TRUSTED


class FarInlet:
    """One consumer of a producer on another host.

    Args:
        address: where the producer listens, `tcp://HOST:PORT`.
        name: of this consumer; a successor has the same.
        policy: how it wants its frames.
        keys: of this host; only an address of this host alone may do without.
        host: name of the producer's host among the keys that are known; empty: this host.
        alive: when the producer counts as dead, and how long it is waited for.
        ledger: of the inlet before, when its producer was started anew.
        wait: until the producer has answered; otherwise the first frames say so, or `take` raises.
        turn: how many consumers of this name there were before; one with a higher turn, and the key
            of the same host, takes the place of those before it at once.
    Raises: PipeError when there is no such producer, or it refuses us.
    """

    def __init__(
        self,
        address: str,
        name: str,
        policy: Policy | None = None,
        *,
        keys: Keys | None = None,
        host: str = "",
        alive: Liveness | None = None,
        ledger: EdgeLedger | None = None,
        wait: bool = True,
        turn: int = 0,
    ) -> None:
        need_keys(address, keys)
        self._address, self.name, self._policy = address, name, policy or Policy()
        self._keys, self._alive = keys, alive or Liveness()
        self._server = b"" if keys is None else keys.of(host) if host else keys.public
        self._hand = InHand(ledger or EdgeLedger())
        self._token, self._turn = uuid.uuid4().hex, turn
        self._ready: list[Frame] = []
        self._ended: Ended = "no"
        self._welcomed = self.closed = False
        self.room = 1
        """Frames that it may have in hand before it holds the producer up."""
        self._missed_since = time.monotonic()
        self._open_at, self._pause_s = 0.0, 0.0
        self._is_open = self._hung_up_on = self._knew_us = False
        self._asked = self._answered = 0
        self._context = zmq.Context()
        self._ears = Ears()
        self._open()
        if wait:
            try:
                self._wait_for_welcome()
            except BaseException:  # whatever it is, it goes on to the caller
                self.close()
                raise

    # ---- the connection ------------------------------------------------------------------------

    def _open(self) -> None:
        """A new connection, and what is to be said first on it."""
        self._is_open = True
        made = self._socket = self._context.socket(zmq.DEALER)
        prepare(made, self._alive, self._address)
        if self._keys is not None:
            made.setsockopt(zmq.CURVE_SERVERKEY, self._server)
            made.setsockopt(zmq.CURVE_PUBLICKEY, self._keys.public)
            made.setsockopt(zmq.CURVE_SECRETKEY, self._keys.secret)
        self._monitor = made.get_monitor_socket(_EVENTS)
        self._ears.add(made)
        self._ears.add(self._monitor)
        made.connect(self._address)
        policy = self._policy
        hello = {
            "name": self.name, "kind": policy.kind, "every": policy.every,
            "disk_bytes": policy.disk_bytes, "budget_bytes": policy.budget_bytes,
            "token": self._token, "turn": self._turn,
        }  # fmt: skip
        self._welcomed = False
        made.send(wire.words(wire.HELLO, hello | self._hand.told()))
        self._ears.settle()

    def _shut(self, linger_s: float = 0.0) -> None:
        if not self._is_open:
            return
        self._is_open = self._welcomed = False
        self._ears.remove(self._socket)
        self._ears.remove(self._monitor)
        self._socket.disable_monitor()
        self._monitor.close(0)
        self._socket.close(round(linger_s * 1000))

    def _watch(self) -> None:
        """What libzmq says of the connection, which is made anew when it broke.

        A producer that had welcomed us and cannot be reached for `patience_s` is lost, as one on
        this host is that was killed. Raises: PipeError when our key was refused, or when nobody
        ever welcomed us for so long.
        """
        broken = False
        while self._is_open and self._ears.has(self._monitor):
            event = recv_monitor_message(self._monitor)
            if event["event"] == zmq.EVENT_HANDSHAKE_FAILED_AUTH:
                self._ended = "lost"
                raise PipeError(
                    f"the producer at {self._address} does not know the key of this host",
                    remedy="there: undula pipes trust THIS_HOST KEY, with the key that "
                    "`undula pipes keys` says here",
                    where=self.name,
                )
            self._hung_up_on = self._hung_up_on or bool(event["event"] & _NOT_TRUSTED)
            broken = True
        now = time.monotonic()
        if broken and self._ended != "lost":
            if self._welcomed:
                self._missed_since = now
            self._shut()
            self._open_at = now + self._pause_s
            self._pause_s = min(MOST_PAUSE_S, max(PAUSE_S, 2 * self._pause_s))
        if not self._is_open and self._ended != "lost" and now >= self._open_at:
            self._open()
        missed_s = now - self._missed_since
        if not self._welcomed and self._ended == "no" and missed_s > self._alive.patience_s:
            if not self._knew_us:
                raise self._nobody(f"welcomed this consumer for {self._alive.patience_s:g} s")
            self._ended = "lost"

    def _nobody(self, did: str) -> PipeError:
        return PipeError(
            f"no producer at {self._address} {did}",
            remedy="compare the key that `undula pipes keys` says there with the one that is known "
            "here: whoever listens there breaks off while keys are exchanged"
            if self._hung_up_on
            else "look whether it runs, whether the port is open, and whether its key is the one "
            "that is known here",
            where=self.name,
        )

    def _wait_for_welcome(self) -> None:
        end = time.monotonic() + HELLO_TIMEOUT_S
        while not self._welcomed:
            self.pump()
            if self._ended == "lost" or (not self._welcomed and time.monotonic() > end):
                raise self._nobody("answers")
            if not self._welcomed:
                self._ears.wait(LOOK_S)

    def pump(self) -> None:
        """Read what came, and make a broken connection anew; wait for nothing.

        Raises: WireError when the producer speaks nonsense, PipeError when it refuses us; it then
        counts as lost.
        """
        if self.closed:
            return
        try:
            while self._is_open and self._ended != "lost" and self._ears.has(self._socket):
                self._hear(self._socket.recv_multipart(copy=False))
            self._watch()
        except UndulaError:
            self._ended = "lost"
            raise
        finally:
            self._ears.settle()

    def _hear(self, parts: list[zmq.Frame]) -> None:
        kind, count, body = wire.opened(parts[0].bytes)
        if kind == wire.FRAMES and len(parts) == 2 and self._welcomed:
            self._unpack(bytes(body), count, parts[1])
        elif kind == wire.ASK:
            self._send_marks()
        elif kind == wire.ANSWER:
            self._answered = count
        elif kind == wire.WELCOME:
            answer = wire.content(body)
            producer, kept = answer.get("producer"), answer.get("kept")
            if not isinstance(producer, str) or not isinstance(kept, list):
                raise wire.nonsense("no welcome")
            self._hand.welcomed(producer, kept)
            self.room = wire.room_in(answer)
            self._welcomed, self._hung_up_on, self._pause_s = True, False, 0.0
            self._knew_us = True
            self._send_marks()  # of frames that were done while the answer was under way
        elif kind == wire.REFUSED:
            answer = wire.content(body)
            raise PipeError(
                str(answer.get("what")), remedy=str(answer.get("remedy")), where=self._address
            )
        elif kind == wire.END:
            self._ended = "end"
        elif kind == wire.LEAVE:
            self._ended = "lost" if self._ended == "no" else self._ended
        else:
            raise wire.nonsense(f"packet {kind} to a consumer")

    def _unpack(self, body: bytes, count: int, data: zmq.Frame) -> None:
        if len(body) != count * DESCRIPTOR.size:
            raise wire.nonsense(f"{len(body)} bytes for {count} descriptors")
        buffer: Any = data.buffer if len(data) >= BATCH_BYTES else data.bytes
        place, size = 0, len(data)
        for fields in DESCRIPTOR.iter_unpack(body):
            frame = unpack(fields, buffer, place, size - place)
            place += -(-frame.data.nbytes // ALIGN) * ALIGN
            if not frame.data.flags.aligned:
                frame.data = frame.data.copy()
            frame.data.flags.writeable = False
            if self._hand.came(frame.slot, frame.seq_num):
                self._ready.append(frame)
        reached("pipes.received")

    # ---- frames --------------------------------------------------------------------------------

    def take(self, most: int = 64, timeout_s: float | None = 0.0) -> list[Frame]:
        """Frames that came, in order; waits so long for the first, with None up to the end.

        Raises: WireError when the producer speaks nonsense; it then counts as lost.
        """
        if not self._ready:
            self.flush()
            end = None if timeout_s is None else time.monotonic() + timeout_s
            while not self._ready and self._ended == "no":
                self.pump()
                left = LOOK_S if end is None else min(LOOK_S, end - time.monotonic())
                if self._ready or self._ended != "no" or left <= 0:
                    break
                self._ears.wait(left)
        found, self._ready = self._ready[:most], self._ready[most:]
        return found

    def confirm(self, frame: Frame) -> None:
        """Done with it."""
        self._finish(frame, failed=False)

    def fail(self, frame: Frame) -> None:
        """Done with it, but it could not be worked on."""
        self._finish(frame, failed=True)

    def _finish(self, frame: Frame, *, failed: bool) -> None:
        self._hand.done(frame.slot, frame.seq_num, failed=failed)
        if frame.data.nbytes >= BATCH_BYTES or len(self._hand.marks) >= CONFIRM_FRAMES:
            self.flush()

    def flush(self) -> None:
        """Let the producer know what was confirmed."""
        if not self.closed:
            self._send_marks()
            self._ears.settle()

    def _send_marks(self) -> None:
        marks = self._hand.marks
        while marks and self._welcomed:
            self._socket.send(wire.confirmation(marks[: wire.PER_CONFIRM]))
            del marks[: wire.PER_CONFIRM]
            reached("pipes.confirmed")

    def settled(self, timeout_s: float) -> bool:
        """Wait so long until the producer knows all that was confirmed; whether it does."""
        end = time.monotonic() + timeout_s
        asked_on: Any = None
        while self._answered != self._asked or asked_on is None:
            left = end - time.monotonic()
            if left <= 0 or self._ended == "lost":
                return False
            if self._welcomed and asked_on is not self._socket:  # anew on each new connection
                asked_on = self._socket
                self._asked += 1
                self._send_marks()
                self._socket.send(wire.packet(wire.ASK, b"", self._asked))
            self._ears.wait(min(left, LOOK_S))
            self.pump()
        return True

    # ---- looking and ending --------------------------------------------------------------------

    def fileno(self) -> int:
        """Readable when `take` may have something, or the connection needs `pump`."""
        return self._ears.fileno()

    @property
    def ended(self) -> Ended:
        """`end` behind the last frame, `lost` when the producer died; not while frames are left."""
        return "no" if self._ready else self._ended

    @property
    def connected(self) -> bool:
        """Whether the producer has welcomed this connection."""
        return self._welcomed

    @property
    def owing(self) -> bool:
        """Whether confirmations wait for a connection to the producer."""
        return bool(self._hand.marks) and self._ended != "lost" and not self.closed

    @property
    def ledger(self) -> EdgeLedger:
        """What this end has counted; given to the next inlet of this edge, it goes on."""
        return self._hand.ledger

    def lose(self) -> None:
        """The producer is known to be dead: what came is still handed out, nothing else awaited."""
        self._ended = "lost" if self._ended == "no" else self._ended

    def close(self) -> None:
        """Hang up; frames not yet confirmed go to a successor, if the policy says so."""
        if self.closed:
            return
        self.flush()
        if self._welcomed:
            self._socket.send(wire.packet(wire.LEAVE, b""))
        self.closed = True
        self._ready.clear()
        self._shut(LINGER_S if self._welcomed else 0.0)
        self._ears.close()
        self._context.term()

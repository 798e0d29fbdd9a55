"""Room: the message bus. The publisher: from the engine's socket to the broker's journals.

In: frames from engines, in order. Out: journal entries with explicit ids; word of what is appended
and acknowledged; progress and broker status. Called by: `processes.publisher`. It outlives the
engine and appends what that has sent. Loss: none while it lives.

Two links: one appends, the other waits for `WAITAOF` behind a small write of its own (on a link
that has not written, `WAITAOF` confirms nothing), so that a slow disk never delays the live view.
When either breaks, both are made anew and all that is unacknowledged is appended again; the broker
refuses what it has ("equal or smaller than the target stream top item"). What it refuses for any
other reason (a key of a wrong type) is told to the engine: that run ends as failed.
"""

from __future__ import annotations

import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis

from undula.bus import frames
from undula.bus.codec import encode
from undula.bus.endpoints import BROKER_STATUS, RUN_PROGRESS
from undula.bus.frames import DOCUMENT, HELLO, REFUSED, WELCOME, Frame
from undula.bus.held_frames import (
    HeldFrame,
    SendingEngine,
    appending,
    has_entry,
    published,
    strictly,
)
from undula.bus.journals import Journals
from undula.bus.link import LOST, Address, Command, Link, backoff_s, in_words
from undula.core.errors import WireError
from undula.core.faults import reached
from undula.core.log import get_logger
from undula.core.unix_socket import bind_for_group
from undula.messages import BrokerStatus

WINDOW_S = 0.005
ROUND_S = 0.02
PROGRESS_S = 0.05
STATUS_S = 1.0
BATCH_FRAMES = 2000
BATCH_BYTES = 4_000_000
HELD_BYTES = 400_000_000
HELLO_S = 2.0
_WAIT_MS = 200
_MARK = "publisher/mark"
_DUPLICATE = "equal or smaller than the target stream top item"


@dataclass
class _Links:
    append: Link
    confirm: Link
    broken: bool = False
    marked: HeldFrame | None = None


class Publisher:
    """Appends what engines send; see the module.

    Args:
        socket_path: where it listens.
        address: the broker, with the login of a service.
        status: asks a link for the broker's status; published once a second.
    """

    def __init__(
        self, socket_path: Path, address: Address, status: Callable[[Link], BrokerStatus]
    ) -> None:
        self._path, self._address, self._status = socket_path, address, status
        lock = threading.Lock()
        self._changed = threading.Condition(lock)
        self._arrived = threading.Condition(lock)  # for the appending thread alone
        self._queue: deque[HeldFrame] = deque()  # received, not appended
        self._unconfirmed: deque[HeldFrame] = deque()  # appended, not acknowledged
        self._held_bytes = 0
        self._engines: dict[str, SendingEngine] = {}
        self._readers: dict[socket.socket, threading.Thread] = {}
        self._journals = Journals()
        self._links: _Links | None = None
        self._append_only = True
        self._appended_last: HeldFrame | None = None
        self._closing = self._flushing = self._left = False
        self._listener: socket.socket | None = None
        self._threads: list[threading.Thread] = []
        self.trouble = ""
        self.connected = threading.Event()

    def start(self) -> None:
        """Listen, and begin to work. Raises: OSError when the socket cannot be made."""
        listener = bind_for_group(self._path)
        listener.listen(8)
        self._listener = listener
        for work in (self._accept, self._append_all, self._confirm_all):
            thread = threading.Thread(target=work, name=work.__name__, daemon=True)
            thread.start()
            self._threads.append(thread)

    @property
    def held(self) -> int:
        """How many frames are not acknowledged."""
        with self._changed:
            return len(self._queue) + len(self._unconfirmed)

    def close(self, flush_s: float = 3.0) -> bool:
        """Take no more, flush, end. False when something could not be flushed in time."""
        self._left = True
        self._path.unlink(missing_ok=True)
        if self._listener is not None:
            self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
        with self._changed:
            self._flushing = True
            readers = dict(self._readers)
        for connection, thread in readers.items():
            _shut(connection, socket.SHUT_RD)
            thread.join(1.0)
        with self._changed:
            flushed = self._changed.wait_for(
                lambda: not self._queue and not self._unconfirmed, flush_s
            )
            self._closing = True
            links = self._links
            self._changed.notify_all()
            self._arrived.notify_all()
        if links is not None and not flushed:
            links.append.hang_up()
            links.confirm.hang_up()
        for thread in self._threads[1:]:
            thread.join(5.0)
        for connection in readers:
            connection.close()
        return flushed

    # Receiving: one thread a connection.

    def _accept(self) -> None:
        while self._listener is not None:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                if self._left:
                    return
                time.sleep(0.05)  # e.g. no file descriptor left: the next one may find some
                continue
            connection.settimeout(HELLO_S)  # a silent stranger must not hold up an engine
            with self._changed:
                earlier = list(self._readers)
                thread = threading.Thread(
                    target=self._receive, args=(connection, earlier), daemon=True
                )
                self._readers[connection] = thread
            thread.start()

    def _receive(self, connection: socket.socket, earlier: list[socket.socket]) -> None:
        """Read one engine's connection to its end."""
        buffer, engine = bytearray(), None
        try:
            while data := connection.recv(262_144):
                buffer += data
                for frame in frames.unpack_frames(buffer):
                    if frame.kind == HELLO:
                        connection.settimeout(None)
                        engine = self._greet(earlier, connection, frame)
                    elif engine is None:
                        raise WireError("no hello", remedy="connect only the engine here")
                    else:
                        self._take(engine, frame)
        except (OSError, WireError, UnicodeDecodeError) as exc:
            get_logger().warning("engine_connection_ended", why=str(exc))
        finally:
            with self._changed:
                self._readers.pop(connection, None)
                if not self._flushing:  # else the last words are still to be said
                    if engine is not None and engine.connection is connection:
                        engine.connection = None
                    connection.close()
                self._changed.notify_all()

    def _greet(
        self, earlier: list[socket.socket], connection: socket.socket, hello: Frame
    ) -> SendingEngine:
        """Answer a hello once everything from earlier connections is appended, and safe."""

        engine_id = str(hello.payload, "ascii")

        def settled() -> bool:
            busy = any(other in self._readers for other in earlier)
            return not (busy or self._queue or self._unconfirmed)

        with self._changed:
            self._changed.wait_for(lambda: self._closing or settled())
            known = self._engines.get(engine_id) or SendingEngine(engine_id)
            self._engines = {engine_id: known}
            known.connection, known.maybe_sent = connection, hello.index
            known.told = (known.appended, known.acknowledged)
            refused, known.refused = known.refused, []
            word = b"".join(frames.pack_word(REFUSED, seq, 0) for seq in refused)
            word += frames.pack_word(WELCOME, *known.told)
        connection.sendall(word)
        get_logger().info("engine_connected", engine=engine_id, acknowledged=known.acknowledged)
        return known

    def _take(self, engine: SendingEngine, frame: Frame) -> None:
        with self._changed:
            if frame.seq <= engine.received:
                return  # sent again after a hiccup; it is still held here
            engine.received = frame.seq
            self._queue.append(HeldFrame(engine, frame, again=frame.seq <= engine.maybe_sent))
            self._held_bytes += len(frame.payload)
            if len(self._queue) == 1:
                self._arrived.notify()
            if self._held_bytes > HELD_BYTES:
                self._changed.wait_for(lambda: self._held_bytes < HELD_BYTES or self._closing)
        reached("publisher.received")

    # Appending.

    def _append_all(self) -> None:
        attempt, last = 0, 0.0
        while True:
            links = self._ready_links()
            if links is None:
                return
            pause = last + WINDOW_S - time.monotonic()
            if pause > 0:
                time.sleep(pause)
            batch = self._next_batch()
            last = time.monotonic()
            if not batch:
                continue
            try:
                refused = self._append(links.append, batch)
            except (*LOST, redis.ResponseError) as exc:
                self._put_back(batch)
                self._break(links, exc)
                continue
            if refused:
                self._put_back(batch)
                attempt += 1
                self._troubled(refused)
                with self._changed:
                    self._changed.wait_for(lambda: self._closing, backoff_s(attempt))
                continue
            attempt, self.trouble = 0, ""
            self._note_appended(batch)

    def _ready_links(self) -> _Links | None:
        """Wait for something to append and for links; None when closing."""
        while True:
            with self._changed:
                self._arrived.wait_for(
                    lambda: (
                        self._closing or self._queue or self._links is None or self._links.broken
                    )
                )
                if self._closing:
                    return None
                links = self._links
                if links is not None and not links.broken:
                    return links
                self._again()
            self._reconnect()

    def _again(self) -> None:
        """All that is not acknowledged is to be appended once more; the lock is held."""
        for held in self._unconfirmed:
            held.again = True
        self._queue.extendleft(reversed(self._unconfirmed))
        self._unconfirmed.clear()
        self._appended_last = None
        self._links = None

    def _reconnect(self) -> None:
        attempt = 0
        while not self._closing:
            links = _Links(Link(self._address), Link(self._address))
            try:
                for link in (links.append, links.confirm):
                    link.connect()
                links.confirm.call("SET", _MARK, "1")
            except (*LOST, redis.RedisError) as exc:
                links.append.close()
                links.confirm.close()
                attempt += 1
                self._troubled(exc)
                full = isinstance(exc, redis.ResponseError) and not isinstance(exc, LOST)
                with self._changed:
                    pause = backoff_s(7 if full else attempt)
                    self._changed.wait_for(lambda: self._closing, pause)
                continue
            with self._changed:
                self._links, self.trouble = links, ""
                self._changed.notify_all()
            self.connected.set()
            get_logger().info("broker_connected", attempts=attempt + 1)
            return

    def _troubled(self, error: Exception) -> None:
        words = in_words(error, self._address)
        if words.what != self.trouble:
            get_logger().warning("broker_trouble", what=words.what, remedy=words.remedy)
        self.trouble = words.what

    def _break(self, links: _Links, error: Exception) -> None:
        with self._changed:
            if not links.broken:
                get_logger().warning("broker_lost", why=str(error))
            links.broken = True
            self._arrived.notify_all()
        links.append.hang_up()
        links.confirm.hang_up()

    def _next_batch(self) -> list[HeldFrame]:
        batch: list[HeldFrame] = []
        size = 0
        with self._changed:
            while self._queue and len(batch) < BATCH_FRAMES and size < BATCH_BYTES:
                held = self._queue[0]
                if held.again and held.frame.kind != DOCUMENT and batch:
                    break  # looked up alone, see _append
                batch.append(self._queue.popleft())
                size += len(held.frame.payload)
                if held.again and held.frame.kind != DOCUMENT:
                    break
            self._unconfirmed.extend(batch)
        return batch

    def _put_back(self, batch: list[HeldFrame]) -> None:
        """Return a batch to the front of the queue; its fate may be unknown."""
        with self._changed:
            if self._unconfirmed and self._unconfirmed[-1] is batch[-1]:
                for _ in batch:
                    self._unconfirmed.pop()
                for held in batch:
                    held.again = True
                self._queue.extendleft(reversed(batch))

    def _append(self, link: Link, batch: list[HeldFrame]) -> Exception | None:
        """Append a batch as one transaction. Returns why the broker refused it as a whole."""
        first = batch[0]
        if first.again and first.frame.kind != DOCUMENT and has_entry(link, first.frame):
            return None
        commands: list[Command] = [("MULTI",), *(appending(h.frame) for h in batch), ("EXEC",)]
        done = link.pipe(commands)[-1]
        if isinstance(done, redis.BusyLoadingError):
            raise done
        if isinstance(done, Exception):
            return done
        for held, reply in zip(batch, done, strict=True):
            if isinstance(reply, Exception) and _DUPLICATE not in str(reply):
                self._note_refused(held, str(reply))
        return None

    def _note_refused(self, held: HeldFrame, why: str) -> None:
        """The broker will never take it: the engine is told so before it is told `acknowledged`."""
        key, index = held.frame.key, held.frame.index
        get_logger().error("document_refused", key=key, index=index, why=why)
        with self._changed:
            held.engine.refused.append(held.frame.seq)
            self._journals.note_refused(held.frame)

    def _note_appended(self, batch: list[HeldFrame]) -> None:
        with self._changed:
            for held in batch:
                held.engine.appended = max(held.engine.appended, held.frame.seq)
                self._journals.note_appended(held.frame)
            self._appended_last = batch[-1]
            self._changed.notify_all()
        for _ in batch:
            reached("publisher.appended")

    # Confirming.

    def _confirm_all(self) -> None:
        last_progress = last_status = 0.0
        while True:
            started = time.monotonic()
            with self._changed:
                self._changed.wait_for(lambda: self._closing or self._to_confirm(), PROGRESS_S)
                if self._closing:
                    return
                links, last = self._links, self._appended_last
            if links is None or links.broken:
                self._tell_engines()
                self._rest(started)
                continue
            try:
                self._confirm(links, last)
                moment = time.monotonic()
                if moment - last_progress >= PROGRESS_S:
                    last_progress = moment
                    self._publish_progress(links.confirm)
                if moment - last_status >= STATUS_S:
                    last_status = moment
                    self._publish_status(links.confirm)
            except redis.ResponseError as exc:
                self._troubled(exc)
            except LOST as exc:
                self._break(links, exc)
            self._tell_engines()
            self._rest(started)

    def _to_confirm(self) -> bool:
        last, first = self._appended_last, self._unconfirmed[0] if self._unconfirmed else None
        return last is not None and first is not None and self._links is not None

    def _rest(self, started: float) -> None:
        pause = started + ROUND_S - time.monotonic()
        if pause > 0:
            with self._changed:
                self._changed.wait_for(lambda: self._closing, pause)

    def _confirm(self, links: _Links, last: HeldFrame | None) -> None:
        """Acknowledge everything up to `last`, once the append-only file holds it.

        The mark is written once and then waited for, however long the disk takes.
        """
        commands: list[Command] = []
        if links.marked is None:
            with self._changed:
                if last is None or last not in self._unconfirmed:
                    return
            links.marked = last
            commands.append(("PEXPIRE", _MARK, 86_400_000))
        marked = links.marked
        if self._append_only:
            commands.append(("WAITAOF", 1, 0, _WAIT_MS))
        replies = links.confirm.pipe(commands) if commands else [[1, 0]]
        if commands[:1] == [("PEXPIRE", _MARK, 86_400_000)] and replies[0] != 1:
            links.marked = None  # nothing written: what WAITAOF said means nothing
            links.confirm.call("SET", _MARK, "1")
            return
        if self._append_only and not self._confirmed(replies[-1]):
            return
        links.marked = None
        self._note_acknowledged(links, marked)

    def _confirmed(self, reply: Any) -> bool:
        """Whether `WAITAOF` said yes; a server without a file is taken at its word."""
        if not isinstance(reply, Exception):
            return bool(reply[0] >= 1)
        if "appendonly is disabled" not in str(reply) and "unknown command" not in str(reply):
            raise reply
        self._append_only = False
        get_logger().warning("broker_keeps_no_file", why=str(reply))
        return True

    def _note_acknowledged(self, links: _Links, last: HeldFrame) -> None:
        number = 0
        with self._changed:
            if links.broken or last not in self._unconfirmed:
                return
            while True:
                held = self._unconfirmed.popleft()
                number += 1
                self._held_bytes -= len(held.frame.payload)
                held.engine.acknowledged = max(held.engine.acknowledged, held.frame.seq)
                self._journals.note_acknowledged(held.frame)
                if held is last:
                    break
            self._changed.notify_all()
        for _ in range(number):
            reached("publisher.acknowledged")

    def _tell_engines(self) -> None:
        with self._changed:
            for engine in self._engines.values():
                engine.tell()

    def _publish_progress(self, link: Link) -> None:
        with self._changed:
            news = list(self._journals.news())
        commands = [
            command
            for message in news
            for command in published(RUN_PROGRESS.key(uid=message.uid), encode(message))
        ]
        strictly(link, commands)

    def _publish_status(self, link: Link) -> None:
        status = self._status(link)
        if not self._append_only:
            off = "everything: this server keeps no append-only file"
            status = status.model_copy(update={"fsync": "off", "power_cut_costs": off})
        strictly(link, published(BROKER_STATUS.key(), encode(status)))


def _shut(connection: socket.socket, how: int) -> None:
    try:
        connection.shutdown(how)
    except OSError:
        return

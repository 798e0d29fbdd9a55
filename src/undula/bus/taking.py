"""Room: the message bus. The server's side of requests: take, answer once, keep outcomes.

In: entries of request streams. Out: requests; replies to per-request lists. Called by:
`bus.connector` only. The consumer group `undula` holds the cursor and what is taken, unanswered.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from undula.bus import rules
from undula.bus.codec import decode, encode
from undula.bus.endpoints import Endpoint
from undula.bus.link import Command
from undula.core.clock import now
from undula.core.errors import BusError, WireError
from undula.core.log import get_logger
from undula.messages import Reply, Request

R = TypeVar("R", bound=Request)
GROUP = "undula"
_CONSUMER = "server"
_COUNT = 100


class _Run(Protocol):
    def __call__(self, commands: Sequence[Command], *, again: bool) -> list[Any]: ...


@dataclass(frozen=True, slots=True)
class _Entry:
    """One entry of a request stream."""

    key: str
    entry_id: str
    request_id: str
    payload: bytes


class RequestServer:
    """Takes requests from the broker and answers each exactly once. Thread-safe."""

    def __init__(self, run: _Run) -> None:
        self._run = run
        self._open: dict[str, list[_Entry]] = {}
        self._groups: set[str] = set()
        self._lock = threading.RLock()
        self._look_back = False

    def take(self, endpoints: Sequence[Endpoint[R]], block_s: float) -> list[tuple[Endpoint[R], R]]:
        """New requests, in order; waits up to `block_s` for the first."""
        by_key = {endpoint.key(): endpoint for endpoint in endpoints}
        if self._look_back:
            entries = self._unanswered(list(by_key))
            self._look_back = False
        else:
            entries = self._new_entries(list(by_key), block_s)
        taken: list[tuple[Endpoint[R], R]] = []
        for entry in entries:
            try:
                request = self._admit(by_key[entry.key], entry)
            except BusError:
                self._look_back = True  # this one and those behind it are taken up again
                if taken:
                    return taken
                raise
            if request is not None:
                taken.append((by_key[entry.key], request))
        return taken

    def reply(self, request: Request, reply: Reply) -> None:
        """Answer; everybody who asked with this id gets the same."""
        with self._lock:
            entries = self._open.get(request.request_id)
            if entries is None or reply.request_id != request.request_id:
                raise BusError(
                    f"request {request.request_id} is not open here",
                    remedy="answer a taken request once, under its own id",
                )
            self._answer(entries, reply)

    def answer_abandoned(
        self,
        endpoints: Sequence[Endpoint[R]],
        resolve: Callable[[R], Reply | None] | None,
    ) -> int:
        """Answer what a dead server had taken. Returns how many."""
        by_key = {endpoint.key(): endpoint for endpoint in endpoints}
        entries = self._unanswered(list(by_key))
        for entry in entries:
            kept = self._kept(entry.request_id)
            reply = kept or _resolved(by_key[entry.key], entry, resolve)
            self._answer([entry], reply or rules.abandoned(entry.request_id), keep=kept is None)
        return len(entries)

    def _new_entries(self, keys: list[str], block_s: float) -> list[_Entry]:
        self._make_groups(keys)
        block = ("BLOCK", max(1, int(block_s * 1000))) if block_s > 0 else ()
        head: Command = ("XREADGROUP", "GROUP", GROUP, _CONSUMER, "COUNT", _COUNT)
        command = (*head, *block, "STREAMS", *keys, *([">"] * len(keys)))
        try:
            return self._parse(self._run([command], again=False)[0])
        except BusError as exc:
            self._look_back = True  # the answer may have been lost with entries in it
            self._groups.clear()
            if "NOGROUP" in exc.what or "UNBLOCKED" in exc.what:
                return []
            raise

    def _unanswered(self, keys: list[str]) -> list[_Entry]:
        """Entries marked as taken, but for those that this server works on."""
        self._make_groups(keys)
        found: list[_Entry] = []
        after = dict.fromkeys(keys, "0")
        while after:
            head: Command = ("XREADGROUP", "GROUP", GROUP, _CONSUMER, "COUNT", _COUNT, "STREAMS")
            reply = self._run([(*head, *after, *after.values())], again=True)[0]
            streams = {str(key, "ascii"): raw for key, raw in reply or [] if raw}
            found += self._parse(list(streams.items()))
            after = {key: str(raw[-1][0], "ascii") for key, raw in streams.items()}
        with self._lock:
            mine = {(e.key, e.entry_id) for entries in self._open.values() for e in entries}
        return [entry for entry in found if (entry.key, entry.entry_id) not in mine]

    def _make_groups(self, keys: list[str]) -> None:
        missing = [key for key in keys if key not in self._groups]
        for key in missing:
            try:
                self._run([("XGROUP", "CREATE", key, GROUP, "0", "MKSTREAM")], again=True)
            except BusError as exc:
                if "BUSYGROUP" not in exc.what:
                    raise
            self._groups.add(key)

    def _parse(self, reply: Any) -> list[_Entry]:
        entries: list[_Entry] = []
        for raw_key, raw_entries in reply or []:
            key = raw_key if isinstance(raw_key, str) else str(raw_key, "ascii")
            for raw_id, raw_fields in raw_entries:
                entry_id = str(raw_id, "ascii")
                fields = (
                    dict(zip(raw_fields[::2], raw_fields[1::2], strict=False)) if raw_fields else {}
                )
                request_id = fields.get(b"id", b"").decode("ascii", "replace")
                if rules.is_request_id(request_id):
                    entries.append(_Entry(key, entry_id, request_id, fields.get(b"m", b"")))
                else:
                    get_logger().warning("request_without_id_dropped", key=key, id=entry_id)
                    self._run([("XACK", key, GROUP, entry_id)], again=True)
        return entries

    def _admit(self, endpoint: Endpoint[R], entry: _Entry) -> R | None:
        """The request, when it is for the caller to carry out; otherwise it is dealt with here."""
        with self._lock:
            others = self._open.get(entry.request_id)
            if others is not None:
                others.append(entry)
                return None
        kept = self._kept(entry.request_id)
        if kept is not None:
            self._answer([entry], kept, keep=False)
            return None
        try:
            request = decode(entry.payload, endpoint.message)
            if request.request_id != entry.request_id:
                raise WireError("two request ids", remedy="send one id in both places")
        except WireError as exc:
            get_logger().warning("request_refused", endpoint=endpoint.pattern, why=exc.what)
            self._answer([entry], rules.error_reply(entry.request_id, exc))
            return None
        if request.deadline <= now():
            self._answer([entry], rules.late(entry.request_id))
            return None
        with self._lock:
            self._open[entry.request_id] = [entry]
        return request

    def _kept(self, request_id: str) -> Reply | None:
        payload = self._run([("GET", f"outcomes/{request_id}")], again=True)[0]
        return None if payload is None else decode(payload, Reply)

    def _answer(self, entries: list[_Entry], reply: Reply, *, keep: bool = True) -> None:
        """Outcome, replies and marks change together; then nobody may join any more."""
        payload, request_id = encode(reply), entries[0].request_id
        with self._lock:  # a repeated request joins before, or finds the outcome after
            commands: list[Command] = [("MULTI",)]
            if keep:
                commands.append(
                    ("SET", f"outcomes/{request_id}", payload, "EX", rules.OUTCOME_KEPT_S)
                )
            commands.append(("RPUSH", f"replies/{request_id}", *([payload] * len(entries))))
            commands.append(("EXPIRE", f"replies/{request_id}", rules.REPLY_KEPT_S))
            commands += [("XACK", entry.key, GROUP, entry.entry_id) for entry in entries]
            commands.append(("EXEC",))
            self._run(commands, again=True)
            self._open.pop(request_id, None)


def _resolved(
    endpoint: Endpoint[R], entry: _Entry, resolve: Callable[[R], Reply | None] | None
) -> Reply | None:
    if resolve is None:
        return None
    try:
        return resolve(decode(entry.payload, endpoint.message))
    except WireError:
        return None

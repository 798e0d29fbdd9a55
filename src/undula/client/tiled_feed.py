"""A Tiled catalogue fed from the journals of runs. The extra `tiled`; a server of your own.

In: a client of a beamline, a client of Tiled. Out: each run as a container there, as Bluesky's
`TiledWriter` makes it. It reads the journals with a cursor of its own: it may be slow, die and be
started again, and no scan notices. What is there only in part is written anew.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from undula.bus.endpoints import RUN_DOCUMENTS, RUNS_OPENED
from undula.bus.ports import BEGIN, Connector
from undula.client.runs import Run
from undula.core.errors import InputError, ServiceError, StorageError, UndulaError

BATCH_EVENTS = 500
"""Events that are sent to Tiled together; a live run lags by so many at most."""
POLL_S = 0.5
RETRY_S = 10.0
_READ = 1000


def connect_tiled(uri: str) -> Any:
    """A client of a Tiled server; its key is taken from `TILED_API_KEY` or Tiled's own login.

    Raises: ServiceError when Tiled is not installed or not there.
    """
    try:
        from tiled.client import from_uri
    except ImportError as exc:
        raise ServiceError("Tiled is not installed", remedy="pip install 'undula[tiled]'") from exc
    try:
        return from_uri(uri)
    except Exception as exc:  # Tiled and httpx raise what they like
        raise _refused(f"{uri} cannot be reached", exc) from exc


def _refused(what: str, exc: BaseException) -> ServiceError:
    line = (str(exc).splitlines() or [type(exc).__name__])[0]
    return ServiceError(
        f"Tiled: {what}: {line}", remedy="look at the Tiled server and at TILED_API_KEY"
    )


@dataclass(slots=True)
class _Live:
    """A run that is being fed."""

    uid: str
    number: int
    imported: bool = False
    writer: Any = None
    cursor: str = BEGIN
    index: int = 0
    done: bool = False


class TiledFeed:
    """Feeds runs to Tiled.

    Args:
        tiled: a client of a Tiled container that can be written.
        connector: the bus, for runs that are open; None: those that are closed only.
        tell: gets a line for each run that is done, and for what went wrong.
        run_of: a run of the history by its uid: imported ones have no journal, but an archive.
    """

    def __init__(
        self,
        tiled: Any,
        connector: Connector | None = None,
        tell: Callable[[str], None] = lambda _: None,
        run_of: Callable[[str], Run] | None = None,
    ) -> None:
        self._run_of = run_of
        self._tiled, self._connector, self._tell = tiled, connector, tell
        self._live: dict[str, _Live] = {}
        self._opened = BEGIN

    def feed(self, runs: Iterable[Run]) -> int:
        """Put closed runs there, from their archives. Returns: how many were not there yet.

        Raises: ServiceError when Tiled refuses; InputError for a run that is still open.
        """
        count = 0
        for run in runs:
            documents = run.documents()
            try:
                if not self._wanted(run.uid):
                    continue
                writer = None
                for name, doc in documents:
                    writer = writer or self._writer()
                    writer(name, doc)
            except UndulaError:
                raise
            except Exception as exc:  # Tiled and httpx raise what they like
                raise _refused(f"run {run.number} was not taken", exc) from exc
            count += 1
            self._tell(f"run {run.number} is in Tiled")
        return count

    def follow(self, stop: threading.Event) -> None:
        """Feed every run whose journal is there, and each that opens, until `stop` is set."""
        while not stop.is_set():
            try:
                self.step()
                stop.wait(POLL_S)
            except UndulaError as error:  # Tiled or the broker is away
                self._tell(str(error))
                stop.wait(RETRY_S)

    def step(self) -> None:
        """One round. Raises: ServiceError, BusError; the next round begins where it has to."""
        if self._connector is None:
            raise ServiceError("this feed has no bus", remedy="give it a connector")
        while entries := self._connector.read(RUNS_OPENED, after=self._opened):
            for cursor, opened in entries:
                self._opened = cursor
                self._live.setdefault(opened.uid, _Live(opened.uid, opened.number, opened.imported))
        for live in list(self._live.values()):
            try:
                self._advance(live)
            except UndulaError:
                raise
            except Exception as exc:  # Tiled and httpx raise what they like
                live.writer = None  # it is written anew
                raise _refused(f"run {live.number} was not taken", exc) from exc
            if live.done:
                del self._live[live.uid]

    def _advance(self, live: _Live) -> None:
        connector = self._connector
        if connector is None:
            return
        if live.imported and self._run_of is not None:
            self._feed_imported(live, self._run_of)
            live.done = True
            return
        if live.writer is None:
            if connector.last_id(RUN_DOCUMENTS, uid=live.uid) == BEGIN or not self._wanted(
                live.uid
            ):
                live.done = True  # its journal is gone, `feed` takes the archive; or it is there
                return
            live.writer, live.cursor, live.index = self._writer(), BEGIN, 0
        while entries := connector.read(
            RUN_DOCUMENTS, after=live.cursor, count=_READ, uid=live.uid
        ):
            for cursor, document in entries:
                if document.index > live.index:
                    live.writer(document.name, document.doc)
                    live.index = document.index
                live.cursor = cursor
                if document.name == "stop":
                    live.done = True
                    self._tell(f"run {live.number} is in Tiled")
                    return

    def _feed_imported(self, live: _Live, run_of: Callable[[str], Run]) -> None:
        """From its archive. One without is told of, and passed over: others wait behind it."""
        try:
            self.feed([run_of(live.uid)])
        except (InputError, StorageError) as error:
            self._tell(f"run {live.number} is not in Tiled: {error}")

    def _writer(self) -> Any:
        from bluesky.callbacks.tiled_writer import TiledWriter

        return TiledWriter(self._tiled, batch_size=BATCH_EVENTS)

    def _wanted(self, uid: str) -> bool:
        """It is not there; a part of it is taken away first."""
        if uid not in self._tiled:
            return True
        node = self._tiled[uid]
        if "stop" in node.metadata:
            return False
        node.delete(recursive=True, external_only=False)
        return True

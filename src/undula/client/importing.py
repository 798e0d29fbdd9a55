"""Runs that were made elsewhere: a Bluesky document stream becomes a run as any other.

In: JSON lines, or a live RunEngine that has an `Importer` as subscriber. Out: a number, a NeXus
file, its archive, an entry in the history, marked as imported. All documents are checked first; a
stream that is refused leaves nothing behind, one that dies on the way is finished by the next
import or by the writer at its start (`undula.writer.imported`).

    RE.subscribe(Importer("x07mb", origin="old beamline"))
"""

from __future__ import annotations

import json
import socket
import tempfile
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import event_model

from undula.bus.codec import decode, encode_document
from undula.bus.endpoints import ENGINE_IMPORT
from undula.catalogue import Catalogue, RunRecord, SqliteCatalogue
from undula.catalogue.imported import IMPORTED
from undula.client.client import connect
from undula.client.link import login_name
from undula.core.access import Access
from undula.core.clock import now
from undula.core.errors import AccessError, InputError, StorageError, UndulaError
from undula.core.paths import BeamlinePaths, beamline_paths, default_beamline
from undula.core.settings import BeamlineSettings, load_settings
from undula.files import sound_stop
from undula.messages import RunDocument
from undula.scans.places import run_path
from undula.writer.imported import Imported, Imports

Named = tuple[str, dict[str, Any]]
_MEMORY_BYTES = 32 << 20
KNOWN = frozenset(
    {"start", "descriptor", "event", "event_page", "stop", "resource", "datum", "datum_page",
     "stream_resource", "stream_datum"}
)  # fmt: skip
_STREAMED = ("event", "event_page")


class Check:
    """Looks at the documents of one run in order. Raises: InputError, naming the document."""

    def __init__(self) -> None:
        self.start: dict[str, Any] = {}
        self.stop: dict[str, Any] = {}
        self.num_events: dict[str, int] = {}
        self._streams: dict[str, tuple[str, frozenset[str]]] = {}
        self._count = 0

    def take(self, name: str, doc: dict[str, Any]) -> None:
        """The next document."""
        self._count += 1
        if name not in KNOWN:
            raise self._refused(f"{name!r} is no document that a run can keep")
        try:
            event_model.schema_validators[event_model.DocumentNames[name]].validate(doc)
        except Exception as exc:  # each version of the validator has another base class
            text = str(exc).splitlines()[0] if str(exc) else repr(exc)
            raise self._refused(f"{name} is not valid: {text}") from exc
        if self.stop:
            raise self._refused(f"{name} follows the stop document")
        if bool(self.start) == (name == "start"):
            raise self._refused(f"{name} comes {'twice' if self.start else 'before the start'}")
        if name == "start":
            self.start = doc
        elif name == "descriptor":
            self._own(doc)
            stream = str(doc.get("name") or "primary")
            self._streams[doc["uid"]] = stream, frozenset(doc["data_keys"])
            self.num_events.setdefault(stream, 0)
        elif name in _STREAMED:
            self._events(name, doc)
        elif name == "stop":
            self._own(doc)
            self.stop = doc

    def ended(self) -> None:
        """After the last document."""
        if not self.stop:
            raise self._refused("there is no stop document: the stream is cut short")
        told = self.stop.get("num_events") or {}
        for stream, number in told.items():
            if stream in self.num_events and 0 < self.num_events[stream] < number:
                raise self._refused(
                    f"{stream} has {self.num_events[stream]} events, the stop document says "
                    f"{number}"
                )

    def _own(self, doc: dict[str, Any]) -> None:
        if doc["run_start"] != self.start["uid"]:
            raise self._refused("it is of another run")

    def _events(self, name: str, doc: dict[str, Any]) -> None:
        known = self._streams.get(doc["descriptor"])
        if known is None:
            raise self._refused(f"{name} has a descriptor that did not come")
        stream, keys = known
        if set(doc["data"]) - keys:
            extra = ", ".join(sorted(set(doc["data"]) - keys))
            raise self._refused(f"{name} has {extra}, which its descriptor has not")
        page = name == "event_page"
        if page and any(len(v) != len(doc["seq_num"]) for v in doc["data"].values()):
            raise self._refused("event_page has columns of different length")
        self.num_events[stream] += len(doc["seq_num"]) if page else 1

    def _refused(self, why: str) -> InputError:
        return InputError(
            f"document {self._count}: {why}",
            remedy="give the whole stream of a run, from start to stop, as Bluesky made it",
        )


def read_documents(path: Path) -> Iterator[Named]:
    """Documents of a file of JSON lines: `{"name", "doc"}` or `[name, doc]` a line.

    Raises: InputError naming the line; StorageError.
    """
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield _document(line, f"{path.name}, line {number}")
    except (OSError, UnicodeDecodeError) as exc:
        raise StorageError(f"{path} cannot be read: {exc}", remedy="check the path") from exc


def _document(line: str, where: str) -> Named:
    remedy = 'write {"name": "start", "doc": {...}} on a line, or ["start", {...}]'
    try:
        found = json.loads(line)
        name, doc = (found["name"], found["doc"]) if isinstance(found, dict) else found
    except (ValueError, KeyError, TypeError) as exc:
        raise InputError(f"{where} is no document", remedy=remedy) from exc
    if not isinstance(name, str) or not isinstance(doc, dict):
        raise InputError(f"{where} is no document", remedy=remedy)
    return name, doc


def _temporary() -> IO[bytes]:
    return tempfile.SpooledTemporaryFile(_MEMORY_BYTES)  # its owner closes it


@dataclass(slots=True)
class Spool:
    """The documents of one run, checked, in a temporary file that nobody else sees."""

    check: Check = field(default_factory=Check)
    count: int = 0
    _file: IO[bytes] = field(default_factory=_temporary)

    def put(self, name: str, doc: dict[str, Any]) -> None:
        """Check and keep one. Raises: InputError."""
        self.check.take(name, doc)
        self.count += 1
        payload = encode_document(self.count, name, doc, now())
        self._file.write(len(payload).to_bytes(8, "big") + payload)

    def documents(self, start: dict[str, Any], stop: dict[str, Any]) -> Iterator[RunDocument]:
        """All of them, with this start and stop document."""
        self._file.seek(0)
        while head := self._file.read(8):
            document = decode(self._file.read(int.from_bytes(head, "big")), RunDocument)
            other = {"start": start, "stop": stop}.get(document.name)
            yield document if other is None else document.model_copy(update={"doc": other})

    def close(self) -> None:
        """Forget them."""
        self._file.close()


def _keep(spool: Spool, settings: BeamlineSettings, door: Door) -> Imported:
    """Give the run its number and mark, and keep it whole."""
    spool.check.ended()
    given, stop = spool.check.start, sound_stop(spool.check.stop)
    uid = str(given["uid"])
    known = door.imports.known(uid)
    if known is not None:
        raise InputError(
            f"run {uid} is in the history already, as run {known.number}",
            remedy=f"see undula runs {known.number}",
        )
    number = door.catalogue.allocate_number(settings.data)
    start: dict[str, Any] = {**given, "scan_id": number}
    wanted = run_path(settings, start, str(given.get("plan_name") or IMPORTED), number)
    start[IMPORTED] = {
        "from": door.origin,
        "scan_id": given.get("scan_id"),
        "time": now(),
        "by": door.user,
        "path": str(wanted),
    }
    return door.imports.keep(uid, spool.documents(start, stop))


@dataclass(slots=True)
class Door:
    """Where runs come in: the history that gets them, in whose name, from where."""

    imports: Imports
    catalogue: Catalogue
    origin: str
    user: str = field(default_factory=login_name)

    def missing(self, spools: list[Spool]) -> list[Spool]:
        """Those that are not in the history.

        A stream whose import died on the way is given again as a whole. All of them when there is
        none that is new, or when one came from elsewhere: that is refused.
        """
        new = []
        for spool in spools:
            known = self.imports.known(str(spool.check.start["uid"]))
            if known is None:
                new.append(spool)
            elif (known.metadata.get(IMPORTED) or {}).get("from") != self.origin:
                return spools
        return new or spools


def _engine_is_up(paths: BeamlinePaths) -> bool:
    """Somebody listens where motion is stopped: the engine, which says who may import."""
    with socket.socket(socket.AF_UNIX) as line:
        try:
            line.connect(str(paths.stop_socket))
        except OSError:
            return False
    return True


def _check_unasked(paths: BeamlinePaths) -> None:
    """Without the engine nobody can say who may import. Raises: AccessError where that matters."""
    if Access(paths.access).required:
        raise AccessError(
            f"people log in at beamline {paths.name!r}, and its engine is down",
            remedy=f"start it first: undula up --beamline {paths.name}",
        )


@contextmanager
def open_door(beamline: str, origin: str) -> Iterator[Door]:
    """The door of a beamline; while it is up, it is asked first and hears of each run.

    Raises: AccessError where people log in and this one may not import; BusError, ServiceError.
    """
    paths = beamline_paths(beamline)
    settings = load_settings(paths.config)
    client = connect(beamline) if _engine_is_up(paths) else None
    if client is None:
        _check_unasked(paths)
    catalogue = SqliteCatalogue(paths.catalogue, settings.data if client is None else None)
    try:
        if client is None:
            imports = Imports(paths.importing, settings, catalogue)
            door = Door(imports, catalogue, origin)
        else:
            link = client.link
            user = str(link.ask(ENGINE_IMPORT)["user"])

            def tell(run: RunRecord) -> None:
                link.ask(ENGINE_IMPORT, run=run.uid)

            door = Door(
                Imports(paths.importing, settings, catalogue, tell), catalogue, origin, user
            )
        door.imports.finish()
        yield door
    finally:
        catalogue.close()
        if client is not None:
            client.close()


def import_documents(
    documents: Iterable[Named], settings: BeamlineSettings, door: Door
) -> list[Imported]:
    """Take over runs, one after the other in the stream; all are checked before the first is kept.

    Args:
        documents: `(name, document)`, each run from start to stop.
        settings: of the beamline that gets them.
        door: where they come in.
    Raises: InputError naming the document; StorageError. What was refused leaves nothing behind.
    """
    spools: list[Spool] = []
    try:
        for name, doc in documents:
            if name == "start" and (not spools or spools[-1].check.stop):
                spools.append(Spool())
            if not spools:
                raise InputError(
                    f"the stream begins with {name}", remedy="give it from its start document on"
                )
            spools[-1].put(name, doc)
        if not spools:
            raise InputError("there are no documents", remedy="give the stream of a run")
        for spool in spools:
            spool.check.ended()
        return [_keep(spool, settings, door) for spool in door.missing(spools)]
    finally:
        for spool in spools:
            spool.close()


def import_file(path: Path, beamline: str | None = None) -> list[Imported]:
    """Take over the runs of a file of JSON lines; see `import_documents`.

    Raises: also AccessError, where people log in.
    """
    name = beamline or default_beamline()
    settings = load_settings(beamline_paths(name).config)
    with open_door(name, str(path.expanduser().resolve())) as door:
        return import_documents(read_documents(path), settings, door)


class Importer:
    """A subscriber of any RunEngine: each of its runs becomes one of this beamline when it ends.

    It never fails the plan that runs: what is refused is warned of and kept in `problems`.

    Args:
        beamline: that gets the runs; None: the default.
        origin: where they come from, for the record.
    """

    def __init__(self, beamline: str | None = None, origin: str = "RunEngine") -> None:
        self._paths = beamline_paths(beamline or default_beamline())
        self._settings = load_settings(self._paths.config)
        self._origin = origin
        self._open: dict[str, Spool] = {}
        self._owner: dict[str, str] = {}
        self.imported: list[Imported] = []
        self.problems: list[UndulaError] = []

    def __call__(self, name: str, doc: dict[str, Any]) -> None:
        """Take one document."""
        uid = str(doc["uid"] if name == "start" else self._run_of(doc))
        if name == "start":
            self._open[uid] = Spool()
        spool = self._open.get(uid)
        if spool is None:
            return
        if "uid" in doc:
            self._owner[str(doc["uid"])] = uid
        try:
            spool.put(name, dict(doc))
            if name == "stop":
                self._close(uid, spool)
        except UndulaError as error:
            self._refuse(uid, error)

    def _run_of(self, doc: dict[str, Any]) -> str:
        if "run_start" in doc:
            return str(doc["run_start"])
        link = next((doc[k] for k in ("descriptor", "resource", "stream_resource") if k in doc), "")
        return self._owner.get(str(link), "")

    def _close(self, uid: str, spool: Spool) -> None:
        with open_door(self._paths.name, self._origin) as door:
            self.imported.append(_keep(spool, self._settings, door))
        self._forget(uid)

    def _refuse(self, uid: str, error: UndulaError) -> None:
        self.problems.append(error)
        warnings.warn(f"run {uid} is not imported: {error}", stacklevel=3)
        self._forget(uid)

    def _forget(self, uid: str) -> None:
        self._open.pop(uid).close()
        self._owner = {k: v for k, v in self._owner.items() if v != uid}

"""The history of runs from a client: find them, open their files, get their data as arrays.

`client.runs[-1].data["samx"]`, `client.runs[12]`, `client.runs.search(text="knife")`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from undula.client import notes
from undula.client.fits import USUAL_MODEL, Fit, fit_data
from undula.client.shown import cut, html_table
from undula.core.errors import InputError, ServiceError
from undula.core.suggest import near

if TYPE_CHECKING:
    from undula.catalogue import Catalogue, RunRecord
    from undula.client.data import Data, JoinedTables
    from undula.client.diff import Differences
    from undula.client.link import Link
    from undula.client.notes import Noted
    from undula.client.scans import ScanHandle
    from undula.messages import RunNote


OWN_FILTERS = frozenset(
    {"text", "plan", "device", "status", "since", "until", "group", "tag", "sample", "proposal",
     "user", "limit"}
)  # fmt: skip


MAPPINGS = frozenset({"sample", "proposal", "user"})
"""Those that are metadata as well, and may be dicts there."""


def filters_of(given: Mapping[str, Any]) -> dict[str, Any]:
    """Keywords of `Runs.search` as those of the catalogue.

    >>> filters_of({"sample": "Fe2O3", "element__ne": "Cu", "text": None})["where"][0].comparison
    'ne'
    """
    from undula.catalogue.filters import keyword_conditions, parse_condition

    said = {key: value for key, value in given.items() if value is not None}
    texts = said.pop("where", ())
    texts = [texts] if isinstance(texts, str) else texts
    free = {key: said.pop(key) for key in list(said) if key not in OWN_FILTERS}
    for word in free:
        own, _, rest = word.partition("__")
        if rest and own in OWN_FILTERS - MAPPINGS:
            raise InputError(
                f"{own} takes no {rest!r}", remedy=f"give {own}=..., or a key of the metadata"
            )
    where = (*map(parse_condition, texts), *keyword_conditions(free))
    return {**said, "where": where} if where else said


class Run:
    """One run: its record in the history, and its data from the file."""

    def __init__(self, record: RunRecord, runs: Runs) -> None:
        self.record = record
        self._runs = runs

    @property
    def number(self) -> int:
        """Run number, never reused."""
        return self.record.number

    @property
    def uid(self) -> str:
        """Uid of the start document."""
        return self.record.uid

    @property
    def path(self) -> Path:
        """The NeXus file."""
        return Path(self.record.path)

    @property
    def status(self) -> str:
        """`success`, `abort`, `fail`, or `running`."""
        return "running" if self.record.exit_status == "open" else self.record.exit_status

    @property
    def data(self) -> Data:
        """Arrays by data key: `data["samx"]`, shape (points, ...); `units`, `to_xarray()`, ..."""
        from undula.client.data import open_data

        found = open_data(self.path)
        found.models = self._runs.models
        return found

    def fit(self, model: str = USUAL_MODEL, signal: Any = "", *, keep: bool = False) -> Fit:
        """Fit a curve or map of this run: `runs[-1].fit("gaussian + linear", "diode")["center"]`.

        With `keep` the fit stays with the run, as a note: `kept_fits` has it, a search finds it.

        Raises: InputError when the run is neither, or cannot be fitted. A fit that must not be
        relied on says its `problem`.
        """
        found = fit_data(self.data, model, str(signal), self._runs.models)
        if keep:
            self.record, _ = self._runs.keep_fit(self.uid, found)
        return found

    @property
    def kept_fits(self) -> list[Fit]:
        """Fits that were made afterwards and kept, in order."""
        return [Fit(note.fit) for note in self.notes if note.fit is not None]

    @property
    def tags(self) -> list[str]:
        """What people marked it with, as of when it was looked up."""
        return list(self.record.tags)

    @property
    def notes(self) -> list[RunNote]:
        """Comments, and tags given and taken away (`untag`), in order, with author and time."""
        return self._runs.catalogue.notes(self.uid)

    def comment(self, text: str) -> None:
        """Keep a comment on this run: `runs[-1].comment("beam was unstable")`."""
        self.record, _ = self._runs.note(self.uid, text)

    def tag(self, *words: str) -> list[str]:
        """Give tags, or take them away: `runs[-1].tag("good", "-bad")`. Returns the run's tags."""
        self.record, _ = self._runs.tag(self.uid, *words)
        return self.tags

    def joined(self) -> JoinedTables:
        """This run and those that it continues, or that continue it, as one data set.

        As `data`, one row a point in the order of the trajectory, with `point`, `run` and `retaken`
        beside the data keys. Raises: InputError when no point was measured.
        """
        from undula.client import again

        joined = again.joined_data(self.record, self._runs.catalogue)
        joined.models = self._runs.models
        return joined

    @property
    def catalogue(self) -> Catalogue:
        """The repository that it is from."""
        return self._runs.catalogue

    def diff(self, other: Run) -> Differences:
        """Why this run and another one differ: `runs[12].diff(runs[15])`; empty: they do not.

        A list of `Difference`, which a prompt shows as a table.
        """
        from undula.client.diff import differences, known_of

        return differences(known_of(self), known_of(other))

    def continued(self) -> ScanHandle:
        """Go on from the next missing point of this run, in a new run that is linked to it.

        Returns at once, as `submit`. Raises: InputError, BusyError for a run that is open or
        complete, or whose points are not known beforehand; LimitError ... as any scan.
        """
        from undula.client import again  # with the catalogue, which most commands do not need

        return self._runs.ask(again.continued(self.record, self._runs.catalogue))

    def repeat(self) -> ScanHandle:
        """Measure it again as it was; returns at once, as `submit`.

        Raises: InputError when what was asked is not kept, and whatever the engine refuses.
        """
        from undula.client import again

        return self._runs.ask(again.repeated(self.record, self._runs.catalogue))

    def export(self, path: Path | str, kind: str = "csv", *, joined: bool = False) -> None:
        """Write it for other programs: `runs[-1].export("a.spec", "spec")`; csv, spec or jsonl.

        Args:
            joined: with the runs that it continues, or that continue it, as one.
        Raises: StorageError, also when a file stands there; InputError for another format.
        """
        from undula.client.export import export_file

        export_file([self], kind, Path(path), joined=joined)

    def documents(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """`(name, document)` of event-model, from the archive beside the file.

        Waits a moment for an archive that is being written. Raises: InputError while the run is
        open: follow its scan instead.
        """
        from undula.client.chosen import archived
        from undula.files.archive import read_archive

        self.record = archived(self.record, self._runs.catalogue)
        return ((d.name, d.doc) for d in read_archive(Path(self.record.archive_path)))

    def __repr__(self) -> str:
        return (
            f"run {self.number}: {self.status}, {cut(self.record.command, 50)}\n  file  {self.path}"
        )


class Found(list[Run]):
    """Runs that were searched for; when there are none, `hint` says what may be wrong."""

    hint = ""

    def __repr__(self) -> str:
        return super().__repr__() if self else self.hint or "[]"


class Runs:
    """The runs of the beamline: by number, by place from the end (`runs[-1]`), or searched."""

    def __init__(
        self,
        path: Path | None,
        link: Link | None = None,
        submit: Callable[[dict[str, Any]], ScanHandle] | None = None,
    ) -> None:
        self._path = path
        self._link = link
        self._submit = submit
        self._open: Catalogue | None = None

    @property
    def models(self) -> Path | None:
        """The folder of the beamline's own models; None without a beamline."""
        return None if self._path is None else self._path.with_name("models")

    @property
    def catalogue(self) -> Catalogue:
        """The repository itself. Raises: ServiceError when this client has none."""
        if self._path is None:
            raise ServiceError("this client has no history", remedy="use undula.client.connect()")
        if self._open is None:
            from undula.catalogue import SqliteCatalogue

            self._open = SqliteCatalogue(self._path)
        return self._open

    def search(self, **filters: Any) -> Found:
        """Newest first; everything given must hold.

        Args:
            filters: `text`, `plan`, `device`, `status`, `since` and `until` (UTC epoch s), `group`,
                `tag`, `sample`, `proposal`, `user`, `limit` (100). Any other word is a key of the
                metadata: `element="Fe"`, with a comparison `temperature_K__gt=4` (`ne`, `gt`, `ge`,
                `lt`, `le`, `contains`), in a dict `scan__edge="K"`. `where` takes conditions
                as text: `["temperature_K>4"]`.

        Kept fits and comments are found as well: `fit__fwhm__lt=0.2`, `comment__contains="beam"`.

        Raises: InputError for what cannot be compared.
        """
        wanted = filters_of(filters)
        found = Found(Run(record, self) for record in self.catalogue.runs(**wanted))
        if not found and wanted.get("where"):
            found.hint = self._unknown(condition.key for condition in wanted["where"])
        return found

    def _unknown(self, keys: Iterable[str]) -> str:
        """Which of the keys no run has, and what may have been meant; "" for none."""
        known = self.catalogue.metadata_keys()
        unknown = next((key for key in keys if key not in known), None)
        if unknown is None:
            return ""
        meant = near(unknown, known)
        return f"no run has the key {unknown}" + (f"; did you mean {meant}?" if meant else "")

    def note(self, run: int | str, text: str) -> Noted:
        """Keep a comment on a run, by number or uid. Returns its record and all its notes."""
        return notes.comment(self._line(), run, text)

    def tag(self, run: int | str, *words: str) -> Noted:
        """Give a run tags (`good`), or take them away (`-bad`)."""
        return notes.tag(self._line(), run, *words)

    def keep_fit(self, run: int | str, fit: Fit) -> Noted:
        """Keep a fit with a run, by number or uid; its file is not touched."""
        return notes.keep_fit(self._line(), run, fit.result)

    def ask(self, fields: dict[str, Any]) -> ScanHandle:
        """Ask for a scan by the fields of its request. Raises: ServiceError without a beamline."""
        if self._submit is None:
            raise ServiceError("this client is not connected", remedy="use undula.client.connect()")
        return self._submit(fields)

    def _line(self) -> Link:
        if self._link is None:
            raise ServiceError("this client is not connected", remedy="use undula.client.connect()")
        return self._link

    def group(self, name: str) -> list[Run]:
        """The runs of a scan group, by its name or uid, in the order they were made."""
        return self.search(group=name, limit=10_000)[::-1]

    @overload
    def __getitem__(self, key: int | str) -> Run: ...

    @overload
    def __getitem__(self, key: slice) -> Found: ...

    def __getitem__(self, key: int | str | slice) -> Run | Found:
        """A run by its number, or its uid or the beginning of it; negative: from the newest.

        A slice is a list, the oldest first: `runs[12:15]` has 12, 13, 14; `runs[-3:]` the last 3.
        Raises: InputError.
        """
        from undula.client.chosen import one_of, several_of

        if isinstance(key, slice):
            return Found(Run(record, self) for record in several_of(self.catalogue, key))
        return Run(one_of(self.catalogue, key), self)

    def __iter__(self) -> Iterator[Run]:
        return iter(self.search())

    def __len__(self) -> int:
        return len(self.search())

    def __repr__(self) -> str:
        rows = [
            f"{run.number:>5}  {run.status:<8}{run.record.points:>7}  {cut(run.record.command, 50)}"
            for run in self.search(limit=10)
        ]
        return "\n".join(["  run  status   points  command", *rows]) if rows else "no runs"

    def _repr_html_(self) -> str:
        rows = [
            (run.number, run.status, run.record.points, run.record.command, run.path)
            for run in self.search(limit=10)
        ]
        return html_table(["run", "status", "points", "command", "file"], rows)

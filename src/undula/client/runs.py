"""The history of runs from a client: find them, open their files, get their data as arrays.

`client.runs[-1].data["samx"]`, `client.runs[12]`, `client.runs.search(text="knife")`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from undula.client.shown import cut, html_table
from undula.core.errors import InputError, ServiceError

if TYPE_CHECKING:
    from undula.catalogue import Catalogue, RunRecord
    from undula.files.reading import RunData


class Run:
    """One run: its record in the history, and its data from the file."""

    def __init__(self, record: RunRecord) -> None:
        self.record = record

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
    def data(self) -> RunData:
        """Arrays by data key: `data["samx"]`, shape (points, ...); also `units`, `to_dict()`."""
        from undula.files.reading import open_run

        return open_run(self.path)

    def documents(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """`(name, document)` of event-model, from the archive beside the file.

        Raises: InputError while the run is open: follow its scan instead.
        """
        from undula.files.archive import read_archive

        if not self.record.archive_path:
            raise InputError(
                f"run {self.number} has no archive yet",
                remedy="it is written when the run is closed; until then: ScanHandle.documents()",
            )
        return ((d.name, d.doc) for d in read_archive(Path(self.record.archive_path)))

    def __repr__(self) -> str:
        return (
            f"run {self.number}: {self.status}, {cut(self.record.command, 50)}\n  file  {self.path}"
        )


class Runs:
    """The runs of the beamline: by number, by place from the end (`runs[-1]`), or searched."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._open: Catalogue | None = None

    @property
    def catalogue(self) -> Catalogue:
        """The repository itself. Raises: ServiceError when this client has none."""
        if self._path is None:
            raise ServiceError("this client has no history", remedy="use undula.client.connect()")
        if self._open is None:
            from undula.catalogue import SqliteCatalogue

            self._open = SqliteCatalogue(self._path)
        return self._open

    def search(self, **filters: Any) -> list[Run]:
        """Newest first. Filters: `text`, `plan`, `device`, `since` (UTC epoch s), `status`,
        `group`, `limit`."""
        given = {key: value for key, value in filters.items() if value is not None}
        return [Run(record) for record in self.catalogue.runs(**given)]

    def group(self, name: str) -> list[Run]:
        """The runs of a scan group, by its name or uid, in the order they were made."""
        return self.search(group=name, limit=10_000)[::-1]

    def __getitem__(self, key: int | str) -> Run:
        """A run by its number, or its uid or the beginning of it; negative: from the newest.

        Raises: InputError.
        """
        catalogue = self.catalogue
        newest = isinstance(key, int) and key < 0
        return Run(catalogue.nth_last(int(key)) if newest else catalogue.run(key))

    def __iter__(self) -> Iterator[Run]:
        return iter(self.search())

    def __len__(self) -> int:
        return len(self.search())

    def __repr__(self) -> str:
        rows = [
            f"{run.number:>5}  {run.status:<8}{run.record.num_points or '':>7}  "
            f"{cut(run.record.command, 50)}"
            for run in self.search(limit=10)
        ]
        return "\n".join(["  run  status   points  command", *rows]) if rows else "no runs"

    def _repr_html_(self) -> str:
        rows = [
            (run.number, run.status, run.record.num_points or "", run.record.command, run.path)
            for run in self.search(limit=10)
        ]
        return html_table(["run", "status", "points", "command", "file"], rows)

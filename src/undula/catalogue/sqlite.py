"""Room: catalogue. The history in one SQLite file (write-ahead log), shared by the processes.

In: records. Out: records. Every commit reaches the disk (`synchronous=FULL`): there are only a few
in each run. One connection and one lock; `:memory:` is the twin for tests.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from undula.catalogue.filters import FEW, KEYS_QUERY, Condition, RunFilter, equal_keys, number_query
from undula.catalogue.keys import META, tags_of
from undula.catalogue.model import QueueItemRecord, RunRecord, RunStatus, points_of
from undula.catalogue.numbers import MOST, bring_back, next_number
from undula.catalogue.scan_folder import highest_number, read_notes, read_run
from undula.catalogue.schema import fields_of, index_run, is_json, notes_of, prepare
from undula.core.errors import InputError, StorageError
from undula.messages import ItemFinished, RunNote

_RUN_FIELDS = tuple(RunRecord.model_fields)
_ITEM_FIELDS = tuple(QueueItemRecord.model_fields)
_WHOLE = ", ".join(_ITEM_FIELDS)
_ITEM_ALONE = _WHOLE.replace(
    "payload", "json_object('item', json_extract(payload, '$.item')) AS payload"
)
"""Without what was asked for, which may be as long as the text of a plan."""
_LARGEST = 2**63 - 1
"""What SQLite takes as a number."""
_TOGETHER = 500
"""So many runs are read by one query."""
_BUSY_S = 10.0
COUNTED = 20_000


def _row(fields: tuple[str, ...], record: RunRecord | QueueItemRecord) -> list[Any]:
    values = record.model_dump()
    return [
        json.dumps(values[f], default=_plain) if is_json(f) else values[f] for f in fields
    ]  # fmt: skip


def _plain(value: Any) -> Any:
    return value.tolist() if hasattr(value, "tolist") else str(value)


class SqliteCatalogue:
    """`Catalogue` on SQLite. Raises: StorageError when the file cannot be used.

    Args:
        data_folder: of who gives numbers to runs: those beyond all that can be get others, above
            those of the files there.
    """

    def __init__(self, path: Path | str, data_folder: Path | None = None) -> None:
        self._path = str(path)
        self._lock = threading.RLock()
        self._folder_numbers: dict[str, int] = {}
        self.few = FEW
        try:
            if self._path != ":memory:":
                Path(path).parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(
                self._path, timeout=_BUSY_S, check_same_thread=False, isolation_level=None
            )
            self._db.row_factory = sqlite3.Row
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            prepare(self._db)
            if data_folder is not None:
                bring_back(self._db, self.notes, lambda: highest_number(data_folder))
            self._db.execute(f"PRAGMA busy_timeout={int(_BUSY_S * 1000)}")
        except (sqlite3.Error, OSError) as exc:
            raise self._error(exc) from exc

    def _error(self, exc: Exception) -> StorageError:
        return StorageError(
            f"the catalogue {self._path} cannot be used: {exc}",
            remedy="check disk space and the right to write; it can be rebuilt from the files",
            where=self._path,
        )

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction: all of it, or nothing. Raises: StorageError."""
        with self._lock:
            try:
                self._db.execute("BEGIN IMMEDIATE")
                yield self._db
                self._db.execute("COMMIT")
            except sqlite3.Error as exc:
                self._roll_back()
                raise self._error(exc) from exc
            except BaseException:  # whatever it is, it goes on to the caller
                self._roll_back()
                raise

    def _roll_back(self) -> None:
        if self._db.in_transaction:
            self._db.execute("ROLLBACK")

    def _read(self, query: str, *values: Any) -> list[dict[str, Any]]:
        with self._lock:
            try:
                return [fields_of(row) for row in self._db.execute(query, values).fetchall()]
            except sqlite3.Error as exc:
                raise self._error(exc) from exc

    def allocate_number(self, data_folder: Path) -> int:
        """See `Catalogue`. The folder is looked through once a process."""
        with self.writing() as db:
            key = str(data_folder)
            if key not in self._folder_numbers:
                self._folder_numbers[key] = highest_number(Path(data_folder))
            return next_number(db, self._folder_numbers[key])

    def open_run(self, run: RunRecord) -> None:
        """See `Catalogue`."""
        with self.writing() as db:
            self.insert(db, run)
            index_run(db, run, ())

    @staticmethod
    def insert(db: sqlite3.Connection, run: RunRecord) -> None:
        """The row of a run, without what it is found by (`schema.index_run`)."""
        marks = ",".join("?" * len(_RUN_FIELDS))
        db.execute(
            f"INSERT INTO runs ({','.join(_RUN_FIELDS)}) VALUES ({marks})",  # noqa: S608  # our own names
            _row(_RUN_FIELDS, run),
        )

    def open_runs(self) -> list[RunRecord]:
        """See `Catalogue`."""
        rows = self._read("SELECT * FROM runs WHERE exit_status = 'open' ORDER BY number")
        return [RunRecord(**row) for row in rows]

    def close_run(
        self,
        uid: str,
        *,
        exit_status: RunStatus,
        reason: str,
        end_time: float,
        path: str,
        num_events: dict[str, int],
        archive_path: str,
    ) -> None:
        """See `Catalogue`."""
        points = points_of(num_events)
        with self.writing() as db:
            done = db.execute(
                "UPDATE runs SET exit_status=?, reason=?, end_time=?, path=?, num_points=?, "
                "archive_path=? WHERE uid=?",
                (exit_status, reason, end_time, path, points, archive_path, uid),
            )
            if done.rowcount == 0:
                raise InputError(f"there is no run {uid}", remedy="enter it with open_run first")
            self._index(db, uid)

    def _index(self, db: sqlite3.Connection, uid: str) -> None:
        row = db.execute("SELECT * FROM runs WHERE uid=?", (uid,)).fetchone()
        index_run(db, RunRecord(**fields_of(row)), self.notes(uid))

    def runs(
        self,
        limit: int = 100,
        text: str | None = None,
        *,
        device: str | None = None,
        plan: str | None = None,
        since: float | None = None,
        until: float | None = None,
        status: RunStatus | None = None,
        group: str | None = None,
        tag: str | None = None,
        sample: str | None = None,
        proposal: str | None = None,
        user: str | None = None,
        where: tuple[Condition, ...] = (),
    ) -> list[RunRecord]:
        """See `Catalogue`."""
        wanted = RunFilter(
            text=text, device=device, plan=plan, since=since, until=until, status=status,
            group=group, tag=tag, sample=sample, proposal=proposal, user=user, where=where,
        )  # fmt: skip
        keys, few = self._rarest(equal_keys(wanted))
        numbers, values = number_query(wanted, limit, keys, few=few)
        query = f"SELECT r.* FROM ({numbers}) f JOIN runs r USING (number) ORDER BY r.number DESC"  # noqa: S608  # our own names
        return [RunRecord(**row) for row in self._read(query, *values)]

    def numbers(self, first: int | None = None, end: int | None = None) -> list[int]:
        """See `Catalogue`."""
        query = "SELECT number FROM runs WHERE number >= ? AND number < ? ORDER BY number"
        low = -_LARGEST if first is None else max(-_LARGEST, min(first, _LARGEST))
        high = _LARGEST if end is None else max(-_LARGEST, min(end, _LARGEST))
        return [row["number"] for row in self._read(query, low, high)]

    def numbered(self, numbers: Sequence[int]) -> list[RunRecord]:
        """See `Catalogue`."""
        found: dict[int, RunRecord] = {}
        for at in range(0, len(numbers), _TOGETHER):
            part = numbers[at : at + _TOGETHER]
            marks = ",".join("?" * len(part))
            rows = self._read(f"SELECT * FROM runs WHERE number IN ({marks})", *part)  # noqa: S608  # our own marks
            found |= {row["number"]: RunRecord(**row) for row in rows}
        return [found[number] for number in numbers if number in found]

    def _rarest(self, keys: list[tuple[str, str]]) -> tuple[list[tuple[str, str]], bool]:
        """Those that few runs have first, counted up to a bound; and whether few have the first."""
        inner = "SELECT 1 FROM run_keys WHERE key=? AND text=? LIMIT ?"
        query = f"SELECT COUNT(*) AS n FROM ({inner})"  # noqa: S608  # our own names
        counts = {key: self._read(query, *key, COUNTED)[0]["n"] for key in keys}
        keys = sorted(keys, key=counts.__getitem__)
        return keys, bool(keys) and counts[keys[0]] <= self.few

    def metadata_keys(self) -> list[str]:
        """See `Catalogue`."""
        keys = [row["key"] for row in self._read(KEYS_QUERY)]
        return [key.removeprefix(META) for key in keys if key.startswith(META)]

    def add_notes(self, uid: str, notes: Iterable[RunNote]) -> RunRecord:
        """See `Catalogue`."""
        with self.writing() as db:
            if db.execute("SELECT 1 FROM runs WHERE uid=?", (uid,)).fetchone() is None:
                raise InputError(f"there is no run {uid}", remedy="look at the list: undula runs")
            db.executemany(
                "INSERT INTO notes (uid, kind, text, author, time, fit) VALUES (?, ?, ?, ?, ?, ?)",
                [
                    (
                        uid,
                        n.kind,
                        n.text,
                        n.author,
                        n.time,
                        n.fit.model_dump_json() if n.fit else "",
                    )
                    for n in notes
                ],
            )
            tags = json.dumps(tags_of(self.notes(uid)))
            db.execute("UPDATE runs SET tags=? WHERE uid=?", (tags, uid))
            self._index(db, uid)
        return self.run(uid)

    def notes(self, uid: str) -> list[RunNote]:
        """See `Catalogue`."""
        with self._lock:
            try:
                return notes_of(self._db, uid)
            except sqlite3.Error as exc:
                raise self._error(exc) from exc

    def run(self, key: int | str) -> RunRecord:
        """See `Catalogue`."""
        if isinstance(key, int) or key.isdecimal():
            number = int(key)
            rows = (
                self._read("SELECT * FROM runs WHERE number = ?", number)
                if abs(number) <= _LARGEST
                else []
            )
        else:
            query = "SELECT * FROM runs WHERE uid >= ? AND uid < ? LIMIT 2"
            rows = self._read(query, key, key + "\U0010ffff")
        if len(rows) != 1:
            found = "several runs begin with" if rows else "there is no run"
            raise InputError(f"{found} {key}", remedy="look at the list: undula runs")
        return RunRecord(**rows[0])

    def nth_last(self, index: int) -> RunRecord:
        """See `Catalogue`."""
        rows = self._read(
            "SELECT * FROM runs ORDER BY number DESC LIMIT 1 OFFSET ?",
            min(max(-index, 1) - 1, _LARGEST),
        )
        if index >= 0 or not rows:
            raise InputError(
                f"there is no run at {index}", remedy="-1 is the newest one; see undula runs"
            )
        return RunRecord(**rows[0])

    def store_item(self, item: QueueItemRecord) -> QueueItemRecord:
        """See `Catalogue`."""
        marks = ",".join("?" * len(_ITEM_FIELDS))
        with self.writing() as db:
            if item.position == 0:
                last = db.execute("SELECT COALESCE(MAX(position), 0) FROM items").fetchone()[0]
                item = item.model_copy(update={"position": float(last) + 1.0})
            db.execute(
                f"INSERT OR REPLACE INTO items ({','.join(_ITEM_FIELDS)}) VALUES ({marks})",  # noqa: S608  # our own names
                _row(_ITEM_FIELDS, item),
            )
        return item

    def keep_queue(self, items: Sequence[QueueItemRecord], state: dict[str, Any]) -> None:
        """See `Catalogue`."""
        marks = ",".join("?" * len(_ITEM_FIELDS))
        with self.writing() as db:
            db.executemany(
                f"INSERT INTO items ({','.join(_ITEM_FIELDS)}) VALUES ({marks}) "  # noqa: S608  # our own names
                "ON CONFLICT (item_id) DO UPDATE SET position = excluded.position, "
                "payload = json_set(excluded.payload, '$.starts', "
                "COALESCE(json_extract(items.payload, '$.starts'), 0)) "
                "WHERE items.exit_status = 'waiting'",
                [_row(_ITEM_FIELDS, item) for item in items],
            )
            db.execute("INSERT OR REPLACE INTO queue_state VALUES (1, ?)", (json.dumps(state),))

    def queue_state(self) -> dict[str, Any]:
        """See `Catalogue`."""
        rows = self._read("SELECT state FROM queue_state")
        return dict(json.loads(rows[0]["state"])) if rows else {}

    def ended_items(
        self,
        limit: int = 20,
        *,
        before: str = "",
        until: float | None = None,
        whole: bool = True,
    ) -> list[QueueItemRecord]:
        """See `Catalogue`."""
        conditions, values = ["exit_status != 'waiting'"], list[Any]()
        if before:
            seen = "SELECT finished, rowid FROM items WHERE item_id = ?"
            conditions.append(f"(finished, rowid) < ({seen})")
            values.append(before)
        if until is not None:
            conditions.append("finished <= ?")
            values.append(until)
        rows = self._read(
            f"SELECT {_WHOLE if whole else _ITEM_ALONE} FROM items "  # noqa: S608  # parts from here only
            f"WHERE {' AND '.join(conditions)} ORDER BY finished DESC, rowid DESC LIMIT ?",
            *values,
            limit,
        )
        return [QueueItemRecord(**row) for row in rows]

    def ids_of_ended(self, beginning: str, most: int) -> list[str]:
        """See `Catalogue`."""
        query = (
            "SELECT item_id FROM items WHERE item_id >= ? AND item_id < ? "
            "AND exit_status != 'waiting' LIMIT ?"
        )
        rows = self._read(query, beginning, beginning + "\U0010ffff", most)
        return [row["item_id"] for row in rows]

    def items(self) -> list[QueueItemRecord]:
        """See `Catalogue`."""
        rows = self._read("SELECT * FROM items WHERE exit_status = 'waiting' ORDER BY position")
        return [QueueItemRecord(**row) for row in rows]

    def item(self, item_id: str) -> QueueItemRecord | None:
        """See `Catalogue`."""
        rows = self._read("SELECT * FROM items WHERE item_id = ?", item_id)
        return QueueItemRecord(**rows[0]) if rows else None

    def remove_item(self, item_id: str) -> bool:
        """See `Catalogue`."""
        with self.writing() as db:
            return db.execute("DELETE FROM items WHERE item_id = ?", (item_id,)).rowcount > 0

    def finish_item(self, finished: ItemFinished) -> None:
        """See `Catalogue`."""
        self.finish_items([finished])

    def finish_items(self, finished: Sequence[ItemFinished]) -> None:
        """See `Catalogue`."""
        with self.writing() as db:
            for one in finished:
                done = db.execute(
                    "UPDATE items SET exit_status=?, run_uids=?, run_numbers=?, reason=?, "
                    "finished=? WHERE item_id=?",
                    (
                        one.exit_status,
                        json.dumps(one.run_uids),
                        json.dumps(one.run_numbers),
                        one.reason,
                        one.time,
                        one.item_id,
                    ),
                )
                if done.rowcount == 0:
                    raise InputError(
                        f"there is no item {one.item_id}", remedy="see undula queue list"
                    )

    def rebuild_from_files(self, folder: Path) -> int:
        """See `Catalogue`. Files that cannot be read, or whose number is taken, are passed over."""
        known = {row["uid"] for row in self._read("SELECT uid FROM runs")}
        numbers = {row["number"] for row in self._read("SELECT number FROM runs")}
        count = 0
        for path in sorted(Path(folder).rglob("*.nxs")):
            fields = read_run(path)
            if fields is None or fields["uid"] in known or fields["number"] in numbers:
                continue
            if fields["number"] > MOST:
                fields["number"] = self.allocate_number(folder)
            self.open_run(RunRecord(**fields))
            notes = read_notes(path)
            if notes:
                self.add_notes(fields["uid"], notes)
            known.add(fields["uid"])
            numbers.add(fields["number"])
            count += 1
        return count

    def close(self) -> None:
        """See `Catalogue`."""
        with self._lock:
            self._db.close()

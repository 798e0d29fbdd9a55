"""Room: catalogue. The tables, and how those of earlier programs become today's.

In: an open connection. Out: the same with today's tables (`PRAGMA user_version`). A step is one
transaction: another process waits for it, and a killed one leaves the former tables.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from typing import Any

from undula.catalogue.keys import keys_of, keys_of_notes, tags_of, text_to_search
from undula.catalogue.model import RunRecord
from undula.messages import RunNote

VERSION = 4
_MIGRATING_S = 120
_FIRST = """
CREATE TABLE IF NOT EXISTS counter (id INTEGER PRIMARY KEY CHECK (id = 1), number INTEGER NOT NULL);
INSERT OR IGNORE INTO counter VALUES (1, 0);
CREATE TABLE IF NOT EXISTS runs (
    uid TEXT PRIMARY KEY, number INTEGER NOT NULL, plan TEXT NOT NULL, command TEXT NOT NULL,
    user TEXT NOT NULL, item_id TEXT NOT NULL, path TEXT NOT NULL, start_time REAL NOT NULL,
    end_time REAL, exit_status TEXT NOT NULL, reason TEXT NOT NULL, devices TEXT NOT NULL,
    num_points INTEGER, metadata TEXT NOT NULL, archive_path TEXT NOT NULL);
CREATE UNIQUE INDEX IF NOT EXISTS runs_number ON runs (number);
CREATE INDEX IF NOT EXISTS runs_status ON runs (exit_status);
CREATE TABLE IF NOT EXISTS items (
    item_id TEXT PRIMARY KEY, position REAL NOT NULL, submitted REAL NOT NULL,
    payload TEXT NOT NULL, exit_status TEXT NOT NULL, run_uids TEXT NOT NULL,
    run_numbers TEXT NOT NULL, reason TEXT NOT NULL, finished REAL);
CREATE INDEX IF NOT EXISTS items_status ON items (exit_status);
CREATE TABLE IF NOT EXISTS queue_state (
    id INTEGER PRIMARY KEY CHECK (id = 1), state TEXT NOT NULL);
"""
_SECOND = (
    "ALTER TABLE runs ADD COLUMN tags TEXT NOT NULL DEFAULT '[]'",
    "CREATE INDEX runs_times ON runs (number, start_time)",
    "CREATE INDEX runs_started ON runs (start_time, number)",
    "CREATE TABLE run_keys (key TEXT NOT NULL, text TEXT NOT NULL, number INTEGER NOT NULL, "
    "num REAL, PRIMARY KEY (key, text, number)) WITHOUT ROWID",
    "CREATE INDEX run_keys_numbers ON run_keys (key, num, number) WHERE num IS NOT NULL",
    "CREATE INDEX run_keys_of_run ON run_keys (number)",
    "CREATE TABLE run_texts (number INTEGER PRIMARY KEY, text TEXT NOT NULL)",
    "CREATE TABLE notes (id INTEGER PRIMARY KEY, uid TEXT NOT NULL, kind TEXT NOT NULL, "
    "text TEXT NOT NULL, author TEXT NOT NULL, time REAL NOT NULL)",
    "CREATE INDEX notes_of_run ON notes (uid, id)",
)
_THIRD = ("ALTER TABLE notes ADD COLUMN fit TEXT NOT NULL DEFAULT ''",)
_FOURTH = ("CREATE INDEX items_finished ON items (finished)",)
_NOTE = ("kind", "text", "author", "time", "fit")
_JSON = frozenset({"devices", "metadata", "payload", "run_uids", "run_numbers", "tags"})


def fields_of(row: sqlite3.Row) -> dict[str, Any]:
    """A row with its JSON columns read."""
    return {k: json.loads(row[k]) if k in _JSON else row[k] for k in row.keys()}  # noqa: SIM118  # no dict


def is_json(column: str) -> bool:
    """The column holds JSON."""
    return column in _JSON


def prepare(db: sqlite3.Connection) -> None:
    """Bring the tables up to date. Raises: sqlite3.Error, and nothing has changed then."""
    if _version(db) >= VERSION:
        return
    db.execute(f"PRAGMA busy_timeout={_MIGRATING_S * 1000}")  # another process may be at it
    db.executescript(_FIRST)
    db.execute("BEGIN IMMEDIATE")
    try:
        version = _version(db)  # another process may have been quicker
        if version < 1:
            for statement in _SECOND:
                db.execute(statement)
            _index_all(db)
        if version < 2:
            for statement in _THIRD:
                db.execute(statement)
        if version < 3:
            for statement in _FOURTH:
                db.execute(statement)
        if 1 <= version < 4:  # by their comments and kept fits runs could not be found before
            _index_noted(db)
        db.execute(f"PRAGMA user_version={VERSION}")
        db.execute("COMMIT")
    except BaseException:  # whatever it is, it goes on to the caller
        db.execute("ROLLBACK")
        raise


def _index_all(db: sqlite3.Connection) -> None:
    """Batch by batch, since all start documents together may be large."""
    query, last = "SELECT * FROM runs WHERE number > ? ORDER BY number LIMIT 500", 0
    while rows := db.execute(query, (last,)).fetchall():
        for row in rows:
            index_run(db, RunRecord(**fields_of(row)), ())
        last = rows[-1]["number"]


def _index_noted(db: sqlite3.Connection) -> None:
    """Only runs that have notes: what the others are found by has not changed."""
    noted = "SELECT uid FROM notes GROUP BY uid"
    for (uid,) in db.execute(noted).fetchall():
        row = db.execute("SELECT * FROM runs WHERE uid=?", (uid,)).fetchone()
        if row is not None:
            index_run(db, RunRecord(**fields_of(row)), notes_of(db, uid))


def notes_of(db: sqlite3.Connection, uid: str) -> list[RunNote]:
    """The notes of a run, the oldest first."""
    query = "SELECT kind, text, author, time, fit FROM notes WHERE uid=? ORDER BY id"
    rows = [dict(zip(_NOTE, row, strict=True)) for row in db.execute(query, (uid,)).fetchall()]
    return [RunNote(**row | {"fit": json.loads(row["fit"] or "null")}) for row in rows]


def _version(db: sqlite3.Connection) -> int:
    return int(db.execute("PRAGMA user_version").fetchone()[0])


def index_run(db: sqlite3.Connection, run: RunRecord, notes: Iterable[RunNote]) -> None:
    """Enter anew by what a run is found."""
    notes = list(notes)
    db.execute("DELETE FROM run_keys WHERE number=?", (run.number,))
    found = keys_of(run, tags_of(notes)) | keys_of_notes(notes)
    keys = sorted(found, key=lambda key: key[2] is None)  # numbers first
    db.executemany(
        "INSERT OR IGNORE INTO run_keys (key, text, num, number) VALUES (?, ?, ?, ?)",
        [(key, text, num, run.number) for key, text, num in keys],
    )
    db.execute(
        "INSERT OR REPLACE INTO run_texts VALUES (?, ?)", (run.number, text_to_search(run, notes))
    )

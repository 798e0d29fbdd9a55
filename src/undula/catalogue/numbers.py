"""Room: catalogue. Which number a run gets, and how numbers that no run can have come back.

In: an open connection, the highest number of a file. Out: the next number. A catalogue of an
earlier program may hold a run with any number that its metadata gave it; after it there would be
none left, or no sensible one. Such runs get the next numbers in the order of their start; their
files, uids and notes stay.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable

from undula.catalogue.model import RunRecord
from undula.catalogue.schema import fields_of, index_run
from undula.core.errors import StorageError
from undula.core.log import get_logger
from undula.messages import RunNote

MOST = 999_999_999
"""The largest number of a run: nine digits, as the name of its file can tell."""


def next_number(db: sqlite3.Connection, of_files: int) -> int:
    """The number after all that were given; it counts as given. Raises: StorageError at the end.

    Args:
        of_files: the highest number of a file of the data folder.
    """
    given = db.execute("SELECT number FROM counter WHERE number <= ?", (MOST,)).fetchone()
    number = max(given[0] if given else 0, _highest(db), of_files) + 1
    if number > MOST:
        raise StorageError(
            f"run {MOST} is the last that has a number",
            remedy="name another data folder in beamline.yaml, and move the catalogue away; its "
            "files stay as they are",
        )
    db.execute("UPDATE counter SET number = ?", (number,))
    return number


def _highest(db: sqlite3.Connection) -> int:
    found = db.execute("SELECT MAX(number) FROM runs WHERE number <= ?", (MOST,)).fetchone()[0]
    return int(found or 0)


def bring_back(
    db: sqlite3.Connection,
    notes_of: Callable[[str], Iterable[RunNote]],
    of_files: Callable[[], int],
) -> None:
    """Give runs beyond `MOST` the next numbers. Raises: sqlite3.Error; nothing has changed then.

    Args:
        notes_of: what was said of a run, by its uid.
        of_files: the highest number of a file of the data folder; asked when there is such a run.
    """
    beyond = "SELECT * FROM runs WHERE number > ? ORDER BY start_time, number"
    if db.execute(f"{beyond} LIMIT 1", (MOST,)).fetchone() is None:
        return
    highest = of_files()
    db.execute("BEGIN IMMEDIATE")
    try:
        for row in db.execute(beyond, (MOST,)).fetchall():
            run = RunRecord(**fields_of(row))
            _renumber(db, run, next_number(db, highest), notes_of(run.uid))
        db.execute("COMMIT")
    except BaseException:  # whatever it is, it goes on to the caller
        db.execute("ROLLBACK")
        raise


def _renumber(
    db: sqlite3.Connection, run: RunRecord, number: int, notes: Iterable[RunNote]
) -> None:
    db.execute("UPDATE runs SET number = ? WHERE uid = ?", (number, run.uid))
    for table in ("run_keys", "run_texts"):
        db.execute(f"DELETE FROM {table} WHERE number = ?", (run.number,))  # noqa: S608  # our own names
    index_run(db, run.model_copy(update={"number": number}), notes)
    item = db.execute("SELECT run_numbers FROM items WHERE item_id = ?", (run.item_id,)).fetchone()
    if item is not None:
        numbers = [number if each == run.number else each for each in json.loads(item[0])]
        db.execute(
            "UPDATE items SET run_numbers = ? WHERE item_id = ?", (json.dumps(numbers), run.item_id)
        )
    get_logger().warning("run_renumbered", run_uid=run.uid, was=run.number, number=number)

"""Every command of every surface, kept in SQLite: who, what, when, how it ended, which runs.

In: commands and outcomes. Out: rows as dictionaries. Secrets are hidden before they come here. One
writer, the session service; anybody may read. Used on one thread.
"""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

from undula.core.clock import now
from undula.core.log import get_logger
from undula.session.bridge.hiding import hidden
from undula.session.bridge.model import Command, Outcome

_TABLE = """
create table if not exists commands (
    id text primary key, author text not null, origin text not null, line text not null,
    submitted real not null, started real, status text not null default 'open',
    result text not null default '', error text not null default '',
    message text not null default '', duration_s real, runs text not null default '[]'
);
create index if not exists by_time on commands (submitted);
"""
MAX_TEXT = 4000
_COLUMNS = (
    "id", "author", "origin", "line", "submitted", "started", "status", "result", "error",
    "message", "duration_s", "runs",
)  # fmt: skip


class CommandLog:
    """The log in one file; opened for writing by one process."""

    def __init__(self, path: Path, read_only: bool = False) -> None:
        mode = "ro" if read_only else "rwc"
        self._db = sqlite3.connect(f"file:{path}?mode={mode}", uri=True, isolation_level=None)
        if not read_only:
            self._db.execute("pragma journal_mode=wal")
            self._db.execute("pragma synchronous=normal")
            self._db.executescript(_TABLE)

    def accepted(self, command: Command) -> None:
        """A command was taken."""
        self._write(
            "insert or ignore into commands (id, author, origin, line, submitted) "
            "values (?, ?, ?, ?, ?)",
            (
                command.id,
                command.author.name,
                command.author.origin,
                hidden(command.line),
                command.submitted,
            ),
        )

    def started(self, command: Command) -> None:
        """A command runs; typed ones are first heard of here."""
        self.accepted(command)
        self._write("update commands set started = ? where id = ?", (now(), command.id))

    def finished(self, command: Command, outcome: Outcome) -> None:
        """A command has ended."""
        self._write(
            "update commands set status = ?, result = ?, error = ?, message = ?, duration_s = ?, "
            "runs = ? where id = ?",
            (
                outcome.status,
                hidden(outcome.result)[:MAX_TEXT],
                outcome.error,
                hidden(outcome.message)[:MAX_TEXT],
                outcome.duration_s,
                json.dumps(list(outcome.run_numbers)),
                command.id,
            ),
        )

    def _write(self, change: str, values: tuple[Any, ...]) -> None:
        """A disk that is full takes the record, never the command or the service."""
        try:
            self._db.execute(change, values)
        except sqlite3.Error as error:
            get_logger().error("command_not_kept", why=str(error), remedy="see undula doctor")

    def end_open(self, reason: str) -> int:
        """End what a dead service left open: nobody saw how it went. Returns how many."""
        cursor = self._db.execute(
            "update commands set status = 'died', message = ? where status = 'open'", (reason,)
        )
        return cursor.rowcount

    def last(
        self,
        count: int = 20,
        search: str = "",
        author: str = "",
        *,
        status: str = "",
        numbers: tuple[int, int] | None = None,
    ) -> list[dict[str, Any]]:
        """The newest commands, the oldest of them first.

        Args:
            search: text that the line must hold; "" for any.
            count: how many; -1 for all.
            author: of this person only; "" for any.
            status: that ended so; "" for any.
            numbers: from one number to another.
        """
        rows = self._db.execute(
            f"select rowid, {', '.join(_COLUMNS)} from commands "  # noqa: S608  # our own column names
            "where line like ? escape '!' and (? = '' or author = ?) and (? = '' or status = ?) "
            "and rowid between ? and ? "
            "order by submitted desc, rowid desc limit ?",
            (
                f"%{_escaped(search)}%",
                author,
                author,
                status,
                status,
                *(numbers or (0, 2**62)),
                count,
            ),
        ).fetchall()
        return [_row(row) for row in reversed(rows)]

    def outcome(self, command_id: str) -> Outcome | None:
        """How a command ended; None when it is not known or still open."""
        row = self._db.execute(
            "select status, result, error, message, duration_s, runs from commands where id = ?",
            (command_id,),
        ).fetchone()
        if row is None or row[0] == "open":
            return None
        status, result, error, message, duration_s, runs = row
        return Outcome(
            status,
            result=result,
            error=error,
            message=message,
            duration_s=duration_s or 0.0,
            run_numbers=tuple(json.loads(runs)),
        )

    def close(self) -> None:
        """Close the file."""
        self._db.close()


def read_log(
    path: Path, count: int, search: str = "", author: str = "", **more: Any
) -> list[dict[str, Any]]:
    """The newest commands, read beside the one who writes; nothing when there is no log yet.

    The arguments are those of `CommandLog.last`.
    """
    if not path.exists():
        return []
    try:
        log = CommandLog(path, read_only=True)
    except sqlite3.OperationalError:
        return []
    try:
        return log.last(count, search, author, **more)
    except sqlite3.OperationalError:
        return []  # not a table yet
    finally:
        log.close()


def _escaped(text: str) -> str:
    return text.replace("!", "!!").replace("%", "!%").replace("_", "!_")


def _row(row: tuple[Any, ...]) -> dict[str, Any]:
    found = dict(zip(("number", *_COLUMNS), row, strict=True))
    found["runs"] = json.loads(found["runs"])
    return found

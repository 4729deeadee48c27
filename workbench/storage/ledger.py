"""The ledger of runs: what was begun, how it ended, counted once.

SQLite in WAL mode with ``synchronous=FULL``: a commit that returned survives a crash of the process and of the machine
(https://sqlite.org/wal.html, https://sqlite.org/pragma.html#pragma_synchronous). That a cell is done at most once is a
unique index, not a convention. Knows cells by name and payloads as JSON, never what a run measures.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from workbench.errors import StorageError, StorageFull, StoreCorrupt

Status = Literal["running", "done", "failed", "abandoned"]

SCHEMA_VERSION = 1
_APPLICATION_ID = 0x77624C67  # "wbLg"
_REMEDY = "Move the file away; the runs are then measured again, or restore it from a copy."

_SCHEMA = f"""
BEGIN;
CREATE TABLE attempts (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    cell TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('running', 'done', 'failed', 'abandoned')),
    started REAL NOT NULL,
    finished REAL,
    host TEXT NOT NULL,
    payload TEXT,
    error TEXT,
    UNIQUE (cell, attempt)
);
CREATE UNIQUE INDEX done_once ON attempts (cell) WHERE status = 'done';
PRAGMA application_id = {_APPLICATION_ID};
PRAGMA user_version = {SCHEMA_VERSION};
COMMIT;
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One line of the ledger.

    Attributes:
        sequence: running number over all cells: the order in which attempts began.
        cell: what was run.
        attempt: 1 for the first try of this cell.
        status: "running", "done", "failed" or "abandoned" (its driver went away).
        started: seconds since 1970.
        finished: seconds since 1970; ``None`` while running.
        host: where it ran.
        payload: what it left, JSON values; ``None`` if nothing.
        error: why it failed.
    """

    sequence: int
    cell: str
    attempt: int
    status: Status
    started: float
    finished: float | None
    host: str
    payload: Mapping[str, Any] | None
    error: str | None


class Ledger:
    """Attempts at cells in one SQLite file. One writer at a time: hold a :class:`FolderLock`; any number of readers.

    Args:
        path: the file; made if it is not there, unless ``readonly``.
        readonly: for looking only.

    Raises (every method): StorageFull: no room, nothing changed; StoreCorrupt: the file is damaged or not a ledger.
    """

    def __init__(self, path: Path | str, *, readonly: bool = False) -> None:
        self.path = Path(path)
        if not readonly:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        with self._translated():
            # check_same_thread: a driver may be closed from another thread than the one it ran in
            self._connection = sqlite3.connect(
                f"{self.path.absolute().as_uri()}?mode={'ro' if readonly else 'rwc'}",
                uri=True,
                isolation_level=None,
                timeout=30.0,
                check_same_thread=False,
            )
        try:
            self._open(readonly)
        except BaseException:
            self._connection.close()
            raise

    def begin(self, cell: str, *, host: str) -> int:
        """Note that a cell starts; returns the number of this attempt."""
        with self._transaction() as connection:
            row = connection.execute("SELECT COALESCE(MAX(attempt), 0) + 1 FROM attempts WHERE cell = ?", (cell,))
            attempt = int(row.fetchone()[0])
            connection.execute(
                "INSERT INTO attempts (cell, attempt, status, started, host) VALUES (?, ?, 'running', ?, ?)",
                (cell, attempt, time.time(), host),
            )
        return attempt

    def finish(
        self,
        cell: str,
        attempt: int,
        *,
        status: Literal["done", "failed", "abandoned"],
        payload: Mapping[str, Any] | None = None,
        error: str | None = None,
        finished: float | None = None,
        host: str | None = None,
    ) -> bool:
        """Note how an attempt ended, and where, if that was not known when it began.

        Returns:
            False if the cell is done already by another attempt; this one is then kept as "abandoned".

        Raises:
            StorageError: there is no such attempt running.
        """
        text = None if payload is None else json.dumps(payload, ensure_ascii=False, allow_nan=False)
        with self._transaction() as connection:
            first = status != "done" or not self._is_done(cell)
            changed = connection.execute(
                "UPDATE attempts SET status = ?, finished = ?, payload = ?, error = ?, host = COALESCE(?, host) "
                "WHERE cell = ? AND attempt = ? AND status = 'running'",
                (status if first else "abandoned", finished or time.time(), text, error, host, cell, attempt),
            ).rowcount
            if changed != 1:
                raise StorageError(f"{self.path}: attempt {attempt} of cell {cell} is not running.")
        return first

    def running(self) -> list[Attempt]:
        """Attempts without an end. With no driver alive they are what a dead one left behind."""
        return [attempt for attempt in self._select() if attempt.status == "running"]

    def abandon_running(self, reason: str = "the driver went away before it ended") -> int:
        """Give up every attempt without an end, so that its cell counts as missing; returns how many."""
        with self._transaction() as connection:
            return connection.execute(
                "UPDATE attempts SET status = 'abandoned', finished = ?, error = ? WHERE status = 'running'",
                (time.time(), reason),
            ).rowcount

    def attempts(self, cell: str | None = None) -> list[Attempt]:
        """Every attempt, or those at one cell, in the order they began."""
        return [attempt for attempt in self._select() if cell in (None, attempt.cell)]

    def ended(self) -> dict[str, Attempt]:
        """Cell → the attempt that counts: the done one, else the last failed one. Other cells are missing."""
        counted: dict[str, Attempt] = {}
        for attempt in self._select():
            present = counted.get(attempt.cell)
            if attempt.status in ("done", "failed") and (present is None or present.status != "done"):
                counted[attempt.cell] = attempt
        return counted

    def close(self) -> None:
        """Close the file. Idempotent."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _open(self, readonly: bool) -> None:
        with self._translated():
            version = int(self._pragma("user_version"))
            application = int(self._pragma("application_id"))
            tables = int(self._connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()[0])
            if not readonly:
                self._pragma("journal_mode = WAL")
                self._pragma("synchronous = FULL")
            if version == 0 and tables == 0 and not readonly:
                self._connection.executescript(_SCHEMA)
            else:
                self._check(version, application)

    def _check(self, version: int, application: int) -> None:
        if application != _APPLICATION_ID:
            raise StoreCorrupt(self.path, f"it is not a ledger of runs. {_REMEDY}")
        if version != SCHEMA_VERSION:
            raise StoreCorrupt(
                self.path,
                f"it has schema version {version}, this workbench reads {SCHEMA_VERSION}. "
                "Use the version that wrote it, or another results folder.",
            )
        verdict = self._pragma("quick_check")
        if verdict != "ok":
            raise StoreCorrupt(self.path, f"{verdict}. {_REMEDY}")

    def _pragma(self, text: str) -> Any:
        row = self._connection.execute(f"PRAGMA {text}").fetchone()
        return None if row is None else row[0]

    def _is_done(self, cell: str) -> bool:
        found = self._connection.execute("SELECT 1 FROM attempts WHERE cell = ? AND status = 'done'", (cell,))
        return found.fetchone() is not None

    def _select(self) -> Iterator[Attempt]:
        with self._translated():
            rows = self._connection.execute(
                "SELECT sequence, cell, attempt, status, started, finished, host, payload, error "
                "FROM attempts ORDER BY sequence"
            ).fetchall()
        return map(self._attempt, rows)

    def _attempt(self, row: tuple[Any, ...]) -> Attempt:
        sequence, cell, attempt, status, started, finished, host, payload, error = row
        try:
            parsed = None if payload is None else json.loads(payload)
        except ValueError as problem:
            raise StoreCorrupt(self.path, f"attempt {attempt} of {cell}: {problem}. {_REMEDY}") from problem
        return Attempt(
            sequence=sequence,
            cell=cell,
            attempt=attempt,
            status=status,
            started=started,
            finished=finished,
            host=host,
            payload=parsed,
            error=error,
        )

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing. IMMEDIATE: the write lock is taken before anything is read."""
        with self._translated():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:  # SQLite rolls back by itself when the disk is full
                    self._connection.execute("ROLLBACK")
                raise

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """SQLite's errors as this package's, by SQLite's own result codes (https://sqlite.org/rescode.html)."""
        try:
            yield
        except sqlite3.Error as error:
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF
            if code == sqlite3.SQLITE_FULL or (code == sqlite3.SQLITE_IOERR and _no_room(error)):
                raise StorageFull(self.path) from error
            if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
                raise StoreCorrupt(self.path, f"{error}. {_REMEDY}") from error
            raise StorageError(f"{self.path}: {error}") from error


def _no_room(error: sqlite3.Error) -> bool:
    """A failed write or truncation: a quota or a file size limit reports itself as an I/O error."""
    return getattr(error, "sqlite_errorname", "") in ("SQLITE_IOERR_WRITE", "SQLITE_IOERR_TRUNCATE")

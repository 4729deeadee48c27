"""The ledger of runs: what was begun, how it ended, counted once.

SQLite in WAL mode with ``synchronous=FULL``: a commit that returned survives a crash of the process and of the machine
(https://sqlite.org/wal.html, https://sqlite.org/pragma.html#pragma_synchronous). That a cell is done at most once is a
unique index, not a convention. Knows cells by name and payloads as JSON, never what a run measures.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from workbench.errors import StorageError, StoreCorrupt
from workbench.storage.database import Database, FileKind

Status = Literal["running", "done", "failed", "abandoned"]

SCHEMA_VERSION = 2
_HAS_REASON = 2

_KIND = FileKind(
    noun="a ledger of runs",
    application_id=0x77624C67,  # "wbLg"
    version=SCHEMA_VERSION,
    schema="""
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
    reason TEXT,
    UNIQUE (cell, attempt)
);
CREATE UNIQUE INDEX done_once ON attempts (cell) WHERE status = 'done';
""",
    upgrades={1: "ALTER TABLE attempts ADD COLUMN reason TEXT"},
    remedy="Move the file away; the runs are then measured again, or restore it from a copy.",
)


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
        error: why it failed, for a person.
        reason: why it failed, in one word, for a program.
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
    reason: str | None = None


def counting(attempts: Iterable[Attempt]) -> dict[str, Attempt]:
    """Cell → the attempt that counts: the done one, else the last failed one. Other cells are missing.

    Args:
        attempts: in the order they began.
    """
    counted: dict[str, Attempt] = {}
    for attempt in attempts:
        present = counted.get(attempt.cell)
        if attempt.status in ("done", "failed") and (present is None or present.status != "done"):
            counted[attempt.cell] = attempt
    return counted


class Ledger:
    """Attempts at cells in one SQLite file. One writer at a time: hold a :class:`FolderLock`; any number of readers.

    Args:
        path: the file; made if it is not there, unless ``readonly``.
        readonly: for looking only.

    Raises (every method): StorageFull: no room, nothing changed; StoreCorrupt: the file is damaged or not a ledger.
    """

    def __init__(self, path: Path | str, *, readonly: bool = False) -> None:
        self.path = Path(path)
        self._database = Database(self.path, _KIND, readonly=readonly)

    def begin(self, cell: str, *, host: str) -> int:
        """Note that a cell starts; returns the number of this attempt."""
        with self._database.transaction() as connection:
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
        reason: str | None = None,
        finished: float | None = None,
        host: str | None = None,
    ) -> bool:
        """Note how and why an attempt ended, and where, if that was not known when it began.

        Returns:
            False if the cell is done already by another attempt; this one is then kept as "abandoned".

        Raises:
            StorageError: there is no such attempt running.
        """
        text = None if payload is None else json.dumps(payload, ensure_ascii=False, allow_nan=False)
        with self._database.transaction() as connection:
            done = connection.execute("SELECT 1 FROM attempts WHERE cell = ? AND status = 'done'", (cell,)).fetchone()
            first = status != "done" or done is None
            changed = connection.execute(
                "UPDATE attempts SET status = ?, finished = ?, payload = ?, error = ?, reason = ?, "
                "host = COALESCE(?, host) WHERE cell = ? AND attempt = ? AND status = 'running'",
                (status if first else "abandoned", finished or time.time(), text, error, reason, host, cell, attempt),
            ).rowcount
            if changed != 1:
                raise StorageError(f"{self.path}: attempt {attempt} of cell {cell} is not running.")
        return first

    def running(self) -> list[Attempt]:
        """Attempts without an end. With no driver alive they are what a dead one left behind."""
        return list(self._select("WHERE status = 'running'"))

    def abandon_running(self, reason: str = "the driver went away before it ended") -> int:
        """Give up every attempt without an end, so that its cell counts as missing; returns how many."""
        with self._database.transaction() as connection:
            return connection.execute(
                "UPDATE attempts SET status = 'abandoned', finished = ?, error = ? WHERE status = 'running'",
                (time.time(), reason),
            ).rowcount

    def attempts(self, cell: str | None = None, *, payloads: bool = True) -> list[Attempt]:
        """Every attempt, or those at one cell, in the order they began; what they left only if ``payloads``."""
        which: tuple[str, tuple[str, ...]] = ("", ()) if cell is None else ("WHERE cell = ?", (cell,))
        return list(self._select(*which, payloads=payloads))

    def attempt(self, cell: str, attempt: int) -> Attempt:
        """One attempt.

        Raises:
            StorageError: there is none.
        """
        found = list(self._select("WHERE cell = ? AND attempt = ?", (cell, attempt)))
        if not found:
            raise StorageError(f"{self.path}: there is no attempt {attempt} of cell {cell}.")
        return found[0]

    def stamp(self) -> str:
        """A text that is another one as soon as an attempt begins or ends; costs a glance, whatever runs left."""
        rows = self._database.read("SELECT sequence, status, finished FROM attempts ORDER BY sequence")
        return hashlib.sha256(json.dumps(rows).encode()).hexdigest()

    def ended(self) -> dict[str, Attempt]:
        """Cell → the attempt that counts, see :func:`counting`."""
        return counting(self._select())

    def close(self) -> None:
        """Close the file. Idempotent."""
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _select(self, which: str = "", values: Sequence[Any] = (), *, payloads: bool = True) -> Iterator[Attempt]:
        payload = "payload" if payloads else "NULL"
        reason = "reason" if self._database.version >= _HAS_REASON else "NULL"
        rows = self._database.read(
            f"SELECT sequence, cell, attempt, status, started, finished, host, {payload}, error, "  # noqa: S608
            f"{reason} FROM attempts {which} ORDER BY sequence",
            values,
        )
        return map(self._attempt, rows)

    def _attempt(self, row: tuple[Any, ...]) -> Attempt:
        sequence, cell, attempt, status, started, finished, host, payload, error, reason = row
        try:
            parsed = None if payload is None else json.loads(payload)
        except ValueError as problem:
            raise StoreCorrupt(self.path, f"attempt {attempt} of {cell}: {problem}. {_KIND.remedy}") from problem
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
            reason=reason,
        )

"""One SQLite file of a known kind: opened, checked, and its errors put in this package's words.

WAL mode (https://sqlite.org/wal.html): readers never wait for the writer. Knows pragmas and result codes, no tables.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from workbench.errors import StorageError, StorageFull, StoreCorrupt
from workbench.storage.meter import metered


@dataclass(frozen=True, slots=True, kw_only=True)
class FileKind:
    """What a file has to be.

    Attributes:
        noun: what a person calls it: "a ledger of runs".
        application_id: the four bytes SQLite keeps in the header for this purpose.
        version: of the schema.
        schema: statements that make the tables.
        remedy: what to do about a damaged one.
        upgrades: older version → statements that make a file of it one of the next version. Who only reads gets the
            older tables as they are, see :attr:`Database.version`.
    """

    noun: str
    application_id: int
    version: int
    schema: str
    remedy: str
    upgrades: Mapping[int, str] = field(default_factory=dict)


class Database:
    """One connection. Thread-safe: calls wait for one another.

    Args:
        path: the file; made if it is not there, unless ``readonly``; ``None``: in memory, gone when closed.
        kind: what it has to be.
        readonly: for looking only.
        synchronous: "FULL": what was committed survives a crash of the machine; "NORMAL": of the process
            (https://sqlite.org/pragma.html#pragma_synchronous).
        check: read the whole file for damage when opening; leave it out where opening must be quick, and a damaged
            page is then reported when it is read.

    Attributes:
        version: of the file's tables: the kind's, or an older one that is opened for looking only.

    Raises (every method): StorageFull: no room, nothing changed; StoreCorrupt: the file is damaged or of another kind.
    """

    def __init__(
        self,
        path: Path | None,
        kind: FileKind,
        *,
        readonly: bool = False,
        synchronous: Literal["FULL", "NORMAL"] = "FULL",
        check: bool = True,
    ) -> None:
        self.path, self.kind, self.version = path, kind, kind.version
        self._lock = threading.RLock()
        self._closed = self._unmade = False
        if path is not None and not readonly:
            path.parent.mkdir(parents=True, exist_ok=True)
        with self.translated():
            # check_same_thread: whoever closes is seldom who opened; the lock above is what keeps threads apart
            self._connection = sqlite3.connect(
                ":memory:" if path is None else f"{path.absolute().as_uri()}?{_mode(path, readonly)}",
                uri=path is not None,
                isolation_level=None,
                timeout=30.0,
                check_same_thread=False,
            )
        try:
            self._open(readonly, synchronous, check)
        except BaseException:
            self._connection.close()
            raise

    def read(self, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """All rows of a query."""
        with metered(), self._lock, self.translated():
            self._check_open()
            if self._unmade and self._still_unmade():
                return []
            return self._connection.execute(statement, values).fetchall()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing. IMMEDIATE: the write lock is taken before anything is read."""
        with metered(), self._lock, self.translated():
            self._check_open()
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:  # SQLite rolls back by itself when the disk is full
                    self._connection.execute("ROLLBACK")
                raise

    def shrink(self) -> None:
        """Give the room of deleted rows back to the file system. Takes time in proportion to what was deleted."""
        with self._lock, self.translated():
            self._check_open()
            # as a script: execute() stops at the first step of a statement without columns, after one page
            self._connection.executescript("PRAGMA incremental_vacuum")
            self._pragma("wal_checkpoint(TRUNCATE)")

    def trace(self, listener: Any) -> None:
        """Call ``listener`` with the text of every statement; ``None`` ends it. For tests that count queries."""
        self._connection.set_trace_callback(listener)

    def close(self) -> None:
        """Close the file. Idempotent."""
        with self._lock:
            self._closed = True
            self._connection.close()

    def _open(self, readonly: bool, synchronous: str, check: bool) -> None:
        with self.translated():
            version, application, tables = self._identity()
            empty = version == application == tables == 0
            new, self._unmade = empty and not readonly, empty and readonly
            if not empty:
                self._check(version, application, check)  # first of all: a file of another kind is not to be changed
            if not readonly:
                if new:
                    self._pragma("auto_vacuum = INCREMENTAL")  # only possible before the file is first written
                self._pragma("secure_delete = ON")  # what a person deletes is not to be found in the file afterwards
                self._pragma("journal_mode = WAL")
                self._pragma(f"synchronous = {synchronous}")
            if new:
                self._make_tables()
            elif self._unmade:  # another process is making it at this moment: there is nothing in it yet
                return
            elif readonly:
                self.version = version
            else:
                self._upgrade(version)

    def _still_unmade(self) -> bool:
        version, application, tables = self._identity()
        if version == application == tables == 0:
            return True
        self._check(version, application, False)
        self.version, self._unmade = version, False
        return False

    def _upgrade(self, version: int) -> None:
        """Bring the tables up to today's version, one at a time; another process may have been quicker."""
        while version < self.kind.version:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                version = self._identity()[0]
                if version < self.kind.version:
                    for statement in self.kind.upgrades[version].split(";"):
                        self._connection.execute(statement)
                    version += 1
                    self._connection.execute(f"PRAGMA user_version = {version}")
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    def _identity(self) -> tuple[int, int, int]:
        """Version, kind and number of tables. One statement: another process may be making the file just now."""
        row = self._connection.execute(
            "SELECT (SELECT user_version FROM pragma_user_version), "
            "(SELECT application_id FROM pragma_application_id), (SELECT COUNT(*) FROM sqlite_master)"
        ).fetchone()
        return int(row[0]), int(row[1]), int(row[2])

    def _make_tables(self) -> None:
        try:
            self._connection.executescript(
                f"BEGIN IMMEDIATE; {self.kind.schema} PRAGMA application_id = {self.kind.application_id}; "
                f"PRAGMA user_version = {self.kind.version}; COMMIT;"
            )
        except sqlite3.OperationalError:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            version, application, tables = self._identity()
            if tables == 0:
                raise
            self._check(version, application, False)  # another process was quicker

    def _check(self, version: int, application: int, whole: bool) -> None:
        path, kind = self._named, self.kind
        if application != kind.application_id:
            raise StoreCorrupt(path, f"it is not {kind.noun}. {kind.remedy}")
        if version != kind.version and version not in kind.upgrades:
            newer = version > kind.version
            raise StoreCorrupt(
                path,
                f"it has schema version {version}, this workbench reads {kind.version}. "
                + ("Upgrade workbench" if newer else "Use the version that wrote it")
                + ", or use another folder.",
            )
        verdict = self._pragma("quick_check") if whole else "ok"
        if verdict != "ok":
            raise StoreCorrupt(path, f"{verdict}. {kind.remedy}")

    def _check_open(self) -> None:
        if self._closed:
            raise StorageError(f"{self._named} is closed. Open it anew.")

    def _pragma(self, text: str) -> Any:
        row = self._connection.execute(f"PRAGMA {text}").fetchone()
        return None if row is None else row[0]

    @property
    def _named(self) -> Path:
        return self.path or Path("(in memory)")

    @contextmanager
    def translated(self) -> Iterator[None]:
        """SQLite's errors as this package's, by SQLite's own result codes (https://sqlite.org/rescode.html)."""
        try:
            yield
        except sqlite3.Error as error:
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF
            if code == sqlite3.SQLITE_FULL or (code == sqlite3.SQLITE_IOERR and _no_room(error)):
                raise StorageFull(self._named) from error
            if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
                raise StoreCorrupt(self._named, f"{error}. {self.kind.remedy}") from error
            raise StorageError(f"{self._named}: {error}") from error


def _mode(path: Path, readonly: bool) -> str:
    """How to open a file.

    In a folder nobody here can write to (a mounted archive) WAL mode has no place for its index: what cannot change is
    then read without one (https://sqlite.org/wal.html, "Read-Only Databases").
    """
    if not readonly:
        return "mode=rwc"
    still = path.exists() and not os.access(path.parent, os.W_OK) and not path.with_name(f"{path.name}-wal").exists()
    return "mode=ro&immutable=1" if still else "mode=ro"


def _no_room(error: sqlite3.Error) -> bool:
    """A failed write or truncation: a quota or a file size limit reports itself as an I/O error."""
    return getattr(error, "sqlite_errorname", "") in ("SQLITE_IOERR_WRITE", "SQLITE_IOERR_TRUNCATE")

"""Entries in one SQLite file, so that they survive a restart and a ``kill -9``.

Several processes may open the same file (WAL): an answer is the same whoever asked for it, every operation is about one
entry and one transaction, so there is nothing one owner would have to guard. What a crash may cost is the count of the
hits since an entry was last put; other processes learn of them then, too. Values are as readable in the file as the
answers themselves; keys are what the cache makes them, a hash for requests.
"""

from __future__ import annotations

import hashlib
import sys
import time
from collections.abc import Callable
from pathlib import Path
from sqlite3 import Connection

from workbench.caching.entry import Row, decoded, encoded, entry_bytes
from workbench.errors import StorageError
from workbench.storage import Database, FileKind

_KIND = FileKind(
    noun="a cache of answers",
    application_id=0x57424143,  # "WBAC"
    version=1,
    schema="""
    CREATE TABLE entries (
        id INTEGER PRIMARY KEY AUTOINCREMENT,  -- never used twice: "what came after" must not miss any
        key BLOB NOT NULL UNIQUE,
        value BLOB NOT NULL,
        mark BLOB NOT NULL,
        digest BLOB NOT NULL,  -- of key, value and mark
        size INTEGER NOT NULL,
        put_at REAL NOT NULL,  -- seconds since 1970
        used INTEGER NOT NULL,  -- nanoseconds since 1970, made unique
        hits INTEGER NOT NULL DEFAULT 0
    ) STRICT;
    CREATE INDEX entries_by_use ON entries (used);
    CREATE TABLE held (entries INTEGER NOT NULL, bytes INTEGER NOT NULL) STRICT;
    INSERT INTO held VALUES (0, 0);
    CREATE TRIGGER entry_came AFTER INSERT ON entries
        BEGIN UPDATE held SET entries = entries + 1, bytes = bytes + new.size; END;
    CREATE TRIGGER entry_went AFTER DELETE ON entries
        BEGIN UPDATE held SET entries = entries - 1, bytes = bytes - old.size; END;
    """,
    remedy="Delete the file: it is a cache, and what was in it is computed again when it is asked for.",
)
_TOUCHES = 1024  # entries whose uses wait to be written: put and close write them, a hit only where nothing is ever put


class SqliteStore:
    """Implements :class:`workbench.caching.entry.Store`. Several processes may share the file.

    Args:
        path: of the file; made if it is not there.
        max_bytes: of all entries together, counted by :func:`workbench.caching.entry.entry_bytes`; the file takes some
            more.
        ttl_s: seconds an entry lives after it was put; ``None``: for ever.
        max_entries: most entries; ``None``: as many as ``max_bytes`` holds.
        clock: seconds since 1970: the age of an entry goes on while nothing runs. An entry further in the future than
            ``ttl_s`` was put by a clock that was wrong, and has expired.

    Raises (every method): StorageFull: nothing changed; StoreCorrupt: the file is damaged or of another kind.
    """

    def __init__(
        self,
        path: Path,
        max_bytes: int,
        ttl_s: float | None = None,
        *,
        max_entries: int | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._max_bytes, self._max_entries, self._clock = max_bytes, max_entries or sys.maxsize, clock
        self._lives_s = float("inf") if ttl_s is None else ttl_s
        # a crash of the machine may cost the newest entries, never the file; each entry is checked when it is read
        self._database = Database(path, _KIND, synchronous="NORMAL", check=False)
        self._touched: dict[bytes, tuple[int, int]] = {}  # key → last use, hits since the last write
        self._last_use = 0
        self._closed = False

    def get(self, key: str) -> str | None:
        """The value; an expired or damaged one is dropped."""
        name = encoded(key)
        rows = self._database.read("SELECT value, mark, digest, put_at FROM entries WHERE key = ?", (name,))
        if not rows:
            return None
        value, mark, digest, put_at = rows[0]
        if abs(self._clock() - put_at) >= self._lives_s or digest != _digest(name, value, mark):
            self.drop(key)
            return None
        _, hits = self._touched.get(name, (0, 0))
        self._touched[name] = (self._moment(), hits + 1)
        if len(self._touched) >= _TOUCHES:
            self._write_or_forget_touches()
        return decoded(value)

    def put(self, row: Row) -> list[str]:
        """Keep an entry; what was used least recently goes in the same transaction."""
        name, value, size = encoded(row.key), encoded(row.value), entry_bytes(row)
        with self._database.transaction() as connection:
            self._apply_touches(connection)  # before the eviction, which goes by time of use
            connection.execute("DELETE FROM entries WHERE key = ?", (name,))
            if size <= self._max_bytes:
                connection.execute(
                    "INSERT INTO entries (key, value, mark, digest, size, put_at, used) VALUES (?, ?, ?, ?, ?, ?, ?)",
                    (name, value, row.mark, _digest(name, value, row.mark), size, self._clock(), self._moment()),
                )
            gone = self._evict(connection)
        self._touched.clear()
        return gone if size <= self._max_bytes else [row.key, *gone]

    def drop(self, key: str) -> None:
        """Drop an entry, if it is there."""
        name = encoded(key)
        self._touched.pop(name, None)
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM entries WHERE key = ?", (name,))

    def hits_of(self, key: str) -> int:
        """How often an entry was found since it was put, in every process and before every restart."""
        name = encoded(key)
        rows = self._database.read("SELECT hits FROM entries WHERE key = ?", (name,))
        return int(rows[0][0]) + self._touched.get(name, (0, 0))[1] if rows else 0

    def size(self) -> tuple[int, int]:
        """Entries and bytes; expired entries count as held until they are looked up or pushed out."""
        ((entries, size),) = self._database.read("SELECT entries, bytes FROM held")
        return int(entries), int(size)

    def since(self, mark: int) -> tuple[int, list[Row]]:
        """Entries put after ``mark``, by whichever process; their values are left in the file."""
        found = self._database.read("SELECT id, key, mark FROM entries WHERE id > ? ORDER BY id", (mark,))
        return (int(found[-1][0]) if found else mark), [Row(decoded(key), "", data) for _, key, data in found]

    def clear(self) -> None:
        """Drop every entry."""
        self._touched.clear()
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM entries")

    def close(self) -> None:
        """Write the last uses and close the file. Idempotent."""
        if self._closed:
            return
        self._closed = True
        try:
            self._write_touches()
        finally:
            self._database.close()

    def _moment(self) -> int:
        """Now in nanoseconds, later than any moment before, though the clock stood still or was set back."""
        self._last_use = max(time.time_ns(), self._last_use + 1)
        return self._last_use

    def _write_touches(self) -> None:
        if self._touched:
            with self._database.transaction() as connection:
                self._apply_touches(connection)
            self._touched.clear()

    def _write_or_forget_touches(self) -> None:
        """Without room for them uses are lost, not answers; the next entry that is put says that there is no room."""
        try:
            self._write_touches()
        except StorageError:
            self._touched.clear()

    def _apply_touches(self, connection: Connection) -> None:
        rows = [(used, hits, name) for name, (used, hits) in self._touched.items()]
        connection.executemany("UPDATE entries SET used = MAX(used, ?), hits = hits + ? WHERE key = ?", rows)

    def _evict(self, connection: Connection) -> list[str]:
        gone: list[str] = []
        limits = (self._max_entries, self._max_bytes)
        while connection.execute("SELECT entries > ? OR bytes > ? FROM held", limits).fetchone()[0]:
            oldest = "DELETE FROM entries WHERE id = (SELECT id FROM entries ORDER BY used LIMIT 1) RETURNING key"
            gone += [decoded(key) for (key,) in connection.execute(oldest).fetchall()]
        return gone


def _digest(*parts: bytes) -> bytes:
    """Eight bytes that tell a damaged entry."""
    hashed = hashlib.blake2b(digest_size=8)
    for part in parts:
        hashed.update(len(part).to_bytes(8, "little") + part)
    return hashed.digest()

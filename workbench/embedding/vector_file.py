"""Vectors in one SQLite file under 16-byte keys, the least recently used going when the file has reached its budget.

Knows bytes; never texts, models or how long a vector ought to be but for what its caller says.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from sqlite3 import Connection

from workbench.storage import Database, FileKind

_KIND = FileKind(
    noun="a cache of embedding vectors",
    application_id=0x57424556,  # "WBEV"
    version=1,
    schema="""
    CREATE TABLE vectors (
        id INTEGER PRIMARY KEY,  -- a table with a rowid: one without keeps rows this long off its own pages
        key BLOB NOT NULL UNIQUE,
        vector BLOB NOT NULL,
        crc INTEGER NOT NULL,  -- CRC-32 of the vector
        used INTEGER NOT NULL  -- nanoseconds since 1970
    ) STRICT;
    CREATE INDEX vectors_by_use ON vectors (used);
    """,
    remedy="Delete the file: it is a cache, and its texts are embedded again when they are needed.",
)
_AT_ONCE = 500  # keys in one statement; SQLite's limit on parameters was 999 for long
_CROWDED = 0.5  # share of the budget from which it matters what was used last
_SPARE = 0.1  # share of the budget freed by an eviction, so that not every write evicts


class VectorFile:
    """The file. Thread-safe, and safe for several processes: every write is one transaction.

    Args:
        path: of the file; made if it is not there.
        budget_bytes: most its pages in use take together.

    Raises (every method): StorageFull, StoreCorrupt, StorageError: see :class:`workbench.storage.Database`.
    """

    def __init__(self, path: Path, budget_bytes: int) -> None:
        self.budget_bytes = budget_bytes
        # a crash of the machine may cost the newest vectors, never the file; reading all of it first would take long
        self._database = Database(path, _KIND, synchronous="NORMAL", check=False)
        self._taken_bytes = self._taken()

    def read(self, keys: Sequence[bytes], size_bytes: int) -> dict[bytes, bytes]:
        """Those vectors that are there, whole and of this size; a damaged one counts as absent."""
        found: dict[bytes, bytes] = {}
        for some in _pieces(keys):
            marks = ",".join("?" * len(some))
            statement = f"SELECT key, vector, crc FROM vectors WHERE key IN ({marks})"  # noqa: S608 - question marks
            rows = self._database.read(statement, some)
            found |= {key: row for key, row, crc in rows if len(row) == size_bytes and zlib.crc32(row) == crc}
        return found

    def write(self, rows: Mapping[bytes, bytes]) -> int:
        """Keep vectors, in place of those under the same keys; returns how many older ones had to go."""
        now = time.time_ns()
        with self._database.transaction() as connection:
            connection.executemany(
                "INSERT INTO vectors (key, vector, crc, used) VALUES (?, ?, ?, ?) ON CONFLICT (key) DO UPDATE "
                "SET vector = excluded.vector, crc = excluded.crc, used = excluded.used",
                ((key, vector, zlib.crc32(vector), now) for key, vector in rows.items()),
            )
            return self._evict(connection)

    def touch(self, keys: Collection[bytes]) -> None:
        """These were used just now. Not noted while the file is far from its budget: nothing has to go for long.

        After a restart every vector of a long history is read once; to note ten thousand uses takes longer than to
        read them.
        """
        if self._taken_bytes < _CROWDED * self.budget_bytes:
            return
        now = time.time_ns()
        with self._database.transaction() as connection:
            connection.executemany("UPDATE vectors SET used = ? WHERE key = ?", ((now, key) for key in keys))

    def delete(self, keys: Collection[bytes]) -> None:
        """Forget these, and give their room back to the file system."""
        with self._database.transaction() as connection:
            connection.executemany("DELETE FROM vectors WHERE key = ?", ((key,) for key in keys))
        self._database.shrink()

    def size(self) -> tuple[int, int]:
        """How many vectors there are, and the bytes of the pages they take."""
        return int(self._database.read("SELECT COUNT(*) FROM vectors")[0][0]), self._taken()

    def close(self) -> None:
        """Close the file. Idempotent."""
        self._database.close()

    def _taken(self) -> int:
        """Bytes of the pages in use."""
        pages, free, page = (int(self._database.read(f"PRAGMA {name}")[0][0]) for name in _PAGES)
        return (pages - free) * page

    def _evict(self, connection: Connection) -> int:
        """Delete the least recently used until a share of the budget is free again."""
        pages, free, page = (int(connection.execute(f"PRAGMA {name}").fetchone()[0]) for name in _PAGES)
        taken = self._taken_bytes = (pages - free) * page
        if taken <= self.budget_bytes:
            return 0
        entries = int(connection.execute("SELECT COUNT(*) FROM vectors").fetchone()[0])
        # in proportion: every vector of a file takes about the same room
        surplus = min(entries, round(entries * (1 - (1 - _SPARE) * self.budget_bytes / taken)) + 1)
        connection.execute(
            "DELETE FROM vectors WHERE id IN (SELECT id FROM vectors ORDER BY used, id LIMIT ?)", (surplus,)
        )
        return surplus


_PAGES = ("page_count", "freelist_count", "page_size")


def _pieces(keys: Sequence[bytes]) -> Iterator[list[bytes]]:
    """``keys`` in lists short enough for one statement."""
    remaining = iter(keys)
    while some := list(islice(remaining, _AT_ONCE)):
        yield some

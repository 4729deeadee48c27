"""Opening an embedded Chroma, and its errors in this package's words.

What ``chromadb.PersistentClient`` wraps is used directly: importing ``chromadb`` itself takes seconds (it brings
telemetry, HTTP and the clients of a dozen services), its native module milliseconds.
"""

from __future__ import annotations

import importlib
import importlib.util
import re
import sys
import types
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from workbench.errors import StorageError, StorageFull, StoreCorrupt

PLACE = ("default_tenant", "default_database")
"""Tenant and database of an embedded Chroma."""

_FULL = re.compile(r"\(code: (13|778|1546)\)|No space left|File too large|disk is full", re.IGNORECASE)
_DAMAGED = re.compile(
    r"\(code: (11|26|267|523)\)|malformed|not a database|pickle|hnsw|Error (loading|finding)|panic", re.IGNORECASE
)


def spare_the_package() -> None:
    """Let Chroma's native code find its classes of errors without importing all of ``chromadb``.

    It looks for ``chromadb.errors`` when it has one to raise. For a process that does nothing else with Chroma.
    """
    found = importlib.util.find_spec("chromadb")
    if "chromadb" in sys.modules or found is None or not found.submodule_search_locations:
        return
    package = types.ModuleType("chromadb")
    package.__path__ = list(found.submodule_search_locations)
    sys.modules["chromadb"] = package
    importlib.import_module("chromadb.errors")


def open_chroma(folder: Path) -> Any:
    """The Chroma in ``folder``, made if need be; dropping the last reference closes it.

    Raises:
        StorageFull: no room. StoreCorrupt: the folder's content is damaged.
    """
    import chromadb_rust_bindings as native

    with translated(folder):
        folder.mkdir(parents=True, exist_ok=True)
        database = native.SqliteDBConfig(
            hash_type=native.MigrationHash.MD5,
            migration_mode=native.MigrationMode.Apply,
            url=str(folder / "chroma.sqlite3"),
        )
        return native.Bindings(
            allow_reset=False, sqlite_db_config=database, persist_path=str(folder), hnsw_cache_size=2
        )


@contextmanager
def translated(folder: Path) -> Iterator[None]:
    """Chroma's errors as :mod:`workbench.errors`: it has one class for nearly all, so the text has to tell."""
    try:
        yield
    except (KeyboardInterrupt, SystemExit, GeneratorExit, StorageError):
        raise
    except BaseException as error:  # a panic of its native code is no Exception
        told = f"{type(error).__name__}: {error}"
        if _FULL.search(told):
            raise StorageFull(folder) from error
        if _DAMAGED.search(told):
            raise StoreCorrupt(folder, told) from error
        raise StorageError(f"{folder}: {told}") from error

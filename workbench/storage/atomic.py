"""Files that are old or new, never half.

Temporary file in the same folder, fsync, replace, fsync the folder (Pillai et al., OSDI 2014: what POSIX file systems
guarantee about rename). A full disk leaves the old file as it was.
"""

from __future__ import annotations

import errno
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from workbench.errors import StorageFull, StoreCorrupt

NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@contextmanager
def replace_file(path: Path | str, *, private: bool = True) -> Iterator[IO[bytes]]:
    """A binary file that takes the place of ``path`` when the block ends well, and vanishes when it does not.

    Args:
        path: what to write.
        private: only the owner may read it: what was said is in most files. Not private: as any other new file.

    Raises:
        StorageFull: there is no room; ``path`` is as it was.
    """
    with replacing(path, private=private) as temporary, temporary.open("wb") as file:
        yield file


@contextmanager
def replacing(path: Path | str, *, private: bool = True) -> Iterator[Path]:
    """The same for writers that want a path: an empty file beside ``path`` that takes its place in the end.

    Raises:
        StorageFull: there is no room; ``path`` is as it was.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name[:40]}.", suffix=".tmp", dir=path.parent)
    if not private:
        _open_to_others(descriptor, path)
    os.close(descriptor)
    try:
        yield Path(temporary)
        _sync_file(temporary)
        os.replace(temporary, path)
        _sync_folder(path.parent)
    except OSError as error:
        if error.errno in NO_ROOM:
            raise StorageFull(path) from error
        raise
    finally:
        Path(temporary).unlink(missing_ok=True)


def _open_to_others(descriptor: int, path: Path) -> None:
    """The mode of the file it replaces, or that of any new file: ``mkstemp`` makes it the owner's alone."""
    if not hasattr(os, "fchmod"):
        return
    try:
        mode = path.stat().st_mode & 0o777
    except FileNotFoundError:
        mask = os.umask(0o022)  # there is no way to ask without setting it
        os.umask(mask)
        mode = 0o666 & ~mask
    os.fchmod(descriptor, mode)


def write_bytes(path: Path | str, data: bytes, *, private: bool = True) -> None:
    """Write a whole file atomically."""
    with replace_file(path, private=private) as file:
        file.write(data)


def write_text(path: Path | str, text: str, *, private: bool = True) -> None:
    """Write a whole UTF-8 file atomically."""
    write_bytes(path, text.encode(), private=private)


def write_json(path: Path | str, value: Any) -> None:
    """Write one JSON document atomically. NaN and infinity are refused: they are not JSON."""
    text = json.dumps(value, ensure_ascii=False, indent=1, allow_nan=False) + "\n"
    write_bytes(path, text.encode("utf-8", "backslashreplace"))  # a lone surrogate: UTF-8 has none, JSON's escape has


def read_json(path: Path | str) -> Any:
    """Read one JSON document.

    Raises:
        StoreCorrupt: it is not JSON.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except ValueError as error:
        raise StoreCorrupt(path, f"not valid JSON ({error})") from error


def _sync_file(path: str) -> None:
    with open(path, "rb+") as file:
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    """Make the rename itself durable; Windows cannot open a folder and needs none of this."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

"""One owner a folder.

The kernel's own lock (``flock``) is released when its holder dies, however it dies, so a dead owner's lock is taken
over by simply taking it. The process id in the file is for the message only.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

from workbench.errors import StoreInUse

if sys.platform == "win32":  # pragma: no cover - the tests run on Unix
    import msvcrt

    _BEYOND = 2**20  # a locked byte cannot be read there; the process id is at the beginning
else:
    import fcntl


class FolderLock:
    """Holds a folder for this process from :meth:`acquire` to :meth:`release`; a context manager.

    Raises:
        StoreInUse: another holder is alive; carries its process id.
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        self._descriptor: int | None = None
        self._owner = 0  # a forked child shares the descriptor, but must not give away its parent's folder

    def acquire(self) -> None:
        """Take the folder, creating it if need be."""
        if self._descriptor is not None:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.folder / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
        try:
            _lock(descriptor)
        except OSError as error:
            os.lseek(descriptor, 0, os.SEEK_SET)
            holder = os.read(descriptor, 32).strip()
            os.close(descriptor)
            raise StoreInUse(self.folder, int(holder) if holder.isdigit() else None) from error
        os.ftruncate(descriptor, 0)
        os.lseek(descriptor, 0, os.SEEK_SET)
        os.write(descriptor, str(os.getpid()).encode())
        self._descriptor, self._owner = descriptor, os.getpid()

    def release(self) -> None:
        """Give the folder back. Idempotent."""
        if self._descriptor is None:
            return
        if self._owner == os.getpid():
            # closing alone would leave the lock with a child that was forked a moment ago and has not run exec yet
            _unlock(self._descriptor)
        os.close(self._descriptor)
        self._descriptor = None

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


if sys.platform == "win32":  # pragma: no cover - the tests run on Unix

    def _lock(descriptor: int) -> None:
        os.lseek(descriptor, _BEYOND, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)

    def _unlock(descriptor: int) -> None:
        os.lseek(descriptor, _BEYOND, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)

else:

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _unlock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_UN)

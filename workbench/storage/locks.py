"""One owner a folder.

The kernel's own lock (``flock``) is released when its holder dies, however it dies, so a dead owner's lock is taken
over by simply taking it. The process id in the file is for the message only.
"""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType
from typing import Self

from workbench.errors import StoreInUse

try:
    import fcntl
except ImportError:  # pragma: no cover - Windows
    fcntl = None  # type: ignore[assignment]


class FolderLock:
    """Holds a folder for this process from :meth:`acquire` to :meth:`release`; a context manager.

    Raises:
        StoreInUse: another holder is alive; carries its process id.
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Take the folder, creating it if need be."""
        if self._descriptor is not None:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            _lock(descriptor)
        except OSError as error:
            holder = os.pread(descriptor, 32, 0).strip()
            os.close(descriptor)
            raise StoreInUse(self.folder, int(holder) if holder.isdigit() else None) from error
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        self._descriptor = descriptor

    def release(self) -> None:
        """Give the folder back. Idempotent."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def _lock(descriptor: int) -> None:
    if fcntl is None:  # pragma: no cover - Windows
        import msvcrt

        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
    else:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)

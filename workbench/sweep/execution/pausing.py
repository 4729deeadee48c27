"""Asking a driver in another process to stop after the run in progress: a file in the results folder says so."""

from __future__ import annotations

from pathlib import Path

from workbench.errors import StoreInUse
from workbench.storage import FolderLock, write_bytes

_FILE = "pause"


class Pause:
    """The wish for a pause.

    Args:
        folder: the results folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def ask(self) -> bool:
        """Ask whoever runs the sweep to stop; returns False if nobody does, and then leaves nothing behind."""
        if not self.folder.exists():
            return False
        write_bytes(self.folder / _FILE, b"")
        try:
            with FolderLock(self.folder):
                self.forget()
        except StoreInUse:
            return True
        return False

    def is_asked(self) -> bool:
        """Whether somebody wants a pause."""
        return (self.folder / _FILE).exists()

    def forget(self) -> None:
        """The wish is granted, or nobody is there to grant it."""
        (self.folder / _FILE).unlink(missing_ok=True)

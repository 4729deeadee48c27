"""A folder of state files that several engines and processes share: its budget, its oldest files, its leftovers.

The least recently used go first, whoever wrote them; used is a file's modification time, set again whenever it is read.
Anybody may remove any file at any time, so nothing here takes a missing file for an error. Knows names and sizes; never
what is in a file.
"""

from __future__ import annotations

import contextlib
import logging
import os
import time
from dataclasses import dataclass
from pathlib import Path

log = logging.getLogger("workbench.engine.disk")

SUFFIX = ".kv"
_TEMPORARY = ".tmp"

STALE_S = 300.0
"""A temporary file nobody has written to for so long belongs to a process that is dead."""

_TICK_S = 0.05
"""File systems stamp times in ticks; two changes closer than this may have the same time."""


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A file as the folder lists it; ``used_at`` in seconds since 1970."""

    name: str
    size: int
    used_at: float


class StateFolder:
    """The files of one folder, kept under a budget.

    Args:
        path: the folder; made with the first file, readable by its owner only.
        budget_bytes: most bytes of all state files together, unfinished ones included.
    """

    def __init__(self, path: Path, budget_bytes: int) -> None:
        self.path, self.budget_bytes = path, budget_bytes
        self.used_bytes = 0
        self._seen_ns: int | None = None

    def make(self) -> None:
        """Make the folder if it is not there."""
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)

    def changed(self) -> bool:
        """Whether files may have come or gone since this was last asked."""
        try:
            modified_ns = self.path.stat().st_mtime_ns
        except FileNotFoundError:
            modified_ns = 0
        changed = modified_ns != self._seen_ns
        settled = abs(time.time() - modified_ns / 1e9) > _TICK_S
        self._seen_ns = modified_ns if settled else None
        return changed

    def names(self, prefix: str) -> set[str]:
        """Names of the state files that begin with ``prefix``."""
        states, _ = self._list()
        return {file.name for file in states if file.name.startswith(prefix)}

    def make_room(self, need_bytes: int) -> list[str]:
        """Remove the least recently used files until ``need_bytes`` more fit; returns the names of those removed."""
        states, unfinished_bytes = self._list()
        total = unfinished_bytes + sum(file.size for file in states)
        removed = []
        for file in sorted(states, key=lambda file: file.used_at):
            if total + need_bytes <= self.budget_bytes:
                break
            if self.remove(file.name):
                removed.append(file.name)
                total -= file.size
        self.used_bytes = total
        return removed

    def remove(self, name: str) -> bool:
        """Remove a file; returns whether it is gone now. One that cannot be removed is logged."""
        try:
            (self.path / name).unlink(missing_ok=True)
        except OSError as error:
            log.warning("%s cannot be removed: %s", self.path / name, error)
            return False
        return True

    def touch(self, name: str) -> None:
        """Note that a file was used."""
        with contextlib.suppress(OSError):  # gone, or another user's: then it is just not noted
            os.utime(self.path / name)

    def _list(self) -> tuple[list[FoundFile], int]:
        """The state files, and the bytes of those being written. Leftovers of dead processes are removed."""
        states, unfinished_bytes = [], 0
        for file in self._files():
            if file.name.endswith(SUFFIX):
                states.append(file)
            elif file.name.endswith(_TEMPORARY):
                stale = time.time() - file.used_at > STALE_S
                unfinished_bytes += 0 if stale and self.remove(file.name) else file.size
        self.used_bytes = unfinished_bytes + sum(file.size for file in states)
        return states, unfinished_bytes

    def _files(self) -> list[FoundFile]:
        found = []
        with contextlib.suppress(FileNotFoundError), os.scandir(self.path) as entries:
            for entry in entries:
                with contextlib.suppress(FileNotFoundError):  # removed since it was listed
                    status = entry.stat(follow_symlinks=False)
                    found.append(FoundFile(entry.name, status.st_size, status.st_mtime))
        return found

"""The archives of all sessions: a folder each, opened when needed, the least recently used closed again.

A folder each, not one Chroma for all: deleting a session is deleting its folder, whereas ``delete_collection`` frees
nothing (it leaves the index's files, and the rows' text in free pages of the shared database until all of it is
rewritten); a damaged archive is that of one session; and nothing of one session can be in the answer of another.
"""

from __future__ import annotations

import shutil
import tempfile
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from pathlib import Path

from workbench.errors import StorageFull
from workbench.memory.chroma.collection import SessionCollection
from workbench.memory.chroma.room import check_room

_TRASH = ".deleted-"


class Archives:
    """Archives by the names of their folders. Not thread-safe; one process at a time.

    Args:
        folder: where they lie.
        most_open: how many are open at once; each takes about ten file handles.
    """

    def __init__(self, folder: Path, *, most_open: int) -> None:
        self._folder, self._most_open = folder, most_open
        self._open: OrderedDict[str, SessionCollection] = OrderedDict()

    def write(self, name: str, fingerprint: str, first: int, vectors: Sequence[Sequence[float]]) -> int:
        """Archive messages from index ``first`` on; returns how many there are then.

        Nothing is written where messages before ``first`` are missing: the number returned says from where on.
        """
        check_room(self._folder / name)
        collection = self._opened(name, fingerprint)
        if collection.size >= first:
            try:
                collection.write(first, vectors)
            except StorageFull:
                self.delete(name)  # what its index wrote last may be cut short, and the event log has everything
                raise
        return min(collection.size, first + len(vectors))

    def similar(
        self,
        name: str,
        fingerprint: str,
        vector: Sequence[float],
        *,
        k: int,
        archived: int,
        among: Sequence[int] | None = None,
    ) -> list[tuple[int, float]] | None:
        """As :meth:`SessionCollection.similar`; ``None``: the archive has not all that should be there."""
        if name not in self._open and not (self._folder / name).exists():
            return None
        collection = self._opened(name, fingerprint)
        return collection.similar(vector, k, archived, among) if collection.size >= archived else None

    def delete(self, name: str) -> None:
        """Delete an archive and give its room back. Unknown is no error."""
        if (collection := self._open.pop(name, None)) is not None:
            collection.close()
        if (self._folder / name).exists():
            # renamed first: half of an archive is never taken for a whole one
            trash = Path(tempfile.mkdtemp(prefix=_TRASH, dir=self._folder))
            (self._folder / name).rename(trash / "archive")
            shutil.rmtree(trash)

    def clean(self, known: Iterable[str]) -> None:
        """Delete all archives but these, and what a crash left half deleted."""
        keep = set(known)
        for found in self._folder.iterdir():
            if found.is_dir() and found.name not in keep:
                shutil.rmtree(found)

    def close(self) -> None:
        """Close every archive. Idempotent."""
        while self._open:
            self._open.popitem()[1].close()

    def _opened(self, name: str, fingerprint: str) -> SessionCollection:
        if name not in self._open:
            while len(self._open) >= self._most_open:
                self._open.popitem(last=False)[1].close()
            self._open[name] = SessionCollection(self._folder / name, fingerprint)
        self._open.move_to_end(name)
        return self._open[name]

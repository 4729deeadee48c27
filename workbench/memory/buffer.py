"""The last messages, as they were said: the baseline every other memory has to beat."""

from __future__ import annotations

from pathlib import Path

from workbench.errors import InvalidSettings
from workbench.interfaces import Recollection
from workbench.memory.base import LoggedMemory, Query
from workbench.memory.transcript import Transcript


class BufferMemory(LoggedMemory[Transcript]):
    """Recalls from the last ``size`` messages of each session. The query has no influence.

    Args:
        size: messages per session that can be recalled.
        folder: as for :class:`LoggedMemory`.

    Raises:
        InvalidSettings: ``size`` is below 1.
    """

    name = "buffer"

    def __init__(self, size: int = 20, folder: Path | str | None = None) -> None:
        if size < 1:
            raise InvalidSettings(f"size must be at least 1 message, not {size}.")
        super().__init__(folder)
        self.size = size

    def count(self, session: str = "default") -> int:
        """Messages that can be recalled."""
        return min(self.size, super().count(session))

    def _snapshot(self, session: str, epoch: int) -> Transcript:
        return Transcript(session, epoch)

    def _rank(self, snapshot: Transcript, query: Query) -> list[Recollection]:
        oldest = len(snapshot) - self.size
        indices = [index for index in snapshot.within(query.since, query.until) if index >= oldest]
        return [snapshot.recollection(index, float(index), "recent") for index in indices[-query.k :]]

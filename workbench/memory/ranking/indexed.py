"""What the memories that search have in common: vectors made in the background, found again, and discarded.

Knows when something is embedded, never how what is found is ranked.
"""

from __future__ import annotations

import abc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from workbench.interfaces import Embedder, FloatArray
from workbench.memory.background import Background
from workbench.memory.base import LoggedMemory
from workbench.memory.journal import MESSAGE
from workbench.memory.ranking.snapshot import IndexedTranscript
from workbench.memory.vectors import embedder_for

BATCH = 64
"""Messages embedded at a time in the background; between two batches a recall or another session comes in."""

S = TypeVar("S", bound=IndexedTranscript)


class IndexedMemory(LoggedMemory[S]):
    """A memory whose messages are embedded after they were added, by a thread of its own.

    A recall embeds at once what the thread has not come to, so what was just added is found. Every vector goes through
    the cache, so nothing is embedded twice, after a restart neither; a forgotten session's vectors leave it.

    Args:
        embedders: registered names or embedders; one that is given stays its owner's. None: nothing is embedded.
        folder: as for :class:`LoggedMemory`; the cache lies there, too.
        open_sessions: as for :class:`LoggedMemory`.
    """

    def __init__(
        self, embedders: Sequence[Embedder | str], folder: Path | str | None = None, *, open_sessions: int = 32
    ) -> None:
        super().__init__(folder, open_sessions=open_sessions)
        try:
            self.embedders = tuple(embedder_for(one, folder) for one in embedders)
        except BaseException:
            super().close()
            raise
        self._made = [made for given, made in zip(embedders, self.embedders, strict=True) if made is not given]
        self._background = Background(self._embed_batch, f"{self.name}-embedding")

    @abc.abstractmethod
    def _snapshot(self, session: str, epoch: int) -> S:
        """An empty snapshot with an index for each embedder."""

    def flush(self) -> None:
        """Return once everything said is embedded.

        Raises:
            StorageFull: the disk has no room for what was said.
            WorkbenchError: what embedding a message raised; the message is safe, and the next recall tries again.
        """
        super().flush()
        self._background.flush()

    def close(self) -> None:
        """Embed what waits, and free. Idempotent."""
        try:
            self._background.flush()
        finally:
            self._background.close()
            try:
                super().close()
            finally:
                for embedder in self._made:
                    embedder.close()

    @contextmanager
    def _closed(self, session: str) -> Iterator[None]:
        # here and not in forget(): as a part of another memory it hears of a deletion in this way only. A text that
        # another session has as well is embedded again there
        self._background.cancel(session)
        with super()._closed(session):
            if not self.embedders:
                yield
                return
            texts = self._texts(session)
            yield
            self._discard(texts - self._texts(session))

    def _added(self, session: str, indices: range) -> None:  # noqa: ARG002
        if self.embedders:
            self._background.wake(session)

    def _embed_batch(self, session: str) -> None:
        """Embed some of what a session lacks; if there is more, get in line again."""
        with self._session(session) as snapshot:
            texts = snapshot.unembedded(BATCH)
            place = min((len(index) for index in snapshot.dense), default=0)
        if not texts:
            return
        for embedder in self.embedders:  # into the cache, while nobody waits for the snapshot
            embedder.embed(texts)
        with self._session(session) as now:
            said = {message.content for message in now.messages[place : place + len(texts)]}
            if now is snapshot:
                now.embed(self.embedders, place + len(texts))
        if not said.issuperset(texts):  # it was forgotten meanwhile
            self._discard(set(texts) - said)
        if len(texts) == BATCH:
            self._background.wake(session)

    def _texts(self, session: str) -> set[str]:
        return {event.data.get("content", "") for event in self.events(session) if event.kind == MESSAGE}

    def _discard(self, texts: set[str]) -> None:
        if texts:
            for embedder in self.embedders:
                embedder.discard(texts)


def best(scores: FloatArray, allowed: npt.NDArray[np.intp], k: int) -> list[int]:
    """Up to ``k`` of the allowed indices with the highest scores, highest first; of equals, the newest."""
    if len(allowed) > k:
        least = np.partition(scores[allowed], len(allowed) - k)[len(allowed) - k]
        allowed = allowed[scores[allowed] >= least]
    order = np.lexsort((-allowed, -scores[allowed]))[:k]
    return [int(index) for index in allowed[order]]

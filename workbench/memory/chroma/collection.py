"""One session's archive: vectors in a Chroma collection of their own.

Record n is message n and records are written in order, so a collection of n records has exactly the messages 0 … n-1:
writing a batch twice changes nothing, and what a crash left undone shows in the count.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from workbench.memory.chroma.client import PLACE, open_chroma, translated
from workbench.memory.chroma.room import check_index

_NAME = "messages"
_FINGERPRINT = "fingerprint"
_SYNC_EVERY = 100  # records: those not yet in the index's files are indexed again when opened, 1 ms each
_HNSW = {
    "space": "cosine",
    "sync_threshold": _SYNC_EVERY,
    # What is said in chats is much alike. With the standard values (16, 100, 100) a graph of 715 such vectors had 50
    # that no search reached, and one search in seven missed the very text asked for; with these 8, and none in ten.
    "max_neighbors": 48,
    "ef_construction": 300,
    "ef_search": 400,
}
_CONFIGURATION = json.dumps({"hnsw": _HNSW, "embedding_function": None})


class SessionCollection:
    """The archive of one session. Not thread-safe.

    Args:
        folder: of this session alone; made if need be.
        fingerprint: of the embedder; vectors of another one are thrown away.

    Attributes:
        size: messages in it: those before this index.

    Raises (every method): StorageFull: no room. StoreCorrupt: what is there is damaged.
    """

    def __init__(self, folder: Path, fingerprint: str) -> None:
        self.folder = folder
        self._chroma: Any = open_chroma(folder)
        try:
            check_index(folder)
            with translated(folder):
                self._id = self._opened(fingerprint)
                self.size = int(self._chroma.count(self._id, *PLACE))
                self._most = int(self._chroma.get_max_batch_size())
        except BaseException:
            self.close()
            raise

    def write(self, first: int, vectors: Sequence[Sequence[float]]) -> None:
        """Archive messages ``first`` …: (n, dimensions). Those that are there already are replaced.

        Raises:
            ValueError: there would be a gap.
        """
        if first > self.size:
            raise ValueError(f"The archive has {self.size} messages; what follows cannot begin at {first}.")
        with translated(self.folder):
            for start in range(0, len(vectors), self._most):
                part = vectors[start : start + self._most]
                ids = [str(first + start + row) for row in range(len(part))]
                self._chroma.upsert(self._id, ids, part, None, None, None, *PLACE)
                self.size = max(self.size, first + start + len(part))

    def similar(
        self, vector: Sequence[float], k: int, archived: int, among: Sequence[int] | None = None
    ) -> list[tuple[int, float]]:
        """About the ``k`` nearest messages as (index, cosine similarity), nearest first.

        Args:
            vector: of the query: (dimensions,).
            k: how many at most.
            archived: only messages below this index; there may be more than the log knows of yet.
            among: only these, all of them below ``archived``; ``None``: all.
        """
        wanted = min(k, len(among)) if among is not None else min(k, archived) + self.size - archived
        if wanted < 1:
            return []
        ids = None if among is None else [str(index) for index in among]
        with translated(self.folder):
            found = self._chroma.query(self._id, ids, [vector], wanted, None, None, ["distances"], *PLACE)
        pairs = [(int(one), 1.0 - far) for one, far in zip(found.ids[0], found.distances[0], strict=True)]
        return [pair for pair in pairs if pair[0] < archived][:k]

    def close(self) -> None:
        """Free its files and threads. Idempotent."""
        self._chroma = None

    def _opened(self, fingerprint: str) -> str:
        collection = self._made(fingerprint)
        if (collection.metadata or {}).get(_FINGERPRINT) != fingerprint:
            self._chroma.delete_collection(_NAME, *PLACE)
            collection = self._made(fingerprint)
        return str(collection.id)

    def _made(self, fingerprint: str) -> Any:
        return self._chroma.create_collection(_NAME, _CONFIGURATION, None, {_FINGERPRINT: fingerprint}, True, *PLACE)

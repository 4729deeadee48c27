"""A short-term buffer and a long-term archive: the last messages as they are, older ones by likeness.

What has left the buffer goes to ChromaDB in batches, on a thread of its own. The event log has every message from the
start and an "archive" event for every batch that arrived, so what is not in the archive yet is searched directly and a
crash loses nothing. The division of memory into two stores is that of MemGPT (Packer et al. 2023, arXiv 2310.08560);
likeness is cosine similarity of dense vectors (Karpukhin et al. 2020, arXiv 2004.04906).
"""

from __future__ import annotations

import bisect
import logging
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from workbench.errors import InvalidSettings, StorageError, StoreCorrupt
from workbench.interfaces import Embedder, FloatArray, Recollection
from workbench.memory.background import Background
from workbench.memory.base import LoggedMemory, Query
from workbench.memory.chroma.store import ChromaStore
from workbench.memory.transcript import Transcript
from workbench.memory.vectors import DEFAULT_EMBEDDER, embedder_for
from workbench.storage import Event

ARCHIVE = "archive"

_LOG = logging.getLogger(__name__)


class ArchiveTranscript(Transcript):
    """A session's messages, how many of them are in the archive, and vectors of the others that were looked at."""

    def __init__(self, session: str, epoch: int = 0) -> None:
        super().__init__(session, epoch)
        self.archived = 0
        self.vectors: dict[int, FloatArray] = {}

    def take(self, event: Event) -> None:
        """A batch has arrived in the archive; or the archive turned out to have less than that."""
        if event.kind == ARCHIVE:
            self.archived = int(event.data["upto"])
            self.vectors = {index: vector for index, vector in self.vectors.items() if index >= self.archived}


class ArchiveMemory(LoggedMemory[ArchiveTranscript]):
    """Recalls the newest messages and those most like the query.

    Args:
        folder: as for :class:`LoggedMemory`; the archive lies in it too. ``None``: a temporary archive.
        short_term: newest messages of a session, which are never archived.
        batch: messages archived at once, as soon as so many have left the short-term buffer.
        embedder: a registered name, or an embedder, which stays its owner's.
        recent: share of a recall's ``k`` that goes to the newest of the short-term buffer, 0 … 1, rounded down.
        open_archives: sessions whose archives are open at once.
        open_sessions: as for :class:`LoggedMemory`.
        chroma_url: not offered; a Chroma server is another process's data without its locks and isolation.

    Raises:
        InvalidSettings: a value out of its range, or ``chroma_url``.
        StoreInUse: another live process or memory has the folder.
    """

    name = "archive"

    def __init__(
        self,
        folder: Path | str | None = None,
        *,
        short_term: int = 20,
        batch: int = 50,
        embedder: Embedder | str = DEFAULT_EMBEDDER,
        recent: float = 0.3,
        open_archives: int = 8,
        open_sessions: int = 32,
        chroma_url: None = None,
    ) -> None:
        _check(short_term, batch, recent, chroma_url)
        self.short_term, self.batch, self.recent = short_term, batch, recent
        super().__init__(folder, open_sessions=open_sessions)
        place = None if folder is None else Path(folder) / "archive"
        try:
            # the sessions are asked for late: as a part of another memory this one shares that one's journal
            self._store = ChromaStore(place, sessions=lambda: self.journal.sessions(), most_open=open_archives)
            self.embedder = embedder_for(embedder, folder)
            self._owns_embedder = self.embedder is not embedder
        except BaseException:
            super().close()
            raise
        self._lost: set[str] = set()  # sessions whose archive was found to be missing or damaged
        self._background = Background(self._archive, "archive")
        self._archiving = threading.Lock()  # held for a batch; nothing is deleted meanwhile

    # -- Memory -------------------------------------------------------------------------------------------------------

    def flush(self) -> None:
        """Write what a full disk kept back, and archive what there is to archive.

        Raises:
            StorageError: some of it failed; nothing is lost, and the next call tries again.
        """
        super().flush()
        self._background.retry()
        self._background.flush()

    def close(self) -> None:
        """Flush and free. Idempotent."""
        self._background.close()
        try:
            super().close()
        finally:
            self._store.close()
            if self._owns_embedder:
                self.embedder.close()

    # -- recall -------------------------------------------------------------------------------------------------------

    def _snapshot(self, session: str, epoch: int) -> ArchiveTranscript:
        return ArchiveTranscript(session, epoch)

    def _rank(self, snapshot: ArchiveTranscript, query: Query) -> list[Recollection]:
        candidates = snapshot.within(query.since, query.until)
        if not candidates:
            return []
        scores = _alike(snapshot, self._scores(snapshot, query, candidates), candidates)
        buffered = candidates[bisect.bisect_left(candidates, len(snapshot) - self.short_term) :]
        newest = min(int(query.k * self.recent), len(buffered))
        chosen = dict.fromkeys(buffered[len(buffered) - newest :], "recent")
        # rounded: an index and a product of two vectors differ in the last digits, and what is equal must be
        for index in sorted(scores, key=lambda one: (-round(scores[one], 4), -one)):
            if len(chosen) >= query.k:
                break
            chosen.setdefault(index, "similar to the query")
        return [snapshot.recollection(index, scores.get(index, -1.0), reason) for index, reason in chosen.items()]

    def _scores(self, snapshot: ArchiveTranscript, query: Query, candidates: Sequence[int]) -> dict[int, float]:
        """Index → similarity: of what is not archived, and of the archive's nearest."""
        vector = self.embedder.embed_query(query.text)
        split = bisect.bisect_left(candidates, snapshot.archived)
        old, new = candidates[:split], candidates[split:]
        found = self._archived_scores(snapshot, query, vector, old)
        if found is None:
            found, new = {}, candidates  # the archive is gone or damaged: the events have everything
        elif _asked(query.k) >= len(old):  # for all of them, and an approximate index does not reach each
            new = [*(index for index in old if index not in found), *new]
        if new is candidates or self._due(len(snapshot), snapshot.archived):
            self._background.wake(snapshot.session)
        return found | self._direct_scores(snapshot, vector, new)

    def _archived_scores(
        self, snapshot: ArchiveTranscript, query: Query, vector: FloatArray, old: Sequence[int]
    ) -> dict[int, float] | None:
        """The nearest of the candidates in the archive; ``None``: it cannot be read now, or has to be made anew."""
        if not old:
            return {}
        k = min(_asked(query.k), len(old))
        among = None if query.since is None and query.until is None else old
        try:
            found = self._store.similar(
                snapshot.session, self.embedder.fingerprint, vector, k, archived=snapshot.archived, among=among
            )
        except StorageError as error:
            _LOG.warning("The archive cannot be searched, the log is searched in its place: %s", error)
            if not isinstance(error, StoreCorrupt):
                return None
            found = None
        if found is None:
            self._lost.add(snapshot.session)
        return found

    def _direct_scores(
        self, snapshot: ArchiveTranscript, vector: FloatArray, indices: Sequence[int]
    ) -> dict[int, float]:
        missing = [index for index in indices if index not in snapshot.vectors]
        if missing:
            rows = self.embedder.embed([snapshot.messages[index].content for index in missing])
            snapshot.vectors.update(zip(missing, rows, strict=True))
        return {index: float(snapshot.vectors[index] @ vector) for index in indices}

    # -- archiving ----------------------------------------------------------------------------------------------------

    def _added(self, session: str, indices: range) -> None:
        if self._batches(indices.stop) > self._batches(indices.start):
            self._background.wake(session)

    def _forgotten(self, session: str) -> None:
        self._store.delete(session)

    @contextmanager
    def _closed(self, session: str) -> Iterator[None]:
        with self._archiving, super()._closed(session):
            texts = [str(event.data.get("content", event.data.get("query", ""))) for event in self.events(session)]
            yield
            if not self.journal.count(session):  # forgotten, not replaced
                self.embedder.discard(texts)

    def _batches(self, said: int) -> int:
        return max(0, said - self.short_term) // self.batch

    def _due(self, said: int, archived: int) -> bool:
        return said - self.short_term - archived >= self.batch

    def _archive(self, session: str) -> None:
        """Everything that is due; on the background's thread."""
        try:
            if session in self._lost:
                self._begin_anew(session)
            self._archive_batches(session)
        except StoreCorrupt as error:
            _LOG.warning("%s", error)
            self._begin_anew(session)
            self._archive_batches(session)  # what is wrong with a new one is no damage: flush() tells

    def _begin_anew(self, session: str) -> None:
        with self._archiving:
            self._store.delete(session)
            self.journal.append(session, ARCHIVE, {"upto": 0})
            self._lost.discard(session)

    def _archive_batches(self, session: str) -> None:
        more = True
        while more:
            with self._archiving:  # one batch at a time, so that forgetting waits for no more than that
                more = self._archive_batch(session)

    def _archive_batch(self, session: str) -> bool:
        """Archive the next batch; whether there was one."""
        batch = self._next_batch(session)
        if batch is None:
            return False
        first, texts = batch
        upto = self._store.write(session, self.embedder.fingerprint, first, self.embedder.embed(texts))
        self.journal.append(session, ARCHIVE, {"upto": upto})  # less than before if the archive had lost something
        return True

    def _next_batch(self, session: str) -> tuple[int, list[str]] | None:
        """Index of the first message, and texts."""
        if not self.journal.count(session):
            return None
        with self._session(session) as snapshot:
            first = snapshot.archived
            if not self._due(len(snapshot), first):
                return None
            return first, [message.content for message in snapshot.messages[first : first + self.batch]]

    def _trace(self, snapshot: ArchiveTranscript, query: Query, found: Sequence[Recollection]) -> dict[str, Any]:  # noqa: ARG002
        return {"archived": snapshot.archived}


def _asked(k: int) -> int:
    """How many of its nearest an archive is asked for: more than wanted, so that among equals the newest is found."""
    return max(4 * k, 200)


def _alike(snapshot: ArchiveTranscript, scores: Mapping[int, float], candidates: Sequence[int]) -> dict[int, float]:
    """The same text scores the same wherever it stands: which of equals an index gives back is chance."""
    best: dict[str, float] = {}
    for index, score in scores.items():
        text = snapshot.messages[index].content
        best[text] = max(score, best.get(text, score))
    texts = ((index, snapshot.messages[index].content) for index in candidates)
    return {index: best[text] for index, text in texts if text in best}


def _check(short_term: int, batch: int, recent: float, chroma_url: object) -> None:
    if short_term < 0 or batch < 1 or not 0 <= recent <= 1:
        raise InvalidSettings(
            "short_term must be at least 0, batch at least 1 and recent between 0 and 1; "
            f"got {short_term}, {batch} and {recent}."
        )
    if chroma_url is not None:
        raise InvalidSettings(
            "A Chroma server is not offered: leave chroma_url out and give folder=…, where an embedded Chroma is kept."
        )

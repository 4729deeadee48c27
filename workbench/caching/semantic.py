"""Answers to questions that ask for the same in other words.

Two questions are taken for one where their vectors are near enough and nothing that can be told speaks against it
(:mod:`workbench.caching.agreement`). How near is near enough is not guessed: it is measured on labelled pairs. Learned
mixtures of more features than the cosine were tried and left out; docs/LOG.md has the figures.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import numpy as np

from workbench.caching.agreement import disagreement
from workbench.caching.calibration import CONFIDENCE, Calibration, calibrate_threshold
from workbench.caching.entry import Row
from workbench.caching.kept import MAX_BYTES, StoredCache
from workbench.caching.reading import read
from workbench.caching.shelf import Shelf
from workbench.embedding import CachedEmbedder
from workbench.errors import InvalidSettings
from workbench.interfaces import Embedder, FloatArray
from workbench.registry import embedders
from workbench.telemetry.trace import count

_VECTOR_TYPE = np.dtype("<f2")  # rounding moves a cosine by less than 0.001
_MEMORY_BYTES = 8 * 2**20  # of vectors of late: what is looked up and not found is kept a moment later
_CANDIDATES = 8


@dataclass(frozen=True, slots=True)
class Found:
    """A hit.

    Attributes:
        value: what was kept.
        similarity: cosine of the two questions; 1 for the same words.
        text: the question it was kept under.
        why: in a sentence.
    """

    value: str
    similarity: float
    text: str
    why: str


class SemanticCache(StoredCache):
    """Values under questions; a question in other words finds them too. Implements :class:`workbench.interfaces.Cache`.

    The same words always hit. Other words hit from ``threshold`` on, unless a guard keeps the two apart: numbers, names
    and negation must agree, both must ask for the same kind of thing, and no word may stand for its opposite.

    What is asked within one ``scope`` is never answered from another; a conversation's scope has to hold everything the
    answer depends on but the question (:func:`workbench.caching.context_key`).

    Args:
        embedder: a name of :data:`workbench.embedders`, made here and closed with the cache; or an embedder.
        threshold: least cosine; ``None``: measured for this embedder on question pairs, for at most 2 % false hits.
        path: the SQLite file; ``None``: in memory. Questions and answers are readable in it.
        max_entries: most questions, of all scopes together; the least recently used go first.
        max_bytes: UTF-8 bytes of questions and values, and their vectors.
        ttl_s: seconds an entry lives after it was put; ``None``: for ever.
        guards: compare what the questions say, too.
        clock: seconds; for tests.

    Attributes:
        embedder: whose vectors of late are remembered.
        threshold: least cosine of a hit.

    Raises:
        UnknownName: there is no such embedder.
        InvalidSettings: a limit is not above 0, a threshold is no cosine, or none is known for this embedder.
        StoreCorrupt: the file is damaged or something else; says what to do.
    """

    def __init__(
        self,
        embedder: str | Embedder = "all-minilm-l6-v2",
        *,
        threshold: float | None = None,
        path: Path | str | None = None,
        max_entries: int = 10_000,
        max_bytes: int = MAX_BYTES,
        ttl_s: float | None = None,
        guards: bool = True,
        clock: Callable[[], float] | None = None,
    ) -> None:
        if max_entries < 1 or (threshold is not None and not -1 <= threshold <= 1):
            raise InvalidSettings(
                f"max_entries must be at least 1 and threshold a cosine, not {max_entries!r} and {threshold!r}."
            )
        made = embedders.create(embedder) if isinstance(embedder, str) else embedder
        self.threshold = _known_threshold(made.name) if threshold is None else threshold
        self.guards = guards
        self.embedder = CachedEmbedder(made, owns=isinstance(embedder, str), memory_bytes=_MEMORY_BYTES)
        super().__init__(path, max_bytes, ttl_s, clock, max_entries)
        self._shelves: dict[str, Shelf] = {}
        self._seen = 0  # how far what other processes have put was read

    # -- as any cache --------------------------------------------------------------------------------------------

    def get(self, key: str) -> str | None:
        """The value of this question, or of one that asks for the same; ``None``: a miss."""
        found = self.look_up(key)
        return None if found is None else found.value

    def put(self, key: str, value: str) -> None:
        """Keep a value under a question."""
        self.keep(key, value)

    def clear(self) -> None:
        """Drop every entry; the counters stay."""
        with self._lock:
            super().clear()
            self._shelves.clear()

    def close(self) -> None:
        """Close the file, and the embedder if it was made here. Idempotent."""
        super().close()
        self.embedder.close()

    # -- by meaning ----------------------------------------------------------------------------------------------

    def look_up(self, text: str, scope: str = "") -> Found | None:
        """What was kept under this question or another that asks for the same; ``None``: a miss."""
        with self._lock:
            self._read_news()
            value = self._value(scope, text)
            if value is None:
                self._take_off_shelf(scope, text)
            empty = scope not in self._shelves
        if value is not None:
            found: Found | None = Found(value, 1.0, text, "The same question was answered before.")
        elif empty or not read(text).content:  # words without a meaning of their own are only like themselves
            found = None
        else:
            found = self._nearest(text, scope)
        with self._lock:
            return self._counted(found)

    def keep(self, text: str, value: str, scope: str = "") -> None:
        """Keep a value under a question of a scope."""
        vector = self._vector(text)
        with self._lock:
            row = Row(self._key(scope, text), value, vector.astype(_VECTOR_TYPE).tobytes())
            self._shelf(scope).add(text, vector)
            for gone in self._put(row):
                _, its_scope, its_text = json.loads(gone)
                self._take_off_shelf(its_scope, its_text)

    def calibrate(
        self,
        pairs: Iterable[tuple[str, str, bool]],
        budget: float = 0.02,
        *,
        confidence: float | None = CONFIDENCE,
    ) -> Calibration:
        """Set the threshold from pairs of questions and whether they ask for the same.

        Args:
            pairs: two texts and their label each.
            budget: most false hits per pair of different questions.
            confidence: see :func:`workbench.caching.calibrate_threshold`.

        Returns:
            The threshold and what it does on these pairs. On others it does about the same only if they are alike.
        """
        listed = list(pairs)
        similarities = self.similarities([(one, other) for one, other, _ in listed])
        found = calibrate_threshold(similarities, [same for _, _, same in listed], budget, confidence=confidence)
        self.threshold = found.threshold
        return found

    def similarities(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        """Of each pair the cosine, or ``-inf`` where a guard keeps the two apart: what the threshold is applied to."""
        cosines = self.cosines(pairs)
        return [-np.inf if self._apart(*pair) else cosine for pair, cosine in zip(pairs, cosines, strict=True)]

    def cosines(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        """Of each pair the cosine of the two questions."""
        ones, others = (self.embedder.embed([pair[side] for pair in pairs]) for side in (0, 1))
        return [float(cosine) for cosine in np.einsum("ij,ij->i", ones, others)]

    # -- parts ---------------------------------------------------------------------------------------------------

    def _apart(self, one: str, other: str) -> str:
        """What keeps two questions apart; empty: nothing, or nobody looks."""
        return disagreement(read(one), read(other)) if self.guards else ""

    def _nearest(self, text: str, scope: str) -> Found | None:
        vector = self._vector(text)
        with self._lock:
            shelf = self._shelves.get(scope)
            near = [] if shelf is None else list(shelf.near(vector, self.threshold, _CANDIDATES))
            for other, cosine in near:
                if self._apart(text, other):
                    continue
                value = self._value(scope, other)
                if value is not None:
                    return Found(value, cosine, other, f"A question {cosine:.3f} alike was answered before.")
                self._take_off_shelf(scope, other)  # expired, or pushed out
        return None

    def _value(self, scope: str, text: str) -> str | None:
        return self._safely(lambda: self._store.get(self._key(scope, text)), None)

    def _read_news(self) -> None:
        """Put on the shelves what the file holds and this object has not seen: at first all of it."""
        rows = self._news()
        if rows and self._outdated():
            self._shelves.clear()
            self._seen = 0
            rows = self._news()
        for row in rows:
            model, scope, text = json.loads(row.key)
            if model == self.embedder.fingerprint:
                self._shelf(scope).add(text, np.frombuffer(row.mark, _VECTOR_TYPE).astype(np.float32))

    def _news(self) -> list[Row]:
        nothing: tuple[int, list[Row]] = (self._seen, [])
        self._seen, rows = self._safely(lambda: self._store.since(self._seen), nothing)
        return rows

    def _outdated(self) -> bool:
        """Whether other processes have pushed out half of what is on the shelves."""
        held = sum(map(len, self._shelves.values()))
        return held > 2 * self._safely(self._store.size, (held, 0))[0]

    def _shelf(self, scope: str) -> Shelf:
        shelf = self._shelves.get(scope)
        if shelf is None:
            shelf = self._shelves[scope] = Shelf(self.embedder.dimensions)
        return shelf

    def _take_off_shelf(self, scope: str, text: str) -> None:
        shelf = self._shelves.get(scope)
        if shelf is not None:
            shelf.remove(text)
            if not shelf:
                del self._shelves[scope]

    def _key(self, scope: str, text: str) -> str:
        return json.dumps([self.embedder.fingerprint, scope, text])

    def _vector(self, text: str) -> FloatArray:
        began = time.perf_counter()
        vector: FloatArray = self.embedder.embed([text])[0]
        count("embedded_texts")
        count("embed_ms", 1e3 * (time.perf_counter() - began))
        return vector


def _known_threshold(embedder: str) -> float:
    """The threshold that was measured for an embedder.

    Raises:
        InvalidSettings: there is none.
    """
    measured = json.loads(files("workbench.caching").joinpath("thresholds.json").read_text())
    if embedder not in measured:
        raise InvalidSettings(
            f"No threshold was measured for the embedder {embedder!r}, only for {', '.join(sorted(measured))}. "
            "Give threshold=, and let calibrate(pairs) find a better one."
        )
    return float(measured[embedder]["threshold"])

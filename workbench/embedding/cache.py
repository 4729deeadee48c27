"""Vectors kept, so that no text is embedded twice: not within a request, not after a restart, not by another process.

In front a least-recently-used store in memory, behind it one SQLite file (:mod:`workbench.embedding.vector_file`).
Knows texts and vectors, never which model made them nor what they are compared for.
"""

from __future__ import annotations

import hashlib
import threading
import time
import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np

from workbench.embedding.vector_file import VectorFile
from workbench.errors import InvalidSettings, NotSaved, StorageError, StorageFull, StoreCorrupt, UsageError
from workbench.interfaces import CacheStats, Embedder, FloatArray
from workbench.telemetry import count

T = TypeVar("T")
Dtype = Literal["float32", "float16"]
Vectors = dict[bytes, bytes]
"""Key → the vector's components in the cache's own type, little-endian."""

_DTYPES: dict[str, np.dtype[Any]] = {"float32": np.dtype("<f4"), "float16": np.dtype("<f2")}
_CHUNK = 512  # texts embedded and kept at a time: a crash loses no more, and eviction keeps up
_TOUCHES = 4096  # hits whose time of use is written at once


class CachedEmbedder:
    """An embedder whose vectors are kept. Threads: any; several processes may share a file. Implements `Embedder`.

    Queries are kept apart from passages. What a hit returns equals what the miss before it returned, also where
    ``float16`` rounds. A text that two threads ask for at once is embedded once. A full disk costs nothing but the
    persistence: a :class:`NotSaved` warning, once, and the texts are embedded again after a restart.

    Args:
        embedder: who embeds what is missing; its fingerprint is part of every key, so another model's vectors, or
            those of another version of it, are never taken for its own.
        path: the SQLite file; ``None``: in memory only, gone when closed.
        owns: close ``embedder`` with the cache.
        budget_bytes: most the file takes; the least recently used vectors go first.
        memory_bytes: most the vectors in memory take.
        dtype: how components are kept; "float16" halves the room, and rounds to 3 digits.

    Raises:
        InvalidSettings: a budget is not above 0, or ``dtype`` is unknown.
        StoreCorrupt: the file is damaged or something else; says what to do.
    """

    def __init__(
        self,
        embedder: Embedder,
        path: Path | None = None,
        *,
        owns: bool = False,
        budget_bytes: int = 512 * 2**20,
        memory_bytes: int = 128 * 2**20,
        dtype: Dtype = "float32",
    ) -> None:
        if min(budget_bytes, memory_bytes) < 1 or dtype not in _DTYPES:
            raise InvalidSettings(
                f"budget_bytes and memory_bytes must be above 0 and dtype one of {', '.join(_DTYPES)}; "
                f"got {budget_bytes}, {memory_bytes} and {dtype!r}."
            )
        self.embedder, self.name, self.dimensions = embedder, embedder.name, embedder.dimensions
        self.max_tokens, self.memory_bytes, self.dtype = embedder.max_tokens, memory_bytes, dtype
        self._owns, self._type = owns, _DTYPES[dtype]
        self._lock = threading.Lock()
        self._memory: OrderedDict[bytes, bytes] = OrderedDict()  # least recently used first
        self._running: dict[bytes, Future[bytes]] = {}
        self._touched: set[bytes] = set()
        self._hits = self._misses = 0
        self._closed = self._warned = False
        self._salts: dict[str, bytes] = {}
        self._file = self._opened(path, budget_bytes)

    @property
    def fingerprint(self) -> str:
        """The embedder's own where vectors are kept as they are; a rounded vector is another vector."""
        own = self.embedder.fingerprint
        return own if self.dtype == "float32" else f"{own}+{self.dtype}"

    @property
    def stats(self) -> CacheStats:
        """Texts found and texts embedded by this object; vectors and bytes held now, in the file if there is one."""
        with self._lock:
            hits, misses = self._hits, self._misses
            held = len(self._memory), len(self._memory) * self._entry_bytes
        if self._file is not None:
            held = self._safely(self._file.size, held)
        return CacheStats(hits=hits, misses=misses, entries=held[0], bytes=held[1])

    def embed(self, texts: Sequence[str]) -> FloatArray:
        """Vectors of passages: (len(texts), dimensions) float32, L2 norm 1."""
        return self._vectors("passage", texts, self.embedder.embed)

    def embed_query(self, text: str) -> FloatArray:
        """Vector of a query: (dimensions,) float32."""
        vectors = self._vectors("query", [text], lambda texts: self.embedder.embed_query(texts[0])[None])
        query: FloatArray = vectors[0]
        return query

    def truncated(self, texts: Sequence[str]) -> list[bool]:
        """Which texts are longer than ``max_tokens``."""
        return self.embedder.truncated(texts)

    def discard(self, texts: Iterable[str]) -> None:
        """Forget the vectors of these texts, as passages and as queries, and give their room on disk back."""
        keys = [self._key(role, text) for text in set(texts) for role in ("passage", "query")]
        with self._lock:
            for key in keys:
                self._memory.pop(key, None)
                self._touched.discard(key)
        if self._file is not None:
            file = self._file
            self._safely(lambda: file.delete(keys), None)

    def close(self) -> None:
        """Write what is still to be written, close the file, and the embedder if it is owned. Idempotent."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        self._write_touches()
        if self._file is not None:
            self._file.close()
        if self._owns:
            self.embedder.close()

    # -- one request ---------------------------------------------------------------------------------------------

    def _vectors(self, role: str, texts: Sequence[str], embed: Callable[[Sequence[str]], FloatArray]) -> FloatArray:
        """Look up, embed what is missing, keep it; (len(texts), dimensions)."""
        if self._closed:
            raise UsageError(f"This cache of {self.name} vectors is closed. Make a new CachedEmbedder.")
        keys = [self._key(role, text) for text in texts]
        wanted = dict(zip(keys, texts, strict=True))  # duplicates within the request fall together here
        found = self._look_up(list(wanted))
        missing = {key: text for key, text in wanted.items() if key not in found}
        with self._lock:
            self._misses += len(missing)
            self._hits += len(keys) - len(missing)
        if missing:
            started = time.perf_counter()
            found |= self._embed_missing(missing, embed)
            count("embedded_texts", len(missing))
            count("embed_ms", 1e3 * (time.perf_counter() - started))
        return self._decoded([found[key] for key in keys])

    def _look_up(self, keys: list[bytes]) -> Vectors:
        with self._lock:
            found = {key: vector for key in keys if (vector := self._memory.get(key)) is not None}
            for key in found:
                self._memory.move_to_end(key)
        absent = [key for key in keys if key not in found]
        if absent and self._file is not None:
            file = self._file
            nothing: Vectors = {}
            stored = self._safely(lambda: file.read(absent, self.dimensions * self._type.itemsize), nothing)
            self._remember(stored)
            found |= stored
        self._touch(found)
        return found

    def _embed_missing(self, missing: Mapping[bytes, str], embed: Callable[[Sequence[str]], FloatArray]) -> Vectors:
        """Embed what no other thread is embedding already, then wait for what others are."""
        with self._lock:
            others = {key: self._running[key] for key in missing if key in self._running}
            mine: dict[bytes, Future[bytes]] = {key: Future() for key in missing if key not in others}
            self._running.update(mine)
        keys, made = list(mine), dict[bytes, bytes]()
        try:
            for start in range(0, len(keys), _CHUNK):
                chunk = keys[start : start + _CHUNK]
                rows = dict(zip(chunk, self._encoded(embed([missing[key] for key in chunk])), strict=True))
                self._keep(rows)
                made |= rows
        except BaseException as error:  # an interrupt too: those who wait must not wait for ever
            self._finish(mine, made, error)
            raise
        self._finish(mine, made, None)
        return made | {key: future.result() for key, future in others.items()}

    def _finish(self, mine: Mapping[bytes, Future[bytes]], made: Vectors, error: BaseException | None) -> None:
        with self._lock:
            for key in mine:
                del self._running[key]
        for key, future in mine.items():
            if key in made:
                future.set_result(made[key])
            elif error is not None:
                future.set_exception(error)

    # -- keeping -------------------------------------------------------------------------------------------------

    def _keep(self, rows: Vectors) -> None:
        self._remember(rows)
        if self._file is not None:
            self._write_touches()  # before the eviction that writing may bring: it goes by time of use
            file = self._file
            if self._safely(lambda: file.write(rows), None) is not None:
                self._warned = False  # there is room again; the next time there is none is news

    def _remember(self, rows: Vectors) -> None:
        with self._lock:
            for key, vector in rows.items():
                self._memory[key] = vector
                self._memory.move_to_end(key)
            while self._memory and len(self._memory) * self._entry_bytes > self.memory_bytes:
                self._memory.popitem(last=False)

    def _touch(self, keys: Iterable[bytes]) -> None:
        if self._file is None:
            return
        with self._lock:
            self._touched.update(keys)
            full = len(self._touched) >= _TOUCHES
        if full:
            self._write_touches()

    def _write_touches(self) -> None:
        with self._lock:
            touched, self._touched = self._touched, set()
        if touched and self._file is not None:
            file = self._file
            self._safely(lambda: file.touch(touched), None)

    def _opened(self, path: Path | None, budget_bytes: int) -> VectorFile | None:
        if path is None:
            return None
        try:
            return VectorFile(Path(path), budget_bytes)
        except StorageFull as error:
            self._warn(error)
            return None

    def _safely(self, action: Callable[[], T], otherwise: T) -> T:
        """Do something with the file; where it fails, say so once and go on without."""
        try:
            return action()
        except StorageError as error:
            self._warn(error)
            if isinstance(error, StoreCorrupt):
                self._file = None  # what it says can no longer be trusted
            return otherwise

    def _warn(self, error: StorageError) -> None:
        if not self._warned:
            self._warned = True
            warnings.warn(f"Vectors are kept in memory only: {error}", NotSaved, stacklevel=6)

    # -- forms ---------------------------------------------------------------------------------------------------

    @property
    def _entry_bytes(self) -> int:
        return self.dimensions * self._type.itemsize + 200  # the key, two object headers and the place in the dict

    def _key(self, role: str, text: str) -> bytes:
        """16 bytes: a hash of the exact text, keyed by everything else its vector depends on."""
        salt = self._salts.get(role)
        if salt is None:
            whole = "\0".join((self.embedder.fingerprint, self.dtype, role))
            salt = self._salts[role] = hashlib.blake2b(whole.encode(), digest_size=32).digest()
        # a lone surrogate, which UTF-8 cannot hold, is a text like any other
        return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16, key=salt).digest()

    def _encoded(self, vectors: FloatArray) -> list[bytes]:
        return [row.tobytes() for row in np.ascontiguousarray(vectors, self._type)]

    def _decoded(self, rows: list[bytes]) -> FloatArray:
        vectors: FloatArray = (
            np.frombuffer(b"".join(rows), self._type).reshape(len(rows), self.dimensions).astype(np.float32)
        )
        if self.dtype != "float32":
            vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)  # rounding has moved the length
        return vectors

"""What is claimed for the memory's design, each against doing without, in pairs within one run.

Every function returns ``with_ms`` and ``without_ms``: the claim holds where the second is larger. The two are measured
in turns (ABBA), so that a drift of the machine hits both.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

from workbench.errors import UnknownName
from workbench.evaluation.memory_bench import Talk, fill, percentiles, questions, talk
from workbench.evaluation.memory_processes import open_memory, start_ms
from workbench.interfaces import Memory
from workbench.storage import Entry, EventLog

Pair = dict[str, float]
_SESSION = "default"
_SNAPSHOTS = 40
"""Messages that are added by both sides together."""


def compare(claim: str, *, embedder: str = "hashing", size: int | None = None) -> Pair:
    """Measure one claim.

    Args:
        claim: a name of :data:`CLAIMS`.
        embedder: a registered name, where vectors are needed.
        size: how much work; ``None``: as much as the claim speaks of.

    Returns:
        ``with_ms`` and ``without_ms``.

    Raises:
        UnknownName: nothing of that name is claimed.
    """
    if claim not in CLAIMS:
        raise UnknownName("claim", claim, CLAIMS)
    measure, default = CLAIMS[claim]
    with tempfile.TemporaryDirectory() as folder:
        return measure(Path(folder), embedder, default if size is None else size)


def batched_archive(folder: Path, embedder: str, size: int) -> Pair:
    """p99 of the time until a message is kept: archived in batches of 50 in the background, or each at once."""
    batched = open_memory("archive", folder / "batched", {"embedder": embedder})
    single = open_memory("archive", folder / "single", {"embedder": embedder, "batch": 1})
    said = talk(size)

    def add(memory: Memory, place: int, wait: bool) -> float:
        started = time.perf_counter()
        memory.add(said.messages[place], at=said.times[place])
        if wait:
            memory.flush()
        return 1e3 * (time.perf_counter() - started)

    taken: tuple[list[float], list[float]] = ([], [])
    try:
        for place in range(size):
            for which in (0, 1) if place % 2 else (1, 0):
                taken[which].append(add((batched, single)[which], place, wait=bool(which)))
    finally:
        batched.close()
        single.close()
    return {"with_ms": percentiles(taken[0])["p99"], "without_ms": percentiles(taken[1])["p99"]}


def lazy_start(folder: Path, embedder: str, size: int) -> Pair:
    """From making a memory to its first answer, in fresh processes: Chroma opened when it is needed, or at once."""

    def start(eager: bool) -> Callable[[], float]:
        return lambda: start_ms(tempfile.mkdtemp(dir=folder), eager=eager, embedder=embedder)

    return _abba(start(False), start(True), size)


def request_reads(folder: Path, embedder: str, size: int) -> Pair:  # noqa: ARG001 - no vectors are needed
    """A request that needs a session's events three times: read once within :meth:`EventLog.turn`, or each time."""
    with EventLog(folder / "events.sqlite") as log:
        said = talk(size)
        entries = [Entry("message", {"index": n, **m.to_dict()}) for n, m in enumerate(said.messages)]
        log.append_many(_SESSION, entries)

        def request(scoped: bool) -> float:
            started = time.perf_counter()
            with log.turn() if scoped else nullcontext():
                for _ in range(3):
                    log.read_since(0, session=_SESSION)
            return 1e3 * (time.perf_counter() - started)

        return _abba(lambda: request(True), lambda: request(False), 3)


def kept_vectors(folder: Path, embedder: str, size: int) -> Pair:
    """Vectors of ``size`` texts after a restart: from the file of :class:`CachedEmbedder`, or embedded again."""
    from workbench.embedding.cache import CachedEmbedder
    from workbench.registry import embedders

    texts = [message.content for message in talk(size).messages]
    model = embedders.create(embedder)
    model.embed(texts[:1])  # loaded: what is compared is embedding, not loading
    with_file = CachedEmbedder(model, folder / "vectors.sqlite")
    with_file.embed(texts)
    with_file.close()

    def index(path: Path | None) -> float:
        started = time.perf_counter()
        cached = CachedEmbedder(model, path)
        cached.embed(texts)
        cached.close()
        return 1e3 * (time.perf_counter() - started)

    try:
        return _abba(lambda: index(folder / "vectors.sqlite"), lambda: index(None), 1)
    finally:
        model.close()


def kept_snapshot(folder: Path, embedder: str, size: int) -> Pair:
    """A recall after one more message: the index brought up to date, or made anew from all events."""
    memory = open_memory("hybrid", folder, {"embedder": embedder})
    try:
        said, asked = talk(size + 8), questions(8)
        fill(memory, Talk(said.messages[:size], said.times[:size]))
        memory.recall(asked[0])
        left = iter(range(size, size + 8))
        queries = iter(asked)

        def ask(anew: bool) -> float:
            place, query = next(left), next(queries)
            memory.add(said.messages[place], at=said.times[place])
            started = time.perf_counter()
            if anew:
                memory.recall_at(query, turn=place + 1)  # type: ignore[attr-defined]
            else:
                memory.recall(query)
            return 1e3 * (time.perf_counter() - started)

        return _abba(lambda: ask(False), lambda: ask(True), 1)
    finally:
        memory.close()


def incremental_snapshot(folder: Path, embedder: str, size: int) -> Pair:  # noqa: ARG001 - no vectors are needed
    """One more message of a long session kept on disk: appended to :class:`EventLog`, or all written anew as JSON.

    Neither waits for the disk: what is compared is the work that grows with the session.
    """
    said = [message.to_dict() for message in talk(size + _SNAPSHOTS).messages]
    kept, new = said[:size], iter(range(size, size + _SNAPSHOTS))
    with EventLog(folder / "events.sqlite") as log:
        log.append_many(_SESSION, [Entry("message", one) for one in kept])

        def appended() -> float:
            message = said[next(new)]
            started = time.perf_counter()
            log.append(_SESSION, "message", message)
            return 1e3 * (time.perf_counter() - started)

        def anew() -> float:
            kept.append(said[next(new)])
            started = time.perf_counter()
            (folder / "session.json").write_text(json.dumps(kept), encoding="utf-8")
            return 1e3 * (time.perf_counter() - started)

        return _abba(appended, anew, _SNAPSHOTS // 4)


CLAIMS: dict[str, tuple[Callable[[Path, str, int], Pair], int]] = {
    "batched archive": (batched_archive, 500),
    "lazy start": (lazy_start, 1),
    "request-scoped reads": (request_reads, 20_000),
    "kept vectors": (kept_vectors, 500),
    "kept snapshot": (kept_snapshot, 10_000),
    "incremental snapshot": (incremental_snapshot, 10_000),
}
"""Name → how it is measured, and how much work that is by default."""


def _abba(one: Callable[[], float], other: Callable[[], float], rounds: int) -> Pair:
    """Medians of both, taken in turns: one, other, other, one."""
    ours: list[float] = []
    theirs: list[float] = []
    for _ in range(rounds):
        ours.append(one())
        theirs += [other(), other()]
        ours.append(one())
    return {"with_ms": statistics.median(ours), "without_ms": statistics.median(theirs)}

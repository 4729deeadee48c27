"""The cache embeds a text once: in a request, over requests, threads, restarts and processes; and survives its disk."""

import os
import resource
import sqlite3
import subprocess
import sys
import threading
import warnings

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from workbench.embedding import HashingEmbedder
from workbench.embedding.cache import CachedEmbedder
from workbench.errors import InvalidSettings, NotSaved, StoreCorrupt, UsageError
from workbench.testing import EmbedderContract
from workbench.testing.contracts.threads import at_once


class Counting(HashingEmbedder):
    """Says what it was asked to embed."""

    def __init__(self, dimensions=64, **options):
        super().__init__(dimensions, **options)
        self.asked, self.closed = [], False

    def embed(self, texts):
        self.asked.extend(texts)
        return super().embed(texts)

    def embed_query(self, text):
        vector = HashingEmbedder.embed(self, [f"query: {text}"])[0]
        self.asked.append(f"? {text}")
        return vector

    def close(self):
        self.closed = True


class TestInMemory(EmbedderContract):
    def make(self):
        return CachedEmbedder(HashingEmbedder(384), owns=True)


class TestRounded(EmbedderContract):
    def make(self):
        return CachedEmbedder(HashingEmbedder(384), owns=True, dtype="float16")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "vectors.sqlite"


def test_a_text_is_embedded_once(path):
    inner = Counting()
    cache = CachedEmbedder(inner, path)
    first = cache.embed(["a", "b", "a", "a"])
    assert inner.asked == ["a", "b"]
    assert (cache.embed(["b", "a"]) == first[[1, 0]]).all()
    assert inner.asked == ["a", "b"]
    assert (cache.stats.hits, cache.stats.misses, cache.stats.entries) == (4, 2, 2)
    assert (first == HashingEmbedder(64).embed(["a", "b", "a", "a"])).all(), "float32 is kept exactly"


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_nothing_is_embedded_again_after_a_restart(path, dtype):
    texts = [f"text {number}" for number in range(1300)]  # more than one chunk, more than one statement
    with_cache = CachedEmbedder(Counting(), path, dtype=dtype)
    before, query = with_cache.embed(texts), with_cache.embed_query("where?")
    with_cache.close()
    inner = Counting()
    reopened = CachedEmbedder(inner, path, dtype=dtype)
    assert (reopened.embed(texts) == before).all(), "what a hit returns is what the miss returned"
    assert (reopened.embed_query("where?") == query).all()
    assert inner.asked == []
    assert reopened.stats.hit_rate == 1.0


def test_queries_and_passages_are_kept_apart(path):
    inner = Counting()
    cache = CachedEmbedder(inner, path)
    passage, query = cache.embed(["x"])[0], cache.embed_query("x")
    assert not np.allclose(passage, query)
    assert (cache.embed_query("x") == query).all()
    assert inner.asked == ["x", "? x"]


def test_another_fingerprint_or_type_is_another_vector(path):
    for made in ({"dimensions": 64}, {"dimensions": 64, "word_weight": 2.0}, {"dimensions": 32}):
        inner = Counting(**made)
        with_cache = CachedEmbedder(inner, path)
        assert (with_cache.embed(["x"]) == HashingEmbedder(**made).embed(["x"])).all()
        assert inner.asked == ["x"]
        with_cache.close()
    inner = Counting()
    half = CachedEmbedder(inner, path, dtype="float16")
    half.embed(["x"])
    assert inner.asked == ["x"], "a rounded vector is never taken for an exact one"
    assert half.fingerprint != inner.fingerprint


def test_float16_takes_half_the_room_and_keeps_the_direction(tmp_path):
    texts = [f"text {number}" for number in range(600)]
    exact = CachedEmbedder(HashingEmbedder(384), tmp_path / "exact")
    half = CachedEmbedder(HashingEmbedder(384), tmp_path / "half", dtype="float16")
    cosines = (exact.embed(texts) * half.embed(texts)).sum(axis=1)
    assert cosines.min() > 0.9999
    assert half.stats.bytes < 0.6 * exact.stats.bytes


def test_the_file_keeps_to_its_budget_and_the_least_recently_used_go(path):
    budget = 400_000
    cache = CachedEmbedder(Counting(384), path, budget_bytes=budget, memory_bytes=1)
    cache.embed([f"old {number}" for number in range(100)])
    for start in range(0, 1000, 50):
        cache.embed(["old 7"])  # in use all the time
        cache.embed([f"new {number}" for number in range(start, start + 50)])
        assert cache.stats.bytes <= budget
    inner = cache.embedder
    inner.asked.clear()
    cache.embed(["old 7", "old 8", "new 999"])
    assert inner.asked == ["old 8"]


def test_hits_are_written_in_batches(path):
    cache = CachedEmbedder(Counting(), path)
    cache.embed([f"text {number}" for number in range(100)])
    statements = []
    cache._file._database.trace(statements.append)
    for _ in range(50):
        cache.embed([f"text {number}" for number in range(100)])
    assert statements == [], "hits in memory touch the file only now and then"
    cache.close()
    statements.clear()
    cache = CachedEmbedder(Counting(), path, memory_bytes=1)
    cache._file._database.trace(statements.append)
    for number in range(100):
        cache.embed([f"text {number}"])
    assert not [statement for statement in statements if not statement.startswith("SELECT")]


def test_memory_in_front_is_bounded(path):
    cache = CachedEmbedder(Counting(64), path, memory_bytes=20 * (64 * 4 + 200))
    cache.embed([f"text {number}" for number in range(100)])
    assert len(cache._memory) == 20
    lone = CachedEmbedder(Counting(64), memory_bytes=20 * (64 * 4 + 200))
    lone.embed([f"text {number}" for number in range(100)])
    assert lone.stats.entries == 20
    assert lone.stats.bytes <= lone.memory_bytes


def test_discarding_forgets_text_and_frees_the_disk(path):
    texts = [f"secret {number}" for number in range(500)]
    inner = Counting(384)
    cache = CachedEmbedder(inner, path)
    cache.embed([*texts, "kept"])
    cache.embed_query("secret 1")
    cache.close()
    before = path.stat().st_size
    cache = CachedEmbedder(inner, path)
    cache.discard([*texts, "never seen"])
    assert cache.stats.entries == 1
    cache.close()
    assert path.stat().st_size < before / 5
    inner.asked.clear()
    cache = CachedEmbedder(inner, path)
    cache.embed(["kept", "secret 1"])
    cache.embed_query("secret 1")
    assert inner.asked == ["secret 1", "? secret 1"]


def test_threads_that_ask_for_the_same_text_at_once_wait_for_one_of_them(path):
    started, go_on = threading.Event(), threading.Event()

    class Slow(Counting):
        def embed(self, texts):
            started.set()
            assert go_on.wait(20)
            return super().embed(texts)

    inner = Slow()
    cache = CachedEmbedder(inner, path)
    results = []
    threads = [threading.Thread(target=lambda: results.append(cache.embed(["same", "text"]))) for _ in range(4)]
    threads[0].start()
    assert started.wait(20)
    for thread in threads[1:]:
        thread.start()
    go_on.set()
    for thread in threads:
        thread.join(20)
    assert inner.asked == ["same", "text"]
    assert all((result == results[0]).all() for result in results)


def test_a_failing_embedder_fails_for_all_who_wait_and_leaves_nothing_behind(path):
    class Failing(Counting):
        def embed(self, texts):
            raise RuntimeError("no memory")

    cache = CachedEmbedder(Failing(), path)
    for _ in range(2):
        with pytest.raises(RuntimeError, match="no memory"):
            cache.embed(["x"])
    assert cache._running == {}
    cache.embedder = Counting()
    cache.embed(["x"])
    assert cache.stats.entries == 1


def test_threads_write_at_once(path):
    cache = CachedEmbedder(Counting(), path)
    at_once(8, lambda worker: cache.embed([f"text {worker * 20 + number}" for number in range(40)]))
    assert cache.stats.entries == 180
    cache.close()


WRITER = """
import sys
from pathlib import Path
from workbench.embedding import HashingEmbedder
from workbench.embedding.cache import CachedEmbedder
cache = CachedEmbedder(HashingEmbedder(64), Path(sys.argv[1]))
for start in range(0, 400, 20):
    cache.embed([f"text {number}" for number in range(start, start + 20)])
    cache.embed([f"own {sys.argv[2]} {start}"])
cache.close()
"""


def test_two_processes_share_a_file(path):
    processes = [subprocess.Popen([sys.executable, "-c", WRITER, str(path), str(number)]) for number in range(2)]
    assert [process.wait(60) for process in processes] == [0, 0]
    inner = Counting()
    cache = CachedEmbedder(inner, path)
    cache.embed([f"text {number}" for number in range(400)])
    cache.embed(["own 0 0", "own 1 380"])
    assert inner.asked == []
    assert cache.stats.entries == 440


KILLED = """
import os, signal, sys
from pathlib import Path
from workbench.embedding import HashingEmbedder
from workbench.embedding.cache import CachedEmbedder
cache = CachedEmbedder(HashingEmbedder(64), Path(sys.argv[1]))
for number in range(100):
    cache.embed([f"text {number}"])
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_was_embedded_survives_a_kill(path):
    assert subprocess.run([sys.executable, "-c", KILLED, str(path)], timeout=60).returncode == -9
    inner = Counting()
    cache = CachedEmbedder(inner, path)
    cache.embed([f"text {number}" for number in range(100)])
    assert inner.asked == []


def test_a_damaged_row_is_a_miss_and_is_mended(path):
    cache = CachedEmbedder(Counting(), path)
    whole = cache.embed(["x", "y"])
    cache.close()
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE vectors SET vector = zeroblob(length(vector)) WHERE id = 1")
    connection.close()
    for asked in (["x"], []):
        inner = Counting()
        cache = CachedEmbedder(inner, path)
        assert (cache.embed(["x", "y"]) == whole).all()
        assert inner.asked == asked
        cache.close()


@pytest.mark.parametrize("content", [b"this is no database" * 400, b"SQLite format 3\0" + b"\xff" * 5000])
def test_a_file_of_another_kind_is_refused_with_the_remedy(path, content):
    path.write_bytes(content)
    with pytest.raises(StoreCorrupt, match="Delete the file"):
        CachedEmbedder(Counting(), path)
    assert path.read_bytes() == content


def test_a_damaged_page_costs_a_warning_not_the_embedding(path):
    texts = [f"text {number}" for number in range(800)]
    cache = CachedEmbedder(Counting(), path)
    whole = cache.embed(texts)
    cache.close()
    with path.open("r+b") as file:
        file.seek(5 * 4096)
        file.write(os.urandom(path.stat().st_size - 6 * 4096))
    cache = CachedEmbedder(Counting(), path)
    with pytest.warns(NotSaved, match="Delete the file") as caught:
        again = [cache.embed(texts), cache.embed([*texts, "another"])[:-1]]
    assert all((vectors == whole).all() for vectors in again)
    assert len(caught) == 1
    cache.close()


FULL = """
import resource, signal, sys, warnings
from pathlib import Path
from workbench.embedding import HashingEmbedder
from workbench.embedding.cache import CachedEmbedder
from workbench.errors import NotSaved
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
texts = [f"text {number}" for number in range(2000)]
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    cache = CachedEmbedder(HashingEmbedder(384), Path(sys.argv[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
    vectors = cache.embed(texts)
    assert (cache.embed(texts) == vectors).all() and (vectors == HashingEmbedder(384).embed(texts)).all()
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    cache.embed(["there is room again"])
    cache.close()
assert [warning.category for warning in caught] == [NotSaved], [str(warning.message) for warning in caught]
"""


@pytest.mark.parametrize("limit", [100_000, 1_000_000])
def test_a_full_disk_costs_one_warning_and_nothing_else(path, limit):
    done = subprocess.run([sys.executable, "-c", FULL, str(path), str(limit)], timeout=60, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    inner = Counting(384)
    cache = CachedEmbedder(inner, path)
    cache.embed(["there is room again"])
    assert inner.asked == [], "once there is room, vectors are kept again"


def test_a_disk_that_is_full_from_the_beginning(path):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    code = FULL.replace(
        "cache = Cached", "resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))\n    cache = Cached"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path), "0"], timeout=60, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    assert resource.getrlimit(resource.RLIMIT_FSIZE) == (soft, hard)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.text(st.characters(codec=None), max_size=6), max_size=12))
def test_any_texts_come_back_as_the_embedder_gives_them(tmp_path, texts):
    """Lone surrogates, NULs and texts that differ in one character or only in form (NFC, NFD) included."""
    cache = CachedEmbedder(HashingEmbedder(64), tmp_path / "shared", memory_bytes=1)
    try:
        assert (cache.embed(texts) == HashingEmbedder(64).embed(texts)).all()
        assert (cache.embed(texts) == HashingEmbedder(64).embed(texts)).all()
    finally:
        cache.close()


def test_closing_closes_what_it_owns(path):
    own, lent = Counting(), Counting()
    CachedEmbedder(own, path, owns=True).close()
    cache = CachedEmbedder(lent, path)
    cache.close()
    cache.close()
    assert (own.closed, lent.closed) == (True, False)
    with pytest.raises(UsageError, match="closed"):
        cache.embed(["x"])


@pytest.mark.parametrize("bad", [{"budget_bytes": 0}, {"memory_bytes": 0}, {"dtype": "int8"}])
def test_values_out_of_range_are_refused(bad):
    with pytest.raises(InvalidSettings, match="above 0"):
        CachedEmbedder(Counting(), **bad)


def test_nothing_is_warned_about_in_ordinary_use(path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cache = CachedEmbedder(Counting(), path)
        cache.embed(["a"])
        cache.discard(["a"])
        cache.close()

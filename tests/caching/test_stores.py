"""A cache in a file: the contract again, what survives, what other processes see, what a bad or full disk costs."""

import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
import warnings
from collections import OrderedDict

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from workbench.caching import ExactCache
from workbench.errors import NotSaved, StoreCorrupt
from workbench.testing import CacheContract

RESOURCE = pytest.mark.skipif(sys.platform == "win32", reason="limits are Unix's")


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


class TestFileContract(CacheContract):
    budget_bytes = 10_000

    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path_factory):
        self.folder, self.made = tmp_path_factory.mktemp("caches"), 0

    def make(self):
        self.made += 1
        return ExactCache(self.folder / f"{self.made}.sqlite", max_bytes=self.budget_bytes)


def test_it_survives_a_restart_with_its_hits(tmp_path):
    path = tmp_path / "cache.sqlite"
    cache = ExactCache(path)
    cache.put("a", "1")
    assert [cache.get("a") for _ in range(3)] == ["1"] * 3
    cache.close()
    again = ExactCache(path)
    assert again.get("a") == "1"
    assert again.hits_of("a") == 4, "counted over restarts"
    assert again.stats.hits == 1, "stats are this object's"


def test_lifetime_goes_on_while_nothing_runs(tmp_path):
    clock, path = Clock(), tmp_path / "cache.sqlite"
    cache = ExactCache(path, ttl_s=10, clock=clock)
    cache.put("a", "1")
    cache.close()
    clock.now += 9.9
    assert ExactCache(path, ttl_s=10, clock=clock).get("a") == "1"
    clock.now += 0.1
    again = ExactCache(path, ttl_s=10, clock=clock)
    assert again.get("a") is None
    assert again.stats.entries == 0


def test_an_entry_from_the_far_future_has_expired(tmp_path):
    clock = Clock()
    cache = ExactCache(tmp_path / "cache.sqlite", ttl_s=10, clock=clock)
    cache.put("a", "1")
    clock.now -= 5
    assert cache.get("a") == "1", "a clock that was put right by some seconds costs nothing"
    clock.now -= 5
    assert cache.get("a") is None


def test_two_processes_share_a_file(tmp_path):
    path = tmp_path / "cache.sqlite"
    mine = ExactCache(path)
    mine.put("mine", "1")
    script = textwrap.dedent(f"""
        from workbench.caching import ExactCache
        cache = ExactCache({str(path)!r})
        print(cache.get("mine"))
        cache.put("theirs", "2")
        cache.close()
    """)
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert said.stdout.strip() == "1"
    assert mine.get("theirs") == "2"
    assert mine.stats.entries == 2
    assert mine.hits_of("mine") == 1


def test_what_was_put_survives_kill_9(tmp_path):
    path = tmp_path / "cache.sqlite"
    script = textwrap.dedent(f"""
        import os, signal
        from workbench.caching import ExactCache
        cache = ExactCache({str(path)!r})
        for number in range(50):
            cache.put(str(number), "v" * 1000)
        os.kill(os.getpid(), signal.SIGKILL)
    """)
    died = subprocess.run([sys.executable, "-c", script], timeout=60, check=False)
    assert died.returncode == -signal.SIGKILL
    cache = ExactCache(path)
    assert all(cache.get(str(number)) == "v" * 1000 for number in range(50))


def test_a_damaged_entry_is_a_miss(tmp_path):
    path = tmp_path / "cache.sqlite"
    cache = ExactCache(path)
    cache.put("a", "right")
    cache.put("b", "whole")
    cache.close()
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE entries SET value = ? WHERE key = ?", (b"wrong", b"a"))
    again = ExactCache(path)
    assert again.get("a") is None
    assert again.get("b") == "whole"


@pytest.mark.parametrize("content", [b"no database at all" * 100, b"SQLite format 3\0" + b"\xff" * 5000])
def test_a_damaged_file_is_refused_with_the_remedy(tmp_path, content):
    path = tmp_path / "cache.sqlite"
    path.write_bytes(content)
    with pytest.raises(StoreCorrupt, match="Delete the file"):
        ExactCache(path)
    assert path.read_bytes() == content, "what it is not sure of it does not touch"


def test_a_file_that_is_damaged_while_open_costs_its_entries_only(tmp_path):
    path = tmp_path / "cache.sqlite"
    cache = ExactCache(path)
    for number in range(200):
        cache.put(str(number), "v" * 5000)
    cache.close()
    whole = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(os.urandom(whole - 8192))
    cache = ExactCache(path)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for number in range(200):
            assert cache.get(str(number)) in (None, "v" * 5000)
            assert cache.get_or_compute(f"new {number}", lambda: "answer") == "answer"
    assert NotSaved in [one.category for one in caught]
    assert cache.get("new 199") == "answer", "it goes on in memory"


@RESOURCE
def test_a_full_disk_costs_no_answer(tmp_path):
    """In a child, because a limit on file sizes is the process's."""
    script = textwrap.dedent(f"""
        import resource, signal, warnings
        from workbench.caching import ExactCache
        from workbench.errors import NotSaved
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        path = {str(tmp_path / "cache.sqlite")!r}
        cache = ExactCache(path)
        cache.put("kept", "1")
        hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, hard))
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            for number in range(40):
                assert cache.get_or_compute(str(number), lambda: "v" * 20_000) == "v" * 20_000
        assert [one.category for one in caught] == [NotSaved], [str(one.message) for one in caught]
        assert cache.get("kept") == "1"
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        cache.put("later", "2")
        assert cache.get("later") == "2"
        cache.close()
        print("done")
    """)
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=False)
    assert said.stdout.strip() == "done", said.stderr
    again = ExactCache(tmp_path / "cache.sqlite")
    assert again.get("kept") == "1"
    assert again.get("later") == "2"


class CacheMachine(RuleBasedStateMachine):
    """A cache in a file against a plain model: an LRU to the byte, with lifetimes, over restarts."""

    MAX_BYTES, TTL_S = 40, 50.0

    @initialize()
    def begin(self):
        import tempfile

        self.folder = tempfile.TemporaryDirectory()
        self.clock, self.model = Clock(), OrderedDict()  # key → (value, put at), least recently used first
        self.open()

    def open(self):
        self.cache = ExactCache(
            f"{self.folder.name}/cache.sqlite", max_bytes=self.MAX_BYTES, ttl_s=self.TTL_S, clock=self.clock
        )

    def expected(self, key):
        if key in self.model and self.clock.now - self.model[key][1] >= self.TTL_S:
            del self.model[key]
        return self.model.get(key, (None,))[0]

    @rule(key=st.sampled_from("abcdef"), length=st.integers(0, 45))
    def put(self, key, length):
        self.cache.put(key, "x" * length)
        self.model.pop(key, None)
        if 1 + max(1, length) <= self.MAX_BYTES:
            self.model[key] = ("x" * length, self.clock.now)
        while self.size() > self.MAX_BYTES:
            self.model.popitem(last=False)

    @rule(key=st.sampled_from("abcdef"))
    def get(self, key):
        expected = self.expected(key)
        assert self.cache.get(key) == expected
        if expected is not None:
            self.model.move_to_end(key)

    @rule(seconds=st.sampled_from([1.0, 20.0, 60.0]))
    def wait(self, seconds):
        self.clock.now += seconds

    @rule()
    def clear(self):
        self.cache.clear()
        self.model.clear()

    @rule()
    def reopen(self):
        self.cache.close()
        self.open()

    @rule()
    def die(self):
        """As after ``kill -9``: another connection, and the uses since the last write are lost with the old one."""
        self.put("z", 1)  # writes them
        self.open()

    def size(self):
        return sum(1 + max(1, len(value)) for value, _ in self.model.values())

    @invariant()
    def the_same_is_held(self):
        if hasattr(self, "cache"):
            stats = self.cache.stats
            assert (stats.entries, stats.bytes) == (len(self.model), self.size())

    def teardown(self):
        if hasattr(self, "cache"):
            self.cache.close()
            self.folder.cleanup()


TestCacheMachine = CacheMachine.TestCase
TestCacheMachine.settings = settings(
    max_examples=25, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)


def test_touches_are_not_a_transaction_each(tmp_path):
    cache = ExactCache(tmp_path / "cache.sqlite")
    cache.put("a", "1")
    writes = []
    cache._store._database.trace(lambda text: writes.append(text) if text.startswith("BEGIN") else None)
    for _ in range(60):
        cache.get("a")
    assert not writes, "a hit reads; uses are written together"


def test_a_closed_file_says_so_and_answers_on(tmp_path):
    cache = ExactCache(tmp_path / "cache.sqlite")
    cache.close()
    with pytest.warns(NotSaved, match="closed"):
        cache.put("a", "1")


def test_hits_write_nothing_where_something_is_put_now_and_then(tmp_path):
    """Of 64 entries or of 600: a write within a hit would be what the slowest of a hundred hits takes."""
    cache = ExactCache(tmp_path / "cache.sqlite")
    for number in range(600):
        cache.put(str(number), "1")
    writes = []
    cache._store._database.trace(lambda text: writes.append(text) if text.startswith("BEGIN") else None)
    for number in range(600):
        assert cache.get(str(number)) == "1"
    assert not writes
    cache.put("new", "1")
    assert len(writes) == 1, "the uses go with it"
    assert cache.hits_of("0") == 1
    assert not cache._store._touched


@RESOURCE
def test_hits_stay_hits_on_a_full_disk(tmp_path):
    """Their uses cannot be written, and do not pile up either."""
    script = textwrap.dedent(f"""
        import resource, signal, warnings
        from workbench.caching import ExactCache
        warnings.simplefilter("ignore")
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        cache = ExactCache({str(tmp_path / "cache.sqlite")!r})
        for number in range(3000):
            cache.put(str(number), "1")
        cache._store._database.shrink()  # the journal begins anew: there is no room left in it
        hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
        assert all(cache.get(str(number)) == "1" for number in range(3000))
        assert cache.stats.misses == 0, cache.stats
        print(len(cache._store._touched))
        cache.close()
    """)
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=False)
    assert int(said.stdout or 9999) < 2000, said.stderr


def test_a_damaged_file_is_let_go_of(tmp_path):
    cache = ExactCache(tmp_path / "cache.sqlite")
    damaged = cache._store
    damaged.get = lambda key: (_ for _ in ()).throw(StoreCorrupt(tmp_path / "cache.sqlite", "it is damaged."))
    with pytest.warns(NotSaved):
        assert cache.get("a") is None
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        damaged._database._connection.execute("SELECT 1")
    cache.put("a", "1")
    assert cache.get("a") == "1"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_forked_child_has_its_own_connection_and_locks(tmp_path):
    """In a process of its own: threads and forks do not go together well elsewhere."""
    script = textwrap.dedent(f"""
        import os, threading
        from workbench.caching import ExactCache
        cache, memory = ExactCache({str(tmp_path / "cache.sqlite")!r}), ExactCache()
        for one in (cache, memory):
            one.put("a", "1")
        connection = cache._store._database._connection
        held, done = threading.Event(), threading.Event()

        def hold():
            with cache._lock, memory._lock:
                held.set()
                done.wait(60)

        threading.Thread(target=hold).start()
        held.wait(60)
        child = os.fork()
        if child == 0:
            def use():
                assert cache._store._database._connection is not connection
                assert (cache.get("a"), memory.get("a")) == ("1", "1")
                cache.put("b", "2")
                cache.close()
                connection.execute("SELECT 1")  # not closed: that would be the parent's affair
                os._exit(7)
            user = threading.Thread(target=use, daemon=True)
            user.start()
            user.join(30)
            os._exit(1)
        done.set()
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
        assert cache._store._database._connection is connection
        assert cache.get("b") == "2"
        cache.put("c", "3")
        cache.close()
        print("done")
    """)
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=False)
    assert said.stdout.strip() == "done", said.stderr
    again = ExactCache(tmp_path / "cache.sqlite")
    assert [again.get(key) for key in "abc"] == ["1", "2", "3"]

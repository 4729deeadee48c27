"""From a collection that many sessions share: everything once, whenever the run before it ended."""

import os
import subprocess
import sys

import pytest

from workbench.embedding.hashing import HashingEmbedder
from workbench.errors import InvalidSettings, StorageFull, StoreInUse, UnknownName
from workbench.memory.archive import ArchiveMemory
from workbench.memory.buffer import BufferMemory
from workbench.memory.chroma import migrate_shared_collection, migration
from workbench.memory.chroma.client import PLACE, open_chroma
from workbench.storage import EventLog, FolderLock
from workbench.testing.contracts.memory import HOSTILE_NAMES

NAMES = ["alice", "../bob", *[name for name in HOSTILE_NAMES if "\0" not in name][:3]]
COUNT = 40


def write(folder, records, name="chat"):
    """Records (id, document, metadata) in a collection."""
    chroma = open_chroma(folder)
    made = chroma.create_collection(name, None, None, None, True, *PLACE)
    ids, documents, metadatas = (list(column) for column in zip(*records, strict=True))
    rows = [[float(n), 1.0] for n in range(len(records))]
    chroma.upsert(str(made.id), ids, rows, metadatas, documents, None, *PLACE)


@pytest.fixture
def shared(tmp_path):
    """Five sessions in one collection, taking turns."""
    write(
        tmp_path / "old",
        [
            (
                f"id-{n:03}-{number}",
                f"{n} of {name!r}",
                {"session": name, "role": ("human", "ai")[n % 2], "timestamp": 1000.0 + n},
            )
            for n in range(COUNT)
            for number, name in enumerate(NAMES)
        ],
    )
    return tmp_path / "old"


@pytest.fixture
def memory(tmp_path):
    memory = ArchiveMemory(tmp_path / "new", embedder=HashingEmbedder(16), short_term=2, batch=10)
    yield memory
    memory.close()


def everything(memory, session):
    return [
        (one.index, one.message.role, one.message.content, one.at) for one in memory.recall("x", session=session, k=999)
    ]


def expected(name):
    return [(n, ("user", "assistant")[n % 2], f"{n} of {name!r}", 1000.0 + n) for n in range(COUNT)]


def test_each_session_gets_its_messages_in_order(shared, memory):
    assert migrate_shared_collection(shared, memory, collection="chat") == dict.fromkeys(NAMES, COUNT)
    assert memory.sessions() == tuple(sorted(NAMES))
    memory.flush()
    for name in NAMES:
        assert everything(memory, name) == expected(name)
        assert [event.data["upto"] for event in memory.events(name) if event.kind == "archive"] == [10, 20, 30]


def test_a_second_run_takes_what_is_new(shared, memory):
    migrate_shared_collection(shared, memory, collection="chat")
    assert migrate_shared_collection(shared, memory, collection="chat") == dict.fromkeys(NAMES, 0)
    write(shared, [("late", "said later", {"session": "alice", "timestamp": 5000.0})])
    assert migrate_shared_collection(shared, memory, collection="chat")["alice"] == 1
    assert everything(memory, "alice") == [*expected("alice"), (COUNT, "user", "said later", 5000.0)]


def test_the_old_collection_stays_as_it_was(shared, memory):
    migrate_shared_collection(shared, memory, collection="chat")
    chroma = open_chroma(shared)
    (made,) = chroma.list_collections(None, None, *PLACE)
    assert chroma.count(str(made.id), *PLACE) == COUNT * len(NAMES)


def test_any_memory_with_a_log_can_take_them(shared):
    memory = BufferMemory(1000)
    migrate_shared_collection(shared, memory, collection="chat")
    assert everything(memory, "alice") == expected("alice")


def test_what_is_there_already_comes_first(shared, memory):
    from workbench.interfaces import Message

    memory.add(Message.user("already here"), session="alice", at=1.0)
    migrate_shared_collection(shared, memory, collection="chat")
    assert everything(memory, "alice")[0] == (0, "user", "already here", 1.0)
    assert memory.count("alice") == COUNT + 1


def test_other_keys_and_times_in_words(tmp_path, memory):
    write(
        tmp_path / "old",
        [
            ("2", "second", {"chat": "a", "who": "assistant", "when": "2024-05-01T12:00:01+00:00"}),
            ("1", "first", {"chat": "a", "who": "user", "when": "2024-05-01T12:00:00+00:00"}),
        ],
    )
    migrate_shared_collection(
        tmp_path / "old", memory, collection="chat", session_key="chat", role_key="who", time_key="when"
    )
    assert everything(memory, "a") == [(0, "user", "first", 1714564800.0), (1, "assistant", "second", 1714564801.0)]


@pytest.mark.parametrize(
    ("metadata", "error", "match"),
    [
        ({"user": "a"}, InvalidSettings, "session_key.*user"),
        ({"session": 5}, InvalidSettings, "'odd'"),
        ({"session": "a", "timestamp": "yesterday"}, InvalidSettings, "'odd'.*no time"),
        ({"session": "a", "role": "narrator"}, UnknownName, "narrator"),
    ],
)
def test_a_record_that_does_not_fit_stops_it_before_anything_is_taken(shared, memory, metadata, error, match):
    write(shared, [("odd", "x", metadata)])
    with pytest.raises(error, match=match):
        migrate_shared_collection(shared, memory, collection="chat")
    assert memory.sessions() == ()


def test_what_is_not_there_is_said(shared, memory, tmp_path):
    with pytest.raises(InvalidSettings, match=r"'cat'.*Known: chat"):
        migrate_shared_collection(shared, memory, collection="cat")
    with pytest.raises(InvalidSettings, match=r"chroma\.sqlite3"):
        migrate_shared_collection(tmp_path / "nowhere", memory, collection="chat")
    assert not (tmp_path / "nowhere").exists()
    with FolderLock(shared), pytest.raises(StoreInUse):
        migrate_shared_collection(shared, memory, collection="chat")


def test_a_full_disk_stops_it_and_the_next_run_goes_on(shared, memory, monkeypatch):
    append_many, calls = EventLog.append_many, []

    def appended(log, session, entries):
        if any(entry.kind == "message" for entry in entries):
            calls.append(session)
            if len(calls) > 5:
                raise StorageFull("the log")
        return append_many(log, session, entries)

    monkeypatch.setattr(migration, "_STEP", 15)
    with monkeypatch.context() as patch:
        patch.setattr(EventLog, "append_many", appended)
        with pytest.raises(StorageFull):
            migrate_shared_collection(shared, memory, collection="chat")
    assert 0 < sum(memory.count(name) for name in NAMES) < COUNT * len(NAMES)
    migrate_shared_collection(shared, memory, collection="chat")
    for name in NAMES:
        assert everything(memory, name) == expected(name)


RUN = """
import os, sys
from workbench.embedding.hashing import HashingEmbedder
from workbench.memory.archive import ArchiveMemory
from workbench.memory.chroma import migrate_shared_collection, migration
from workbench.storage import EventLog
migration._STEP = 15
append_many, left = EventLog.append_many, int(sys.argv[3])
def appended(log, session, entries):
    global left
    if left == 0:
        os.kill(os.getpid(), 9)
    left -= 1
    return append_many(log, session, entries)
EventLog.append_many = appended
memory = ArchiveMemory(sys.argv[2], embedder=HashingEmbedder(16), short_term=2, batch=1000)
migrate_shared_collection(sys.argv[1], memory, collection="chat")
"""


def test_killed_again_and_again_it_takes_everything_once(shared, tmp_path):
    for steps in (0, 1, 4, 5):
        command = [sys.executable, "-c", RUN, str(shared), str(tmp_path / "new"), str(steps)]
        done = subprocess.run(command, check=False, env={**os.environ, "OMP_NUM_THREADS": "1"})
        assert done.returncode == -9
    with BufferMemory(1000, tmp_path / "new") as memory:
        migrate_shared_collection(shared, memory, collection="chat")
        for name in NAMES:
            assert everything(memory, name) == expected(name)

"""Memories on real folders with real processes: two owners, a full disk, hostile names, long histories, kill -9."""

import json
import os
import random
import signal
import subprocess
import sys
import time

import pytest

from workbench.embedding.hashing import HashingEmbedder
from workbench.errors import StoreInUse
from workbench.interfaces import Message
from workbench.memory.archive import ARCHIVE, ArchiveMemory
from workbench.memory.buffer import BufferMemory

NAMES = ["../escape", "nul\0", "CON", "n" * 300, "\u202ertl", "caf\u00e9", "cafe\u0301", "/etc/passwd", "..", ""]


def archive(folder, **options):
    return ArchiveMemory(folder, embedder=HashingEmbedder(32), **{"short_term": 3, "batch": 5, **options})


def run(code, *arguments, **options):
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)], stdout=subprocess.PIPE, text=True, **options
    )


# -- row 12: two processes on one folder ------------------------------------------------------------------------------

HOLD = """
import sys
from workbench.embedding.hashing import HashingEmbedder
from workbench.interfaces import Message
from workbench.memory.archive import ArchiveMemory
memory = ArchiveMemory(sys.argv[1], embedder=HashingEmbedder(32), short_term=3, batch=5)
memory.add_many([Message.user(f"message {n}") for n in range(30)])
memory.flush()
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def owner(tmp_path):
    process = run(HOLD, tmp_path, stdin=subprocess.PIPE)
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def test_the_second_process_is_told_who_has_the_memory(tmp_path, owner):
    for make in (archive, lambda folder: BufferMemory(folder=folder)):
        with pytest.raises(StoreInUse, match=f"process {owner.pid}") as caught:
            make(tmp_path)
        assert caught.value.pid == owner.pid


@pytest.mark.parametrize("blow", [signal.SIGKILL, signal.SIGTERM])
def test_a_dead_owners_memory_is_taken_over_with_all_it_had(tmp_path, owner, blow):
    owner.send_signal(blow)
    assert owner.wait() == -blow
    with archive(tmp_path) as memory:
        assert [one.index for one in memory.recall("message 7", k=100)] == list(range(30))
        assert max(memory.recall("message 7", k=5), key=lambda one: one.score).index == 7


# -- row 13: disk full ------------------------------------------------------------------------------------------------

FILL = """
import json, resource, sys, warnings
from workbench.embedding.hashing import HashingEmbedder
from workbench.errors import NotSaved, StorageFull
from workbench.interfaces import Message
from workbench.memory.archive import ArchiveMemory
folder = sys.argv[1]
memory = ArchiveMemory(folder, embedder=HashingEmbedder(32), short_term=3, batch=5)
memory.add_many([Message.user(f"before {n}") for n in range(20)])
memory.flush()
told = {}
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    for n in range(400):
        memory.add(Message.user(f"full {n} " + "x" * 2000))
    told["warned"] = sum(issubclass(one.category, NotSaved) for one in caught)
told["unsaved"] = memory.journal.unsaved
told["found"] = [one.index for one in memory.recall("full 399", k=1000)]
try:
    memory.flush()
except StorageFull as error:
    told["flush"] = str(error)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.getrlimit(resource.RLIMIT_FSIZE)[1],) * 2)
memory.flush()
told["left"] = memory.journal.unsaved
told["archived"] = [event.data["upto"] for event in memory.events("default") if event.kind == "archive"][-1]
print(json.dumps(told), flush=True)
import os
os.kill(os.getpid(), 9)
"""


def test_on_a_full_disk_the_chat_goes_on_and_is_written_when_there_is_room(tmp_path):
    done = run(FILL, tmp_path, 300_000)
    told = json.loads(done.communicate()[0])
    assert told["warned"] >= 1
    assert told["unsaved"] > 0
    assert told["found"] == list(range(420)), "in memory it is all there"
    assert "free some space" in told["flush"]
    assert told["left"] == 0
    assert told["archived"] == 415
    with archive(tmp_path) as memory:
        found = memory.recall("full 399", k=1000)
        assert [one.index for one in found] == list(range(420))
        assert found[419].message.content.startswith("full 399 ")


ARCHIVE_FULL = """
import sys, resource, json
from workbench.embedding.hashing import HashingEmbedder
from workbench.errors import StorageFull
from workbench.interfaces import Message
from workbench.memory.archive import ArchiveMemory
from workbench.memory.chroma import process
memory = ArchiveMemory(sys.argv[1], embedder=HashingEmbedder(256), short_term=3, batch=5)
memory.add_many([Message.user(f"before {n}") for n in range(120)])
memory.flush()
child = memory._store.pid
own = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.prlimit(child, resource.RLIMIT_FSIZE, (int(sys.argv[2]), own[1]))
memory.add_many([Message.user(f"during {n}") for n in range(600)])
told = {}
try:
    memory.flush()
except StorageFull as error:
    told["flush"] = str(error)
told["found"] = [one.index for one in memory.recall("during 99", k=1000)]
resource.prlimit(child, resource.RLIMIT_FSIZE, own)
memory.flush()
told["same"] = memory._store.pid == child
told["archived"] = [event.data["upto"] for event in memory.events("default") if event.kind == "archive"][-1]
told["best"] = max(memory.recall("during 99", k=5), key=lambda one: one.score).index
memory.close()
print(json.dumps(told), flush=True)
"""


@pytest.mark.skipif(not hasattr(__import__("resource"), "prlimit"), reason="needs Linux's prlimit")
def test_when_only_the_archive_has_no_room_nothing_is_lost_either(tmp_path):
    done = run(ARCHIVE_FULL, tmp_path, 450_000)
    told = json.loads(done.communicate()[0])
    assert "free some space" in told["flush"]
    assert told["found"] == list(range(720))
    assert told["archived"] == 715
    assert told["best"] == 219


# -- row 17: names ----------------------------------------------------------------------------------------------------


def test_hostile_session_names_stay_in_the_folder_and_apart(tmp_path):
    folder = tmp_path / "memory"
    with archive(folder) as memory:
        for number, name in enumerate(NAMES):
            memory.add_many([Message.user(f"{n} of {number}") for n in range(10)], session=name)
        memory.flush()
    assert [found.name for found in tmp_path.iterdir()] == ["memory"]
    with archive(folder) as memory:
        assert memory.sessions() == tuple(sorted(NAMES))
        for number, name in enumerate(NAMES):
            found = memory.recall("of", session=name, k=50)
            assert [one.message.content for one in found] == [f"{n} of {number}" for n in range(10)]
            memory.forget(name)
        assert [found for found in (folder / "archive").iterdir() if found.is_dir()] == []


# -- row 22: long histories -------------------------------------------------------------------------------------------


def seconds(work):
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def test_a_long_history_costs_appending_nothing_and_opening_little(tmp_path):
    """Appending 10k, then up to 20k, then up to 40k messages; opening at each length."""
    appends, opens = [], []
    with BufferMemory(folder=tmp_path) as memory:
        memory.add(Message.user("warm"))
    for added in (10_000, 10_000, 20_000):
        with BufferMemory(folder=tmp_path) as memory:
            batches = [[Message.user(f"message {start + n}") for n in range(100)] for start in range(0, added, 100)]
            appends.append(seconds(lambda batches=batches, memory=memory: [memory.add_many(one) for one in batches]))
        opens.append(min(seconds(lambda: BufferMemory(folder=tmp_path).close()) for _ in range(3)))
    per_message = [spent / added for spent, added in zip(appends, (10_000, 10_000, 20_000), strict=True)]
    assert per_message[2] < 2.3 * per_message[0], per_message
    assert opens[2] < 2.3 * 2.3 * opens[0] + 0.05, opens
    assert opens[2] < 1.0


# -- row 24: kill -9 while archiving ----------------------------------------------------------------------------------

CHAT = """
import sys
from workbench.embedding.hashing import HashingEmbedder
from workbench.interfaces import Message
from workbench.memory.archive import ArchiveMemory
memory = ArchiveMemory(sys.argv[1], embedder=HashingEmbedder(32), short_term=3, batch=5)
sessions = ["a", "../b"]
print("ready", flush=True)
while True:
    for session in sessions:
        index = memory.add(Message.user(f"message {memory.count(session)} of {session}"), session=session)
        sys.stdout.write(f"{session} {index}\\n")
        sys.stdout.flush()
        if index % 20 == 19:
            memory.recall(f"message {index // 2}", session=session)
"""


def chat_and_die(folder, wait_s):
    """Session → highest index acknowledged by a process that was killed ``wait_s`` after it was ready."""
    process = run(CHAT, folder)
    assert process.stdout.readline() == "ready\n"
    timer_end = time.monotonic() + wait_s
    acknowledged = {}
    killed = False
    for line in process.stdout:
        if not killed and time.monotonic() > timer_end:
            os.kill(process.pid, signal.SIGKILL)
            killed = True
        if line.endswith("\n"):
            session, _, index = line.rpartition(" ")
            acknowledged[session] = int(index)
    assert process.wait() == -signal.SIGKILL
    process.stdout.close()
    return acknowledged


def check(folder, acknowledged):
    """Every acknowledged message is there, once, in order, in the log and in a recall; before and after archiving."""
    with archive(folder) as memory:
        for session, last in acknowledged.items():
            for _ in range(2):
                found = memory.recall("message", session=session, k=100_000)
                assert [one.index for one in found] == list(range(memory.count(session)))
                assert len(found) > last
                assert [one.message.content for one in found] == [
                    f"message {n} of {session}" for n in range(len(found))
                ]
                memory.flush()
            upto = [event.data["upto"] for event in memory.events(session) if event.kind == ARCHIVE]
            assert upto == sorted(upto), "nothing had to be archived again from the beginning"
            assert memory.count(session) - 3 - upto[-1] < 5
            old = last // 2
            assert old in [one.index for one in memory.recall(f"message {old} of {session}", session=session, k=50)]


def die_repeatedly(folder, times, seed):
    chance = random.Random(seed)
    for _ in range(times):
        acknowledged = chat_and_die(folder, chance.uniform(0.05, 1.2))
        check(folder, acknowledged)


def test_killed_while_archiving_nothing_acknowledged_is_lost_or_doubled(tmp_path):
    die_repeatedly(tmp_path, 3, seed=1)


@pytest.mark.soak
def test_killed_at_twenty_random_moments(tmp_path):
    die_repeatedly(tmp_path, 20, seed=2)

"""The archives seen from outside: one process, started when needed, replaced when it dies, silent on the network."""

import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import psutil
import pytest

from workbench.errors import InvalidSettings, StorageError, StoreCorrupt
from workbench.memory.chroma import ChromaStore
from workbench.memory.chroma.process import ArchiveProcess
from workbench.memory.chroma.store import folder_name
from workbench.testing.contracts.memory import HOSTILE_NAMES
from workbench.testing.contracts.threads import at_once


def vectors(count, seed=0):
    rows = np.random.default_rng(seed).standard_normal((count, 16)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.fixture
def store(tmp_path):
    store = ChromaStore(tmp_path, sessions=lambda: ["a", "b", *HOSTILE_NAMES], most_open=2)
    yield store
    store.close()


def alive(pid):
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def wait_until(true):
    deadline = time.monotonic() + 30
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_what_is_written_is_found_as_it_was(store):
    rows = vectors(30)
    assert store.write("a", "print", 0, rows) == 30
    found = store.similar("a", "print", rows[7], 3, archived=30)
    assert max(found, key=found.get) == 7
    assert found[7] == pytest.approx(1.0, abs=1e-5)
    assert set(store.similar("a", "print", rows[7], 5, archived=30, among=[1, 2])) == {1, 2}
    assert store.similar("b", "print", rows[7], 3, archived=1) is None


def test_there_is_no_process_before_it_is_needed(store):
    assert store.similar("a", "print", vectors(1)[0], 1, archived=1) is None
    store.delete("a")
    assert store.pid is None


def test_closing_ends_the_process(store):
    store.write("a", "print", 0, vectors(3))
    pid = store.pid
    store.close()
    store.close()
    assert not alive(pid)
    with pytest.raises(StorageError, match="closed"):
        store.write("a", "print", 0, vectors(3))


def test_a_dead_process_is_replaced(store):
    store.write("a", "print", 0, vectors(3))
    first = store.pid
    os.kill(first, signal.SIGKILL)
    assert store.write("a", "print", 3, vectors(3)) == 6
    assert store.pid != first


def test_a_process_that_dies_each_time_is_an_error(store, monkeypatch):
    store.write("a", "print", 0, vectors(3))
    ask = ArchiveProcess.ask

    def asked(process, *request):
        os.kill(process.pid, signal.SIGKILL)
        return ask(process, *request)

    monkeypatch.setattr(ArchiveProcess, "ask", asked)
    with pytest.raises(StorageError, match="ended with -9"):
        store.write("a", "print", 3, vectors(3))


def test_a_process_that_does_not_answer_is_given_up(tmp_path):
    store = ChromaStore(tmp_path, sessions=list, deadline_s=3.0)
    store.write("a", "print", 0, vectors(3))
    os.kill(store.pid, signal.SIGSTOP)
    assert store.write("a", "print", 3, vectors(3)) == 6, "killed, and a new one asked"
    store.close()


def test_errors_come_through_and_the_process_lives(store, tmp_path):
    store.write("a", "print", 0, vectors(3))
    pid = store.pid
    folder = tmp_path / folder_name("b")
    folder.mkdir()
    (folder / "chroma.sqlite3").write_text("rubbish" * 1000)
    with pytest.raises(StoreCorrupt, match="made anew from the event log"):
        store.similar("b", "print", vectors(1)[0], 1, archived=1)
    with pytest.raises(StorageError, match="nobody knows how"):
        store._ask("explode", {})
    store.delete("b")
    assert store.write("b", "print", 0, vectors(3)) == 3
    assert store.pid == pid


def test_any_thread_may_ask(store):
    def work(number):
        rows = vectors(10, seed=number)
        name = HOSTILE_NAMES[number]
        store.write(name, "print", 0, rows)
        return [
            max(found, key=found.get) for row in rows if (found := store.similar(name, "print", row, 3, archived=10))
        ]

    assert at_once(4, work) == [list(range(10))] * 4


OWNER = """
import sys, time, pathlib, numpy
from workbench.memory.chroma import ChromaStore
store = ChromaStore(pathlib.Path(sys.argv[1]), sessions=lambda: ["a"])
first = 0
store.write("a", "print", 0, numpy.eye(16, dtype="float32"))
print(store.pid, flush=True)
while True:
    first = store.write("a", "print", first, numpy.random.default_rng(first).random((50, 16), "float32"))
"""


def test_a_killed_parent_leaves_no_process_and_the_next_waits_for_its_last_write(tmp_path):
    owner = subprocess.Popen([sys.executable, "-c", OWNER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    child = int(owner.stdout.readline())
    owner.kill()
    owner.wait()
    owner.stdout.close()
    store = ChromaStore(tmp_path, sessions=lambda: ["a"])
    found = store.similar("a", "print", np.eye(16, dtype=np.float32)[3], 1, archived=16)
    assert list(found) == [3]
    assert not alive(child), "it held the lock until its end"
    store.close()


def test_names_become_folders_of_their_own():
    names = [*HOSTILE_NAMES, "\ud800", "con", "A", "a", "x" * 299]
    folders = {folder_name(name) for name in names}
    assert len(folders) == len(names)
    assert all(len(folder) < 120 and folder.isascii() and "/" not in folder for folder in folders)


@pytest.mark.parametrize("most", [0, -3])
def test_at_least_one_is_open(most):
    with pytest.raises(InvalidSettings, match="At least 1"):
        ChromaStore(None, sessions=list, most_open=most)


QUIET = """
import socket, sys
def refuse(*_, **__):
    raise AssertionError("the network was reached for")
socket.socket = socket.create_connection = socket.getaddrinfo = refuse
from workbench.embedding.hashing import HashingEmbedder
from workbench.interfaces import Message
from workbench.memory.archive import ArchiveMemory
with ArchiveMemory(sys.argv[1], embedder=HashingEmbedder(16), short_term=1, batch=5) as memory:
    memory.add_many([Message.user(str(n)) for n in range(30)])
    memory.flush()
    memory.recall("3")
    import psutil
    process = psutil.Process(memory._store.pid)
    assert process.net_connections() == [] == psutil.Process().net_connections()
    memory.forget("default")
print("quiet")
"""


def test_it_works_without_a_network(tmp_path):
    """In a network name space of its own, where there is nothing to be reached, if this machine allows one."""
    command = [sys.executable, "-c", QUIET, str(tmp_path)]
    unshare = shutil.which("unshare")
    if unshare and subprocess.run([unshare, "-n", "true"], capture_output=True, check=False).returncode == 0:
        command = [unshare, "-n", *command]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout == "quiet\n", done.stderr


def test_the_process_imports_neither_numpy_nor_all_of_chromadb(store):
    code = (
        "import sys; from workbench.memory.chroma import child, client; client.spare_the_package();"
        "import chromadb_rust_bindings; from chromadb.errors import ChromaError;"
        "print([name for name in ('numpy', 'chromadb.api', 'httpx', 'workbench.memory.base') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"

"""Archives in this very process: what they answer, what they keep open, what a deletion leaves."""

import random
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import psutil
import pytest

from workbench.errors import StorageError, StorageFull, StoreCorrupt
from workbench.memory.chroma import room
from workbench.memory.chroma.archives import Archives
from workbench.memory.chroma.client import open_chroma, translated
from workbench.memory.chroma.collection import SessionCollection

DIMENSIONS = 16


def vectors(count, seed=0):
    """(count, DIMENSIONS) of length 1, all different."""
    rows = np.random.default_rng(seed).standard_normal((count, DIMENSIONS)).astype(np.float32)
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).tolist()


@pytest.fixture
def archives(tmp_path):
    archives = Archives(tmp_path, most_open=2)
    yield archives
    archives.close()


@pytest.fixture
def collection(tmp_path):
    collection = SessionCollection(tmp_path / "one", "print")
    yield collection
    collection.close()


def exact(rows, query, k, among):
    scores = {index: float(np.dot(rows[index], query)) for index in among}
    return sorted(scores, key=lambda index: -scores[index])[:k]


# -- one collection ---------------------------------------------------------------------------------------------------


def test_the_nearest_come_with_their_cosine(collection):
    rows = vectors(200)
    collection.write(0, rows)
    for query in vectors(10, seed=1):
        found = collection.similar(query, 5, archived=200)
        assert [index for index, _ in found] == exact(rows, query, 5, range(200))
        for index, score in found:
            assert score == pytest.approx(np.dot(rows[index], query), abs=1e-4)


def test_only_what_the_log_knows_of_is_found(collection):
    rows = vectors(100)
    collection.write(0, rows)
    assert [index for index, _ in collection.similar(rows[90], 5, archived=50)] == exact(rows, rows[90], 5, range(50))
    assert collection.similar(rows[0], 5, archived=0) == []


def test_only_the_chosen_are_found(collection):
    rows = vectors(100)
    collection.write(0, rows)
    among = sorted(random.Random(1).sample(range(100), 30))
    assert [index for index, _ in collection.similar(rows[3], 5, 100, among)] == exact(rows, rows[3], 5, among)
    assert len(collection.similar(rows[3], 50, 100, among)) == 30
    assert collection.similar(rows[3], 5, 100, []) == []


def test_writing_twice_changes_nothing(collection):
    rows = vectors(20)
    collection.write(0, rows)
    collection.write(10, rows[10:])
    assert collection.size == 20
    collection.write(15, vectors(10, seed=2))
    assert collection.size == 25
    assert sorted(index for index, _ in collection.similar(rows[0], 100, 25)) == list(range(25))


def test_a_gap_is_refused(collection):
    collection.write(0, vectors(5))
    with pytest.raises(ValueError, match="cannot begin at 6"):
        collection.write(6, vectors(1))


def test_more_than_chroma_takes_at_once_is_split(collection):
    collection._most = 7
    rows = vectors(30)
    collection.write(0, rows)
    assert collection.size == 30
    assert collection.similar(rows[29], 1, 30)[0][0] == 29


def test_it_is_there_after_reopening_with_the_same_embedder_only(tmp_path):
    rows = vectors(250)  # two and a half times what goes to the index's files at once
    first = SessionCollection(tmp_path / "one", "print")
    first.write(0, rows)
    first.close()
    first.close()
    again = SessionCollection(tmp_path / "one", "print")
    assert again.size == 250
    assert again.similar(rows[249], 1, 250)[0][0] == 249
    again.close()
    other = SessionCollection(tmp_path / "one", "another print")
    assert other.size == 0
    other.write(0, [[1.0, 0.0]])  # of another length, too
    assert other.similar([1.0, 0.0], 1, 1) == [(0, pytest.approx(1.0))]
    other.close()


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("error returned from database: (code: 13) database or disk is full", "StorageFull"),
        ("error returned from database: (code: 778) disk I/O error", "StorageFull"),
        ("(code: 11) database disk image is malformed", "StoreCorrupt"),
        ("Error loading hnsw index", "StoreCorrupt"),
        ("something nobody has seen", "StorageError"),
    ],
)
def test_chromas_errors_are_told_apart(tmp_path, text, kind):
    with pytest.raises(StorageError) as caught, translated(tmp_path):
        raise RuntimeError(text)
    assert type(caught.value).__name__ == kind


def test_a_panic_of_native_code_is_damage_and_an_interrupt_is_not(tmp_path):
    class PanicException(BaseException):
        pass

    with pytest.raises(StoreCorrupt), translated(tmp_path):
        raise PanicException("index out of bounds")
    with pytest.raises(KeyboardInterrupt), translated(tmp_path):
        raise KeyboardInterrupt


# -- many -------------------------------------------------------------------------------------------------------------


def test_archives_keep_apart(archives):
    archives.write("a", "print", 0, vectors(10, seed=1))
    archives.write("b", "print", 0, vectors(20, seed=2))
    query = vectors(1)[0]
    assert len(archives.similar("a", "print", query, k=50, archived=10)) == 10
    assert len(archives.similar("b", "print", query, k=50, archived=20)) == 20


def test_what_is_missing_is_said(archives):
    rows = vectors(10)
    assert archives.similar("a", "print", rows[0], k=1, archived=1) is None
    assert archives.write("a", "print", 5, rows) == 0, "nothing written: it has to begin at 0"
    assert archives.write("a", "print", 0, rows) == 10
    assert archives.write("a", "print", 5, rows) == 15
    assert archives.write("a", "print", 0, rows) == 10, "what the caller may count on, though there is more"
    assert archives.similar("a", "print", rows[0], k=1, archived=16) is None
    assert archives.similar("a", "print", rows[0], k=1, archived=15) is not None


def test_looking_makes_nothing(archives, tmp_path):
    archives.similar("a", "print", vectors(1)[0], k=1, archived=1)
    archives.delete("a")
    assert list(tmp_path.iterdir()) == []


def test_few_are_open_however_many_there_are(archives):
    me = psutil.Process()
    for name in "ab":
        archives.write(name, "print", 0, vectors(5))
    two = me.num_fds()
    for name in "cdefgh":
        archives.write(name, "print", 0, vectors(5))
    for name in "abcdefgh":
        assert len(archives.similar(name, "print", vectors(1)[0], k=9, archived=5)) == 5
    assert me.num_fds() <= two + 4
    before = me.num_fds()
    archives.close()
    assert me.num_fds() < before - 10


def test_deleting_leaves_nothing_of_one_and_all_of_the_others(archives, tmp_path):
    for name in "ab":
        archives.write(name, "print", 0, vectors(150))
    archives.delete("a")
    assert [found.name for found in tmp_path.iterdir()] == ["b"]
    assert archives.similar("a", "print", vectors(1)[0], k=1, archived=1) is None
    assert archives.write("a", "print", 0, vectors(3)) == 3
    assert len(archives.similar("b", "print", vectors(1)[0], k=200, archived=150)) == 150


def test_cleaning_keeps_the_known(archives, tmp_path):
    for name in ("a", ".deleted-x"):
        (tmp_path / name).mkdir()
    (tmp_path / ".lock").touch()
    archives.write("b", "print", 0, vectors(3))
    archives.clean(["b", "c"])
    assert sorted(found.name for found in tmp_path.iterdir()) == [".lock", "b"]


def test_a_collection_shared_by_all_would_free_nothing(tmp_path):
    """Why every session has a folder: should this fail one day, the design can be thought over."""
    chroma, place = open_chroma(tmp_path), ("default_tenant", "default_database")
    for name in ("kept", "deleted"):
        made = chroma.create_collection(name, None, None, None, True, *place)
        for start in range(0, 1200, 100):
            ids = [str(start + n) for n in range(100)]
            chroma.upsert(str(made.id), ids, vectors(100), None, [f"a secret of {name}"] * 100, None, *place)
    before = sum(found.stat().st_size for found in tmp_path.rglob("*") if found.is_file())
    chroma.delete_collection("deleted", *place)
    del chroma
    after = sum(found.stat().st_size for found in tmp_path.rglob("*") if found.is_file())
    assert after > 0.95 * before
    assert b"a secret of deleted" in (tmp_path / "chroma.sqlite3").read_bytes()
    assert len([found for found in tmp_path.iterdir() if found.is_dir()]) == 2


# -- room -------------------------------------------------------------------------------------------------------------


def test_nothing_is_written_where_room_is_scarce(archives, tmp_path, monkeypatch):
    archives.write("a", "print", 0, vectors(20))
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=1000))
    with pytest.raises(StorageFull, match="1,000 are free"):
        archives.write("a", "print", 20, vectors(20))
    with pytest.raises(StorageFull):
        archives.write("new", "print", 0, vectors(20))
    monkeypatch.undo()
    assert not (tmp_path / "new").exists()
    assert archives.write("a", "print", 20, vectors(20)) == 40


def test_a_file_size_limit_counts_as_scarce_room(archives, monkeypatch):
    archives.write("a", "print", 0, vectors(20))
    monkeypatch.setattr(room, "_most_per_file", lambda: 100_000)
    with pytest.raises(StorageFull, match="100,000"):
        archives.write("a", "print", 20, vectors(20))


@pytest.mark.parametrize("file", ["data_level0.bin", "length.bin"])
def test_an_index_that_was_cut_short_is_found_when_opening(archives, tmp_path, file):
    archives.write("a", "print", 0, vectors(250))
    archives.close()
    (path,) = tmp_path.glob(f"a/*/{file}")
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(StoreCorrupt, match="index"):
        archives.similar("a", "print", vectors(1)[0], k=1, archived=250)
    archives.delete("a")
    assert archives.write("a", "print", 0, vectors(3)) == 3


FULL = """
import pathlib, resource, sys
import numpy as np
from workbench.errors import StorageFull
from workbench.memory.chroma import archives as module
from workbench.memory.chroma.client import spare_the_package
spare_the_package()
module.check_room = lambda folder: None  # as if another program took the room a moment later
archives = module.Archives(pathlib.Path(sys.argv[1]), most_open=2)
rows = np.random.default_rng(0).standard_normal((700, 256)).astype("float32").tolist()
archives.write("a", "print", 0, rows[:100])
own = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, own[1]))
first = 100
try:
    while first < 700:
        first = archives.write("a", "print", first, rows[first:first + 20])
except StorageFull as error:
    print("full", (pathlib.Path(sys.argv[1]) / "a").exists())
resource.setrlimit(resource.RLIMIT_FSIZE, own)
print(archives.write("a", "print", first, rows[first:first + 20]), archives.write("a", "print", 0, rows))
wrong = [n for n in range(0, 700, 9) if archives.similar("a", "print", rows[n], k=1, archived=700)[0][0] != n]
archives.close()
wrong += [n for n in range(0, 700, 9) if archives.similar("a", "print", rows[n], k=1, archived=700)[0][0] != n]
print(wrong)
"""


def test_an_archive_whose_writing_was_disturbed_is_given_up(tmp_path):
    """Chroma's index would keep files that are cut short, silently: it has to begin anew."""
    done = subprocess.run([sys.executable, "-c", FULL, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["full False", "0 700", "[]"]


PUBLIC = """
import sys, chromadb
client = chromadb.PersistentClient(sys.argv[1], chromadb.config.Settings(anonymized_telemetry=False))
collection = client.get_collection("messages", embedding_function=None)
found = collection.query(query_embeddings=[[0.0, 1.0, 0.0]], n_results=1)
print(collection.count(), collection.metadata, found["ids"])
"""


@pytest.mark.slow
def test_chromas_own_client_reads_it(archives, tmp_path):
    """The archive is an ordinary Chroma, though it is not written through the package's own client."""
    archives.write("a", "print", 0, np.eye(3).tolist())
    archives.close()
    done = subprocess.run(
        [sys.executable, "-c", PUBLIC, str(tmp_path / "a")], capture_output=True, text=True, check=False
    )
    assert done.stdout == "3 {'fingerprint': 'print'} [['1']]\n", done.stderr

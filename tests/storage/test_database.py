"""A SQLite file of a known kind: what it refuses, what it leaves alone, what it gives back."""

import sqlite3
import subprocess
import sys

import pytest

from workbench.errors import StorageError, StoreCorrupt
from workbench.storage import Database, FileKind
from workbench.testing.contracts.threads import at_once

KIND = FileKind(
    noun="a shelf of notes",
    application_id=0x74657374,
    version=3,
    schema="CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT NOT NULL); CREATE INDEX by_text ON notes (text);",
    remedy="Restore it from a copy.",
)
OTHER = FileKind(noun="a box", application_id=0x6F746865, version=3, schema="CREATE TABLE box (x);", remedy="Move it.")


_MADE = []


def opened(*arguments, **options):
    """A database that is closed after the test."""
    _MADE.append(Database(*arguments, **options))
    return _MADE[-1]


@pytest.fixture(autouse=True)
def _closed():
    yield
    while _MADE:
        _MADE.pop().close()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "notes.sqlite"


def write(database, *texts):
    with database.transaction() as connection:
        connection.executemany("INSERT INTO notes (text) VALUES (?)", [(text,) for text in texts])


def texts(database):
    return [text for (text,) in database.read("SELECT text FROM notes ORDER BY id")]


def filled(path, count=2000):
    database = opened(path, KIND)
    write(database, *(f"{number} " + "x" * 500 for number in range(count)))
    return database


# -- opening ----------------------------------------------------------------------------------------------------------


def test_what_was_written_is_there_after_reopening(path):
    database = opened(path, KIND)
    write(database, "a", "b")
    database.close()
    database.close()
    assert texts(opened(path, KIND)) == ["a", "b"]


def test_the_folder_is_made(tmp_path):
    opened(tmp_path / "a" / "b" / "notes.sqlite", KIND).close()
    assert (tmp_path / "a" / "b" / "notes.sqlite").exists()


def test_without_a_path_nothing_touches_the_disk(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    database = opened(None, KIND)
    write(database, "a")
    assert texts(database) == ["a"]
    assert list(tmp_path.iterdir()) == []


def test_a_path_with_characters_of_a_uri_is_one_file(tmp_path):
    database = opened(tmp_path / "100% ?mode=ro#x.sqlite", KIND)
    write(database, "a")
    database.close()
    assert [found.name for found in tmp_path.iterdir()] == ["100% ?mode=ro#x.sqlite"]


def test_used_after_closing_it_says_so(path):
    database = opened(path, KIND)
    database.close()
    with pytest.raises(StorageError, match=r"is closed\. Open it anew"):
        texts(database)
    with pytest.raises(StorageError, match="is closed"), database.transaction():
        pass
    with pytest.raises(StorageError, match="is closed"):
        database.shrink()


# -- files that are something else ------------------------------------------------------------------------------------


@pytest.mark.parametrize("content", [b"no database at all, but long enough to have a header", b"{}" * 5000])
def test_a_file_that_is_no_database_is_refused_and_left_alone(path, content):
    path.write_bytes(content)
    with pytest.raises(StoreCorrupt, match="Restore it from a copy") as caught:
        opened(path, KIND)
    assert caught.value.path == path
    assert path.read_bytes() == content


def test_a_database_of_another_kind_is_refused_and_left_alone(path):
    opened(path, OTHER).close()
    before = path.read_bytes()
    with pytest.raises(StoreCorrupt, match="not a shelf of notes"):
        opened(path, KIND)
    assert path.read_bytes() == before


def test_somebody_elses_database_keeps_its_journal_mode(path):
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE theirs (x)")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(StoreCorrupt):
        opened(path, KIND)
    assert path.read_bytes() == before
    assert [found.name for found in path.parent.iterdir()] == [path.name]


def test_another_version_is_refused_with_both_numbers(path):
    opened(path, KIND).close()
    newer = FileKind(noun="a shelf of notes", application_id=KIND.application_id, version=4, schema="", remedy="")
    with pytest.raises(StoreCorrupt, match=r"version 3.*reads 4"):
        opened(path, newer)


@pytest.mark.parametrize("part", [0.3, 0.99])
def test_a_file_cut_short_is_refused(path, part):
    filled(path).close()
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * part)])
    with pytest.raises(StoreCorrupt):
        opened(path, KIND)


def overwrite_the_middle(path):
    with path.open("rb+") as file:
        file.seek(path.stat().st_size // 2)
        file.write(b"\xa5" * 65536)


def test_a_damaged_page_is_found_when_opening(path):
    filled(path).close()
    overwrite_the_middle(path)
    with pytest.raises(StoreCorrupt, match="Restore it from a copy"):
        opened(path, KIND)


def test_unchecked_a_damaged_page_is_found_when_it_is_read(path):
    filled(path).close()
    overwrite_the_middle(path)
    database = opened(path, KIND, check=False)
    with pytest.raises(StoreCorrupt, match="Restore it from a copy"):
        database.read("SELECT COUNT(*) FROM notes NOT INDEXED WHERE length(text) > 1")


def test_an_empty_file_becomes_a_database(path):
    path.touch()
    database = opened(path, KIND)
    write(database, "a")
    assert texts(database) == ["a"]


# -- looking only -----------------------------------------------------------------------------------------------------


def test_readonly_reads_and_does_not_write(path):
    owner = opened(path, KIND)
    write(owner, "a")
    reader = opened(path, KIND, readonly=True)
    assert texts(reader) == ["a"]
    with pytest.raises(StorageError, match="readonly"):
        write(reader, "b")
    write(owner, "b")
    assert texts(reader) == ["a", "b"]


def test_readonly_makes_nothing(tmp_path):
    with pytest.raises(StorageError):
        opened(tmp_path / "a" / "notes.sqlite", KIND, readonly=True)
    assert list(tmp_path.iterdir()) == []


# -- transactions -----------------------------------------------------------------------------------------------------


def half_done(database):
    with database.transaction() as connection:
        connection.execute("INSERT INTO notes (text) VALUES ('half')")
        raise RuntimeError


def test_a_transaction_is_all_or_nothing(path):
    database = opened(path, KIND)
    write(database, "kept")
    with pytest.raises(RuntimeError):
        half_done(database)
    assert texts(database) == ["kept"]
    write(database, "next")
    assert texts(database) == ["kept", "next"]


def test_an_error_of_sqlite_comes_as_this_packages(path):
    database = opened(path, KIND)
    with pytest.raises(StorageError, match="NOT NULL"):
        write(database, None)
    with pytest.raises(StorageError, match="no such table"):
        database.read("SELECT * FROM nowhere")
    assert texts(database) == []


def test_readers_do_not_wait_for_the_writer(path):
    database = opened(path, KIND)
    write(database, "before")
    reader = opened(path, KIND, readonly=True)
    with database.transaction() as connection:
        connection.execute("INSERT INTO notes (text) VALUES ('unfinished')")
        assert texts(reader) == ["before"]
    assert texts(reader) == ["before", "unfinished"]


def test_threads_take_turns(path):
    database = opened(path, KIND)
    at_once(4, lambda number: [write(database, f"{number} {step}", "-") for step in range(25)])
    found = texts(database)
    assert len(found) == 200
    assert found[1::2] == ["-"] * 100, "the two rows of a transaction stay together"


DIE = """
import os, sys, pathlib
sys.path.insert(0, sys.argv[2])
from test_database import KIND, Database, write
database = Database(pathlib.Path(sys.argv[1]), KIND, synchronous="NORMAL")
write(database, "acknowledged")
with database.transaction() as connection:
    connection.executemany("INSERT INTO notes (text) VALUES (?)", [("x" * 1000,)] * 5000)
    os.kill(os.getpid(), 9)
"""


def test_killed_within_a_transaction_leaves_what_was_committed(path):
    done = subprocess.run([sys.executable, "-c", DIE, str(path), str(__file__).rpartition("/")[0]], check=False)
    assert done.returncode == -9
    assert texts(opened(path, KIND)) == ["acknowledged"]


# -- deleting ---------------------------------------------------------------------------------------------------------


def everything_in(folder):
    return b"".join(found.read_bytes() for found in folder.iterdir())


def test_deleted_rows_give_their_room_back(path):
    database = filled(path)
    database.shrink()
    full = path.stat().st_size
    with database.transaction() as connection:
        connection.execute("DELETE FROM notes WHERE id > 20")
    database.shrink()
    rest = sum(found.stat().st_size for found in path.parent.iterdir() if not found.name.endswith("-shm"))
    assert rest < full / 20
    assert len(texts(database)) == 20


def test_what_was_deleted_is_in_no_file(path):
    database = opened(path, KIND)
    write(database, "a secret", "and the rest")
    assert b"a secret" in everything_in(path.parent)
    with database.transaction() as connection:
        connection.execute("DELETE FROM notes WHERE text = 'a secret'")
    database.shrink()
    assert b"a secret" not in everything_in(path.parent)
    assert b"and the rest" in everything_in(path.parent)


def test_trace_sees_every_statement(path):
    database = opened(path, KIND)
    seen = []
    database.trace(seen.append)
    write(database, "a")
    texts(database)
    database.trace(None)
    texts(database)
    assert [statement.split()[0] for statement in seen] == ["BEGIN", "INSERT", "COMMIT", "SELECT"]

import sqlite3
import subprocess
import sys
import threading

import pytest

from workbench.errors import StorageError, StorageFull, StoreCorrupt
from workbench.storage.ledger import Ledger


@pytest.fixture
def path(tmp_path):
    return tmp_path / "results" / "ledger.sqlite"


@pytest.fixture
def ledger(path):
    with Ledger(path) as opened:
        yield opened


def test_an_attempt_lives_from_running_to_done(ledger):
    attempt = ledger.begin("a", host="here")
    (running,) = ledger.running()
    assert (running.cell, running.attempt, running.status, running.finished) == ("a", 1, "running", None)
    assert ledger.finish("a", attempt, status="done", payload={"x": [1, None, "é"]})
    (done,) = ledger.attempts()
    assert (done.status, done.payload, done.error, done.host) == ("done", {"x": [1, None, "é"]}, None, "here")
    assert done.finished >= done.started
    assert ledger.running() == []


def test_attempts_are_numbered_per_cell_and_kept_in_order(ledger):
    for cell in ("a", "b", "a"):
        ledger.finish(cell, ledger.begin(cell, host="h"), status="failed", error="no")
    assert [(a.cell, a.attempt) for a in ledger.attempts()] == [("a", 1), ("b", 1), ("a", 2)]
    assert [a.attempt for a in ledger.attempts("a")] == [1, 2]


def test_a_cell_is_done_at_most_once(ledger, path):
    first, second = ledger.begin("a", host="h"), ledger.begin("a", host="h")
    assert ledger.finish("a", second, status="done", payload={"n": 2})
    assert not ledger.finish("a", first, status="done", payload={"n": 1})
    assert ledger.ended()["a"].payload == {"n": 2}
    assert [a.status for a in ledger.attempts("a")] == ["abandoned", "done"]
    # not by convention: the file itself refuses a second one
    with sqlite3.connect(path) as raw, pytest.raises(sqlite3.IntegrityError):
        raw.execute("UPDATE attempts SET status = 'done'")
    raw.close()


def test_done_counts_before_failed_and_later_failures_replace_earlier(ledger):
    for status in ("failed", "done", "failed"):
        ledger.finish("a", ledger.begin("a", host="h"), status=status, error="x", payload={})
    for error in ("first", "second"):
        ledger.finish("b", ledger.begin("b", host="h"), status="failed", error=error)
    ended = ledger.ended()
    assert ended["a"].status == "done"
    assert ended["b"].error == "second"


def test_abandoned_attempts_leave_their_cell_missing(ledger):
    ledger.begin("a", host="h")
    assert ledger.abandon_running("stopped") == 1
    assert ledger.ended() == {}
    assert ledger.attempts()[0].error == "stopped"
    assert ledger.begin("a", host="h") == 2


def test_only_what_runs_can_finish(ledger):
    with pytest.raises(StorageError, match="not running"):
        ledger.finish("a", 1, status="done")
    attempt = ledger.begin("a", host="h")
    ledger.finish("a", attempt, status="failed", error="x")
    with pytest.raises(StorageError, match="not running"):
        ledger.finish("a", attempt, status="done")


def test_the_host_is_corrected_when_it_is_known(ledger):
    ledger.finish("a", ledger.begin("a", host="driver"), status="done", host="worker", payload={})
    assert ledger.ended()["a"].host == "worker"


def test_it_survives_closing_and_can_be_read_while_it_is_written(path):
    with Ledger(path) as writer:
        writer.finish("a", writer.begin("a", host="h"), status="done", payload={})
        with Ledger(path, readonly=True) as reader:
            assert set(reader.ended()) == {"a"}
            with pytest.raises(StorageError, match="readonly"):
                reader.begin("b", host="h")
    with Ledger(path) as again:
        assert set(again.ended()) == {"a"}


def test_it_may_be_closed_from_another_thread(path):
    ledger = Ledger(path)
    thread = threading.Thread(target=ledger.close)
    thread.start()
    thread.join()
    with pytest.raises(StorageError):
        ledger.attempts()


def test_commits_are_durable_settings(ledger):
    assert ledger._database._pragma("journal_mode") == "wal"
    assert ledger._database._pragma("synchronous") == 2


@pytest.mark.parametrize("content", [b"not a database at all" * 100, b"SQLite format 3\x00" + b"\xff" * 4096])
def test_a_file_that_is_no_ledger_is_refused_with_a_remedy(path, content):
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(StoreCorrupt, match="Move the file away"):
        Ledger(path)
    assert path.read_bytes() == content


def test_another_programs_database_is_refused(path):
    path.parent.mkdir()
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE attempts (x)")
    other.close()
    with pytest.raises(StoreCorrupt, match="not a ledger"):
        Ledger(path)


def test_a_damaged_page_is_found_when_it_is_opened(path):
    with Ledger(path) as ledger:
        for number in range(300):
            ledger.finish(f"cell-{number}", ledger.begin(f"cell-{number}", host="h"), status="done", payload={})
    data = bytearray(path.read_bytes())
    data[4096:8192] = b"\xa5" * 4096
    path.write_bytes(data)
    with pytest.raises(StoreCorrupt):
        Ledger(path)


def test_another_schema_version_is_refused(path):
    Ledger(path).close()
    with sqlite3.connect(path) as raw:
        raw.execute("PRAGMA user_version = 99")
    raw.close()
    with pytest.raises(StoreCorrupt, match="schema version 99"):
        Ledger(path)


def test_a_missing_file_cannot_be_read(path):
    with pytest.raises(StorageError):
        Ledger(path, readonly=True)


def test_a_full_database_changes_nothing(ledger):
    ledger.finish("a", ledger.begin("a", host="h"), status="done", payload={})
    attempt = ledger.begin("b", host="h")
    pages = ledger._database._pragma("page_count")
    ledger._database._pragma(f"max_page_count = {pages}")
    with pytest.raises(StorageFull):
        ledger.finish("b", attempt, status="done", payload={"text": "x" * 100_000})
    assert {a.cell: a.status for a in ledger.attempts()} == {"a": "done", "b": "running"}
    ledger._database._pragma("max_page_count = 1000000")
    assert ledger.finish("b", attempt, status="done", payload={"text": "x" * 100_000})


def test_a_file_size_limit_is_a_full_disk(path):
    program = f"""
import resource, signal
from workbench.errors import StorageFull
from workbench.storage.ledger import Ledger
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
with Ledger({str(path)!r}) as ledger:
    attempt = ledger.begin("a", host="h")
    resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))
    try:
        ledger.finish("a", attempt, status="done", payload={{"text": "x" * 500_000}})
    except StorageFull:
        print("full")
    print(ledger.attempts()[0].status)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["full", "running"]
    with Ledger(path) as ledger:
        assert len(ledger.running()) == 1


def test_why_an_attempt_ended_is_kept_in_one_word(ledger):
    ledger.finish("a", ledger.begin("a", host="h"), status="failed", error="no room", reason="out_of_memory")
    ledger.finish("b", ledger.begin("b", host="h"), status="done", payload={})
    assert [a.reason for a in ledger.attempts()] == ["out_of_memory", None]
    assert ledger.attempt("a", 1).error == "no room"
    with pytest.raises(StorageError, match="no attempt 2 of cell a"):
        ledger.attempt("a", 2)


def test_its_stamp_changes_with_every_beginning_and_end_and_only_then(ledger, path):
    seen = [ledger.stamp()]
    attempt = ledger.begin("a", host="h")
    seen.append(ledger.stamp())
    ledger.finish("a", attempt, status="failed", error="x")
    seen.append(ledger.stamp())
    assert len(set(seen)) == 3
    with Ledger(path, readonly=True) as other:
        assert other.stamp() == seen[-1]


def test_attempts_can_be_had_without_what_they_left(ledger):
    ledger.finish("a", ledger.begin("a", host="h"), status="done", payload={"big": 1})
    assert [a.payload for a in ledger.attempts(payloads=False)] == [None]


VERSION_1 = """
CREATE TABLE attempts (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT, cell TEXT NOT NULL, attempt INTEGER NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('running', 'done', 'failed', 'abandoned')),
    started REAL NOT NULL, finished REAL, host TEXT NOT NULL, payload TEXT, error TEXT, UNIQUE (cell, attempt)
);
CREATE UNIQUE INDEX done_once ON attempts (cell) WHERE status = 'done';
INSERT INTO attempts VALUES (1, 'a', 1, 'done', 10.0, 11.0, 'h', '{"x": 1}', NULL);
INSERT INTO attempts VALUES (2, 'b', 1, 'failed', 12.0, 13.0, 'h', NULL, 'boom');
PRAGMA application_id = 2002930791;
PRAGMA user_version = 1;
"""


@pytest.fixture
def version_1(tmp_path):
    path = tmp_path / "old.sqlite"
    raw = sqlite3.connect(path)
    raw.executescript(VERSION_1)
    raw.close()
    return path


def test_a_ledger_of_version_1_is_read_as_it_is_and_upgraded_when_written(version_1):
    before = version_1.read_bytes()
    with Ledger(version_1, readonly=True) as old:
        assert [(a.cell, a.status, a.reason) for a in old.attempts()] == [("a", "done", None), ("b", "failed", None)]
    assert version_1.read_bytes() == before
    for _ in range(2):  # the second time it is one of today's
        with Ledger(version_1) as upgraded:
            upgraded.finish("b", upgraded.begin("b", host="h"), status="failed", error="x", reason="timeout")
    with Ledger(version_1, readonly=True) as upgraded:
        assert upgraded.ended()["a"].payload == {"x": 1}
        assert [a.reason for a in upgraded.attempts("b")] == [None, "timeout", "timeout"]


def test_a_ledger_in_a_folder_nobody_can_write_to_is_read(ledger, path, monkeypatch):
    ledger.finish("a", ledger.begin("a", host="h"), status="done", payload={})
    ledger.close()
    monkeypatch.setattr("workbench.storage.database.os.access", lambda *_: False)
    with Ledger(path, readonly=True) as archived:
        assert archived.ended()["a"].status == "done"
    assert sorted(file.name for file in path.parent.iterdir()) == [path.name]


def test_who_looks_while_it_is_being_made_sees_nothing_yet(tmp_path):
    path = tmp_path / "ledger.sqlite"
    path.touch()  # what SQLite leaves before the first commit
    with Ledger(path, readonly=True) as reader:
        assert reader.attempts() == []
        with Ledger(path) as writer:
            writer.begin("cell", host="bench")
            assert [attempt.cell for attempt in reader.attempts()] == ["cell"]

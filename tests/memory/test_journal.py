"""The journal: one owner, indices without gaps, and nothing said is lost when the disk is full."""

import contextlib
import math

import pytest

from workbench.errors import InvalidSettings, NotSaved, StorageError, StorageFull, StoreCorrupt, StoreInUse
from workbench.interfaces import Message
from workbench.memory.journal import MESSAGE, Journal
from workbench.storage import Entry, EventLog
from workbench.testing.contracts.threads import at_once


@pytest.fixture
def journal():
    journal = Journal()
    yield journal
    journal.close()


@pytest.fixture
def disk(monkeypatch):
    """A disk that can be filled: no event is written while it is full."""

    class Disk:
        full = False

    append_many = EventLog.append_many

    def appended(log, session, entries):
        if Disk.full:
            raise StorageFull("the log")
        return append_many(log, session, entries)

    monkeypatch.setattr(EventLog, "append_many", appended)
    return Disk


def say(journal, session, *texts, at=None):
    return journal.add_messages(session, [Message.user(text) for text in texts], at)


def said(journal, session, seq=0):
    return [
        (event.data["index"], event.data["content"])
        for event in journal.read_since(seq, session)
        if event.kind == MESSAGE
    ]


def fill(disk, journal, session, *texts):
    """Say something on a full disk."""
    disk.full = True
    with pytest.warns(NotSaved, match="kept in memory until there is room"):
        return say(journal, session, *texts)


def test_indices_have_no_gaps(journal):
    assert say(journal, "a", "0", "1") == range(2)
    assert say(journal, "b", "0") == range(1)
    assert say(journal, "a", "2") == range(2, 3)
    assert say(journal, "a") == range(3, 3)
    assert (journal.count("a"), journal.count("b"), journal.count("c")) == (3, 1, 0)
    assert journal.sessions() == ("a", "b")


def test_messages_said_at_once_have_one_time(journal):
    say(journal, "a", "0", "1")
    one, other = journal.read_since(0, "a")
    assert one.at == other.at
    say(journal, "a", "2", "3", at=[5, 4.5])
    assert [event.at for event in journal.read_since(0, "a")][2:] == [5.0, 4.5]


@pytest.mark.parametrize("at", [[], [1.0, 2.0], [math.nan], [math.inf]])
def test_times_that_cannot_be_are_refused(journal, at):
    with pytest.raises(InvalidSettings, match="at "):
        say(journal, "a", "x", at=at)
    assert journal.sessions() == ()


def test_what_is_no_json_is_refused_and_changes_nothing(journal):
    message = Message("assistant", "", tool_calls=({"id": object()},))
    with pytest.raises(InvalidSettings, match="JSON"):
        journal.add_messages("a", [Message.user("good"), message], None)
    assert journal.count("a") == 0
    assert say(journal, "a", "0") == range(1)


def test_other_events_are_kept_for_sessions_that_are(journal):
    journal.append("ghost", "recall", {})
    say(journal, "a", "0")
    journal.append("a", "recall", {"k": 1})
    assert [event.kind for event in journal.read_since(0, "a")] == ["message", "recall"]
    assert journal.read_since(0, "ghost") == []
    assert journal.sessions() == ("a",)


def test_a_folder_has_one_owner_until_it_is_closed(tmp_path):
    journal = Journal(tmp_path)
    with pytest.raises(StoreInUse):
        Journal(tmp_path)
    say(journal, "a", "0")
    journal.close()
    journal.close()
    again = Journal(tmp_path)
    assert (again.count("a"), said(again, "a")) == (1, [(0, "0")])
    assert say(again, "a", "1") == range(1, 2)
    again.close()


def test_a_folder_whose_log_is_damaged_is_given_back(tmp_path):
    (tmp_path / "events.sqlite").write_text("rubbish" * 100)
    for _ in range(2):  # not StoreInUse the second time
        with pytest.raises(StoreCorrupt):
            Journal(tmp_path)


def test_used_after_closing_it_says_so(journal):
    journal.close()
    with pytest.raises(StorageError, match="closed"):
        say(journal, "a", "0")


def test_forgetting_begins_anew(journal):
    say(journal, "a", "0", "1")
    say(journal, "b", "0")
    journal.forget("a")
    journal.forget("nobody")
    assert (journal.sessions(), journal.read_since(0, "a")) == (("b",), [])
    assert say(journal, "a", "new") == range(1)


def test_threads_get_indices_of_their_own(journal):
    ranges = at_once(4, lambda number: [say(journal, "a", f"{number}", "-") for _ in range(20)])
    assert sorted(index for one in ranges for part in one for index in part) == list(range(160))
    assert [index for index, _ in said(journal, "a")] == list(range(160))


# -- taking over ------------------------------------------------------------------------------------------------------


def test_what_is_taken_over_has_its_mark_in_the_same_transaction(journal, disk):
    say(journal, "a", "0")
    mark = Entry("migrated", {"ids": ["x"]})
    assert journal.take_over("a", [Message.user("1")], [7.0], mark) == range(1, 2)
    assert [(event.kind, event.at) for event in journal.read_since(0, "a")][1] == ("message", 7.0)
    assert journal.read_since(0, "a")[2].data == {"ids": ["x"]}
    disk.full = True
    with pytest.raises(StorageFull):
        journal.take_over("a", [Message.user("2")], [None], mark)
    assert (journal.count("a"), journal.unsaved) == (2, 0)


# -- a full disk ------------------------------------------------------------------------------------------------------


def test_on_a_full_disk_the_chat_goes_on_in_memory(journal, disk):
    say(journal, "a", "0")
    assert fill(disk, journal, "a", "1", "2") == range(1, 3)
    assert say(journal, "a", "3") == range(3, 4), "warned of once, not with every message"
    journal.append("a", "feedback", {"value": 1.0})
    assert journal.unsaved == 4
    assert said(journal, "a") == [(0, "0"), (1, "1"), (2, "2"), (3, "3")]
    with pytest.raises(StorageFull):
        journal.save()


def test_when_there_is_room_everything_is_written_in_order(tmp_path, disk):
    journal = Journal(tmp_path)
    fill(disk, journal, "a", "0", "1")
    say(journal, "b", "0")
    seqs = [event.seq for session in "ab" for event in journal.read_since(0, session)]
    disk.full = False
    journal.save()
    assert journal.unsaved == 0
    assert [event.seq for session in "ab" for event in journal.read_since(0, session)] == seqs, "places stay"
    journal.close()
    again = Journal(tmp_path)
    assert (said(again, "a"), said(again, "b")) == ([(0, "0"), (1, "1")], [(0, "0")])
    again.close()


def test_the_next_message_writes_what_waits_before_it(journal, disk):
    fill(disk, journal, "a", "0")
    disk.full = False
    say(journal, "a", "1")
    assert journal.unsaved == 0
    assert [event.seq for event in journal.read_since(0, "a")] == [1, 2]


def test_reading_on_works_across_the_full_disk(journal, disk):
    say(journal, "a", "0")
    place = journal.read_since(0, "a")[-1].seq
    fill(disk, journal, "a", "1")
    place_unsaved = journal.read_since(place, "a")[-1].seq
    assert said(journal, "a", place) == [(1, "1")]
    disk.full = False
    say(journal, "a", "2")
    assert said(journal, "a", place_unsaved) == [(2, "2")]


def test_a_warning_made_an_error_loses_nothing(journal, disk, recwarn):
    import warnings

    disk.full = True
    with warnings.catch_warnings():
        warnings.simplefilter("error", NotSaved)
        with pytest.raises(NotSaved):
            say(journal, "a", "0")
    assert say(journal, "a", "1") == range(1, 2)
    assert said(journal, "a") == [(0, "0"), (1, "1")]


def test_what_is_no_json_is_refused_on_a_full_disk_too(journal, disk):
    fill(disk, journal, "a", "0")
    with pytest.raises(InvalidSettings, match="JSON"):
        journal.append("a", "feedback", {"value": math.nan})
    disk.full = False
    journal.save()


def test_forgetting_on_a_full_disk_makes_places_anew(journal, disk):
    fill(disk, journal, "a", "0", "1")
    say(journal, "b", "x")
    epoch = journal.epoch
    journal.forget("a")
    assert journal.epoch > epoch, "snapshots of b have to be made anew: its places have changed"
    assert [(event.seq, event.data["content"]) for event in journal.read_since(0, "b")] == [(1, "x")]
    assert journal.count("a") == 0
    disk.full = False
    journal.save()
    assert [(event.seq, event.data["content"]) for event in journal.read_since(0, "b")] == [(1, "x")]


def test_closing_on_a_full_disk_says_so_and_gives_the_folder_back(tmp_path, disk):
    journal = Journal(tmp_path)
    fill(disk, journal, "a", "0")
    with pytest.raises(StorageFull):
        journal.close()
    journal.close()
    Journal(tmp_path).close()


def test_a_session_is_forgotten_even_if_its_room_cannot_be_given_back(tmp_path, monkeypatch):
    with contextlib.closing(Journal(tmp_path)) as journal:
        say(journal, "a", "0", "1")

        def shrink():
            raise StorageFull(tmp_path)

        with monkeypatch.context() as broken:
            broken.setattr(journal.log, "shrink", shrink)
            with pytest.raises(StorageFull):
                journal.forget("a")
        assert (journal.count("a"), journal.sessions()) == (0, ())
        assert say(journal, "a", "anew") == range(1)


def test_what_is_restored_without_messages_is_no_session(journal):
    say(journal, "a", "0")
    journal.restore("a", [Entry("feedback", {"index": 0, "value": 1.0}, 1.0)], replace=True)
    assert journal.sessions() == ()

"""What all memories share: open sessions, replay, forgetting among other calls, and one read per turn."""

import threading

import pytest

from workbench.errors import InvalidSettings, NotSaved, StorageFull, StoreInUse
from workbench.interfaces import Message, Recollection
from workbench.memory.base import LoggedMemory
from workbench.memory.journal import Journal
from workbench.memory.transcript import SITTING_GAP_S, Transcript
from workbench.storage import Entry, EventLog
from workbench.testing import MemoryContract
from workbench.testing.contracts.threads import at_once


class Noting(Transcript):
    """Notes what it was given, and checks its messages."""

    def __init__(self, session, epoch):
        super().__init__(session, epoch)
        self.others, self.grew = [], []

    def take(self, event):
        self.others.append((event.kind, event.data))

    def grown(self, first):
        self.grew.append((first, len(self)))


class Everything(LoggedMemory[Noting]):
    """Recalls the newest; a note says what it has been told."""

    name = "everything"

    def __init__(self, folder=None, **options):
        super().__init__(folder, **options)
        self.made, self.added, self.gone = [], [], []

    def _snapshot(self, session, epoch):
        self.made.append(Noting(session, epoch))
        return self.made[-1]

    def _rank(self, snapshot, query):
        assert not snapshot.closed
        told = str([kind for kind, _ in snapshot.others].count("feedback"))
        note = Recollection(message=Message.system(told), index=None, score=0.0, reason="told")
        found = snapshot.within(query.since, query.until)[-query.k :]
        return [*(snapshot.recollection(index, 1.0, "recent") for index in reversed(found)), note]

    def _added(self, session, indices):
        self.added.append((session, indices))

    def _forgotten(self, session):
        self.gone.append(session)

    @property
    def open(self):
        return [snapshot.session for snapshot in self.made if not snapshot.closed]


class TestEverythingContract(MemoryContract):
    @pytest.fixture(autouse=True)
    def _folders(self, tmp_path):
        self.root, self.folders = tmp_path, 0

    def make(self):
        self.folders += 1
        return Everything(self.root / str(self.folders), open_sessions=2)

    def make_in(self, folder):
        return Everything(folder, open_sessions=2)


@pytest.fixture
def memory():
    memory = Everything(open_sessions=3)
    yield memory
    memory.close()


def say(memory, session, *texts, at=None):
    return memory.add_many([Message.user(text) for text in texts], session=session, at=at)


def texts(found):
    return [one.message.content for one in found if one.index is not None]


# -- open sessions ----------------------------------------------------------------------------------------------------


def test_no_more_sessions_are_open_than_allowed(memory):
    for number in range(8):
        say(memory, f"s{number}", "x")
        memory.recall("x", session=f"s{number}")
    assert memory.open == ["s5", "s6", "s7"]


def test_the_least_recently_used_is_dropped_and_made_again(memory):
    for name in "abc":
        say(memory, name, name)
        memory.recall("x", session=name)
    memory.recall("x", session="a")
    say(memory, "d", "d")
    memory.recall("x", session="d")
    assert sorted(memory.open) == ["a", "c", "d"]
    assert texts(memory.recall("x", session="b")) == ["b"]
    assert sorted(memory.open) == ["a", "b", "d"]


def test_an_open_session_is_read_on_not_anew(memory):
    say(memory, "a", "0", "1")
    memory.recall("x", session="a")
    say(memory, "a", "2")
    memory.recall("x", session="a")
    assert [snapshot.grew for snapshot in memory.made] == [[(0, 2), (2, 3)]]
    assert [kind for kind, _ in memory.made[0].others] == ["recall"], "its own recall came back as an event"


def test_a_session_nobody_knows_opens_nothing(memory):
    assert memory.recall("x", session="ghost") == []
    assert memory.made == []


def test_more_threads_than_open_sessions(memory):
    for number in range(6):
        say(memory, str(number), f"of {number}")

    def recall(number):
        return {text for _ in range(20) for text in texts(memory.recall("x", session=str(number)))}

    assert at_once(6, recall) == [{f"of {number}"} for number in range(6)]
    assert len(memory.open) <= 3


@pytest.mark.parametrize("most", [0, -1])
def test_at_least_one_session_is_open(most):
    with pytest.raises(InvalidSettings, match="at least 1"):
        Everything(open_sessions=most)


def test_a_memory_that_cannot_be_made_holds_no_folder(tmp_path):
    with pytest.raises(InvalidSettings):
        Everything(tmp_path, open_sessions=0)
    with Everything(tmp_path), pytest.raises(StoreInUse):
        Everything(tmp_path)
    Everything(tmp_path).close()


# -- recall -----------------------------------------------------------------------------------------------------------


def test_notes_first_then_messages_oldest_first(memory):
    say(memory, "a", "0", "1", "2")
    found = memory.recall("x", session="a", k=2)
    assert [one.index for one in found] == [None, 1, 2]


def test_times_bound_what_is_recalled(memory):
    say(memory, "a", "0", "1", "2", at=[10, 20, 30])
    assert texts(memory.recall("x", session="a", since=20)) == ["1", "2"]
    assert texts(memory.recall("x", session="a", until=20)) == ["0"]
    assert texts(memory.recall("x", session="a", since=11, until=30)) == ["1"]
    assert texts(memory.recall("x", session="a", since=31)) == []
    assert [one.at for one in memory.recall("x", session="a")][1:] == [10.0, 20.0, 30.0]


def test_a_recall_is_an_event(memory):
    say(memory, "a", "0", "1")
    memory.recall("why?", session="a", k=1)
    event = memory.events("a")[-1]
    assert (event.kind, event.data) == (
        "recall",
        {"query": "why?", "k": 1, "strategy": "everything", "found": [[1, 1.0]]},
    )


@pytest.mark.parametrize(("index", "value"), [(-1, 0), (2, 0), (0, 1.01), (0, -2), (0, float("nan"))])
def test_feedback_out_of_range_is_refused(memory, index, value):
    say(memory, "default", "0", "1")
    with pytest.raises(InvalidSettings):
        memory.feedback(index, value)
    memory.feedback(1, -1)
    assert memory.events("default")[-1].data == {"index": 1, "value": -1.0}


def test_within_a_turn_events_are_read_once(memory):
    say(memory, "a", "0", "1")
    seen = []
    with memory.turn():
        memory.journal.log.database.trace(seen.append)
        memory.events("a")
        memory.recall_at("x", turn=1, session="a")
        memory.recall_at("x", turn=2, session="a")
        memory.journal.log.database.trace(None)
    assert sum("FROM events e" in statement for statement in seen) == 1


# -- replay -----------------------------------------------------------------------------------------------------------


def test_recall_at_is_what_recall_was(memory):
    then = []
    for number in range(6):
        say(memory, "a", f"{number}")
        then.append(memory.recall("x", session="a", k=3))
        memory.feedback(number, 1.0, session="a")
    events = len(memory.events("a"))
    for turn, was in enumerate(then, 1):
        now = memory.recall_at("x", turn=turn, session="a", k=3)
        assert texts(now) == texts(was)
    assert memory.recall_at("x", turn=0, session="a") == []
    assert len(memory.events("a")) == events, "replay leaves no trace"


def test_recall_at_has_what_happened_before_the_next_message(memory):
    say(memory, "a", "0")
    memory.feedback(0, 1.0, session="a")
    say(memory, "a", "1")
    memory.feedback(0, 1.0, session="a")
    notes = [memory.recall_at("x", turn=turn, session="a")[0].message.content for turn in (1, 2)]
    assert notes == ["1", "2"]


@pytest.mark.parametrize("turn", [-1, 3])
def test_a_turn_that_was_not_is_refused(memory, turn):
    say(memory, "a", "0", "1")
    with pytest.raises(InvalidSettings, match="between 0 and 2"):
        memory.recall_at("x", turn=turn, session="a")


# -- forgetting -------------------------------------------------------------------------------------------------------


def test_forgetting_closes_what_is_open_and_tells_the_strategy(memory):
    say(memory, "a", "old")
    memory.recall("x", session="a")
    memory.forget("a")
    assert (memory.open, memory.gone) == ([], ["a"])
    say(memory, "a", "new")
    assert texts(memory.recall("x", session="a")) == ["new"]


def test_forgetting_waits_for_a_recall(memory):
    """A recall that has begun ends with what there was; none sees half."""
    say(memory, "a", "old")
    inside, go_on = threading.Event(), threading.Event()
    rank = memory._rank

    def held(snapshot, query):
        inside.set()
        assert go_on.wait(30)
        return rank(snapshot, query)

    memory._rank = held
    found = []
    recall = threading.Thread(target=lambda: found.extend(memory.recall("x", session="a")))
    recall.start()
    assert inside.wait(30)
    forget = threading.Thread(target=memory.forget, args=("a",))
    forget.start()
    forget.join(0.05)
    assert forget.is_alive()
    go_on.set()
    recall.join(30)
    forget.join(30)
    assert texts(found) == ["old"]
    assert memory.sessions() == ()
    assert memory.events("a") == [], "the recall's event is gone, or was not kept"


def test_forgetting_among_adding_and_recalling(memory):
    """Whatever the order: what is recalled was added since some forgetting, in one piece, at its index."""

    def work(number):
        for step in range(40):
            if number == 0:
                memory.forget("a")
            elif number == 1:
                say(memory, "a", *(f"{step}.{part}" for part in range(3)))
            else:
                found = memory.recall("x", session="a", k=1000)
                messages = [one for one in found if one.index is not None]
                assert [one.index for one in messages] == list(range(len(messages)))
                assert [one.message.content.partition(".")[2] for one in messages] == ["0", "1", "2"] * (
                    len(messages) // 3
                )

    at_once(4, work)
    assert memory.count("a") == len(texts(memory.recall("x", session="a", k=1000)))


def test_closing_frees_the_snapshots_and_the_folder(tmp_path):
    memory = Everything(tmp_path)
    say(memory, "a", "0")
    memory.recall("x", session="a")
    memory.close()
    memory.close()
    assert memory.open == []
    with Everything(tmp_path) as again:
        assert texts(again.recall("x", session="a")) == ["0"]


# -- restoring and taking over ----------------------------------------------------------------------------------------


def test_a_session_is_made_of_events(memory):
    say(memory, "a", "0", "1", at=[1, 2])
    memory.feedback(0, 1.0, session="a")
    entries = [Entry(event.kind, event.data, event.at) for event in memory.events("a")]
    with Everything() as other:
        other.restore("b", entries)
        assert texts(other.recall("x", session="b")) == ["0", "1"]
        assert other.added == [("b", range(2))]
        with pytest.raises(InvalidSettings, match="already"):
            other.restore("b", entries)
        say(other, "b", "2")
        other.restore("b", entries, replace=True)
        assert texts(other.recall("x", session="b")) == ["0", "1"]
        assert other.gone == ["b"] * 2, "whatever else there was of it is to be deleted, each time"


def test_what_is_taken_over_is_told_to_the_strategy(memory):
    say(memory, "a", "0")
    indices = memory.take_over("a", [Message.user("1")], [None], Entry("migrated", {}))
    assert indices == range(1, 2)
    assert memory.added == [("a", range(1)), ("a", range(1, 2))]
    assert texts(memory.recall("x", session="a")) == ["0", "1"]


def test_a_memory_with_sessions_shares_no_journal(memory):
    say(memory, "a", "0")
    journal = Journal()
    with pytest.raises(InvalidSettings, match="sessions of its own"):
        memory.share(journal)
    with Everything() as part:
        part.share(journal)
        say(part, "b", "1")
        assert journal.sessions() == ("b",)
    assert journal.count("b") == 1, "the journal stays its owner's"
    journal.close()


# -- a full disk ------------------------------------------------------------------------------------------------------


@pytest.fixture
def full_disk(monkeypatch):
    append_many = EventLog.append_many
    state = {"full": True}

    def appended(log, session, entries):
        if state["full"]:
            raise StorageFull("the log")
        return append_many(log, session, entries)

    monkeypatch.setattr(EventLog, "append_many", appended)
    return state


def test_the_chat_goes_on_while_the_disk_is_full(memory, full_disk):
    with pytest.warns(NotSaved):
        say(memory, "a", "0")
    say(memory, "a", "1")
    assert texts(memory.recall("x", session="a")) == ["0", "1"]
    assert texts(memory.recall_at("x", turn=1, session="a")) == ["0"]
    with pytest.raises(StorageFull):
        memory.flush()
    full_disk["full"] = False
    memory.flush()
    say(memory, "a", "2")
    assert texts(memory.recall("x", session="a")) == ["0", "1", "2"]
    assert memory.journal.unsaved == 0


def test_forgetting_on_a_full_disk_leaves_other_sessions_whole(memory, full_disk):
    """Places of events that wait change; a snapshot that has the old ones would miss what comes next."""
    with pytest.warns(NotSaved):
        say(memory, "gone", "x", "y", "z")
    say(memory, "a", "0")
    memory.recall("x", session="a")
    memory.forget("gone")
    full_disk["full"] = False
    for number in range(1, 4):
        say(memory, "a", f"{number}")
        assert texts(memory.recall("x", session="a")) == [f"{n}" for n in range(number + 1)]


# -- the transcript ---------------------------------------------------------------------------------------------------


def test_a_long_silence_begins_a_new_sitting(memory):
    times = [0, 10, 10 + SITTING_GAP_S, 11 + 2 * SITTING_GAP_S, 5]
    say(memory, "a", *"01234", at=times)
    memory.recall("x", session="a")
    assert memory.made[0].sittings == [0, 0, 0, 1, 1]

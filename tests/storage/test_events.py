"""The event log: appended once, read on, never twice within a turn, and gone when it is to be gone."""

import contextvars
import json
import sqlite3
import time

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from workbench.errors import StorageFull, StoreCorrupt
from workbench.storage import Entry, EventLog
from workbench.testing.contracts.memory import HOSTILE_NAMES
from workbench.testing.contracts.threads import at_once


@pytest.fixture
def log():
    with EventLog() as log:
        yield log


def say(log, session, *texts, at=None):
    return log.append_many(session, [Entry("message", {"text": text}, at) for text in texts])


def texts(events):
    return [event.data["text"] for event in events]


class Statements:
    """The SELECTs on events that a block caused."""

    def __init__(self, log):
        self.log, self.seen = log, []

    def __enter__(self):
        self.log.database.trace(self.seen.append)
        return self

    def __exit__(self, *error):
        self.log.database.trace(None)

    @property
    def reads(self):
        return sum("FROM events e" in statement for statement in self.seen)


# -- appending and reading --------------------------------------------------------------------------------------------


def test_events_come_back_as_they_were(log):
    data = {"text": "naïve 東京 🌍 nul\0 \ud800", "n": 1.5, "list": [1, None, True], "nested": {"": "empty key"}}
    place = log.append("s", "message", data, at=12.5)
    (event,) = log.read_since()
    assert (event.seq, event.session, event.kind, event.at, event.data) == (place, "s", "message", 12.5, data)


def test_places_follow_one_another_over_all_sessions(log):
    assert say(log, "a", "0", "1") == range(1, 3)
    assert say(log, "b", "0") == range(3, 4)
    assert log.append("a", "recall", {}) == 4
    assert log.last_seq == 4
    assert log.append_many("a", []) == range(5, 5)


def test_reading_goes_on_where_it_ended(log):
    say(log, "a", "0", "1")
    say(log, "b", "x")
    known = log.read_since(session="a")[-1].seq
    assert log.read_since(known, session="a") == []
    say(log, "a", "2")
    assert texts(log.read_since(known, session="a")) == ["2"]
    assert texts(log.read_since(session="b")) == ["x"]
    assert texts(log.read_since()) == ["0", "1", "x", "2"]


def test_kinds_are_told_apart(log):
    say(log, "a", "0")
    log.append("a", "recall", {"k": 1})
    log.append("a", "feedback", {"value": 1})
    assert [event.kind for event in log.read_since(kinds=["feedback", "recall"])] == ["recall", "feedback"]
    assert log.read_since(kinds=[]) == []
    assert log.counts("message") == {"a": 1}
    assert log.counts("nothing") == {}


def test_what_happened_between_two_moments(log):
    for moment in (1.0, 3.0, 2.0):  # times need not be in order
        say(log, "a", str(moment), at=moment)
    say(log, "b", "other", at=2.0)
    assert texts(log.between(1.0, 3.0, session="a")) == ["1.0", "2.0"]
    assert log.between(1.0, 3.0, session="a", kinds=["recall"]) == []


def test_without_a_time_it_is_now(log):
    before = time.time()
    say(log, "a", "x")
    assert before <= log.read_since()[0].at <= time.time()


def test_names_are_data(log):
    names = (*HOSTILE_NAMES, "\ud800", "'; DROP TABLE events; --", "default\0")
    for number, name in enumerate(names):
        say(log, name, str(number))
    assert log.counts("message") == dict.fromkeys(names, 1)
    for number, name in enumerate(names):
        assert [(event.session, event.data["text"]) for event in log.read_since(session=name)] == [(name, str(number))]


def test_all_or_none_is_appended(log):
    with pytest.raises(TypeError):
        log.append_many("a", [Entry("message", {"text": "good"}), Entry("message", {"text": object()})])
    with pytest.raises(ValueError, match="JSON"):
        log.append("a", "message", {"x": float("nan")})
    assert log.read_since() == []
    assert log.counts("message") == {}


def test_threads_append_without_gaps(log):
    places = at_once(4, lambda number: [place for step in range(25) for place in say(log, str(number), str(step), "-")])
    assert sorted(place for one in places for place in one) == list(range(1, 201))
    assert all(second == first + 1 for one in places for first, second in zip(one[::2], one[1::2], strict=True))
    assert log.last_seq == 200


# -- one turn ---------------------------------------------------------------------------------------------------------


def test_nothing_is_read_twice_within_a_turn(log):
    say(log, "a", "0", "1")
    with Statements(log) as statements, log.turn():
        for _ in range(5):
            assert texts(log.read_since(session="a")) == ["0", "1"]
            assert texts(log.read_since(1, session="a")) == ["1"]
    assert statements.reads == 1


def test_outside_of_a_turn_every_read_is_one(log):
    say(log, "a", "0")
    with Statements(log) as statements:
        log.read_since(session="a")
        log.read_since(session="a")
    assert statements.reads == 2


def test_what_is_appended_within_a_turn_is_read_alone(log):
    say(log, "a", "0", "1")
    with Statements(log) as statements, log.turn():
        log.read_since(session="a")
        say(log, "a", "2")
        assert texts(log.read_since(session="a")) == ["0", "1", "2"]
        assert texts(log.read_since(session="a")) == ["0", "1", "2"]
    assert statements.reads == 2
    assert any("e.seq > 2" in statement for statement in statements.seen), "the second one begins after the first"


def test_an_earlier_beginning_is_read_again(log):
    say(log, "a", "0", "1")
    with log.turn():
        assert texts(log.read_since(1, session="a")) == ["1"]
        assert texts(log.read_since(0, session="a")) == ["0", "1"]
        assert texts(log.read_since(1, session="a")) == ["1"]


def test_different_questions_are_kept_apart(log):
    say(log, "a", "0")
    say(log, "b", "1")
    log.append("a", "recall", {"text": "r"})
    with log.turn():
        for _ in range(2):
            assert texts(log.read_since(session="a")) == ["0", "r"]
            assert texts(log.read_since(session="a", kinds=["recall"])) == ["r"]
            assert texts(log.read_since()) == ["0", "1", "r"]


def test_turns_nest_and_end(log):
    say(log, "a", "0")
    with Statements(log) as statements:
        with log.turn():
            log.read_since(session="a")
            with log.turn():
                log.read_since(session="a")
            log.read_since(session="a")
        log.read_since(session="a")
    assert statements.reads == 2, "the inner turn is the outer one; after it the file is read again"


def test_two_logs_have_turns_of_their_own():
    with EventLog() as one, EventLog() as other:
        say(one, "a", "one")
        say(other, "a", "other")
        with one.turn(), other.turn(), Statements(one) as first, Statements(other) as second:
            for _ in range(3):
                assert texts(one.read_since(session="a")) == ["one"]
                assert texts(other.read_since(session="a")) == ["other"]
        assert (first.reads, second.reads) == (1, 1)


def test_another_thread_is_in_no_turn_of_this_one(log):
    say(log, "a", "0")
    with log.turn(), Statements(log) as statements:
        log.read_since(session="a")
        at_once(1, lambda _: log.read_since(session="a"))
    assert statements.reads == 2


@pytest.mark.parametrize("elsewhere", [False, True])
def test_a_turn_does_not_bring_back_what_was_forgotten(log, elsewhere):
    say(log, "a", "old")
    with log.turn():
        assert texts(log.read_since(session="a")) == ["old"]
        forget = contextvars.Context().run if elsewhere else lambda call, *values: call(*values)
        forget(log.forget, "a")
        assert log.read_since(session="a") == []
        say(log, "a", "new")
        assert texts(log.read_since(session="a")) == ["new"]


# -- deleting ---------------------------------------------------------------------------------------------------------


def everything_in(folder):
    return b"".join(found.read_bytes() for found in folder.iterdir())


def test_forgetting_deletes_one_session_and_frees_its_room(tmp_path):
    with EventLog(tmp_path / "log") as log:
        say(log, "kept", "something to keep")
        log.database.shrink()
        small = sum(found.stat().st_size for found in tmp_path.iterdir())
        say(log, "secret name", *("a secret " * 100 for _ in range(1000)))
        log.forget("secret name")
        log.shrink()
        assert sum(found.stat().st_size for found in tmp_path.iterdir()) < small + 64 * 1024
        assert texts(log.read_since()) == ["something to keep"]
        assert log.counts("message") == {"kept": 1}
        found = everything_in(tmp_path)
    assert b"secret" not in found
    assert b"something to keep" in found


def test_a_place_is_never_given_out_twice(tmp_path):
    with EventLog(tmp_path / "log") as log:
        say(log, "a", "0", "1")
        log.forget("a")
        assert log.last_seq == 2
        assert say(log, "a", "2") == range(3, 4)
        log.forget("a")
    with EventLog(tmp_path / "log") as log:
        assert log.last_seq == 3
        assert say(log, "b", "3") == range(4, 5)


def test_forgetting_nobody_is_no_error(log):
    log.forget("nobody")
    assert log.read_since() == []


def test_replacing_a_session_leaves_the_others(log):
    say(log, "a", "old")
    say(log, "b", "other")
    assert log.replace("a", [Entry("message", {"text": "new"}, 1.0)]) == range(3, 4)
    assert texts(log.read_since()) == ["other", "new"]
    with pytest.raises(TypeError):
        log.replace("a", [Entry("message", {"text": object()})])
    assert texts(log.read_since(session="a")) == ["new"]


# -- files ------------------------------------------------------------------------------------------------------------


def test_the_log_is_there_after_reopening(tmp_path):
    with EventLog(tmp_path / "log") as log:
        say(log, "a", "0", "1", at=7.0)
    with EventLog(tmp_path / "log") as log:
        assert log.last_seq == 2
        assert [(event.seq, event.at, event.data["text"]) for event in log.read_since()] == [
            (1, 7.0, "0"),
            (2, 7.0, "1"),
        ]


def test_a_file_of_another_kind_is_refused(tmp_path):
    (tmp_path / "log").write_text("not a log" * 100)
    with pytest.raises(StoreCorrupt, match="move it away to begin anew"):
        EventLog(tmp_path / "log")


def test_an_event_that_is_no_json_is_reported_with_its_place(tmp_path):
    with EventLog(tmp_path / "log") as log:
        say(log, "a", "0", "1")
    connection = sqlite3.connect(tmp_path / "log")
    connection.execute("UPDATE events SET data = '{' WHERE seq = 2")
    connection.commit()
    connection.close()
    with EventLog(tmp_path / "log") as log:
        assert texts(log.read_since(kinds=["recall"])) == []
        with pytest.raises(StoreCorrupt, match="event 2"):
            log.read_since()


def test_a_failed_commit_leaves_the_count_where_it_was(tmp_path, monkeypatch):
    """A full disk shows at the commit, not before: places that were not taken are given out again."""
    with EventLog(tmp_path / "log") as log:
        say(log, "a", "0")
        connection = log.database._connection

        class Full:
            def __getattr__(self, name):
                return getattr(connection, name)

            def execute(self, statement, *values):
                if statement == "COMMIT":
                    raise StorageFull(tmp_path)
                return connection.execute(statement, *values)

        with monkeypatch.context() as patch:
            patch.setattr(log.database, "_connection", Full())
            with pytest.raises(StorageFull):
                say(log, "a", "1", "2")
        assert log.last_seq == 1
        assert say(log, "a", "1") == range(2, 3)


# -- size -------------------------------------------------------------------------------------------------------------


def filled(path, count):
    log = EventLog(path)
    for start in range(0, count, 5000):
        log.append_many(f"s{start % 4}", [Entry("message", {"text": f"event {n}"}) for n in range(start, start + 5000)])
    return log


def seconds(work, repeat=5):
    """The best of several."""
    best = float("inf")
    for _ in range(repeat):
        begun = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - begun)
    return best


def test_opening_takes_no_longer_for_a_long_log(tmp_path):
    for name, count in (("short", 5_000), ("long", 100_000)):
        filled(tmp_path / name, count).close()
    short, long = (seconds(lambda name=name: EventLog(tmp_path / name).close()) for name in ("short", "long"))
    assert long < 5 * short + 0.05, "20 times the events"


def test_reading_on_in_a_long_log_reads_little(tmp_path):
    with filled(tmp_path / "log", 100_000) as log:
        seen = log.last_seq
        say(log, "s0", "new")
        all_of_it = seconds(lambda: log.read_since(session="s0"), repeat=1)
        assert seconds(lambda: log.read_since(seen, session="s0")) < all_of_it / 20
        plan = log.database.read(
            "EXPLAIN QUERY PLAN SELECT e.seq FROM events e WHERE e.seq > 5 AND e.session = 1 AND e.at >= 1 AND e.at < 2"
        )
        assert all("SCAN" not in row[-1] for row in plan), plan


# -- any order --------------------------------------------------------------------------------------------------------


class LogMachine(RuleBasedStateMachine):
    """A log beside a plain list."""

    sessions = st.sampled_from(["a", "A", "../a"])

    def __init__(self):
        super().__init__()
        self.log, self.model, self.next = EventLog(), [], 1

    @rule(session=sessions, count=st.integers(0, 4), kind=st.sampled_from(["message", "recall"]))
    def append(self, session, count, kind):
        places = self.log.append_many(session, [Entry(kind, {"n": n}) for n in range(count)])
        assert places == range(self.next, self.next + count)
        self.model += [(place, session, kind, n) for n, place in enumerate(places)]
        self.next += count

    @rule(session=sessions)
    def forget(self, session):
        self.log.forget(session)
        self.model = [event for event in self.model if event[1] != session]

    @rule(session=st.none() | sessions, seq=st.integers(0, 20), kinds=st.none() | st.just(["recall"]))
    def read(self, session, seq, kinds):
        wanted = [
            event
            for event in self.model
            if event[0] > seq and session in (None, event[1]) and (kinds is None or event[2] in kinds)
        ]
        for _ in range(2):
            found = self.log.read_since(seq, session=session, kinds=kinds)
            assert [(one.seq, one.session, one.kind, one.data["n"]) for one in found] == wanted

    def teardown(self):
        self.log.close()


class TurnMachine(LogMachine):
    """The same within one long turn."""

    def __init__(self):
        super().__init__()
        self.turn = self.log.turn()
        self.turn.__enter__()

    def teardown(self):
        self.turn.__exit__(None, None, None)
        super().teardown()


@pytest.mark.parametrize("machine", [LogMachine, TurnMachine])
def test_any_order_of_calls_equals_a_list(machine):
    run_state_machine_as_test(machine, settings=settings(max_examples=40, stateful_step_count=25, deadline=None))


def test_data_is_plain_json_on_disk(tmp_path):
    with EventLog(tmp_path / "log") as log:
        log.append("a", "message", {"text": "é"})
        ((data,),) = log.database.read("SELECT data FROM events")
    assert json.loads(data) == {"text": "é"}


def test_the_newest_of_a_kind_and_those_before_them():
    with EventLog() as log:
        for number in range(6):
            log.append("a", "turn" if number % 2 else "other", {"n": number})
            log.append("b", "turn", {"n": -number})
        assert [event.data["n"] for event in log.newest("a", "turn")] == [5]
        found = log.newest("a", "turn", limit=2)
        assert [event.data["n"] for event in found] == [3, 5]
        assert [event.data["n"] for event in log.newest("a", "turn", limit=9, before=found[0].seq)] == [1]
        assert log.newest("nobody", "turn") == []

"""What is kept of a conversation when writing fails, a part is left out, or a job looks on."""

import sqlite3
import threading
import time

import pytest

from workbench import ConversationSettings, EngineSettings, Session
from workbench.conversation import past
from workbench.conversation.log import TurnLog
from workbench.conversation.parts import Parts
from workbench.errors import StorageError, StorageFull, StoreCorrupt, UsageError
from workbench.memory.baselines import FullMemory
from workbench.storage import Entry, EventLog
from workbench.testing import ScriptedEngine


def engine():
    return ScriptedEngine(lambda request: f"Answer to {request.prompt[-1].content}", settings=EngineSettings(n_ctx=512))


def asked(session):
    return [turn.user for turn in session.turns]


def wait_until(true):
    deadline = time.monotonic() + 30
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.001)


# -- writing fails ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("committed", [False, True])
@pytest.mark.parametrize("error", [StorageError("locked"), KeyboardInterrupt(), StorageFull("here"), OSError("gone")])
@pytest.mark.filterwarnings("ignore::workbench.errors.NotSaved")
def test_a_turn_that_could_not_be_written_is_written_with_the_next_one_and_once(
    tmp_path, monkeypatch, error, committed
):
    write = EventLog.append_many

    def fail(self, session, entries):
        if committed:
            write(self, session, entries)
        raise error

    with Session(engine(), folder=tmp_path) as session:
        session.send("a")
        for text in ("b", "c"):
            with monkeypatch.context() as patch:
                patch.setattr(EventLog, "append_many", fail)
                if isinstance(error, StorageFull):
                    session.send(text)
                else:
                    with pytest.raises(type(error)):
                        session.send(text)
        assert asked(session) == ["a", "b", "c"], "what was said is part of the conversation"
        assert session.send("d").number == 4
        assert session._past._log.unsaved == 0
    with Session(engine(), folder=tmp_path) as session:
        assert asked(session) == ["a", "b", "c", "d"]
        assert len(session._past._log.events()) == 4


def test_a_file_that_is_locked_by_somebody_else_costs_no_turn(tmp_path):
    with Session(engine(), folder=tmp_path) as session:
        session.send("a")
        session._past._log._log.database._connection.execute("PRAGMA busy_timeout = 0")
        other = sqlite3.connect(session._past.place / "turns.sqlite", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StorageError, match="locked"):
            session.send("b")
        with pytest.raises(StorageError, match="locked"):
            session.flush()
        other.execute("ROLLBACK")
        other.close()
        session.flush()
    with Session(engine(), folder=tmp_path) as session:
        assert asked(session) == ["a", "b"]


def test_a_cursor_that_could_not_be_saved_holds_nobody_up(tmp_path, monkeypatch):
    seen, write = [], EventLog.append_many

    def fail(self, session, entries):
        if any(entry.kind == "done" for entry in entries):
            raise StorageError("locked")
        return write(self, session, entries)

    with Session(engine(), folder=tmp_path, after_turn={"see": lambda turn: seen.append(turn.user)}) as session:
        with monkeypatch.context() as patch:
            patch.setattr(EventLog, "append_many", fail)
            turn = session.send("a")
            with pytest.raises(StorageError):
                session.flush()
        session.flush()
        assert turn.trace.ended
        assert session._past._working.waiting == 0
        session.send("b")
    assert seen == ["a", "b"]


# -- parts that are left out ------------------------------------------------------------------------------------------


def test_a_session_once_opened_without_its_parts_loses_and_doubles_nothing(tmp_path):
    seen, memory = [], FullMemory(folder=tmp_path / "memory")
    parts = {"memory": memory, "after_turn": {"see": lambda turn: seen.append(turn.user)}}
    with Session(engine(), folder=tmp_path, **parts) as session:
        session.send("a")
        session.send("b")
    for others in ({}, {"after_turn": {"other": lambda turn: None}}):
        with Session(engine(), folder=tmp_path, **others) as session:
            session.send(f"without, and with {len(others)}")
    with Session(engine(), folder=tmp_path, **parts) as session:
        session.flush()
        everything = [message.content for turn in session.turns for message in turn.messages]
        assert [one.message.content for one in memory.recall("", k=100)] == everything
        assert seen == asked(session) == ["a", "b", "without, and with 0", "without, and with 1"]
    memory.close()


def test_who_was_not_there_when_a_conversation_was_forgotten_sees_the_new_one_from_its_beginning(tmp_path):
    seen, see = [], lambda turn: seen.append(turn.user)
    with Session(engine(), folder=tmp_path, after_turn={"see": see}) as session:
        for text in "abc":
            session.send(text)
    with Session(engine(), folder=tmp_path) as session:
        session.forget()
        session.send("anew")
    with Session(engine(), folder=tmp_path, after_turn={"see": see}) as session:
        session.flush()
    assert seen == ["a", "b", "c", "anew"]


def test_a_memory_from_an_older_backup_gets_the_turns_since(tmp_path):
    old = FullMemory()
    with Session(engine(), folder=tmp_path, memory=old) as session:
        for text in "ab":
            session.send(text)
        session.flush()
        backup = FullMemory()
        backup.restore("default", [Entry(one.kind, one.data, one.at) for one in old.events("default")])
        for text in "cd":
            session.send(text)
    with Session(engine(), folder=tmp_path, memory=backup) as session:
        session.send("e")
        session.flush()
        everything = [message.content for turn in session.turns for message in turn.messages]
        assert [one.message.content for one in backup.recall("", k=100)] == everything


# -- a job that looks on ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("back", [lambda session: session.rewind(2), lambda session: session.forget()])
def test_a_job_may_look_at_the_conversation_while_turns_are_taken_back(back):
    entered, gate, looked = threading.Event(), threading.Event(), []

    def look(turn):
        entered.set()
        assert gate.wait(30)
        looked.append((len(session.turns), len(session.history(-1)), len(session.context), len(session.export())))

    with Session(engine(), after_turn={"look": look}) as session:
        for text in "abc":
            session.send(text)
        assert entered.wait(30)
        going = threading.Thread(target=back, args=(session,), daemon=True)
        going.start()
        wait_until(lambda: session._going_back)
        with pytest.raises(UsageError, match="taken back"):
            session.send("d")
        gate.set()
        going.join(30)
        assert not going.is_alive(), "rewind waits for the job, and the job for nothing"
        left = len(session)
        assert left in (0, 1)
        assert session.send("d").number == left + 1
        session.flush()
        assert len(looked) == 2, "the turns that were taken back are not worked on"


# -- a job that ends its thread ---------------------------------------------------------------------------------------


class Panic(BaseException):
    """As an extension in Rust raises it."""


@pytest.mark.parametrize("error", [Panic("no"), SystemExit(3)])
def test_a_job_that_would_end_its_thread_has_failed_and_is_tried_again(error):
    broken, seen = [True], []

    def job(turn):
        if broken[0]:
            raise error
        seen.append(turn.user)

    settings = ConversationSettings(backlog=1)
    with Session(engine(), after_turn={"job": job}, settings=settings) as session:
        for text in "abc":
            session.send(text)
        with pytest.raises(RuntimeError, match="ended with") as caught:
            session.flush()
        assert caught.value.__cause__ is error
        broken[0] = False
        session.flush()
        assert seen == ["a", "b", "c"]


# -- what is opened is closed -----------------------------------------------------------------------------------------


def test_a_conversation_that_cannot_be_read_is_let_go_of(tmp_path):
    with Session(engine(), folder=tmp_path, memory="full") as session:
        for number in range(200):
            session.send(f"{number}")
        session.flush()
        first, *others = session._past._log.events()
        lost = {**first.data, "ended": "lost"}  # so far back that only taking the conversation up meets it
        entries = [Entry("turn", lost), *(Entry(one.kind, one.data) for one in others if one.kind != "view")]
        session._past._log._log.replace("default", entries)
    for _ in range(2):
        with pytest.raises(StoreCorrupt):
            Session(ScriptedEngine("Yes.", settings=EngineSettings(n_ctx=8192)), folder=tmp_path, memory="full")
    TurnLog(tmp_path, "default").close()
    FullMemory(folder=session._past.place / "memory").close()


def test_a_part_that_does_not_close_keeps_no_other_open(monkeypatch):
    closed, close = [], FullMemory.close

    def failing(memory):
        closed.append(memory)
        close(memory)
        if len(closed) == 1:
            raise StorageFull("here")

    monkeypatch.setattr(FullMemory, "close", failing)
    parts = Parts(engine(), None)
    made = [parts.memory("full"), parts.memory("full")]
    with pytest.raises(StorageFull):
        parts.close()
    parts.close()
    assert closed == made[::-1]


# -- what is held in memory -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("folder", [True, False])
def test_of_older_turns_only_what_is_on_disk_stays_in_memory(tmp_path, monkeypatch, folder):
    monkeypatch.setattr(past, "WHOLE", 3)
    with Session(engine(), folder=tmp_path if folder else None) as session:
        for text in "abcde":
            session.send(text)
        whole = [turn.completion is not None and turn.trace is not None for turn in session.turns]
        assert whole == [not folder, not folder, True, True, True]
        assert asked(session) == list("abcde")
        session.rewind(to=2)
        assert session.send("f").completion is not None

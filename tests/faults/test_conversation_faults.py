"""Conversations on real folders and processes: kill -9, a full disk, hostile names, long histories, dead engines."""

import json
import os
import random
import signal
import subprocess
import sys
import time
import warnings

import pytest

import workbench as wb
from workbench import ConversationSettings, EngineSettings, Session
from workbench.conversation.turn import Turn, turn_to_dict
from workbench.errors import ContextOverflow, StoreInUse, StreamIncomplete, WorkerDied
from workbench.interfaces import Message
from workbench.memory.baselines import FullMemory
from workbench.storage import Entry
from workbench.testing import ScriptedEngine

NAMES = [
    "../escape",
    "nul\0",
    "CON",
    "n" * 300,
    "\u202ertl",
    "caf\u00e9",
    "cafe\u0301",
    "/etc/passwd",
    "..",
    "\ud800",
    "",
]


def engine(n_ctx=2048):
    return ScriptedEngine("Yes, of course.", settings=EngineSettings(n_ctx=n_ctx))


def run(code, *arguments):
    return subprocess.Popen([sys.executable, "-c", code, *map(str, arguments)], stdout=subprocess.PIPE, text=True)


# -- row 6: a prompt longer than the context --------------------------------------------------------------------------


def test_a_message_longer_than_the_context_is_refused_with_what_it_needs_and_the_chat_goes_on():
    with Session(engine(200), system="Be kind.") as session:
        session.send("a")
        with pytest.raises(ContextOverflow) as caught:
            session.send("word " * 400)
        assert caught.value.need_tokens > 400
        assert caught.value.have_tokens <= 200
        assert len(session) == 1
        assert session.send("b").number == 2


def test_a_message_that_needs_the_room_of_the_answer_gets_it():
    told = engine(200)
    with Session(told, memory=FullMemory()) as session:
        for number in range(30):
            session.send(f"word {number} " * 3)
        turn = session.send("word " * 160)
        assert turn.text == "Yes, of course."
        assert turn.completion.timings.prompt_tokens <= 200


@pytest.mark.parametrize("compressor", [None, "truncate", "random"])
def test_no_prompt_of_a_long_conversation_is_above_its_context(compressor):
    told, draw = engine(300), random.Random(6)
    with Session(told, system="Be kind.", memory=FullMemory(), compressor=compressor) as session:
        for number in range(120):
            turn = session.send(f"{number}: " + "word " * draw.randint(1, 60), max_tokens=20)
            assert turn.completion.timings.prompt_tokens <= 300 - 16
        compressed = [turn for turn in session.turns if turn.compression]
        assert 0 < len(compressed) < 60, "not every turn compresses"


@pytest.mark.model
def test_a_real_model_in_a_small_context_is_never_overrun(smollm2):
    with wb.load(smollm2, n_ctx=256, n_threads=1) as small, Session(small, memory=FullMemory()) as session:
        for number in range(5):
            turn = session.send(f"Tell me about boats, number {number}. " * (4 + number % 3), max_tokens=4)
            assert turn.completion.timings.prompt_tokens + 4 <= 256
        assert any(turn.compression for turn in session.turns)


# -- row 9: the engine's process dies in mid-turn ---------------------------------------------------------------------


@pytest.mark.model
def test_when_the_worker_is_killed_the_partial_text_is_kept_and_the_next_turn_goes_on(smollm2, tmp_path):
    with wb.load(smollm2, engine="worker", n_ctx=512, n_threads=1) as worker:
        with Session(worker, folder=tmp_path) as session:
            stream = session.stream("Tell me a long story.", max_tokens=200)
            for _ in range(5):
                next(stream)
            os.kill(worker.pid, signal.SIGKILL)
            with pytest.raises(WorkerDied):
                list(stream)
            broken = session.turns[0]
            assert (broken.ended, broken.text) == ("broken", stream.text)
            assert broken.text
            assert session.send("Go on.", max_tokens=4).number == 2
        with Session(worker, folder=tmp_path) as session:
            assert [turn.ended for turn in session.turns] == ["broken", "length"]


# -- kill -9 of the conversation itself -------------------------------------------------------------------------------

TALK = """
import sys, time
from workbench import Session
from workbench.memory.baselines import FullMemory
from workbench.testing import ScriptedEngine
folder = sys.argv[1]
seen = open(folder + "/seen", "a")

def note(turn):
    seen.write(f"{turn.number}\\n"); seen.flush(); time.sleep(0.002)

engine = ScriptedEngine(lambda request: "Answer to " + request.prompt[-1].content)
with Session(engine, memory=("full", {}), folder=folder, after_turn={"note": note}) as session:
    for number in range(len(session) + 1, 10_000):
        session.send(f"number {number}")
        print(number, flush=True)
"""


def test_kill_9_at_random_moments_loses_no_turn_and_does_nothing_twice(tmp_path):
    draw, told = random.Random(9), 0
    for _ in range(3):
        process = run(TALK, tmp_path)
        told = max(told, int(process.stdout.readline()))
        time.sleep(draw.uniform(0.0, 0.3))
        process.kill()
        told = max([told, *map(int, process.communicate()[0].split())])
    seen = []
    with Session(
        engine(), memory="full", folder=tmp_path, after_turn={"note": lambda turn: seen.append(turn)}
    ) as session:
        assert len(session) >= told, "what was handed out whole is there"
        session.flush()
        remembered = [one.message.content for one in session.memory.recall("", k=100_000)]
        assert remembered == [message.content for turn in session.turns for message in turn.messages]
        assert [turn.user for turn in session.turns] == [f"number {number}" for number in range(1, len(session) + 1)]
        noted = [int(line) for line in (tmp_path / "seen").read_text().split()] + [turn.number for turn in seen]
        assert sorted(set(noted)) == list(range(1, len(session) + 1)), "every turn was worked on"
        assert len(noted) <= len(session) + 3, "one more time at most for each death"


# -- row 12: two processes on one conversation ------------------------------------------------------------------------


def test_a_conversation_is_open_once_and_others_beside_it(tmp_path):
    with Session(engine(), folder=tmp_path, name="ann"):
        with pytest.raises(StoreInUse) as caught:
            Session(engine(), folder=tmp_path, name="ann")
        assert caught.value.pid == os.getpid()
        with Session(engine(), folder=tmp_path, name="bob") as other:
            assert other.send("a").number == 1
    with Session(engine(), folder=tmp_path, name="ann") as again:
        assert len(again) == 0


# -- row 13: disk full ------------------------------------------------------------------------------------------------

FILL = """
import json, os, resource, sys, warnings
from workbench import EngineSettings, Session
from workbench.errors import NotSaved, StorageFull
from workbench.testing import ScriptedEngine
own = resource.getrlimit(resource.RLIMIT_FSIZE)
told = {}
engine = ScriptedEngine("Yes. " + "x" * 1000)
session = Session(engine, memory="full", folder=sys.argv[1])
for number in range(10):
    session.send(f"before {number}")
session.flush()
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, own[1]))
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    for number in range(100):
        turn = session.send(f"full {number}")
    told["warned"] = sum(issubclass(one.category, NotSaved) for one in caught)
    told["turns"], told["answer"] = len(session), turn.text
    try:
        session.flush()
    except StorageFull as error:
        told["flush"] = str(error)
resource.setrlimit(resource.RLIMIT_FSIZE, (own[1], own[1]))
session.flush()
told["unsaved"] = session._past._log.unsaved
print(json.dumps(told), flush=True)
os.kill(os.getpid(), 9)
"""


def test_on_a_full_disk_the_chat_goes_on_and_is_written_when_there_is_room(tmp_path):
    told = json.loads(run(FILL, tmp_path).communicate()[0])
    assert told["warned"] >= 1
    assert told["turns"] == 110
    assert told["answer"].startswith("Yes.")
    assert "free some space" in told["flush"]
    assert told["unsaved"] == 0
    with Session(engine(), memory="full", folder=tmp_path) as session:
        session.flush()
        assert [turn.user for turn in session.turns] == [
            *(f"before {number}" for number in range(10)),
            *(f"full {number}" for number in range(100)),
        ]
        assert session.memory.count() == 220


def test_a_warning_made_an_error_loses_nothing(tmp_path, monkeypatch):
    from workbench.errors import NotSaved, StorageFull
    from workbench.storage import EventLog

    with Session(engine(), folder=tmp_path) as session:
        session.send("a")

        def full(*_, **__):
            raise StorageFull(tmp_path)

        with monkeypatch.context() as patch, warnings.catch_warnings():
            warnings.simplefilter("error")
            patch.setattr(EventLog, "append_many", full)
            with pytest.raises(NotSaved):
                session.send("b")
            assert session.send("c").number == 3
    with Session(engine(), folder=tmp_path) as session:
        assert [turn.user for turn in session.turns] == ["a", "b", "c"]


# -- row 17: hostile names --------------------------------------------------------------------------------------------


def test_names_are_data_only(tmp_path):
    home = tmp_path / "home"
    for name in NAMES:
        with Session(engine(), folder=home, name=name, memory="full") as session:
            session.send(f"I am {name!r}.")
    for name in NAMES:
        with Session(engine(), folder=home, name=name, memory="full") as session:
            assert [turn.user for turn in session.turns] == [f"I am {name!r}."]
            assert session.memory.sessions() == (name,)
    assert {path.name for path in tmp_path.iterdir()} == {"home"}
    assert len(list(home.iterdir())) == len(NAMES)


# -- row 22: long conversations ---------------------------------------------------------------------------------------


def grown(folder, turns):
    """A conversation of that many turns, written as the session would have written it."""
    with Session(engine(), folder=folder) as session:
        log = session._past._log._log
        made = [
            Turn(number=n, serial=n, asked=Message.user(f"Question {n}. " * 8), text="Yes. " * 20, ended="stop", at=n)
            for n in range(1, turns + 1)
        ]
        log.append_many("default", [Entry("turn", turn_to_dict(turn), turn.at) for turn in made])


def opened_s(folder):
    """Processor time of opening and of one more turn: the machine may have other things to do."""
    started = time.process_time()
    with Session(engine(), folder=folder) as session:
        assert session.history(-1)[0].number == len(session)
        elapsed = time.process_time() - started
        session.send("One more.", max_tokens=1)
        return elapsed, time.process_time() - started - elapsed


def test_opening_and_appending_take_no_longer_in_a_long_conversation(tmp_path):
    times = {}
    for turns in (5_000, 10_000, 20_000):
        grown(tmp_path / str(turns), turns)
        runs = [opened_s(tmp_path / str(turns)) for _ in range(3)]
        times[turns] = [min(column) for column in zip(*runs, strict=True)]
    for short, long in ((5_000, 10_000), (10_000, 20_000)):
        for before, after in zip(times[short], times[long], strict=True):
            assert after <= 2.3 * before + 0.01
    assert times[20_000][0] < 1.0


def test_any_page_of_a_long_conversation_can_be_had(tmp_path):
    grown(tmp_path, 1_000)
    with Session(engine(), folder=tmp_path) as session:
        assert [turn.number for turn in session.history(700, 703)] == [701, 702, 703]
        session.rewind(to=650)
        assert session.send("Another way.").number == 651
        assert session.history(0, 1)[0].number == 1
    with Session(engine(), folder=tmp_path) as session:
        assert [turn.number for turn in session.turns] == list(range(1, 652))
        assert session.turns[-1].user == "Another way."
        assert session.turns[-2].user.startswith("Question 650.")


# -- background work that fails ---------------------------------------------------------------------------------------


def test_a_failing_job_holds_nobody_up_and_is_tried_again(tmp_path):
    broken, seen = [True], []

    def index(turn):
        if broken[0]:
            raise OSError("the index is away")
        seen.append(turn.number)

    settings = ConversationSettings(backlog=2)
    with Session(engine(), memory="full", folder=tmp_path, after_turn=[index], settings=settings) as session:
        for _ in range(6):
            session.send("a")
        with pytest.raises(OSError, match="away"):
            session.flush()
        assert session.memory.count() == 12, "other jobs go on"
        broken[0] = False
        session.flush()
        assert seen == [1, 2, 3, 4, 5, 6]


def test_what_a_job_did_not_come_to_is_done_after_a_restart(tmp_path):
    seen = []

    def away(turn):
        raise OSError("away")

    with Session(engine(), folder=tmp_path, after_turn={"index": away}) as session:
        session.send("a")
        session.send("b")
    with Session(engine(), folder=tmp_path, after_turn={"index": lambda turn: seen.append(turn.user)}) as session:
        session.flush()
        assert seen == ["a", "b"]
        session.send("c")
        session.flush()
    with Session(engine(), folder=tmp_path, after_turn={"index": lambda turn: seen.append(turn.user)}) as session:
        session.flush()
    assert seen == ["a", "b", "c"]


def test_a_memory_that_lost_everything_is_filled_again(tmp_path):
    with Session(engine(), folder=tmp_path, memory=FullMemory()) as session:
        for number in range(5):
            session.send(str(number))
    with Session(engine(), folder=tmp_path, memory=FullMemory()) as session:
        session.flush()
        assert session.memory.count() == 10


def test_a_stream_without_an_end_is_a_broken_turn():
    class Endless(ScriptedEngine):
        def stream(self, prompt, **options):
            whole = super().stream(prompt, **options)
            chunks = iter([next(whole), next(whole)])
            return type("Cut", (), {"__next__": lambda _: next(chunks), "cancel": whole.cancel})()

    with Session(Endless("one two three four")) as session:
        with pytest.raises(StreamIncomplete) as caught:
            session.send("Go.")
        assert caught.value.partial == session.turns[0].text != ""

"""The session on a scripted engine: what is asked of the engine, what is kept, what is told."""

import asyncio
import contextlib
import gc
import threading

import pytest

from workbench import ConversationSettings, EngineSettings, Session
from workbench.compression.summary import HEADER, SummaryCompressor
from workbench.conversation import RuleRouter
from workbench.conversation.turn import SEPARATOR
from workbench.embedding.hashing import HashingEmbedder
from workbench.errors import ContextOverflow, EngineClosed, InvalidSettings, StreamIncomplete, UnknownName, UsageError
from workbench.interfaces import Message
from workbench.memory.buffer import BufferMemory
from workbench.memory.hybrid import HybridMemory
from workbench.telemetry import AlertSettings
from workbench.testing import Reply, ScriptedEngine


def engine(script="The sea is wide and blue.", n_ctx=2048, **options):
    return ScriptedEngine(script, settings=EngineSettings(n_ctx=n_ctx), **options)


def words_only():
    return HybridMemory(HashingEmbedder(64))


def texts(messages):
    return [message.content for message in messages]


# -- a turn -----------------------------------------------------------------------------------------------------------


def test_the_chunks_joined_are_the_answer_and_the_turn_says_what_was_done():
    with Session(engine(), system="Be kind.", name="ann") as session:
        stream = session.stream("Tell me of the sea.", max_tokens=5)
        chunks = list(stream)
    turn = stream.turn
    assert "".join(chunk.text for chunk in chunks) == turn.text
    assert [chunk.finish_reason for chunk in chunks[:-1]] == [None] * (len(chunks) - 1)
    assert (turn.number, turn.user, turn.ended, turn.finish) == (1, "Tell me of the sea.", "length", "length")
    assert turn.completion.text == turn.text
    assert turn.trace.labels["session"] == "ann"
    assert turn.trace.labels["finish"] == "length"


def test_the_first_chunk_is_there_before_the_second_is_made():
    slow = engine(Reply("one two three four", delay_s=0.05))
    with Session(slow) as session:
        stream = session.stream("Go.")
        assert next(stream).text == "one"
        assert stream.text == "one"
        with pytest.raises(UsageError, match="under way"):
            _ = stream.turn
        stream.cancel()
        assert [chunk.finish_reason for chunk in stream][-1] == "cancelled"


def test_each_prompt_begins_with_all_that_was_said():
    told = engine(["First.", "Second.", "Third."])
    with Session(told, system="Be kind.") as session:
        for text in ("a", "b", "c"):
            session.send(text)
        assert texts(told.requests[-1].prompt) == ["Be kind.", "a", "First.", "b", "Second.", "c"]
        assert texts(session.context) == ["Be kind.", "a", "First.", "b", "Second.", "c", "Third."]
        assert [turn.number for turn in session.history(-2)] == [2, 3]
        assert len(session) == len(session.turns) == 3


def test_options_of_the_turn_come_before_those_of_the_settings():
    told = engine()
    with Session(told, settings=ConversationSettings(options={"max_tokens": 2, "temperature": 0.0})) as session:
        assert session.send("a").completion.timings.output_tokens == 2
        assert session.send("b", max_tokens=3).completion.timings.output_tokens == 3
        assert told.requests[-1].sampling.temperature == 0.0


def test_only_one_turn_at_a_time():
    with Session(engine()) as session:
        stream = session.stream("a")
        with pytest.raises(UsageError, match="under way"):
            session.stream("b")
        list(stream)
        assert session.send("b").number == 2


@pytest.mark.parametrize(
    "bad", [Message.assistant("x"), {"role": "system", "content": "x"}, 7, Message("user", "x", name=object())]
)
def test_a_turn_begins_with_the_user(bad):
    with Session(engine()) as session:
        with pytest.raises((InvalidSettings, TypeError)):
            session.send(bad)
        assert session.send("Go on.").number == 1


def test_unknown_parts_are_refused_with_the_known_names():
    with pytest.raises(UnknownName, match="hybrid"):
        Session(engine(), memory="hybird")
    with pytest.raises(UnknownName, match="middle"):
        Session(engine(), compressor="midle")
    with pytest.raises(InvalidSettings):
        ConversationSettings(compress_at=0.3, compress_to=0.5)


def test_a_refused_request_leaves_the_conversation_as_it_was():
    with Session(engine()) as session:
        session.send("a")
        with pytest.raises(UnknownName):
            session.send("b", temprature=1)
        assert len(session) == 1
        assert session.send("c").number == 2


@pytest.mark.parametrize("ends", ["refused", "cancelled"])
def test_a_turn_that_comes_to_nothing_compresses_nothing(ends):
    class Refusing(ScriptedEngine):
        refuses = False

        def stream(self, prompt, **options):
            if self.refuses:
                raise EngineClosed("no")
            return super().stream(prompt, **options)

    told = Refusing("word " * 30, settings=EngineSettings(n_ctx=400))
    with Session(told, settings=ConversationSettings(answer_tokens=40)) as session:
        before = session.context
        while session._turning.context.view is None:  # the next turn has to compress, or has done so
            before = session.context
            stream = session.stream("Go on, tell me more of it.")
            compressed = session.context != before
            if compressed:
                stream.cancel()
            list(stream)
            if compressed:
                break
        assert not stream.turn.kept
        assert stream.turn.compression is not None
        assert session.context == before
        if ends == "refused":
            told.refuses = True
            with pytest.raises(EngineClosed):
                session.send("Go on, tell me more of it.")
            assert session.context == before


def test_a_conversation_has_one_running_summary_however_often_it_is_compressed():
    def line(request):
        asked = request.prompt[-1].content
        return f"{asked.count('Earlier:')} notes before." if "Summarise all" in asked else "word " * 20

    told = engine(line, n_ctx=600)
    compressor = SummaryCompressor(told, section_tokens=80, summary_tokens=32)
    answers = ConversationSettings(answer_tokens=40)
    with Session(told, system="Be kind.", compressor=compressor, settings=answers) as session:
        turns = [session.send(f"Question {number}?") for number in range(90)]
        notes = [text for text in texts(session.context) if text.startswith(HEADER)]
    assert len([turn for turn in turns if turn.compression is not None]) >= 3
    assert notes == [HEADER + "1 notes before."]
    for turn in turns:
        if turn.compression is not None:
            assert sum(text.startswith(HEADER) for text in texts(turn.compression.messages)) == 1


def test_a_closed_session_says_so_and_leaves_the_engine_open():
    open_engine = engine()
    session = Session(open_engine, memory="buffer")
    session.send("a")
    session.close()
    session.close()
    with pytest.raises(UsageError, match="closed"):
        session.send("b")
    assert open_engine.complete("still there?").text


# -- turns that do not come to their end ------------------------------------------------------------------------------


def test_a_broken_answer_is_kept_as_far_as_it_came_and_the_next_turn_goes_on():
    told = engine([Reply("one two three four", dies_after=4), "Fine."])
    with Session(told) as session:
        stream = session.stream("Go.")
        with pytest.raises(StreamIncomplete):
            list(stream)
        broken = stream.turn
        assert broken.ended == "broken"
        assert broken.finish is None
        assert broken.text == stream.text == session.turns[0].text != ""
        assert session.send("And now?").ended == "stop"
        assert broken.text in texts(told.requests[-1].prompt)


def test_an_answer_that_broke_off_before_its_first_text_leaves_no_trace_in_the_conversation():
    told = engine([Reply("one", dies_after=0), TimeoutError("no"), "Fine."])
    with Session(told) as session:
        for error in (StreamIncomplete, TimeoutError):
            stream = session.stream("Go.")
            with pytest.raises(error):
                list(stream)
            assert not stream.turn.kept
        assert len(session) == 0
        assert session.send("Again.").number == 1
        assert texts(told.requests[-1].prompt) == ["Again."]


def test_an_abandoned_stream_ends_its_turn_with_what_came():
    with Session(engine()) as session:
        stream = session.stream("Go.")
        said = next(stream).text
        del stream
        gc.collect()
        assert [(turn.ended, turn.text) for turn in session.turns] == [("cancelled", said)]
        assert session.send("On.").number == 2


def test_the_session_can_cancel_what_somebody_else_reads():
    with Session(engine(Reply("one two three four five six", delay_s=0.02))) as session:
        stream = session.stream("Go.")
        first = next(stream).text
        session.cancel()
        assert list(stream) == []
        assert stream.turn.ended == "cancelled"
        assert stream.turn.text.startswith(first)
        session.cancel()  # nothing to do
        assert session.send("On.", max_tokens=1).number == 2


def test_a_closed_engine_breaks_the_turn_only():
    closing = engine(Reply("one two three", delay_s=0.01))
    with Session(closing) as session:
        stream = session.stream("Go.")
        next(stream)
        closing.close()
        with pytest.raises(StreamIncomplete):
            list(stream)
        with pytest.raises(EngineClosed):
            session.send("On.")
        assert len(session) == 1


# -- without blocking the loop ----------------------------------------------------------------------------------------


def test_asynchronously_the_loop_stays_free():
    async def run():
        with Session(engine(Reply("one two three", delay_s=0.03))) as session:
            ticks = 0

            async def tick():
                nonlocal ticks
                while True:
                    await asyncio.sleep(0.005)
                    ticks += 1

            ticking = asyncio.create_task(tick())
            chunks = [chunk async for chunk in session.astream("Go.")]
            turn = await session.asend("Again.")
            ticking.cancel()
            return chunks, turn, ticks, len(session)

    chunks, turn, ticks, count = asyncio.run(run())
    assert "".join(chunk.text for chunk in chunks) == turn.text == "one two three"
    assert ticks > 5
    assert count == 2


def test_leaving_the_loop_early_ends_the_turn_and_the_next_one_can_begin():
    async def run():
        with Session(engine([Reply("one " * 200, delay_s=0.01), "Fine."])) as session:
            async with contextlib.aclosing(session.astream("Go.")) as chunks:
                async for _ in chunks:
                    break
            left = session._draft
            return left, await session.asend("Again."), session.turns

    left, again, turns = asyncio.run(run())
    assert left is None
    assert (again.number, again.text) == (2, "Fine.")
    assert turns[0].ended == "cancelled"
    assert len(turns[0].text) < len("one " * 200)


def test_a_cancelled_task_ends_its_turn():
    async def run():
        with Session(engine(Reply("one " * 200, delay_s=0.01))) as session:
            task = asyncio.create_task(session.asend("Go."))
            while not session._draft or not session._draft.text:
                await asyncio.sleep(0.005)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            return session.turns

    (turn,) = asyncio.run(run())
    assert turn.ended == "cancelled"
    assert len(turn.text) < len("one " * 200)


# -- memory and router ------------------------------------------------------------------------------------------------


def test_what_is_not_shown_any_more_is_recalled_late_in_the_prompt():
    told = engine(n_ctx=300)
    with Session(told, system="Be kind.", memory=words_only()) as session:
        session.send("Let us talk. " * 30)  # "middle" keeps the earliest message where it fits
        session.send("My cat is called Ozymandias.")
        for number in range(20):
            session.send(f"Tell me fact number {number} about the sea, please.")
            session.flush()
        assert "Ozymandias" not in " ".join(texts(session.context))
        turn = session.send("What is my cat called?")
        prompt = told.requests[-1].prompt
        assert "Ozymandias" in prompt[-2].content
        assert prompt[-1].content == "What is my cat called?"
        assert prompt[:-2] == tuple(session.context[:-2])
        assert any(one.message.content == "My cat is called Ozymandias." for one in turn.recalled)
        assert turn.trace.counts["recalled"] == len(turn.recalled)


def test_what_is_shown_is_not_recalled_as_well():
    told = engine()
    with Session(told, memory=words_only()) as session:
        session.send("My cat is called Ozymandias.")
        session.flush()
        turn = session.send("What is my cat called?")
        assert turn.recalled == ()
        assert len(told.requests[-1].prompt) == 3


def test_each_turn_is_remembered_once_with_its_time():
    memory = BufferMemory(size=50)
    with Session(engine(), memory=memory, name="ann") as session:
        turns = [session.send(f"number {number}") for number in range(5)]
        session.flush()
        found = memory.recall("", session="ann", k=50)
    assert [one.message for one in found] == [message for turn in turns for message in turn.messages]
    assert [one.at for one in found] == [turn.at for turn in turns for _ in range(2)]


def test_the_fast_way_neither_recalls_nor_uses_tools():
    class Watched(BufferMemory):
        recalls = 0

        def recall(self, *arguments, **options):
            self.recalls += 1
            return super().recall(*arguments, **options)

    memory, tools = Watched(), Story()
    with Session(engine(), memory=memory, router=RuleRouter(), tools=tools) as session:
        fast, slow = session.send("Thank you!"), session.send("What did I say?")
    assert fast.route == "fast: thanks"
    assert slow.route.startswith("slow: ")
    assert fast.trace.labels["route"] == fast.route
    assert memory.recalls == 1
    assert tools.asked == [("before", 2), ("after", 2)]


# -- tools ------------------------------------------------------------------------------------------------------------


class Story:
    """A toolbox as the session sees it."""

    def __init__(self, confirmation="Saved.", error=None):
        self.reads, self.writes = ("look",), ("save",)
        self.asked, self.confirmation, self.error = [], confirmation, error

    def before(self, engine, messages, *, turn, options):
        self.asked.append(("before", turn))
        assert messages[-1].role == "user"
        return [Message.system("The door is open.")]

    def after(self, engine, messages, narrative, *, turn, options):
        self.asked.append(("after", turn))
        self.narrative = narrative
        if self.error:
            raise self.error
        return self.confirmation

    def calls_of(self, turn):
        return [name for name, number in self.asked if number == turn]


def test_reads_stand_before_the_question_and_writes_never_delay_the_narrative():
    told, tools = engine(), Story()
    with Session(told, tools=tools) as session:
        stream = session.stream("I go in.")
        assert texts(told.requests[-1].prompt) == ["The door is open.", "I go in."]
        narrative = ""
        while narrative != "The sea is wide and blue.":
            narrative += next(stream).text
            assert ("after", 1) not in tools.asked, "the narrative is out before anything is written"
        last = list(stream)[-1]
    assert last.text == SEPARATOR + "Saved."
    assert last.finish_reason == "stop"
    assert stream.turn.text == narrative + SEPARATOR + "Saved."
    assert stream.turn.calls == ("before", "after")
    assert tools.narrative == narrative


def test_what_is_confirmed_is_for_the_reader_only(tmp_path):
    told = engine()
    with Session(told, tools=Story(), folder=tmp_path) as session:
        session.send("I go in.")
        session.send("And then?")
    with Session(told, folder=tmp_path) as session:
        assert [turn.confirmation for turn in session.turns] == ["Saved.", "Saved."]
        assert session.turns[0].text.endswith(SEPARATOR + "Saved.")
        assert not any("Saved." in text for text in texts(session.context))
    assert "The sea is wide and blue." in texts(told.requests[-1].prompt), "a model would imitate the confirmation"


def test_a_slow_turn_is_told():
    heard = []
    quick = ConversationSettings(alerts=AlertSettings(turn_warning_ms=1, turn_critical_ms=None))
    with Session(engine(delay_s=0.001), settings=quick, on_alert=heard.append, name="ann") as session:
        session.send("Go.")
    assert [(alert.what, alert.labels["session"]) for alert in heard] == [("turn", "ann")]
    assert list(session.alerts.recent) == heard
    with Session(engine(delay_s=0.001), settings=quick.replace(alerts=None), on_alert=heard.append) as session:
        session.send("Go.")
    assert session.alerts is None
    assert len(heard) == 1


def test_an_alert_that_raises_takes_no_turn_and_finds_it_where_it_belongs(tmp_path):
    quick, found = ConversationSettings(alerts=AlertSettings(turn_warning_ms=1, turn_critical_ms=None)), []

    def alerted(alert):
        found.append(len(session))
        raise RuntimeError("no")

    with Session(engine(delay_s=0.001), settings=quick, on_alert=alerted, folder=tmp_path) as session:
        session.send("Go.")
        assert session.send("On.").number == 2
        assert len(session.context) == 4
    with Session(engine(), folder=tmp_path) as again:
        assert len(again) == 2
    assert found == [1, 2]


def test_a_write_that_fails_takes_nothing_from_what_was_said():
    with Session(engine(), tools=Story(error=RuntimeError("no"))) as session:
        stream = session.stream("I go in.")
        with pytest.raises(RuntimeError, match="no"):
            list(stream)
        assert session.turns[0].text == "The sea is wide and blue."
        assert stream.turn.ended == "stop"


def test_a_cancelled_narrative_writes_nothing():
    tools = Story()
    with Session(engine(), tools=tools) as session:
        stream = session.stream("I go in.")
        next(stream)
        stream.cancel()
        list(stream)
    assert ("after", 1) not in tools.asked


def test_cancelling_while_writes_run_ends_the_turn_after_them_and_overlaps_none():
    class Slow(Story):
        writing, done, stopped = threading.Event(), threading.Event(), ()

        def after(self, *given, **options):
            self.writing.set()
            self.done.wait(10)
            return super().after(*given, **options)

        def cancel(self, turn):
            self.stopped += (turn,)

    tools = Slow()
    with Session(engine(), tools=tools) as session:
        stream = session.stream("I go in.")
        reader = threading.Thread(target=lambda: list(stream))
        reader.start()
        tools.writing.wait(10)
        session.cancel()
        assert tools.stopped == (1,)
        with pytest.raises(UsageError, match="under way"):
            session.stream("And then?")
        tools.done.set()
        reader.join(10)
        assert [(turn.ended, turn.confirmation) for turn in session.turns] == [("cancelled", "Saved.")]
        assert session.send("And then?").number == 2


def test_a_session_may_be_closed_while_writes_run():
    class Slow(Story):
        writing, done = threading.Event(), threading.Event()

        def after(self, *given, **options):
            self.writing.set()
            self.done.wait(10)
            return super().after(*given, **options)

    tools = Slow()
    session = Session(engine(), tools=tools)
    stream = session.stream("I go in.")
    reader = threading.Thread(target=lambda: list(stream))
    reader.start()
    tools.writing.wait(10)
    session.close()
    assert [turn.ended for turn in session.turns] == ["cancelled"]
    tools.done.set()
    reader.join(10)
    assert len(session) == 1


def test_a_toolbox_of_writes_only_hears_of_each_turn_as_well():
    """It forgets what an earlier turn of the same number did."""
    tools = Story()
    tools.reads = ()
    with Session(engine(), tools=tools) as session:
        session.send("I go in.")
    assert tools.asked == [("before", 1), ("after", 1)]


# -- caches -----------------------------------------------------------------------------------------------------------


def test_the_same_prompt_is_answered_from_the_cache_without_the_engine():
    told = engine(["First.", "Second."])
    with Session(told, caches=["exact"], settings=ConversationSettings(options={"temperature": 0.0})) as session:
        session.send("What is it?")
        session.rewind()
        again = session.send("What is it?")
    assert again.text == "First."
    assert len(told.requests) == 1
    assert again.completion.receipt.tier == "response-exact"
    assert again.trace.counts["cache_hits"] == 1
    assert "cache" in again.trace.stages
    assert "prefill" not in again.trace.stages


# -- going back -------------------------------------------------------------------------------------------------------


def test_a_turn_taken_back_is_neither_shown_nor_recalled():
    told = engine()
    with Session(told, memory=words_only()) as session:
        session.send("My cat is called Ozymandias.")
        session.send("My dog is called Rex.")
        session.flush()
        session.rewind()
        turn = session.send("What is my dog called?")
        assert turn.number == 2
        assert "Rex" not in " ".join(texts(told.requests[-1].prompt))
        with pytest.raises(InvalidSettings, match="2 turns"):
            session.rewind(3)
        session.rewind(to=0)
        assert session.context == ()


def test_forgetting_leaves_nothing_and_goes_on():
    memory = words_only()
    with Session(engine(), memory=memory, name="ann") as session:
        session.send("My cat is called Ozymandias.")
        session.forget()
        assert memory.sessions() == ()
        assert session.send("What is it called?").number == 1
        session.flush()
        assert memory.count("ann") == 2
    assert session.export()["turns"][0]["user"]["content"] == "What is it called?"


# -- the trace --------------------------------------------------------------------------------------------------------


def test_the_trace_has_every_stage_and_ends_with_the_background(tmp_path):
    from workbench.telemetry import subscribe

    ended = []
    with subscribe(ended.append), Session(engine(), memory=words_only(), folder=tmp_path, router=RuleRouter()) as one:
        turn = one.send("My cat is called Ozymandias.")
        one.flush()
        assert turn.trace.ended
    assert set(turn.trace.stages) >= {"recall", "compress", "queue", "prefill", "decode", "background"}
    assert turn.trace.counts["db_queries"] > 0
    assert turn.trace.counts["prompt_tokens"] == turn.completion.timings.prompt_tokens
    assert turn.trace.labels["turn"] == 1
    assert turn.trace in ended
    assert sum(turn.trace.stages.values()) - turn.trace.stages["background"] <= turn.trace.total_ms


def test_without_background_work_the_trace_ends_with_the_turn():
    with Session(engine()) as session:
        assert session.send("a").trace.ended
        with pytest.raises(ContextOverflow):
            session.send("word " * 3000)


def test_a_turn_waits_while_too_many_wait_for_the_background():
    gate, seen = threading.Event(), []

    def slow(turn):
        gate.wait(10)
        seen.append(turn.number)

    settings = ConversationSettings(backlog=2)
    with Session(engine(), settings=settings, after_turn={"slow": slow}) as session:
        session.send("a")
        session.send("b")
        threading.Timer(0.1, gate.set).start()
        third = session.send("c")
        assert third.trace.stages["queue"] > 50
        session.flush()
        assert seen == [1, 2, 3]

"""Conversations exact to the token: what the model has seen and said is never tokenised again."""

from __future__ import annotations

import asyncio
import gc
import json
from pathlib import Path

import pytest

from workbench.engine import BaselineEngine, TunedEngine
from workbench.engine.sessions.session import Session
from workbench.engine.sessions.tokens import TokenWriter
from workbench.errors import ContextOverflow, InvalidSettings, StorageFull, StoreCorrupt, StreamIncomplete, UsageError
from workbench.interfaces import Message
from workbench.settings import EngineSettings
from workbench.testing import ScriptedEngine
from workbench.testing.script_run import Reply
from workbench.testing.tiny_gguf import CHATML, make_tiny_gguf

GREEDY = {"temperature": 0.0, "ignore_eos": True, "max_tokens": 12}
SETTINGS = EngineSettings(n_ctx=4096, n_threads=1)

THINKING = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n"
    "{{ m.content if m.role != 'assistant' else '(forgotten)' }}<|im_end|>\n{% endfor %}<|im_start|>assistant\n"
)
"""Rewrites earlier answers, as templates that drop earlier reasoning do."""

TRIMMING = CHATML.replace("message['content']", "(message['content'] | trim)")


@pytest.fixture(scope="module")
def many_words(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights and a real vocabulary: what it generates is not how its text would be tokenised."""
    return make_tiny_gguf(tmp_path_factory.mktemp("m") / "words.gguf", tokenizer="smollm2", n_ctx_train=4096)


@pytest.fixture
def engine(tiny: Path):
    with TunedEngine(tiny, SETTINGS) as engine:
        yield engine


class Ending(ScriptedEngine):
    """A scripted engine with a chat template, so that it is spoken to in tokens."""

    class chat_template:  # noqa: N801
        @staticmethod
        def render(messages):
            return "".join(f"[{m.role}]{m.content} </s>" for m in messages) + "[assistant]"


def prompts(engine) -> list[tuple[int, ...]]:
    return [request.prompt for request in engine.requests]


# -- exact -------------------------------------------------------------------------------------------------------------


def test_each_prompt_is_the_history_and_the_new_part(many_words: Path):
    with TunedEngine(many_words, SETTINGS) as engine:
        session = engine.session("You are brief.")
        letters = {"logit_bias": {engine.tokenize("t")[0]: 100.0}}  # "tttt" is one token when it is tokenised as text
        said, seen = [], []
        for question in ("Hello there", "And now?", "Why?"):
            before = session.tokens
            completion = session.send(question, **GREEDY, **letters)
            assert session.tokens[: len(before)] == before
            assert session.tokens[-12:] == completion.tokens
            assert completion.timings.prompt_tokens == len(session.tokens) - 12
            seen.append(completion.timings.cached_tokens - len(before))
            said.append(completion.text)
        # all but the last token of an answer is in the KV cache: it was drawn, not decoded
        assert seen[1:] == [-1, -1]
        assert [m.content for m in session.messages] == [
            "You are brief.", "Hello there", said[0], "And now?", said[1], "Why?", said[2],
        ]  # fmt: skip
        assert session.n_tokens == len(session.tokens)
        assert session.notes == []
        again = engine._prompt_tokens(session.messages[:-1])
        assert tuple(again) != session.tokens[: len(again)], "tokenised again it would have been other tokens"


def test_the_text_is_what_the_template_writes(engine: TunedEngine):
    session = engine.session()
    for question in ("one", "two", "three"):
        session.send(question, **GREEDY)
    assert engine.detokenize(session.tokens[:-12]) == "<s>" + engine.chat_template.render(session.messages[:-1])
    assert list(session.tokens[:-12]) == engine._prompt_tokens(session.messages[:-1]), "bytes have one spelling only"


def test_the_answer_is_the_one_the_whole_conversation_gets(engine: TunedEngine):
    session = engine.session()
    session.send("one", **GREEDY)
    by_session = session.send("two", **GREEDY)
    by_messages = engine.complete(session.messages[:-1], cache_prompt=False, **GREEDY)
    assert by_session.tokens == by_messages.tokens


def test_a_template_that_writes_bos_itself_gets_one(tiny: Path):
    with TunedEngine(tiny, SETTINGS, chat_template="{{ bos_token }}" + CHATML) as engine:
        session = engine.session()
        for _ in range(2):
            session.send("hi", **GREEDY)
        assert session.tokens.count(0) == 1


def test_a_stop_string_is_no_part_of_the_history(many_words: Path):
    """Wherever it begins, also inside a token."""
    with TunedEngine(many_words, SETTINGS) as engine:
        free = engine.session().send("Hello", **GREEDY).text
        for place in range(0, 30, 4):
            check_stop(engine, free, free[place : place + 4])


def check_stop(engine: TunedEngine, free: str, stop: str) -> None:
    if stop:
        session = engine.session()
        completion = session.send("Hello", stop=stop, **GREEDY)
        assert completion.finish_reason == "stop"
        assert session.messages[-1].content == completion.text == free[: free.index(stop)]
        answer = session.turns[-1].output
        assert engine.detokenize(session.tokens).endswith("assistant\n" + completion.text)
        kept = answer[: max(0, len(answer) - 4)]  # less the pieces of a token that was cut
        assert completion.tokens[: len(kept)] == kept, "what can be kept is kept"
        session.send("and", **GREEDY)
        assert session.notes == []


@pytest.mark.parametrize(("text", "kept"), [("tttt", 4), ("ttttt", 5), ("tttttt", 6), ("", 0), ("ttta", 3)])
def test_the_tokens_of_an_answer_are_those_generated(many_words: Path, text: str, kept: int):
    with TunedEngine(many_words, SETTINGS) as engine:
        (letter,) = engine.tokenize("t")
        writer = TokenWriter(engine, engine.chat_template)
        said = writer.said(text, [letter] * 6, stopped=True, after=letter)
        assert said[:kept] == (letter,) * kept
        assert engine.detokenize(said) == text
        assert writer.said(text, [letter] * 6, stopped=False, after=letter) == (letter,) * 6


def test_the_end_of_generation_token_is_written_once():
    engine = Ending(["All is well.", "Indeed."])
    session = Session(engine)
    session.send("How are you?")
    session.send("Really?")
    first, second = prompts(engine)
    assert second[: len(first)] == first
    assert list(second) == engine.tokenize(
        "[user]How are you? </s>[assistant]All is well. </s>[user]Really? </s>[assistant]",
        add_special=True,
        parse_special=True,
    )


def test_a_template_that_rewrites_the_past_is_followed_and_noted(tiny: Path):
    with TunedEngine(tiny, SETTINGS, chat_template=THINKING) as engine:
        session = engine.session()
        session.send("one", **GREEDY)
        session.send("two", **GREEDY)
        assert list(session.tokens[:-12]) == engine._prompt_tokens(session.messages[:-1])
        assert len(session.notes) == 1
        assert session.notes[0].startswith("Turn 2")
        session.rewind()
        assert session.tokens[-12:] == session.turns[0].output


def test_a_template_that_trims_answers_is_no_rewriting():
    engine = Ending(["  spaces around  ", "yes"])
    trim = lambda m: m.content.strip() if m.role == "assistant" else m.content  # noqa: E731
    engine.chat_template = type(
        "T", (), {"render": staticmethod(lambda ms: "".join(f"[{m.role}]{trim(m)}</s>" for m in ms) + "[assistant]")}
    )
    session = Session(engine)
    session.send("one")
    session.send("two")
    assert session.notes == []
    first, second = prompts(engine)
    assert second[: len(first)] == first
    assert "  spaces around  " in engine.detokenize(second)


def test_tools_and_several_messages(engine: TunedEngine):
    session = engine.session([Message.system("s"), Message.user("example"), Message.assistant("answer")])
    session.send([Message.user("a"), Message.user("b")], **GREEDY)
    session.send({"role": "tool", "content": "42", "tool_call_id": "1"}, **GREEDY)
    assert [m.role for m in session.messages] == [
        "system", "user", "assistant", "user", "user", "assistant", "tool", "assistant",
    ]  # fmt: skip


@pytest.mark.parametrize("nothing", [[], [1, 2]])
def test_nothing_to_say_is_refused(engine: TunedEngine, nothing):
    with pytest.raises(InvalidSettings):
        engine.session().send(nothing)


# -- streams -----------------------------------------------------------------------------------------------------------


def test_a_stream_is_a_turn_when_it_has_ended(engine: TunedEngine):
    session = engine.session()
    stream = session.stream("hi", **GREEDY)
    text = next(stream).text
    assert session.messages == ()
    text += "".join(chunk.text for chunk in stream)
    assert stream.completion.text == text == session.messages[-1].content
    assert session.turns[-1].ended == "length"
    assert session.tokens[-12:] == stream.completion.tokens


def test_one_turn_at_a_time(engine: TunedEngine):
    session = engine.session()
    session.send("zero", **GREEDY)
    before = session.tokens
    stream = session.stream("hi", **GREEDY)
    with pytest.raises(UsageError, match="under way"):
        session.send("meanwhile")
    with pytest.raises(UsageError, match="under way"):
        session.rewind()
    assert session.fork().tokens == before
    list(stream)
    session.send("now", **GREEDY)


@pytest.mark.parametrize("how", ["cancel", "abandon", "session.cancel"])
def test_a_partial_answer_is_kept_and_marked(engine: TunedEngine, how: str):
    session = engine.session()
    session.send("zero", **GREEDY)
    before = session.tokens
    stream = session.stream("hi", temperature=0.0, ignore_eos=True, max_tokens=3000)
    text = "".join(next(stream).text for _ in range(5))
    if how == "cancel":
        stream.cancel()
        text += "".join(chunk.text for chunk in stream)
    elif how == "session.cancel":
        session.cancel()
    else:
        del stream
        gc.collect()
    turn = session.turns[-1]
    assert (turn.ended, turn.answer.content) == ("cancelled", text)
    assert engine.detokenize(session.tokens).endswith(text)
    assert session.tokens[: len(before)] == before
    assert len(engine.detokenize(turn.output)) == len(text)
    completion = session.send("go on", **GREEDY)
    assert completion.timings.prompt_tokens == len(session.tokens) - 12
    assert session.notes == []


def test_an_interrupt_keeps_what_was_said(engine: TunedEngine):
    session = engine.session()
    stream = session.stream("hi", **GREEDY)
    next(stream)
    inner = stream._stream

    class Interrupted:
        def __next__(self):
            raise KeyboardInterrupt

        cancel = inner.cancel

    stream._stream = Interrupted()
    with pytest.raises(KeyboardInterrupt):
        next(stream)
    assert session.turns[-1].ended == "cancelled"
    session.send("again", **GREEDY)


def test_an_engine_that_goes_away_leaves_the_partial_answer(tiny: Path):
    engine = TunedEngine(tiny, SETTINGS)
    session = engine.session()
    session.send("zero", **GREEDY)
    stream = session.stream("hi", temperature=0.0, ignore_eos=True, max_tokens=3000)
    text = next(stream).text
    engine.close()
    rest: list[str] = []
    with pytest.raises(StreamIncomplete) as caught:
        rest.extend(chunk.text for chunk in stream)
    assert caught.value.partial == session.messages[-1].content
    assert caught.value.partial.startswith(text)
    assert session.turns[-1].ended == "broken"
    with TunedEngine(tiny, SETTINGS) as other:
        resumed = Session.resume(other, session.record())
        assert resumed.tokens == session.tokens
        resumed.send("go on", **GREEDY)
        assert len(resumed.turns) == 3


@pytest.mark.parametrize("kind", [Ending, ScriptedEngine])
def test_breaking_off(kind):
    engine = kind(["fine", Reply("one two three four", dies_after=2), Reply("", dies_after=0), "well"])
    session = Session(engine)
    session.send("a")
    with pytest.raises(StreamIncomplete):
        session.send("b")
    assert (session.turns[-1].ended, session.messages[-1].content) == ("broken", "one two")
    with pytest.raises(StreamIncomplete):
        session.send("c")
    assert len(session.turns) == 2, "nothing was said: nothing is kept"
    assert session.send("c").text == "well"
    assert [m.content for m in session.messages] == ["a", "fine", "b", "one two", "c", "well"]


def test_a_refused_request_leaves_the_session_as_it_was(tiny: Path):
    with TunedEngine(tiny, EngineSettings(n_ctx=256, n_threads=1)) as engine:
        session = engine.session()
        session.send("a", **GREEDY)
        before = session.record()
        errors = []  # kept, as a notebook keeps the last one: with it everything its traceback refers to
        for wrong in ({"temprature": 1}, {"max_tokens": 0}):
            with pytest.raises(UsageError) as caught:
                session.send("b", **wrong)
            errors.append(caught)
        with pytest.raises(ContextOverflow) as overflow:
            session.send("x" * 1000)
        errors.append(overflow)
        assert session.record() == before
        session.send("b", **GREEDY)


def test_an_answer_known_as_text_only_is_tokenised_with_the_next_turn(tiny: Path):
    engine = TunedEngine(tiny, SETTINGS)
    session = engine.session()
    session.send("a", **GREEDY)
    record = session.record()
    record["turns"][-1]["output"] = None
    engine.close()
    with TunedEngine(tiny, SETTINGS) as other:
        resumed = other.session(resume=record)
        resumed.send("b", **GREEDY)
        assert list(resumed.tokens[:-12]) == other._prompt_tokens(resumed.messages[:-1])
        assert "text only" in resumed.notes[0]


# -- asynchronous ------------------------------------------------------------------------------------------------------


def test_asend_is_send(engine: TunedEngine):
    async def talk(session: Session) -> None:
        await session.asend("one", **GREEDY)
        await session.asend("two", **GREEDY)

    one, other = engine.session("s"), engine.session("s")
    asyncio.run(talk(one))
    other.send("one", **GREEDY)
    other.send("two", **GREEDY)
    assert one.record() == other.record()


def test_a_cancelled_asend_leaves_the_session_as_it_was(engine: TunedEngine):
    session = engine.session()

    async def talk() -> None:
        task = asyncio.create_task(session.asend("one", temperature=0.0, ignore_eos=True, max_tokens=3000))
        await asyncio.sleep(0.2)
        with pytest.raises(UsageError, match="under way"):
            await session.asend("two")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(talk())
    assert session.turns == ()
    session.send("two", **GREEDY)


def test_asend_keeps_what_came_before_a_break():
    session = Session(Ending([Reply("one two three", dies_after=2), "fine"]))

    async def talk() -> None:
        with pytest.raises(StreamIncomplete):
            await session.asend("a")
        await session.asend("b")

    asyncio.run(talk())
    assert [m.content for m in session.messages] == ["a", "one two", "b", "fine"]


# -- forks and the way back --------------------------------------------------------------------------------------------


def test_forks_go_their_own_ways(engine: TunedEngine):
    session = engine.session("s")
    session.send("one", **GREEDY)
    fork = session.fork()
    assert fork._last is session._last, "nothing is copied"
    mine = session.send("left", **GREEDY)
    theirs = fork.send("right", **GREEDY)
    assert len(session.turns) == len(fork.turns) == 2
    diff = session.diff(fork)
    assert diff.common_messages == 3
    assert diff.mine == f"user: left\nassistant: {mine.text}"
    assert diff.theirs == f"user: right\nassistant: {theirs.text}"
    assert session.tokens[: diff.common_tokens] == fork.tokens[: diff.common_tokens]
    assert session.tokens[diff.common_tokens] != fork.tokens[diff.common_tokens]
    assert theirs.timings.cached_tokens >= diff.common_tokens - len("<|im_end|>\n")
    assert f"3 messages and {diff.common_tokens} tokens in common" in str(diff)
    assert "--- mine\nuser: left" in diff.text
    assert "the same conversation" in session.diff(session.fork()).text


def test_rewinding(engine: TunedEngine):
    session = engine.session("s")
    records = [session.record()]
    for question in ("one", "two", "three"):
        session.send(question, **GREEDY)
        records.append(session.record())
    fork = session.fork()
    session.rewind()
    assert session.record() == records[2]
    session.rewind(to=0)
    assert session.record() == records[0]
    assert session.messages == (Message.system("s"),)
    session.send("one", **GREEDY)
    assert session.record() == records[1], "the same question gets the same answer"
    for wrong in ({"turns": 2}, {"to": -1}, {"to": 5}, {"turns": -1}):
        with pytest.raises(InvalidSettings, match="There are 1 turns"):
            session.rewind(**wrong)
    assert fork.record() == records[3]


def test_a_long_conversation_does_not_recurse():
    engine = Ending("ok")
    session = Session(engine)
    for _ in range(60):
        session.send("x")
    record = session.record()
    for _ in range(5):
        record["turns"] = [*record["turns"], *record["turns"]]
    long = Session.resume(engine, record)
    assert len(long.turns) == len(long.fork().turns) == 60 * 32
    del long
    gc.collect()


# -- kept --------------------------------------------------------------------------------------------------------------


def test_saved_and_resumed_it_goes_on_as_if_nothing_had_been(many_words: Path, tmp_path: Path):
    path = tmp_path / "chats" / "one.json"
    with TunedEngine(many_words, SETTINGS) as engine:
        session = engine.session("s")
        session.send("one", **GREEDY)
        session.send("two", **GREEDY)
        session.save(path)
        expected = session.send("three", **GREEDY)
    with TunedEngine(many_words, SETTINGS) as engine:
        resumed = engine.session(resume=path)
        assert resumed.send("three", **GREEDY).tokens == expected.tokens
        assert resumed.record() == session.record()
        with pytest.raises(InvalidSettings, match="own opening"):
            engine.session("x", resume=path)


def test_another_models_session_is_refused_unless_retokenised(tiny: Path, many_words: Path, tmp_path: Path):
    with TunedEngine(many_words, SETTINGS) as engine:
        session = engine.session("s")
        session.send("one", **GREEDY)
        session.send("two", **GREEDY)
        session.save(tmp_path / "s.json")
        session.send("three", **GREEDY)
    with TunedEngine(tiny, SETTINGS) as other:
        with pytest.raises(InvalidSettings, match="retokenise=True"):
            other.session(resume=tmp_path / "s.json")
        resumed = other.session(resume=tmp_path / "s.json", retokenise=True)
        assert resumed.messages == session.messages[:-2]
        assert "made anew" in resumed.notes[-1]
        resumed.send("three", **GREEDY)
        assert list(resumed.tokens[:-12]) == other._prompt_tokens(resumed.messages[:-1])
        resumed.rewind(2)
        assert len(resumed.messages) == 3


@pytest.mark.parametrize(
    "damage",
    [
        lambda r: r.pop("workbench_session"),
        lambda r: r.update(workbench_session=2),
        lambda r: r.pop("turns"),
        lambda r: r["turns"][0].update(ended="exploded"),
        lambda r: r["turns"][0].update(prompt=[1.5]),
        lambda r: r["turns"][0].update(prompt=[2**31]),
        lambda r: r["turns"][0].update(output="abc"),
        lambda r: r["turns"][0].update(answer={"role": "nobody", "content": ""}),
        lambda r: r["turns"][0].update(asked=["text"]),
        lambda r: r.update(opening=[[]]),
    ],
)
def test_what_is_no_session_is_said_to_be_none(tmp_path: Path, damage):
    session = Session(Ending("ok"))
    session.send("x")
    record = json.loads(json.dumps(session.record()))
    damage(record)
    (tmp_path / "s.json").write_text(json.dumps(record))
    for source in (record, tmp_path / "s.json", str(tmp_path / "s.json")):
        with pytest.raises(StoreCorrupt, match="no session"):
            Session.resume(Ending("ok"), source)


def test_a_full_disk_leaves_the_saved_session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    session = Session(Ending("ok"))
    session.send("x")
    session.save(tmp_path / "s.json")
    session.send("y")

    def full(descriptor):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("workbench.storage.atomic.os.fsync", full)
        with pytest.raises(StorageFull):
            session.save(tmp_path / "s.json")
    assert len(Session.resume(Ending("ok"), tmp_path / "s.json").turns) == 1
    session.send("z")


# -- other engines -----------------------------------------------------------------------------------------------------


def test_an_engine_without_a_template_is_sent_messages():
    engine = ScriptedEngine(["one", "two", "three"])
    session = Session(engine, "be kind")
    session.send("a")
    list(session.stream("b"))
    assert engine.requests[1].prompt == session.messages[:-1]
    assert session.tokens == ()
    assert session.n_tokens == engine.count_tokens(session.messages)
    assert "messages" in session.notes[0]
    fork = session.fork()
    fork.rewind()
    assert fork.send("c").text == "three"
    assert session.diff(fork).common_messages == 3
    assert Session.resume(ScriptedEngine(), session.record()).messages == session.messages


def test_the_baseline_engine_has_sessions_too(tiny: Path):
    with BaselineEngine(tiny, EngineSettings(n_ctx=512, n_threads=1)) as engine:
        session = engine.session("s")
        session.send("one", **GREEDY)
        session.send("two", **GREEDY)
        assert list(session.tokens[:-12]) == engine._prompt_tokens(session.messages[:-1])

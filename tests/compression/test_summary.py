"""A running summary: what it is of, what is remembered of it, what fails loudly, and how it fits."""

import re

import pytest

from workbench.compression import summary as module
from workbench.compression.summary import HEADER, SummaryCompressor
from workbench.errors import EngineError, InvalidSettings
from workbench.interfaces import Message
from workbench.settings import EngineSettings
from workbench.testing import CompressorContract, ScriptedEngine
from workbench.testing.contracts.compressor import count_words


class TestSummaryContract(CompressorContract):
    verbatim = False  # the note is new

    def make(self):
        return SummaryCompressor(count_words, ScriptedEngine("They spoke of words."), section_tokens=60)


def chat(count):
    return [Message("user" if n % 2 == 0 else "assistant", f"told{n} " * 6) for n in range(count)]


def numbers(text):
    return list(dict.fromkeys(int(number) for number in re.findall(r"told(\d+)", text)))


def counting_engine(**options):
    """Writes "notes 1", "notes 2" … so that the order of what it was asked can be read."""
    return ScriptedEngine([f"notes {number}" for number in range(1, 100)], **options)


def asked(engine):
    return [request.prompt[-1].content for request in engine.requests]


def test_the_note_stands_behind_the_leading_system_messages():
    messages = [Message.system("one"), Message.system("two"), *chat(40)]
    compression = SummaryCompressor(count_words, ScriptedEngine("They met.")).compress(messages, 100)
    assert compression.messages[:2] == tuple(messages[:2])
    assert compression.messages[2] == Message.system(HEADER + "They met.")
    assert compression.messages[3:] == tuple(messages[-len(compression.messages) + 3 :]), "then the newest"
    assert compression.kept_prefix == 2
    assert compression.changed == ()


def test_each_section_is_shown_once_with_the_notes_before():
    engine = counting_engine()
    compressor = SummaryCompressor(count_words, engine, section_tokens=80)
    kept = compressor.compress(chat(60), 160).messages
    shown = asked(engine)
    assert [numbers(text) for text in shown] == [list(range(10 * n, 10 * n + 10)) for n in range(len(shown))]
    assert ["Earlier" in text for text in shown] == [False, *[True] * (len(shown) - 1)]
    assert all(f"notes {n}\n" in text for n, text in enumerate(shown[1:], 1))
    assert f"notes {len(shown)}" in kept[0].content
    assert numbers(shown[-1])[-1] + 1 >= numbers(kept[1].content)[0], "nothing is neither in the note nor kept"


def test_a_longer_conversation_is_summarised_from_where_it_was_left():
    engine = counting_engine()
    compressor = SummaryCompressor(count_words, engine, section_tokens=80)
    compressor.compress(chat(60), 160)
    before = len(engine.requests)
    compressor.compress(chat(60), 160)
    assert len(engine.requests) == before, "the same again costs nothing"
    compressor.compress(chat(80), 160)
    assert [numbers(text)[0] for text in asked(engine)[before:]] == [10 * (before + n) for n in range(2)]


def test_another_beginning_is_another_summary():
    engine = counting_engine()
    compressor = SummaryCompressor(count_words, engine, section_tokens=80)
    compressor.compress(chat(60), 160)
    before = len(engine.requests)
    compressor.compress([Message.user("Something else."), *chat(60)[1:]], 160)
    assert len(engine.requests) == 2 * before


@pytest.mark.model
@pytest.mark.slow
def test_what_is_remembered_changes_no_output(engine, talk):
    """A real model: one compressor has seen the conversation grow, the other sees it for the first time."""
    options = {"summary_tokens": 8, "section_tokens": 120}
    grown = SummaryCompressor(engine, **options)
    grown.compress(talk[:10], 160)
    once = grown.compress(talk[:12], 160)
    fresh = SummaryCompressor(engine, **options).compress(talk[:12], 160)
    assert once.messages == fresh.messages
    assert once.messages[1].content.startswith(HEADER)
    assert engine.count_tokens(once.messages) == once.tokens_after
    assert 80 < once.tokens_after <= 160


def test_what_is_remembered_is_bounded(monkeypatch):
    monkeypatch.setattr(module, "_REMEMBERED", 3)
    compressor = SummaryCompressor(count_words, ScriptedEngine("Notes."), section_tokens=40)
    compressor.compress(chat(60), 100)
    assert len(compressor._written) == 3


def test_a_section_too_long_for_the_context_is_shown_in_parts():
    engine = counting_engine(settings=EngineSettings(n_ctx=400))
    messages = [Message.user(" ".join(f"told{n}" for n in range(900))), *chat(4)]
    compressor = SummaryCompressor(count_words, engine, summary_tokens=20, section_tokens=5000)
    compression = compressor.compress(messages, 60)
    shown = asked(engine)
    assert len(shown) > 2
    assert [number for text in shown for number in numbers(text)][:900] == list(range(900)), "every word once, in order"
    assert f"notes {len(shown)}" in compression.messages[0].content


def test_a_long_note_is_cut_and_leaves_room_for_messages():
    engine = ScriptedEngine("word " * 200)
    compression = SummaryCompressor(count_words, engine, note_share=0.25).compress(chat(60), 160)
    note = compression.messages[0]
    assert 30 <= count_words([note]) <= 0.25 * 160
    assert len(compression.messages) > 12
    assert compression.tokens_after >= 0.95 * 160


def test_no_room_for_a_note_is_no_note():
    messages = chat(9)
    kept = SummaryCompressor(count_words, ScriptedEngine("Notes.")).compress(messages, 20).messages
    assert kept == tuple(messages[-len(kept) :])


def test_a_tool_call_is_told_by_its_name_and_arguments():
    engine = counting_engine()
    call = {"id": "c", "function": {"name": "look_up", "arguments": '{"city": "Bergen"}'}}
    messages = [Message("assistant", "", tool_calls=(call,)), Message("tool", "rain", tool_call_id="c"), *chat(20)]
    SummaryCompressor(count_words, engine).compress(messages, 60)
    assert "look_up" in asked(engine)[0]
    assert "Bergen" in asked(engine)[0]
    assert "tool: rain" in asked(engine)[0]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (TimeoutError("no answer"), "could not write a summary: TimeoutError"),
        ("", "empty summary"),
        (EngineError("gone"), "gone"),
    ],
)
def test_an_engine_that_fails_is_told(line, words):
    with pytest.raises(EngineError, match=words):
        SummaryCompressor(count_words, ScriptedEngine(line)).compress(chat(40), 60)


def test_summaries_are_written_greedily():
    engine = ScriptedEngine("Notes.")
    SummaryCompressor(count_words, engine, summary_tokens=33).compress(chat(40), 60)
    assert {(request.sampling.temperature, request.max_tokens) for request in engine.requests} == {(0.0, 33)}


def test_the_engine_that_counts_writes_too():
    engine = ScriptedEngine("Notes.")
    assert SummaryCompressor(engine).engine is engine


@pytest.mark.parametrize(
    ("arguments", "options", "words"),
    [
        ((count_words,), {}, "engine="),
        ((ScriptedEngine(),), {"summary_tokens": 0}, "at least 1"),
        ((ScriptedEngine(),), {"note_share": 0}, "note_share"),
        ((ScriptedEngine(settings=EngineSettings(n_ctx=200)),), {}, "Lower summary_tokens, or raise n_ctx"),
    ],
)
def test_bad_options_name_the_remedy(arguments, options, words):
    with pytest.raises(InvalidSettings, match=words):
        SummaryCompressor(*arguments, **options)


def test_compressing_what_was_compressed_keeps_one_note_that_goes_on_from_the_one_before():
    engine = counting_engine()
    compressor = SummaryCompressor(count_words, engine, section_tokens=80)
    messages, told = [Message.system("Be kind."), *chat(40)], 40
    for _ in range(4):
        before = len(engine.requests)
        compression = compressor.compress(messages, 120)
        notes = [message for message in compression.messages if message.content.startswith(HEADER)]
        assert len(notes) == 1
        assert compression.messages[:2] == (Message.system("Be kind."), notes[0])
        if before:
            assert f"Earlier: notes {before}\n" in asked(engine)[before]
            assert compression.changed == (1,)
            assert 1 not in compression.dropped
        messages = [*compression.messages, *chat(told + 30)[told:]]
        told += 30
    seen = sorted({number for text in asked(engine) for number in numbers(text)})
    assert seen[0] == 0
    assert seen == list(range(len(seen))), "nothing is left out between two notes"


def test_an_earlier_note_may_be_shortened_where_there_is_no_room_for_it():
    messages = [Message.system(HEADER + "word " * 200), *chat(3)]
    compression = SummaryCompressor(count_words, counting_engine()).compress(messages, 60)
    assert compression.tokens_after <= 60
    assert compression.messages[0].content.startswith(HEADER)


def test_another_earlier_note_is_another_summary():
    engine = counting_engine()
    compressor = SummaryCompressor(count_words, engine, section_tokens=80)
    for note in ("They met.", "They parted."):
        compressor.compress([Message.system(HEADER + note), *chat(30)], 120)
        assert f"Earlier: {note}\n" in "\n".join(asked(engine))

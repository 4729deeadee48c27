"""The baseline: random by its seed and its input alone, whole pieces, the budget used."""

import pytest

from workbench.compression.pieces import sentences
from workbench.compression.random import RandomCompressor
from workbench.errors import InvalidSettings
from workbench.interfaces import Message
from workbench.testing import CompressorContract
from workbench.testing.contracts.compressor import count_words

UNITS = ("message", "sentence", "word")


class TestRandomMessages(CompressorContract):
    def make(self):
        return RandomCompressor(count_words)


class TestRandomSentences(CompressorContract):
    verbatim = False

    def make(self):
        return RandomCompressor(count_words, unit="sentence")


class TestRandomWords(CompressorContract):
    verbatim = False

    def make(self):
        return RandomCompressor(count_words, unit="word")


def chat(count=60):
    return [
        Message("user" if n % 2 == 0 else "assistant", f"Number {n} is here. It says word{n} twice! Does it?")
        for n in range(count)
    ]


@pytest.mark.parametrize("unit", UNITS)
def test_another_compressor_keeps_the_same_and_another_seed_others(unit):
    def kept(seed):
        return RandomCompressor(count_words, seed=seed, unit=unit).compress(chat(), 200).messages

    assert kept(1) == kept(1)
    assert len({kept(seed) for seed in range(5)}) == 5


def test_another_conversation_loses_other_places():
    one = RandomCompressor(count_words).compress(chat(), 200).dropped
    other = RandomCompressor(count_words).compress([Message.user("hello there you"), *chat()[1:]], 200).dropped
    assert one != other


def test_every_place_goes_about_equally_often():
    kept = [0] * 40
    for seed in range(200):
        dropped = RandomCompressor(count_words, seed=seed).compress(chat(41), 6 * 41).dropped
        for place in set(range(40)) - set(dropped):
            kept[place] += 1
    mean = sum(kept) / 40
    assert all(0.6 * mean < times < 1.4 * mean for times in kept), kept


def test_more_budget_keeps_what_less_kept():
    small, large = (set(RandomCompressor(count_words).compress(chat(), budget).messages) for budget in (200, 400))
    assert len(small - large) <= 1


def test_sentences_are_whole():
    messages = chat()
    said = {message.content[slice(*span)] for message in messages for span in sentences(message.content)}
    compression = RandomCompressor(count_words, unit="sentence").compress(messages, 300)
    assert compression.changed
    for message in compression.messages:
        assert {message.content[slice(*span)] for span in sentences(message.content)} <= said


def test_an_unknown_unit_names_the_known():
    with pytest.raises(InvalidSettings, match="message, sentence, word"):
        RandomCompressor(count_words, unit="token")


@pytest.mark.parametrize("unit", UNITS)
def test_the_budget_is_exact_and_used_by_a_real_tokenizer(engine, talk, unit):
    for share in (0.75, 0.5, 0.25):
        budget = int(share * engine.count_tokens(talk))
        compression = RandomCompressor(engine, unit=unit).compress(talk, budget)
        assert engine.count_tokens(compression.messages) == compression.tokens_after <= budget
        assert compression.tokens_after >= 0.95 * budget

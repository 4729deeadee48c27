"""What a model would have guessed goes first; what decides stays; the budget is met and used."""

import pytest

import workbench as wb
from workbench.compression.surprise import SurpriseCompressor
from workbench.errors import InvalidSettings, UnknownName
from workbench.interfaces import Message
from workbench.testing import CompressorContract, ScriptedEngine
from workbench.testing.contracts.compressor import count_words

DULL, ODD = "said", "walrus"


def logprob(piece):
    """Dull words are expected, odd ones are not."""
    return {DULL: -0.1, ODD: -9.0}.get(piece.strip(), -2.0)


def engine():
    return ScriptedEngine("", logprob=logprob)


def made(**options):
    return SurpriseCompressor(count_words, engine=engine(), **options)


class TestSurpriseContract(CompressorContract):
    verbatim = False

    def make(self):
        return made()


class TestPhrasesContract(CompressorContract):
    verbatim = False

    def make(self):
        return made(unit="phrase", essential_share=0.0)


def text_of(compression):
    return " ".join(message.content for message in compression.messages)


def test_what_was_expected_goes():
    messages = [Message.user(f"{DULL} {ODD} {DULL} " * 20), Message.user("and now")]
    compression = made().compress(messages, 2 + 20 + 4)
    assert compression.messages[0].content.split() == [ODD] * 20
    assert compression.changed == (0,)


def test_a_rare_word_costs_as_many_tokens_as_it_takes():
    """A word of many tokens has to say more than a short one to be worth its room."""
    texts = [f"well {ODD} a-b-c-d-e-f-g well", "now"]
    messages = [Message.user(text) for text in texts]
    scorer = engine()
    compression = SurpriseCompressor(scorer).compress(messages, scorer.count_tokens(messages) - 8)
    assert ODD in text_of(compression)
    assert "a-b-c" not in text_of(compression)


def test_numbers_names_and_negations_stay_however_expected():
    likely = ScriptedEngine("", logprob=lambda piece: -0.01 if piece.strip() in ("not", "Vera", "42", "n't") else -5.0)
    plain = "the boat was old and the sail was torn and we did not see Vera at pier 42 again that day"
    messages = [*(Message.user(plain) for _ in range(12)), Message.user("so?")]
    compression = SurpriseCompressor(count_words, engine=likely).compress(messages, count_words(messages) // 2)
    for message in compression.messages[:-1]:
        assert {"not", "Vera", "42"} <= set(message.content.split())


@pytest.mark.parametrize("rate", [0.5, 0.3, 0.2, 0.1])
@pytest.mark.parametrize("unit", ["word", "phrase"])
def test_however_little_is_left_no_negation_is_lost_from_what_it_negates(rate, unit):
    """What is asked about is expected, and there is more that has to stay than room."""
    likely = ScriptedEngine("", logprob=lambda piece: -0.01 if piece.strip() in ("not", "never") else -5.0)
    messages = [
        Message.user(f"In room {n} of {n + 7} Vera{n} did not sign paper {n}{n} and they never paid Tom{n} at all")
        for n in range(30)
    ]
    messages.append(Message.user("so?"))
    budget = int(rate * count_words(messages))
    kept = SurpriseCompressor(count_words, engine=likely, unit=unit).compress(messages, budget).messages[:-1]
    broken = 0
    for message in kept:
        text = message.content
        assert ("sign" in text.split()) == ("not sign" in text)
        assert ("paid" in text.split()) == ("never paid" in text)
        digits = sum(character.isdigit() for word in text.split() for character in word[:1])
        broken += not ("not sign" in text and "never paid" in text and digits == 3)
    assert broken <= 1, "whole messages go first; the last of the room may hold a part of one"
    assert 0 < len(kept) < 30


def test_an_answer_of_one_word_stays_if_it_decides():
    likely = ScriptedEngine("", logprob=lambda piece: -0.01 if piece.strip() == "No" else -5.0)
    messages = [Message.assistant("No."), *(Message.user("they went on and on about it") for _ in range(9))]
    compression = SurpriseCompressor(count_words, engine=likely).compress(messages, count_words(messages) // 2)
    assert compression.messages[0] == messages[0]


def test_a_message_of_which_little_would_be_left_goes_altogether():
    messages = [Message.user(f"{DULL} {DULL} {DULL}"), Message.user(f"{ODD} {ODD} {ODD} {ODD}"), Message.user("go")]
    compression = made().compress(messages, 6 + 3 + 1)
    assert compression.dropped == (0,)
    assert compression.messages == tuple(messages[1:])


def test_with_a_query_its_words_and_their_messages_stay():
    messages = [Message.user(f"we talked about topic{n} and {ODD} things in place{n}") for n in range(30)]
    messages.append(Message.user("go"))
    compression = made().compress(messages, count_words(messages) // 5, query="What about topic7?")
    assert "topic7" in text_of(compression)
    assert "place7" in text_of(compression), "what stands beside it comes along"
    assert "topic7" not in text_of(made().compress(messages, count_words(messages) // 20))


def test_phrases_keep_function_words_with_what_they_lead_to():
    messages = [Message.user(f"to the {ODD} of {DULL} in the {ODD} at {DULL}"), Message.user("go")]
    compression = made(unit="phrase").compress(messages, 2 + 6 + 3)
    assert compression.messages[0].content == f"to the {ODD} in the {ODD}"


def test_a_tool_call_is_never_cut():
    call = Message("assistant", "", tool_calls=({"id": "c"},))
    answer = Message("tool", f"{ODD} " * 9 + f"{DULL} " * 9, tool_call_id="c")
    messages = [call, answer, *(Message.user(f"{DULL} {ODD} ok") for _ in range(10)), Message.user("go")]
    for budget in range(10, count_words(messages), 3):
        kept = made().compress(messages, budget).messages
        assert (answer in kept) == (call in kept)


def test_the_budget_is_used_and_counted_few_times():
    calls = []

    def count(messages):
        calls.append(1)
        return count_words(messages)

    messages = [Message.user(" ".join(f"w{n}x{k}" for k in range(40))) for n in range(100)] + [Message.user("go")]
    size = count_words(messages)
    compressor = SurpriseCompressor(count, engine=engine())
    for rate in (0.5, 0.25, 0.1):
        calls.clear()
        compression = compressor.compress(messages, int(rate * size))
        assert 0.95 * int(rate * size) <= compression.tokens_after <= int(rate * size)
    assert len(calls) < 45, "4,000 words"


def test_without_an_engine_it_says_what_it_needs():
    with pytest.raises(InvalidSettings, match=r"engine=wb\.load"):
        SurpriseCompressor(count_words)
    scorer = engine()
    assert SurpriseCompressor(scorer).fits([Message.user("hi")], 100)


def test_bad_options_are_refused():
    with pytest.raises(UnknownName, match="word"):
        made(unit="words")
    for options in ({"query_weight": -1}, {"essential_share": 1.5}, {"query_weight": float("nan")}):
        with pytest.raises(InvalidSettings, match="got"):
            made(**options)


def test_a_real_model_keeps_what_it_could_not_know(smollm2):
    talk = [
        "Well, you know, I was just thinking that it would be really nice to go out and do something today.",
        "Sure, that sounds like a great idea, and I would love to come along with you if that is okay.",
        "The spare key hangs behind the blue enamel kettle.",
        "Okay, thank you so much for letting me know about that, it is really very kind of you to say so.",
    ]
    messages = [*(Message(role, text) for role, text in zip(("user", "assistant") * 2, talk, strict=True))]
    messages.append(Message.user("Where were we?"))
    with wb.load(smollm2, n_ctx=512, n_threads=1) as model:
        size = model.count_tokens(messages)
        compression = SurpriseCompressor(model).compress(messages, int(0.6 * size))
        assert compression.tokens_after == model.count_tokens(compression.messages)
    kept = text_of(compression)
    assert "enamel kettle" in kept
    share = len(kept.split()) / sum(len(message.content.split()) for message in messages)
    of_it = sum(word in kept for word in talk[2].split()) / len(talk[2].split())
    assert of_it > share

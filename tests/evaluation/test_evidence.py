"""Evidence kept is counted turn by turn and word by word, against the same questions of a baseline."""

import sys

import pytest

from workbench.compression import MiddleCompressor, RandomCompressor
from workbench.compression.base import BaseCompressor, Kept
from workbench.compression.extractive import ExtractiveCompressor
from workbench.errors import InvalidSettings
from workbench.evaluation.datasets import Conversation, Question, Turn, qmsum, small
from workbench.evaluation.evidence import NEUTRAL, EvidenceScore, Retained, score_compressor, shares_kept
from workbench.interfaces import Compression, Message
from workbench.settings import data_dir
from workbench.testing.contracts.compressor import count_words


def conversation(name="c", evidence=("2", "7"), count=10):
    turns = tuple(
        Turn(id=str(n), speaker="Ann" if n % 2 else "Bob", text=f"turn {n} says this", sitting=1, at=0.0)
        for n in range(count)
    )
    asked = Question(id=f"{name}/0", text="What does turn 7 say?", category=4, answer="this", evidence=evidence)
    idle = Question(id=f"{name}/1", text="Unlabelled?", category=4, answer=None, evidence=())
    return Conversation(name, ("Bob", "Ann"), turns, (asked, idle))


class Last(BaseCompressor):
    """Keeps the last messages, and notes what it was asked."""

    name = "last"

    def __init__(self):
        super().__init__(count_words)
        self.asked = []

    def _shorten(self, messages, budget_tokens, query):
        self.asked.append((query, messages[-1].content))
        first = next(n for n in range(len(messages)) if count_words(messages[n:]) <= budget_tokens)
        return [Kept(place, messages[place]) for place in range(first, len(messages))]


def test_what_is_left_of_the_evidence_is_counted():
    compressor = Last()
    score = score_compressor(compressor, [conversation()], rates=[0.5])
    (row,) = score.rows
    assert compressor.asked == [("What does turn 7 say?",) * 2]
    assert row.turns == row.words == 0.5, "turn 7 is there, turn 2 is not"
    assert row.tokens_before == 10 * 6 + 7
    assert row.tokens_after <= row.budget_tokens == 33
    assert score.filled(0.5) == row.tokens_after / 33
    assert score.ms(0.5) >= 0


def test_without_a_query_a_conversation_is_compressed_once_a_rate():
    compressor = Last()
    twice = conversation()
    more = Conversation(twice.id, twice.speakers, twice.turns, (*twice.questions, *conversation("d").questions))
    score = score_compressor(compressor, [more], rates=[0.5, 0.25], with_query=False)
    assert compressor.asked == [(None, NEUTRAL)] * 2
    assert [row.question for row in score.rows] == ["c/0", "d/0"] * 2


def test_a_shortened_turn_counts_by_its_words():
    given = [Message.user("one two three four"), Message.assistant("gone"), Message.user("five six")]
    left = Compression(
        messages=(Message.system("new note"), Message.user("one three"), Message.user("five six")),
        tokens_before=9,
        tokens_after=6,
        kept_prefix=0,
        elapsed_ms=1,
        dropped=(1,),
        changed=(0,),
    )
    assert shares_kept(given, left) == [0.5, 0, 1]


def test_words_that_are_all_there_are_not_the_whole_turn():
    given = [Message.user("a b")]
    left = Compression(
        messages=(Message.user("a  b"),), tokens_before=9, tokens_after=6, kept_prefix=0, elapsed_ms=1, changed=(0,)
    )
    assert 0.999 < shares_kept(given, left)[0] < 1


def test_what_a_compressor_says_it_kept_must_be_there():
    given = [Message.user("a"), Message.user("b")]
    lie = Compression(messages=(Message.user("b"),), tokens_before=2, tokens_after=1, kept_prefix=0, elapsed_ms=0)
    assert shares_kept(given, lie)[0] == 0


def rows(*shares, rate=0.5):
    return EvidenceScore(
        tuple(
            Retained(
                conversation=f"c{number // 2}",
                question=f"q{number}",
                category=1 + number % 2,
                rate=rate,
                turns=share,
                words=share / 2,
                tokens_before=100,
                tokens_after=48,
                budget_tokens=50,
                ms=float(number),
            )
            for number, share in enumerate(shares)
        )
    )


def test_means_differences_and_ratios():
    own, chance = rows(1.0, 0.8, 0.6, 0.4), [rows(0.2, 0.4, 0.2, 0.4), rows(0.4, 0.2, 0.4, 0.2)]
    assert own.kept(0.5).value == pytest.approx(0.7)
    assert own.kept(0.5, "words").value == pytest.approx(0.35)
    assert own.kept(0.5, category=1).value == pytest.approx(0.8)
    assert own.kept(0.5).clusters == 2
    assert own.ahead(chance, 0.5).value == pytest.approx(0.4)
    ratio = own.ratio(chance, 0.5)
    assert ratio.value == pytest.approx(0.7 / 0.3)
    assert ratio.low < ratio.value < ratio.high
    assert own.filled(0.5) == 0.96


def test_a_constant_ratio_has_no_width():
    own, chance = rows(0.6, 0.3, 0.9, 0.6), [rows(0.2, 0.1, 0.3, 0.2)]
    ratio = own.ratio(chance, 0.5)
    assert (ratio.low, ratio.value, ratio.high) == pytest.approx((3, 3, 3))


def test_what_cannot_be_compared_is_refused():
    own = rows(1.0, 0.5)
    with pytest.raises(InvalidSettings, match="lacks some of the questions"):
        own.ahead([rows(1.0)], 0.5)
    with pytest.raises(InvalidSettings, match="lacks some"):
        own.ahead([], 0.5)
    with pytest.raises(InvalidSettings, match="keeps no evidence"):
        own.ratio([rows(0.0, 0.0)], 0.5)
    with pytest.raises(InvalidSettings, match=r"rate 0.9.*Rates: \[0.5\]"):
        own.kept(0.9)


@pytest.mark.parametrize("rates", [[], [0], [1], [0.5, -1]])
def test_rates_are_shares(rates):
    with pytest.raises(InvalidSettings, match="between 0 and 1"):
        score_compressor(Last(), [conversation()], rates=rates)


def test_there_must_be_evidence():
    with pytest.raises(InvalidSettings, match="No question has labelled evidence"):
        score_compressor(Last(), [conversation(evidence=())], rates=[0.5])


def test_everything_is_kept_where_nothing_is_dropped():
    class Whole(Last):
        def compress(self, messages, budget_tokens, query=None):
            return super().compress(messages, sys.maxsize, query)

    (row,) = score_compressor(Whole(), [conversation()], rates=[0.1]).rows
    assert row.turns == row.words == 1


def test_on_own_conversations_extraction_beats_chance_and_the_middle():
    told = small().conversations
    chance = [score_compressor(RandomCompressor(count_words, seed=seed), told, with_query=False) for seed in range(3)]
    words = score_compressor(ExtractiveCompressor(count_words, rank="words"), told)
    middle = score_compressor(MiddleCompressor(count_words), told)
    for rate in (0.5, 0.25, 0.1):
        assert words.ratio(chance, rate).value > 1.4
        assert words.ahead([middle], rate).value > 0.1
        assert words.filled(rate) > 0.9


@pytest.mark.skipif(data_dir() is None or not (data_dir() / "qmsum").is_dir(), reason="no QMSum")  # type: ignore[operator]
def test_on_meetings_words_alone_keep_half_as_much_again_as_chance():
    told = qmsum()[:4]
    chance = [score_compressor(RandomCompressor(count_words, seed=seed), told, with_query=False) for seed in range(2)]
    words = score_compressor(ExtractiveCompressor(count_words, rank="words"), told, rates=[0.25])
    assert words.ratio(chance, 0.25).value >= 1.5
    assert words.ratio(chance, 0.25, "words").value >= 1.5

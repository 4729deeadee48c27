"""Words get the log-probabilities of their tokens, whatever the tokenizer does, and nothing is scored twice."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import workbench as wb
from workbench.compression.self_information import SelfInformation
from workbench.errors import InvalidSettings
from workbench.settings import EngineSettings
from workbench.testing import ScriptedEngine


class Counting(ScriptedEngine):
    """Says how many tokens it had to score, context included."""

    def __init__(self, **options):
        super().__init__("", **options)
        self.scored = []

    def score(self, text, *, context=""):
        self.scored.append(len(text))
        return super().score(text, context=context)


@pytest.fixture(scope="module")
def real(smollm2):
    with wb.load(smollm2, n_ctx=256, n_threads=1) as engine:
        yield engine


def test_a_word_is_the_sum_of_its_tokens():
    engine = ScriptedEngine("", logprob=lambda piece: -float(len(piece)))
    (found,) = SelfInformation(engine)(["ab, cde  f"])
    assert [(3, 4)] != list(found.spans) == [(0, 3), (4, 7), (9, 10)]
    assert found.nats.tolist() == [3.0, 4.0, 3.0], "a token of this tokenizer begins with its spaces"
    assert found.tokens.tolist() == [2.0, 1.0, 1.0]


def test_texts_that_only_grow_are_scored_once():
    engine = Counting()
    texts = [f"text number {n} says very little indeed" for n in range(40)]
    information = SelfInformation(engine, window=33, overlap=8)
    information(texts[:30])
    first = sum(engine.scored)
    grown = information(texts)
    assert sum(engine.scored) - first <= 10 * 8 + 24, "ten texts more, and the last piece again"
    fresh = SelfInformation(Counting(), window=33, overlap=8)(texts)
    for one, other in zip(grown, fresh, strict=True):
        assert one.nats.tolist() == other.nats.tolist(), "what was scored before makes no difference"


def test_what_is_remembered_is_bounded():
    engine = Counting()
    information = SelfInformation(engine, window=17, overlap=0, remembered_tokens=64)
    texts = [f"word{n} " * 8 for n in range(40)]
    for _ in range(2):
        information(texts)
    assert len(information._scores) <= 4


def test_pieces_fit_the_engine_s_context():
    engine = Counting(settings=EngineSettings(n_ctx=32))
    found = SelfInformation(engine)(["word " * 200])
    assert max(engine.scored) < 32
    assert len(found[0].nats) == 200


def test_a_window_that_scores_nothing_is_refused():
    for window, overlap in ((1, 0), (16, 15), (16, -1)):
        with pytest.raises(InvalidSettings, match="window"):
            SelfInformation(ScriptedEngine(), window=window, overlap=overlap)


@given(texts=st.lists(st.text(max_size=30), max_size=4))
def test_any_text_has_one_figure_a_word(texts):
    found = SelfInformation(ScriptedEngine())(texts)
    for text, one in zip(texts, found, strict=True):
        assert [text[start:end] for start, end in one.spans] == text.split()
        assert len(one.nats) == len(one.tokens) == len(one.spans)
        assert np.isfinite(one.nats).all()
        assert (one.tokens > 0).all()


def test_characters_split_over_tokens_stay_in_their_words(real):
    text = "Der Zug fährt 😀😀 nach 東京, naïve café-Gäste 👩‍👩‍👧 sagen nein."
    (found,) = SelfInformation(real)([text])
    tokens = real.tokenize(text)
    assert found.tokens.sum() == pytest.approx(len(tokens))
    expected = [len(real.tokenize(" " + word)) for word in text.split()]
    assert found.tokens[1:] == pytest.approx(expected[1:])


def test_the_model_is_surprised_by_the_odd_word(real):
    text = "The spare key hangs behind the kettle. The spare key hangs behind the kettle. Ask the walrus."
    (found,) = SelfInformation(real)([text])
    first, again, odd = found.nats[1:7].sum(), found.nats[8:14].sum(), found.nats[16]
    assert again < first / 2, "what was said before is expected"
    assert odd > 2 * found.nats[8:14].mean()


def test_figures_are_the_engine_s_own(real):
    texts = ["So.", "The spare key hangs behind the kettle."]
    found = SelfInformation(real)(texts)
    tokens = [token for text in texts for token in real.tokenize(text + "\n")]
    exact = -real.score(tokens).logprobs
    skipped = len(real.tokenize(texts[0] + "\n"))
    assert found[1].nats.sum() == pytest.approx(exact[skipped:-1].sum(), rel=1e-3)
    assert np.isfinite(found[0].nats).all(), "nothing stands before the first token"

"""The ranker is scored on conversations it has not seen, and only on those."""

import pytest

from workbench.embedding import HashingEmbedder
from workbench.errors import InvalidSettings
from workbench.evaluation import held_out
from workbench.evaluation.datasets import small
from workbench.evaluation.held_out import BASELINES, baseline, ranked_held_out, recall_of


@pytest.fixture(scope="module")
def embedder():
    return HashingEmbedder()


def test_every_question_is_answered_once_by_weights_of_the_others(embedder, monkeypatch):
    conversations = small().conversations
    taught = []
    real = held_out.train_on
    monkeypatch.setattr(held_out, "train_on", lambda lessons, **o: taught.append(len(lessons)) or real(lessons, **o))
    answered = ranked_held_out(conversations, [embedder], k=5)
    labelled = {one.id: sum(bool(q.evidence) for q in one.questions) for one in conversations}
    everything = sum(labelled.values())
    assert taught == [everything - own for own in labelled.values()]
    assert len({one.question for one in answered}) == len(answered) == everything
    assert 0 < recall_of(answered).value <= 1


def test_the_ranker_beats_chance(embedder):
    conversations = small().conversations
    ranked = recall_of(ranked_held_out(conversations, [embedder], k=5)).value
    assert ranked > recall_of(baseline("random", conversations, embedder, k=5)).value


@pytest.mark.parametrize("name", BASELINES)
def test_a_baseline_answers_every_question(embedder, name):
    conversations = small().conversations
    answered = baseline(name, conversations, embedder, k=5)
    assert len(answered) == sum(bool(q.evidence) for one in conversations for q in one.questions)


def test_words_alone_and_meaning_alone_differ(embedder):
    conversations = small().conversations
    words, meaning = (baseline(name, conversations, embedder, k=5) for name in ("bm25", "dense"))
    assert [one.found for one in words] != [one.found for one in meaning]


def test_one_conversation_cannot_be_left_out(embedder):
    with pytest.raises(InvalidSettings, match="at least 2"):
        ranked_held_out(small().conversations[:1], [embedder])

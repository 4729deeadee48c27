"""The likelihood of gold answers says how much of what they need is still there."""

import numpy as np
import pytest

import workbench as wb
from workbench.compression import MiddleCompressor
from workbench.compression.base import BaseCompressor, Kept
from workbench.compression.units import protected
from workbench.errors import ContextOverflow, InvalidSettings
from workbench.evaluation import small
from workbench.evaluation.answer_likelihood import CLOSED, FULL, prompt_of, score_answers
from workbench.evaluation.datasets import Conversation, Question, Turn
from workbench.interfaces import Message, Scores
from workbench.settings import EngineSettings
from workbench.testing import ScriptedEngine


class Reader(ScriptedEngine):
    """Knows an answer if it stands in the context: -1 a token, -5 if not."""

    def __init__(self, **options):
        super().__init__("", **options)
        self.contexts = []

    def score(self, text, *, context=""):
        said = self.detokenize(context)
        self.contexts.append(said)
        known = self.detokenize(text).strip() in said
        return Scores(tuple(text), np.full(len(text), -1.0 if known else -5.0, np.float32))


class OnlySecret(BaseCompressor):
    """Keeps what holds a word of the query, whatever the budget; told none, it keeps nothing."""

    name = "only-secret"

    def _shorten(self, messages, budget_tokens, query):
        fixed = protected(messages)
        wanted = set((query or "").split())
        return [
            Kept(place, message)
            for place, message in enumerate(messages)
            if place in fixed or wanted & set(message.content.split())
        ]


def conversation(name="c", turns=40, secret_at=7, answer="green42"):
    texts = [f"filler {name} {n} and more words" for n in range(turns)]
    texts[secret_at] = f"the door is {answer} now"
    said = tuple(
        Turn(id=f"D1:{n}", speaker=("Ann", "Ben")[n % 2], text=text, sitting=1, at=0.0) for n, text in enumerate(texts)
    )
    asked = Question(id=f"{name}/1", text="what colour has the door", category=4, answer=answer, evidence=("D1:7",))
    adversarial = Question(id=f"{name}/2", text="who painted it", category=5, answer=None, evidence=("D1:7",))
    return Conversation(name, ("Ann", "Ben"), said, (asked, adversarial))


def test_what_keeps_the_evidence_recovers_all_and_what_drops_it_nothing():
    engine = Reader()
    arms = {"best": OnlySecret(engine), "middle": MiddleCompressor(engine)}
    score = score_answers(engine, arms, [conversation("a"), conversation("b")], rates=(0.5,))
    assert score.mean(FULL).value == -1
    assert score.mean(CLOSED).value == -5
    assert score.recovered("best", 0.5) == 1
    assert score.recovered("middle", 0.5) == 0
    gain = score.gain("best", "middle", 0.5)
    assert (gain.value, gain.n, gain.clusters) == (4, 2, 2)
    assert score.prompt_tokens(CLOSED) < score.prompt_tokens("best", 0.5) < score.prompt_tokens(FULL)


def test_questions_without_an_answer_are_left_out():
    engine = Reader()
    score = score_answers(engine, {}, [conversation()])
    assert {row.question for row in score.rows} == {"c/1"}


def test_without_the_query_the_compressor_is_not_told_but_the_question_is_asked():
    engine = Reader()
    score = score_answers(engine, {"best": OnlySecret(engine)}, [conversation()], rates=(0.5,), with_query=False)
    assert score.mean("best", 0.5).value == -5
    assert all("Question: what colour has the door\nAnswer:" in said for said in engine.contexts)


def test_an_excerpt_holds_the_evidence_and_no_more_than_it_may():
    engine = Reader()
    for place in (0, 7, 199):
        long = conversation(turns=200)
        turns = list(long.turns)
        turns[7], turns[place] = turns[place], turns[7]
        question = Question(id=f"x/{place}", text="what", category=4, answer="green42", evidence=("D1:7",))
        moved = Conversation("x", long.speakers, tuple(turns), (question,))
        score = score_answers(engine, {}, [moved], excerpt_tokens=100)
        assert score.mean(FULL).value == -1, "the evidence is in it"
        assert 60 < score.prompt_tokens(FULL) < 140


def test_the_evidence_is_at_no_particular_place():
    engine = Reader()
    for seed in range(12):
        score_answers(engine, {}, [conversation(turns=200, secret_at=7)], excerpt_tokens=100, seed=seed)
    begins = {said.split("filler c ")[1].split()[0] for said in engine.contexts if "filler" in said}
    assert len(begins) > 2


def test_questions_can_be_limited_and_the_same_are_drawn():
    told = small().conversations[:1]
    engine = Reader()
    drawn = [
        {row.question for row in score_answers(engine, {}, told, questions=3, seed=seed).rows} for seed in (0, 0, 1)
    ]
    assert len(drawn[0]) == 3
    assert drawn[0] == drawn[1] != drawn[2]


def test_bad_input_is_refused():
    engine = Reader()
    with pytest.raises(InvalidSettings, match="between 0 and 1"):
        score_answers(engine, {}, [conversation()], rates=(1.0,))
    with pytest.raises(InvalidSettings, match="full"):
        score_answers(engine, {"full": MiddleCompressor(engine)}, [conversation()])
    with pytest.raises(InvalidSettings, match="No question"):
        score_answers(engine, {}, [])
    with pytest.raises(InvalidSettings, match=r"Known: closed at 0, full at 1"):
        score_answers(engine, {}, [conversation()]).mean("middle", 0.5)


def test_an_excerpt_beyond_the_context_is_an_overflow():
    engine = ScriptedEngine("", settings=EngineSettings(n_ctx=64))
    with pytest.raises(ContextOverflow):
        score_answers(engine, {}, [conversation()], excerpt_tokens=1000)


def test_the_prompt_names_who_speaks():
    said = [Message("user", "hello", name="Ann"), Message.assistant("hi")]
    assert "Ann: hello\nassistant: hi\n\nQuestion: who?\nAnswer:" in prompt_of(said, "who?")


@pytest.mark.model
def test_with_a_real_model_the_conversation_makes_its_answers_likelier(smollm2):
    with wb.load(smollm2, n_ctx=256, n_threads=1) as engine:
        score = score_answers(engine, {}, small().conversations[:1], questions=2, excerpt_tokens=80)
        assert score.mean(FULL).value > score.mean(CLOSED).value
        assert all(row.nats < 0 for row in score.rows)

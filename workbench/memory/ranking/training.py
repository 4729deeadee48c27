"""Learning the ranker's weights from questions whose evidence is known.

Listwise cross-entropy (ListNet's top-one probability, Cao et al. 2007, "Learning to Rank: From Pairwise Approach to
Listwise Approach") over the best candidates of each question, with an L2 penalty. The problem is convex, so the same
data give the same weights: there is no seed. Knows conversations with labels, not where they come from.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from workbench.errors import InvalidSettings
from workbench.interfaces import Embedder, FloatArray, Message
from workbench.memory.journal import MESSAGE
from workbench.memory.ranking.features import FEATURES, RankedTranscript, features
from workbench.memory.ranking.model import Ranker
from workbench.storage import Event

_FIRST_GUESS = {"bm25": 1.0, "cosine": 1.0, "cosine_second": 1.0, "bm25-1": 0.5, "bm25+1": 0.3, "cosine-1": 0.3}
"""Weights that choose the candidates: what nobody would take for an answer teaches nothing."""


PENALTY = 5e-3
"""On the squared weights. Leaving one LoCoMo conversation out, 0.001 to 0.02 are within a point of each other."""


@dataclass(frozen=True, slots=True)
class Labelled:
    """A conversation and what answers which question about it.

    Attributes:
        messages: what was said.
        times: when, in seconds since 1970, one a message.
        questions: each with the indices of the messages that are evidence for its answer.
    """

    messages: Sequence[Message]
    times: Sequence[float]
    questions: Sequence[tuple[str, frozenset[int]]]


@dataclass(frozen=True, slots=True)
class Lesson:
    """One question as features: ``table`` (features, messages), ``evidence`` (messages,) 1 or 0."""

    table: FloatArray = field(repr=False)
    evidence: FloatArray = field(repr=False)


def train_ranker(
    conversations: Sequence[Labelled],
    embedders: Sequence[Embedder],
    *,
    penalty: float = PENALTY,
    candidates: int = 120,
) -> Ranker:
    """The weights that rank the evidence first.

    Args:
        conversations: with labelled questions; those without evidence teach nothing and are passed over.
        embedders: one or two, as the memory will have them.
        penalty: on the sum of the squared weights; more makes them smaller and alike.
        candidates: messages a question is learned on at most: those a plain weighted sum puts first.

    Raises:
        InvalidSettings: there is no question with evidence, or a value is out of its range.
    """
    lessons = [lesson for conversation in conversations for lesson in lessons_of(conversation, embedders)]
    return train_on(lessons, penalty=penalty, candidates=candidates)


def lessons_of(conversation: Labelled, embedders: Sequence[Embedder]) -> Iterator[Lesson]:
    """The questions of a conversation that have evidence, as features."""
    snapshot = snapshot_of(conversation, embedders)
    for question, evidence in conversation.questions:
        if evidence:
            marks = np.zeros(len(snapshot), np.float32)
            marks[list(evidence)] = 1
            yield Lesson(features(snapshot, question, snapshot.query_vectors(question, embedders)), marks)


def snapshot_of(conversation: Labelled, embedders: Sequence[Embedder]) -> RankedTranscript:
    """A conversation, indexed."""
    snapshot = RankedTranscript("", 0, [one.dimensions for one in embedders])
    snapshot.update(
        [
            Event(index + 1, "", MESSAGE, moment, {"index": index, **message.to_dict()})
            for index, (message, moment) in enumerate(zip(conversation.messages, conversation.times, strict=True))
        ]
    )
    snapshot.embed(embedders)
    return snapshot


def train_on(lessons: Sequence[Lesson], *, penalty: float = PENALTY, candidates: int = 120) -> Ranker:
    """As :func:`train_ranker`, of questions that are features already."""
    if penalty < 0 or candidates < 2:
        raise InvalidSettings(
            f"penalty must not be negative and candidates at least 2; got {penalty} and {candidates}."
        )
    chosen = [one for lesson in lessons if (one := _candidates(lesson, candidates)).evidence.any()]
    if not chosen:
        raise InvalidSettings("There is nothing to learn from: no question has evidence among its candidates.")
    weights = _minimised(chosen, penalty)
    return Ranker({name: float(weight) for name, weight in zip(FEATURES, weights, strict=True)})


def recall_at(ranker: Ranker, lesson: Lesson, k: int = 10) -> float:
    """Share of a question's evidence among the ``k`` messages ranked first."""
    first = np.argsort(-ranker.scores(lesson.table), kind="stable")[:k]
    return float(lesson.evidence[first].sum() / lesson.evidence.sum())


def _candidates(lesson: Lesson, most: int) -> Lesson:
    first = np.argsort(-Ranker(_FIRST_GUESS).scores(lesson.table), kind="stable")[:most]
    return Lesson(lesson.table[:, first], lesson.evidence[first])


def _minimised(lessons: Sequence[Lesson], penalty: float) -> FloatArray:
    """Weights (features,) at the minimum of the loss."""
    from scipy.optimize import minimize

    table = np.concatenate([lesson.table for lesson in lessons], axis=1).astype(np.float64)
    starts = np.cumsum([0, *(len(lesson.evidence) for lesson in lessons[:-1])])
    lengths = np.array([len(lesson.evidence) for lesson in lessons])
    wanted = np.concatenate([lesson.evidence / lesson.evidence.sum() for lesson in lessons])

    def loss(weights: FloatArray) -> tuple[float, FloatArray]:
        scores = weights @ table
        scores -= np.repeat(np.maximum.reduceat(scores, starts), lengths)
        odds = np.exp(scores)
        totals = np.add.reduceat(odds, starts)
        value = -(wanted @ (scores - np.repeat(np.log(totals), lengths))) / len(lessons)
        slope = table @ (odds / np.repeat(totals, lengths) - wanted) / len(lessons)
        return float(value + penalty * weights @ weights), slope + 2 * penalty * weights

    found = minimize(loss, np.zeros(len(table)), jac=True, method="L-BFGS-B", options={"maxiter": 500})
    best: FloatArray = found.x
    return best

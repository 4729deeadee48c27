"""How much of what answers a question a compressor keeps: counted, not judged.

Labelled evidence says which turns answer which question; they are put before a last message that asks it, the whole is
compressed, and what is left of them is counted. Knows the ``Compressor`` protocol and labelled conversations; never a
strategy, and it asks no engine anything.
"""

from __future__ import annotations

import math
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median
from typing import Literal

from workbench.errors import InvalidSettings
from workbench.evaluation.datasets.records import Conversation, Question
from workbench.evaluation.retrieval import Estimate, clustered_mean
from workbench.interfaces import Compression, Compressor, Message

RATES = (0.5, 0.25, 0.1)
NEUTRAL = "Let us go on."
"""The last message where nothing in particular is asked."""

Unit = Literal["turns", "words"]
_Key = tuple[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Retained:
    """What is left of one question's evidence at one rate.

    Attributes:
        conversation: id.
        question: id.
        category: see :data:`workbench.evaluation.datasets.CATEGORIES`.
        rate: budget over the tokens of the whole conversation, the question included.
        turns: share of the evidence's turns that are there whole.
        words: share of the evidence's words that are there; parts of a turn count.
        tokens_before: of the whole conversation.
        tokens_after: of what is left.
        budget_tokens: what it might have taken.
        ms: what compressing took.
    """

    conversation: str
    question: str
    category: int
    rate: float
    turns: float
    words: float
    tokens_before: int
    tokens_after: int
    budget_tokens: int
    ms: float


@dataclass(frozen=True)
class EvidenceScore:
    """Every question with evidence at every rate."""

    rows: tuple[Retained, ...]

    def at(self, rate: float, category: int | None = None) -> list[Retained]:
        """The rows of one rate, of one category if it is given.

        Raises:
            InvalidSettings: there are none.
        """
        found = [row for row in self.rows if row.rate == rate and category in (None, row.category)]
        if not found:
            known = sorted({row.rate for row in self.rows}, reverse=True)
            raise InvalidSettings(f"Nothing was scored at rate {rate} in category {category}. Rates: {known}.")
        return found

    def kept(self, rate: float, unit: Unit = "turns", category: int | None = None) -> Estimate:
        """Mean share of the evidence kept, every question weighing the same; the interval knows of conversations."""
        rows = self.at(rate, category)
        return clustered_mean([_share(row, unit) for row in rows], [row.conversation for row in rows])

    def ahead(self, baseline: Sequence[EvidenceScore], rate: float, unit: Unit = "turns") -> Estimate:
        """Mean difference to a baseline, question by question; above 0: more is kept.

        Args:
            baseline: scores of the same questions, one for each seed; their mean counts.
            rate: at which.
            unit: of what is kept.

        Raises:
            InvalidSettings: the baseline lacks a question.
        """
        pairs = self._pairs(baseline, rate, unit)
        return clustered_mean([own - other for own, other, _ in pairs], [one for _, _, one in pairs], bounds=None)

    def ratio(self, baseline: Sequence[EvidenceScore], rate: float, unit: Unit = "turns") -> Estimate:
        """Mean share kept over the baseline's mean; the interval by linearisation.

        With ``R = Σa / Σb``, the residuals are ``(a - R b) / mean(b)``, clustered by conversation (Cochran 1977,
        "Sampling Techniques", section 6.4, the ratio estimator). Arguments as for :meth:`ahead`.

        Raises:
            InvalidSettings: the baseline lacks a question, or keeps nothing at all.
        """
        pairs = self._pairs(baseline, rate, unit)
        base = fmean(other for _, other, _ in pairs)
        if base == 0:
            raise InvalidSettings(f"The baseline keeps no evidence at rate {rate}: there is no ratio to it.")
        ratio = fmean(own for own, _, _ in pairs) / base
        values = [ratio + (own - ratio * other) / base for own, other, _ in pairs]
        return clustered_mean(values, [one for _, _, one in pairs], bounds=None)

    def ms(self, rate: float) -> float:
        """Median time a compression took."""
        return median(row.ms for row in self.at(rate))

    def filled(self, rate: float) -> float:
        """Smallest share of the budget that was used."""
        return min(row.tokens_after / row.budget_tokens for row in self.at(rate))

    def _pairs(self, baseline: Sequence[EvidenceScore], rate: float, unit: Unit) -> list[tuple[float, float, str]]:
        """Own share, the baseline's mean share, conversation."""
        others = [_by_question(one, unit) for one in baseline]
        rows = self.at(rate)
        if not others or any((row.question, rate) not in other for row in rows for other in others):
            raise InvalidSettings("The baseline lacks some of the questions. Score it on the same conversations.")
        return [
            (_share(row, unit), fmean(other[row.question, rate] for other in others), row.conversation) for row in rows
        ]


def score_compressor(
    compressor: Compressor,
    conversations: Sequence[Conversation],
    *,
    rates: Sequence[float] = RATES,
    with_query: bool = True,
) -> EvidenceScore:
    """Compress every conversation for each of its questions, and count what is left of the evidence.

    Questions without labelled evidence are passed over; the adversarial ones have evidence and count like all others.

    Args:
        compressor: it counts tokens its own way; the budgets are shares of what it counts.
        conversations: with questions.
        rates: budget over the tokens of the whole, each between 0 and 1.
        with_query: the last message asks the question, and the compressor is told it; else the last message is
            :data:`NEUTRAL`, the compressor is told nothing, and each conversation is compressed once a rate.

    Raises:
        InvalidSettings: no question has evidence, or a rate is out of its range.
        ContextOverflow: the question alone is longer than the budget.
    """
    if not rates or not all(0 < rate < 1 for rate in rates):
        raise InvalidSettings(f"Rates are shares between 0 and 1, not {list(rates)}.")
    rows = [
        row
        for conversation in conversations
        for rate in rates
        for row in _scored(compressor, conversation, rate, with_query)
    ]
    if not rows:
        raise InvalidSettings(
            "No question has labelled evidence, so nothing can be scored. Give conversations with some."
        )
    return EvidenceScore(tuple(rows))


def shares_kept(messages: Sequence[Message], compression: Compression) -> list[float]:
    """Share of each given message's words that is left: 1 whole, 0 gone.

    A message that was shortened is compared with what stands in its place; messages that are new (a summary) with
    none, whatever they say.
    """
    left = iter(compression.messages)
    gone, changed = set(compression.dropped), set(compression.changed)
    shares = []
    for place, message in enumerate(messages):
        if place in gone:
            shares.append(0.0)
        elif place not in changed:
            shares.append(float(any(one == message for one in left)))
        else:
            shares.append(next((_overlap(message, one) for one in left if _may_be(message, one)), 0.0))
    return shares


def _scored(compressor: Compressor, conversation: Conversation, rate: float, with_query: bool) -> Iterator[Retained]:
    asked = [question for question in conversation.questions if question.evidence]
    groups: list[tuple[str | None, list[Question]]] = [(one.text, [one]) for one in asked]
    if not with_query:
        groups = [(None, asked)] if asked else []
    for query, questions in groups:
        messages = [*conversation.messages, Message.user(query or NEUTRAL)]
        whole = compressor.compress(messages, sys.maxsize, query).tokens_before
        budget = math.floor(rate * whole)
        compression = compressor.compress(messages, budget, query)
        shares = shares_kept(messages, compression)
        for question in questions:
            yield _retained(conversation, question, rate, shares, compression, budget)


def _retained(
    conversation: Conversation,
    question: Question,
    rate: float,
    shares: Sequence[float],
    compression: Compression,
    budget: int,
) -> Retained:
    places = sorted(conversation.evidence_of(question))
    lengths = [max(1, len(conversation.messages[place].content.split())) for place in places]
    kept = sum(length * shares[place] for place, length in zip(places, lengths, strict=True))
    return Retained(
        conversation=conversation.id,
        question=question.id,
        category=question.category,
        rate=rate,
        turns=sum(shares[place] == 1 for place in places) / len(places),
        words=kept / sum(lengths),
        tokens_before=compression.tokens_before,
        tokens_after=compression.tokens_after,
        budget_tokens=budget,
        ms=compression.elapsed_ms,
    )


def _may_be(message: Message, left: Message) -> bool:
    return (message.role, message.name) == (left.role, left.name)


def _overlap(message: Message, left: Message) -> float:
    """Share of a message's words that stand in what is left of it; below 1, for it is not whole."""
    words = Counter(message.content.split())
    common = (words & Counter(left.content.split())).total()
    return min(common / max(1, words.total()), 1 - 1e-9)


def _share(row: Retained, unit: Unit) -> float:
    return row.turns if unit == "turns" else row.words


def _by_question(score: EvidenceScore, unit: Unit) -> Mapping[_Key, float]:
    return {(row.question, row.rate): _share(row, unit) for row in score.rows}

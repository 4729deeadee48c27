"""What the learned ranker looks at: one row a message, one column a feature, for one query.

Scores are standardised over the session, so that a weight means the same in a session of 20 messages and of 20,000, and
with another embedder. Neighbours are those of the same sitting. Knows snapshots and queries, no weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, groupby

import numpy as np
import numpy.typing as npt

from workbench.interfaces import FloatArray, Message
from workbench.memory.ranking.snapshot import IndexedTranscript, shifted
from workbench.ranking.bm25 import Bm25Index
from workbench.ranking.facts import FACTS, facts
from workbench.ranking.fusion import standardised
from workbench.ranking.questions import asked_for, nearness
from workbench.ranking.words import prefixes, terms_of, words

_LEXICAL = ("bm25", "bm25_prefix", "coverage", "coverage_nearby", "bm25_sitting")
_DENSE = ("cosine", "cosine_second")
_SPREAD = ("bm25", *_DENSE)
_STEPS = (-2, -1, 1, 2)
_CROSSED = (
    ("when", "time"),
    ("how_many", "number"),
    ("how_long", "time"),
    ("how_long", "number"),
    ("where", "names"),
    ("who", "names"),
    ("what", "quotes"),
)

FEATURES: tuple[str, ...] = (
    *_LEXICAL,
    *_DENSE,
    *(f"{name}{step:+d}" for step in _STEPS for name in _SPREAD),
    *(f"{name}_best_of_sitting" for name in _SPREAD),
    "cosine_mean_of_sitting",
    "near_best",
    "far_above",
    "speaker",
    "date",
    *FACTS,
    "opens_sitting",
    "after_question",
    *(f"asks_{asked}_has_{fact}" for asked, fact in _CROSSED),
)
"""Columns of :func:`features`, in order."""

_COLUMN = {name: column for column, name in enumerate(FEATURES)}


class RankedTranscript(IndexedTranscript):
    """A transcript with the further indices the ranker needs: starts of words, whole sittings, facts."""

    def __init__(self, session: str, epoch: int, dimensions: Sequence[int]) -> None:
        super().__init__(session, epoch, dimensions)
        self.by_prefix = Bm25Index(0.9, 0.4)
        self.by_sitting = Bm25Index(0.9, 0.6)
        self.facts: list[tuple[float, ...]] = []
        self._table: FloatArray = np.zeros((0, len(FACTS)), np.float32)

    def grown(self, first: int) -> None:
        """Index new messages."""
        found = [self._index(message) for message in self.messages[first:]]
        self.lexical.extend(found)
        self.by_prefix.extend([prefixes(terms) for terms in found])
        for sitting, places in groupby(range(first, len(self)), self.sittings.__getitem__):
            heard = chain.from_iterable(found[place - first] for place in places)
            if len(self.by_sitting) > sitting:
                self.by_sitting.add_to_last(heard)
            else:
                self.by_sitting.add(heard)

    def _index(self, message: Message) -> list[str]:
        """Note who said a message and the facts about it; returns its terms."""
        said = words(message.content)
        self.speakers.add(message)
        self.facts.append(facts(message.content, said))
        return terms_of(said)

    def fact_table(self) -> FloatArray:
        """Facts about every message: (messages, facts) float32."""
        if len(self._table) < len(self.facts):
            new = np.array(self.facts[len(self._table) :], np.float32)
            self._table = np.concatenate([self._table, new])
        return self._table


@dataclass(frozen=True, slots=True)
class _Shape:
    """Which sitting each message belongs to: numbers (messages,), and where each begins (sittings,)."""

    sittings: npt.NDArray[np.intp]
    starts: npt.NDArray[np.intp]

    def best(self, scores: FloatArray) -> FloatArray:
        """Best of each message's sitting: (…, messages)."""
        best: FloatArray = np.maximum.reduceat(scores, self.starts, axis=-1)[..., self.sittings]
        return best

    def mean(self, scores: FloatArray) -> FloatArray:
        """Mean of each message's sitting: (messages,)."""
        lengths = np.bincount(self.sittings).astype(np.float32)
        means: FloatArray = (np.add.reduceat(scores, self.starts) / lengths).astype(np.float32)
        return means[self.sittings]


def features(snapshot: RankedTranscript, query: str, vectors: Sequence[FloatArray]) -> FloatArray:
    """Features of every message: (features, messages) float32, in the order of :data:`FEATURES`.

    Args:
        snapshot: with at least one message, all of them embedded.
        query: what is asked.
        vectors: the query's, one for each of the snapshot's embedders; a single one stands for both of the ranker's.
    """
    shape = _Shape(snapshot.sitting_numbers(), snapshot.starts())
    table = np.zeros((len(FEATURES), len(snapshot)), np.float32)
    _fill_scores(table, snapshot, query, vectors, shape)
    _fill_around(table, shape)
    _fill_facts(table, snapshot, query, shape)
    return table


def _fill_scores(
    table: FloatArray, snapshot: RankedTranscript, query: str, vectors: Sequence[FloatArray], shape: _Shape
) -> None:
    asked = snapshot.terms_asked(query)
    table[0] = snapshot.lexical.scores(asked)
    table[1] = snapshot.by_prefix.scores(list(dict.fromkeys(prefixes(asked))))
    table[2], table[3] = _coverage(snapshot, asked, shape)
    table[4] = snapshot.by_sitting.scores(asked)[shape.sittings]
    cosines = [index.scores(vector) for index, vector in zip(snapshot.dense, vectors, strict=True)]
    table[5], table[6] = cosines[0], cosines[-1]
    table[:7] = standardised(table[:7])


def _coverage(snapshot: RankedTranscript, asked: Sequence[str], shape: _Shape) -> tuple[FloatArray, FloatArray]:
    """Share of the query's terms, weighted by idf, in each message; and in it or those beside it."""
    if not asked:
        nothing = np.zeros(len(snapshot), np.float32)
        return nothing, nothing
    rarest = float(np.log(2 * len(snapshot) + 2))  # the weight of a term that nobody has said
    weights = np.array([snapshot.lexical.idf(term) or rarest for term in asked], np.float32)
    weights /= weights.sum()
    held = np.minimum(snapshot.lexical.frequencies(asked), 1)
    nearby = np.maximum(held, np.maximum(shifted(held, shape.sittings, -1), shifted(held, shape.sittings, 1)))
    return weights @ held, weights @ nearby


def _fill_around(table: FloatArray, shape: _Shape) -> None:
    """What the neighbours and the whole sitting score, and how far ahead a message is."""
    spread = table[[_COLUMN[name] for name in _SPREAD]]
    place = _COLUMN[f"{_SPREAD[0]}{_STEPS[0]:+d}"]
    for step in _STEPS:
        table[place : place + len(spread)] = shifted(spread, shape.sittings, step)
        place += len(spread)
    table[place : place + len(spread)] = shape.best(spread)
    table[_COLUMN["cosine_mean_of_sitting"]] = shape.mean(table[_COLUMN["cosine"]])
    together = spread.sum(axis=0)
    table[_COLUMN["near_best"]] = np.exp(together - together.max())
    table[_COLUMN["far_above"]] = np.maximum(together, 0) ** 2 / 10


def _fill_facts(table: FloatArray, snapshot: RankedTranscript, query: str, shape: _Shape) -> None:
    """What does not depend on any word in common: who, when, and what kind of message."""
    said, named = snapshot.speakers.named(query)
    if named == 1:
        table[_COLUMN["speaker"]] = 2 * said - 1
    table[_COLUMN["date"]] = nearness(query, snapshot.moments())
    known = np.ascontiguousarray(snapshot.fact_table().T)
    table[_COLUMN[FACTS[0]] : _COLUMN[FACTS[0]] + len(FACTS)] = known
    table[_COLUMN["opens_sitting"], shape.starts] = 1
    table[_COLUMN["after_question"]] = shifted(known[FACTS.index("asks")], shape.sittings, -1)
    wanted = asked_for(query)
    for asked, fact in _CROSSED:
        if getattr(wanted, asked):
            table[_COLUMN[f"asks_{asked}_has_{fact}"]] = known[FACTS.index(fact)]

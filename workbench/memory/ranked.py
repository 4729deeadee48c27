"""A learned ranker: the weights of some fifty features, trained on questions whose evidence is known.

Words, two embedders, what stands beside a message and in its sitting, who speaks, when, and what kind of message it is;
one weight each, in ``ranking/weights.json``, with what they were trained on and how well they rank what they had not
seen. No language model at query time. Listwise training after Cao et al. 2007; see
:mod:`workbench.memory.ranking.training` for making weights of your own.
"""

from __future__ import annotations

from pathlib import Path

from workbench.interfaces import Embedder, FloatArray, Recollection
from workbench.memory.base import Query
from workbench.memory.ranking.features import FEATURES, RankedTranscript, features
from workbench.memory.ranking.indexed import IndexedMemory, best
from workbench.memory.ranking.model import Ranker, bundled
from workbench.memory.vectors import DEFAULT_EMBEDDER
from workbench.ranking.decay import check_half_life, remaining
from workbench.ranking.fusion import logistic

SECOND_EMBEDDER = "paraphrase-minilm-l3-v2"
_BM25, _BEFORE = FEATURES.index("bm25"), FEATURES.index("after_question")


class RankedMemory(IndexedMemory[RankedTranscript]):
    """Recalls what a learned ranker puts first.

    Another embedder than those the weights were trained with may be given: what counts is how far a message's cosine
    stands out in its session, which any embedder tells, if not equally well. One alone stands for both.

    Args:
        embedder: a registered name, or an embedder, which is not closed with the memory.
        folder: as for :class:`LoggedMemory`; vectors are kept there, too.
        second_embedder: likewise; ``None``: none.
        weights: a file that :meth:`Ranker.save` has written; ``None``: what comes with the package.
        half_life_s: after so many seconds a score is worth half; ``None``: nothing fades.
        open_sessions: as for :class:`LoggedMemory`.

    Raises:
        InvalidSettings: a value out of its range.
        UnknownName: no such embedder.
        MissingExtra: an embedder's package is not installed.
        StoreCorrupt: ``weights`` is no such file.
    """

    name = "ranked"

    def __init__(
        self,
        embedder: Embedder | str = DEFAULT_EMBEDDER,
        folder: Path | str | None = None,
        *,
        second_embedder: Embedder | str | None = SECOND_EMBEDDER,
        weights: Path | str | None = None,
        half_life_s: float | None = None,
        open_sessions: int = 32,
    ) -> None:
        check_half_life(half_life_s)
        self.ranker = bundled() if weights is None else Ranker.load(weights)
        self.half_life_s = half_life_s
        both = [embedder] if second_embedder is None else [embedder, second_embedder]
        super().__init__(both, folder, open_sessions=open_sessions)

    def _snapshot(self, session: str, epoch: int) -> RankedTranscript:
        return RankedTranscript(session, epoch, [one.dimensions for one in self.embedders])

    def _rank(self, snapshot: RankedTranscript, query: Query) -> list[Recollection]:
        snapshot.embed(self.embedders)
        table = features(snapshot, query.text, snapshot.query_vectors(query.text, self.embedders))
        scores = self.ranker.scores(table)
        if self.half_life_s is not None:
            scores = logistic(scores - scores.max()) * remaining(snapshot.moments(), self.half_life_s)
        return [
            snapshot.recollection(index, float(scores[index]), _reason(table[:, index]))
            for index in best(scores, snapshot.allowed(query.since, query.until), query.k)
        ]


def _reason(row: FloatArray) -> str:
    """Why a message came back, by its features (features,)."""
    if row[_BM25] > 0:
        return "shares words with the query"
    return "answers a question like it" if row[_BEFORE] else "similar in meaning, or near what is"

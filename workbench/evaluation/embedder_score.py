"""How well an embedding model tells alike from unlike, and how fast: on labelled pairs and on a labelled collection.

Knows the ``Embedder`` protocol; never which library computes the vectors.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from workbench.errors import InvalidSettings
from workbench.evaluation.datasets.records import Collection, Pair
from workbench.evaluation.retrieval import Estimate, clustered_mean, ndcg_at_k, recall_at_k, spearman
from workbench.interfaces import Embedder


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbedderScore:
    """What an embedding model is good for.

    Attributes:
        spearman: rank correlation of cosine and labelled similarity; ``None``: no pairs were given.
        ndcg: nDCG@k over the queries of the collection; ``None``: none was given. Every query is independent.
        recall: recall@k over the same queries.
        k: of both.
        texts_per_s: passages embedded per second, all of them in one call, the first call of a model thrown away.
        query_p50_ms: median time of embedding one query.
        query_p99_ms: 99th percentile of the same.
        truncated: share of the texts that are longer than the model reads.
        texts: distinct passages embedded.
    """

    spearman: Estimate | None
    ndcg: Estimate | None
    recall: Estimate | None
    k: int
    texts_per_s: float
    query_p50_ms: float | None
    query_p99_ms: float | None
    truncated: float
    texts: int

    def metrics(self) -> dict[str, float | None]:
        """Every figure by name, ready for ``wb.record``."""
        figures: dict[str, float | None] = {}
        for name, estimate in (
            ("spearman", self.spearman),
            ("ndcg_at_k", self.ndcg),
            ("retrieval_recall", self.recall),
        ):
            figures[name] = estimate.value if estimate else None
            figures[f"{name}_low"] = estimate.low if estimate else None
            figures[f"{name}_high"] = estimate.high if estimate else None
        return {
            **figures,
            "texts_per_s": self.texts_per_s,
            "query_p50_ms": self.query_p50_ms,
            "query_p99_ms": self.query_p99_ms,
            "truncated_share": self.truncated,
        }


def score_embedder(
    embedder: Embedder, *, pairs: Sequence[Pair] = (), collection: Collection | None = None, k: int = 10
) -> EmbedderScore:
    """Score a model on pairs, on a collection, or on both.

    Queries nothing is relevant to are left out. Equal cosines are ranked in the order of the documents.

    Args:
        embedder: not closed. A cache in front of it would be what is timed.
        pairs: sentences with labelled similarity.
        collection: documents and queries with judgements.
        k: of recall and nDCG.

    Raises:
        InvalidSettings: neither pairs nor a collection are given.
    """
    if not pairs and collection is None:
        raise InvalidSettings("There is nothing to score on. Give pairs, a collection, or both; small() has some.")
    sides = [sentence for pair in pairs for sentence in (pair.first, pair.second)]
    documents = list(collection.documents.values()) if collection else []
    texts = list(dict.fromkeys([*sides, *documents]))
    embedder.embed(texts[:1])
    started = time.perf_counter()
    vectors = dict(zip(texts, embedder.embed(texts), strict=True))
    elapsed_s = time.perf_counter() - started
    took, ndcg, recall = _retrieval(embedder, collection, vectors.__getitem__, k) if collection else ([], None, None)
    return EmbedderScore(
        spearman=_likeness(pairs, vectors.__getitem__) if pairs else None,
        ndcg=ndcg,
        recall=recall,
        k=k,
        texts_per_s=len(texts) / elapsed_s,
        query_p50_ms=float(np.percentile(took, 50)) if took else None,
        query_p99_ms=float(np.percentile(took, 99, method="inverted_cdf")) if took else None,
        truncated=float(np.mean(embedder.truncated(texts))),
        texts=len(texts),
    )


_Vector = Callable[[str], np.ndarray[tuple[int, ...], np.dtype[np.float32]]]


def _likeness(pairs: Sequence[Pair], vector: _Vector) -> Estimate:
    cosines = [float(vector(pair.first) @ vector(pair.second)) for pair in pairs]
    return spearman(cosines, [pair.score for pair in pairs])


def _retrieval(
    embedder: Embedder, collection: Collection, vector: _Vector, k: int
) -> tuple[list[float], Estimate, Estimate]:
    """Milliseconds of each query, nDCG@k and recall@k."""
    names = list(collection.documents)
    matrix = np.stack([vector(text) for text in collection.documents.values()])
    took, gains, recalls = [], [], []
    for query, text in collection.queries.items():
        grades = {name: float(grade) for name, grade in collection.relevance.get(query, {}).items() if grade > 0}
        if not grades:
            continue
        started = time.perf_counter()
        asked = embedder.embed_query(text)
        took.append(1e3 * (time.perf_counter() - started))
        ranked = [names[place] for place in np.argsort(-(matrix @ asked), kind="stable")[:k]]
        gains.append(ndcg_at_k(ranked, grades, k))
        recalls.append(recall_at_k(ranked, grades, k))
    return took, clustered_mean(gains), clustered_mean(recalls)

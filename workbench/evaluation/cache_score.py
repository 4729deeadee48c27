"""How well a semantic cache tells what asks for the same from what only sounds alike.

Knows labelled pairs and :class:`workbench.caching.SemanticCache`; false hits, hits and precision are defined in
:mod:`workbench.caching.calibration`.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import numpy as np

from workbench.caching import Calibration, SemanticCache, at_threshold, calibrate_threshold
from workbench.embedding import CachedEmbedder
from workbench.errors import InvalidSettings
from workbench.evaluation.datasets.question_pairs import QuestionPair

USUAL_THRESHOLD = 0.8
"""A cosine many caches are run with; GPTCache's own default is of this order."""


def score_semantic(
    cache: SemanticCache, pairs: Sequence[QuestionPair], *, budget: float = 0.02, parts: int = 2, seed: int = 0
) -> dict[str, Any]:
    """Judge a cache on pairs its threshold was not chosen on: cross-validation over ``parts`` of the pairs.

    Args:
        cache: whose embedder and guards are judged; left as it is.
        pairs: labelled.
        budget: most false hits per pair of different questions.
        parts: the threshold is chosen on all but one and judged on that one, each in turn.
        seed: how the pairs are shared out.

    Returns:
        ``false_hit_rate`` with its exact 95 % interval ``false_hit_low`` and ``false_hit_high``, ``hit_rate``,
        ``precision`` of the pairs judged unseen; ``threshold_low`` and ``threshold_high`` that were chosen; the same
        rates of the threshold the cache has (``own_…``) and of the plain cosine at 0.8 (``plain_…``); counts.

    Raises:
        InvalidSettings: fewer than two parts, or a part without pairs of both kinds.
    """
    if parts < 2:
        raise InvalidSettings(f"parts must be at least 2, not {parts!r}: one to choose on and one to judge by.")
    texts, labels = [pair[:2] for pair in pairs], np.array([pair[2] for pair in pairs])
    similarities = np.array(cache.similarities(texts))
    order = list(range(len(pairs)))
    random.Random(f"pairs {seed}").shuffle(order)  # noqa: S311 - a split for a benchmark
    judged, thresholds = [], []
    for part in range(parts):
        unseen = np.array(order[part::parts])
        rest = np.setdiff1d(np.arange(len(pairs)), unseen)
        chosen = calibrate_threshold(similarities[rest].tolist(), labels[rest].tolist(), budget)
        thresholds.append(chosen.threshold)
        judged.append(at_threshold(similarities[unseen].tolist(), labels[unseen].tolist(), chosen.threshold))
    own = at_threshold(similarities.tolist(), labels.tolist(), cache.threshold)
    plain = at_threshold(cache.cosines(texts), labels.tolist(), USUAL_THRESHOLD)
    return {
        **_rates(_pooled(judged), ""),
        **_rates(own, "own_"),
        **_rates(plain, "plain_"),
        "threshold_low": min(thresholds),
        "threshold_high": max(thresholds),
        "different": int((~labels).sum()),
        "same": int(labels.sum()),
    }


def look_up_paraphrases(cache: SemanticCache, pairs: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """GPTCache's benchmark: keep every original, then look up each paraphrase among all of them.

    Args:
        cache: empty; holds the originals afterwards.
        pairs: an original and its paraphrase each.

    Returns:
        ``right``, ``wrong`` and ``missed``: shares of the paraphrases; ``plain_…``: the same of the nearest original by
        plain cosine from 0.8 on.
    """
    for number, (origin, _) in enumerate(pairs):
        cache.keep(origin, str(number))
    found = [cache.look_up(paraphrase) for _, paraphrase in pairs]
    hits = [None if one is None else pairs[int(one.value)][0] for one in found]
    return {**_shares(hits, pairs, ""), **_shares(_plainly(cache, pairs), pairs, "plain_")}


def _plainly(cache: SemanticCache, pairs: Sequence[tuple[str, str]]) -> list[str | None]:
    embedder: CachedEmbedder = cache.embedder
    origins, others = (embedder.embed([pair[side] for pair in pairs]) for side in (0, 1))
    cosines = others @ origins.T
    nearest = cosines.argmax(axis=1)
    rows = zip(nearest, cosines.max(axis=1), strict=True)
    return [pairs[place][0] if cosine >= USUAL_THRESHOLD else None for place, cosine in rows]


def _shares(hits: Sequence[str | None], pairs: Sequence[tuple[str, str]], prefix: str) -> dict[str, float]:
    right = sum(hit == origin for hit, (origin, _) in zip(hits, pairs, strict=True))
    missed = sum(hit is None for hit in hits)
    counts = {"right": right, "wrong": len(pairs) - right - missed, "missed": missed}
    return {prefix + name: number / len(pairs) for name, number in counts.items()}


def _pooled(judged: Sequence[Calibration]) -> Calibration:
    """Pairs of all parts together, each judged by a threshold that was chosen without it."""
    return Calibration(
        threshold=float(np.mean([one.threshold for one in judged])),
        false_hits=sum(one.false_hits for one in judged),
        different=sum(one.different for one in judged),
        right_hits=sum(one.right_hits for one in judged),
        same=sum(one.same for one in judged),
    )


def _rates(found: Calibration, prefix: str) -> dict[str, float | None]:
    low, high = found.false_hit_interval
    return {
        f"{prefix}threshold": found.threshold,
        f"{prefix}false_hit_rate": found.false_hit_rate,
        f"{prefix}false_hit_low": low,
        f"{prefix}false_hit_high": high,
        f"{prefix}hit_rate": found.hit_rate,
        f"{prefix}precision": found.precision,
    }

"""Several rankings of the same documents made into one.

* ``zscore``: each score's distance from its mean in standard deviations, weighted and added (Bruch et al. 2023, "An
  Analysis of Fusion Functions for Hybrid Retrieval", ACM TOIS 42(1): a convex combination of normalised scores beats
  ranks, because it keeps how far one document is ahead of the next).
* ``calibrated``: each score as a share of the most it could be, their weighted sum through a logistic function: a
  number between 0 and 1 that means the same from one query to the next (Platt 1999).
* ``rrf``: reciprocal rank fusion (Cormack et al. 2009), which needs no scores; it measured worse.

Knows arrays of scores, not what made them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

from workbench.interfaces import FloatArray

Fusion = Literal["zscore", "calibrated", "rrf"]
FUSIONS: tuple[Fusion, ...] = ("zscore", "calibrated", "rrf")
RRF_CONSTANT = 60.0
"""As in the paper: how little the first ranks stand out."""


def standardised(scores: FloatArray) -> FloatArray:
    """Mean 0 and standard deviation 1 along the last axis; where all are equal, 0."""
    centred = scores - scores.mean(axis=-1, keepdims=True)
    spread = scores.std(axis=-1, keepdims=True)
    even: FloatArray = np.divide(centred, spread, out=np.zeros_like(centred), where=spread > 1e-9)
    return even


def weighted_sum(scores: Sequence[FloatArray], weights: Sequence[float]) -> FloatArray:
    """Sum of the standardised scores (n,), each times its weight."""
    total = np.zeros_like(scores[0])
    for one, weight in zip(scores, weights, strict=True):
        total += np.float32(weight) * standardised(one)
    return total


def logistic(values: FloatArray) -> FloatArray:
    """1 / (1 + exp(-x)), without overflow."""
    squashed: FloatArray = 0.5 * (1 + np.tanh(0.5 * values))
    return squashed


def reciprocal_ranks(scores: Sequence[FloatArray], weights: Sequence[float]) -> FloatArray:
    """Sum of weight / (60 + rank), ranks from 1; equal scores share the mean of their ranks' places."""
    total = np.zeros(len(scores[0]), np.float32)
    for one, weight in zip(scores, weights, strict=True):
        total += (weight / (RRF_CONSTANT + _ranks(one))).astype(np.float32)
    return total


def _ranks(scores: FloatArray) -> npt.NDArray[np.float64]:
    """1 for the highest. Equals share the mean, so that the many documents with score 0 are not put in an order."""
    _, group, counts = np.unique(-scores, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    ranks: npt.NDArray[np.float64] = (last - (counts - 1) / 2)[group]
    return ranks

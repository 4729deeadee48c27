"""What a piece of a conversation is worth where it stands: a share of its worth is its neighbours'.

People talk about one thing for some turns, and much of it says little by itself ("Yes, on Friday."). Knows scores in
the order of the conversation, not what they were given for.
"""

from __future__ import annotations

import numpy as np

from workbench.interfaces import FloatArray
from workbench.ranking.fusion import standardised

REACH = 6.0
"""Standard deviation of the bell that makes the mean of the surroundings, in pieces."""
SHORT_WORDS = 10.0
"""So many words speak for themselves and for their surroundings by halves."""
SURROUNDINGS = 0.4
"""What the surroundings are worth to every piece, however much it says."""


def in_context(own: FloatArray, words: FloatArray, *, beside: float = 0.0) -> FloatArray:
    """Scores (pieces,) with what surrounds each.

    ``(1 - λ) · own + (λ + 0.4) · around`` with ``λ = 10 / (10 + words)``: a short piece is judged by its surroundings,
    as a mean of few observations is drawn to the mean of all (shrinkage, James and Stein 1961). ``around`` is the
    standardised mean of ``own`` under a bell. The three constants were set on labelled conversations and meetings;
    half or twice of each changes what is kept of the evidence by a few points.

    Args:
        own: score of each piece, in the order of the conversation, standardised.
        words: of each piece, (pieces,).
        beside: how much of its better neighbour's score is mixed into a piece's own, so that an answer is kept with
            its question; 0: nothing.
    """
    if len(own) == 0:
        return own
    lone = SHORT_WORDS / (SHORT_WORDS + words)
    with_next = (own + beside * _better_neighbour(own)) / (1 + beside)
    scores: FloatArray = ((1 - lone) * with_next + (lone + SURROUNDINGS) * standardised(smoothed(own))).astype(
        np.float32
    )
    return scores


def smoothed(scores: FloatArray, reach: float = REACH) -> FloatArray:
    """Mean of the scores around each place, weighted by a normal density; at the ends, of those that are there."""
    half = int(3 * reach)
    bell = np.exp(-0.5 * (np.arange(-half, half + 1) / reach) ** 2)
    inside = slice(half, half + len(scores))
    sums, weights = (np.convolve(values, bell)[inside] for values in (scores, np.ones(len(scores))))
    means: FloatArray = (sums / weights).astype(np.float32)
    return means


def _better_neighbour(scores: FloatArray) -> FloatArray:
    """The higher score of the two pieces beside each; 0, the mean, where there is none."""
    padded = np.pad(scores, 1)
    better: FloatArray = np.maximum(padded[:-2], padded[2:])
    return better

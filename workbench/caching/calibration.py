"""Choosing a threshold from labelled pairs so that false hits stay within a budget.

A false hit is a pair that people say asks for two different things, answered from the cache all the same; its rate is
taken of all such pairs. Knows similarities and labels, no texts.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from workbench.errors import InvalidSettings

CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """What a threshold does on labelled pairs.

    Attributes:
        threshold: similarities from here on are hits; ``inf``: none may be.
        false_hits: pairs of different questions that hit.
        different: pairs of different questions.
        right_hits: pairs of the same question that hit.
        same: pairs of the same question.
    """

    threshold: float
    false_hits: int
    different: int
    right_hits: int
    same: int

    @property
    def false_hit_rate(self) -> float | None:
        """False hits per pair of different questions; ``None`` without any."""
        return self.false_hits / self.different if self.different else None

    @property
    def hit_rate(self) -> float | None:
        """Right hits per pair of the same question; ``None`` without any."""
        return self.right_hits / self.same if self.same else None

    @property
    def precision(self) -> float | None:
        """Share of the hits that are right; ``None`` without hits."""
        hits = self.false_hits + self.right_hits
        return self.right_hits / hits if hits else None

    @property
    def false_hit_interval(self) -> tuple[float, float]:
        """95 % interval of :attr:`false_hit_rate`."""
        return binomial_interval(self.false_hits, self.different)


def binomial_interval(successes: int, trials: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """The exact interval of a share (Clopper and Pearson 1934, Biometrika 26, 404-413); (0, 1) without trials."""
    from scipy.special import betaincinv  # here: it is only wanted for calibrating, and takes a while to load

    tail = (1 - confidence) / 2
    low = float(betaincinv(successes, trials - successes + 1, tail)) if successes else 0.0
    high = float(betaincinv(successes + 1, trials - successes, 1 - tail)) if successes < trials else 1.0
    return low, high


def at_threshold(similarities: Sequence[float], labels: Sequence[bool], threshold: float) -> Calibration:
    """What a given threshold does.

    Args:
        similarities: of each pair; ``-inf`` for one that a guard keeps apart.
        labels: of each pair, whether both ask for the same.
        threshold: similarities from here on are hits.
    """
    hits, same = np.asarray(similarities, float) >= threshold, np.asarray(labels, bool)
    return Calibration(
        threshold=threshold,
        false_hits=int((hits & ~same).sum()),
        different=int((~same).sum()),
        right_hits=int((hits & same).sum()),
        same=int(same.sum()),
    )


def calibrate_threshold(
    similarities: Sequence[float],
    labels: Sequence[bool],
    budget: float = 0.02,
    *,
    confidence: float | None = CONFIDENCE,
) -> Calibration:
    """The lowest threshold whose false hits stay within the budget.

    With a ``confidence`` the upper end of the exact interval has to: going from the strictest threshold down and ending
    at the first that fails is fixed-sequence testing, so the promise holds for the threshold chosen (Angelopoulos et
    al. 2021, "Learn then Test", arXiv 2110.01052). Without one only the share on these pairs has to.

    Args:
        similarities: of each pair; ``-inf`` for one that a guard keeps apart.
        labels: of each pair, whether both ask for the same.
        budget: most false hits per pair of different questions.
        confidence: of the two-sided interval; ``None``: no allowance for chance.

    Raises:
        InvalidSettings: a budget that is no share, or pairs of one kind only.
    """
    if not 0 <= budget < 1 or len(set(map(bool, labels))) < 2 or len(similarities) != len(labels):
        raise InvalidSettings(
            f"Calibrating needs a budget from 0 to below 1 (got {budget!r}), and labelled pairs of both kinds: "
            "some that ask for the same and some that do not."
        )
    wrong = sorted((value for value, same in zip(similarities, labels, strict=True) if not same), reverse=True)
    allowed = _allowed(len(wrong), budget, confidence)
    if allowed is None:
        return at_threshold(similarities, labels, math.inf)
    # just above the first pair that would be one too many
    threshold = math.nextafter(wrong[allowed], math.inf) if allowed < len(wrong) else -1.0
    return at_threshold(similarities, labels, max(threshold, -1.0))


def _allowed(trials: int, budget: float, confidence: float | None) -> int | None:
    """Most false hits that keep the budget; ``None``: not even none of them does, there are too few pairs."""
    if confidence is None:
        return int(budget * trials)
    if binomial_interval(0, trials, confidence)[1] > budget:
        return None
    low, high = 0, trials
    while high - low > 1:  # the upper end grows with the number of false hits
        middle = (low + high) // 2
        low, high = (middle, high) if binomial_interval(middle, trials, confidence)[1] <= budget else (low, middle)
    return low

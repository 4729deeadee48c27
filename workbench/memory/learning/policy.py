"""Which candidates are recalled, and how probable it was: the policy whose log can be learned from.

The score is linear: the base memory's, standardised over the candidates, and three weighted features of feedback. The
base's first choices are always recalled, so whatever is learned can displace a bounded share. With ``exploration`` the
last place goes to a candidate drawn uniformly from those passed over, with that probability: the smallest randomisation
whose inclusion probabilities are exact and known (epsilon-greedy on one slot).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from workbench.memory.learning.credit import FEATURES, Floats

Places = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Weights:
    """What each feature of feedback weighs, in standard deviations of the base's score.

    Attributes:
        own: of feedback on the message, whatever was asked.
        asked: of feedback on it for a like query.
        near: of feedback on messages like it.
    """

    own: float = 0.5
    asked: float = 1.0
    near: float = 0.25

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> Self:
        """Of an event's values."""
        return cls(**{name: float(values[name]) for name in FEATURES})

    def array(self) -> Floats:
        """(3,) in the order of the features."""
        return np.array([getattr(self, name) for name in FEATURES])


@dataclass(frozen=True, slots=True)
class Rules:
    """What no learning changes.

    Attributes:
        base_share: share of ``k`` that the base's first choices are sure of, rounded down.
        exploration: probability that the last place is drawn, unless it is one of those.
    """

    base_share: float
    exploration: float

    def kept(self, k: int) -> int:
        """Of ``k`` places, those the base's first choices are sure of."""
        return int(k * self.base_share)

    def chance(self, k: int) -> float:
        """Probability that the last of ``k`` places is drawn."""
        return self.exploration if self.kept(k) < k else 0.0


def standardised(scores: Floats) -> Floats:
    """Mean 0 and standard deviation 1; zeros where all are alike."""
    spread = float(scores.std())
    return np.asarray((scores - scores.mean()) / spread if spread > 0 else np.zeros(len(scores)), np.float64)


def ranked(base: Floats, features: Floats, weights: Weights) -> Floats:
    """Scores (m,) of candidates given best first by the base."""
    return np.asarray(base + features @ weights.array(), np.float64)


def sure_places(scores: Floats, k: int, rules: Rules) -> Places:
    """The ``k`` candidates recalled without exploration, the last place last."""
    kept = rules.kept(k)
    rest = kept + np.argsort(-scores[kept:], kind="stable")
    return np.concatenate([np.arange(kept), rest[: k - kept]]).astype(np.intp)


def inclusion(scores: Floats, k: int, rules: Rules) -> Floats:
    """Probability (m,) with which each candidate is recalled; sums to ``min(k, m)``."""
    size = len(scores)
    if size <= k:
        return np.ones(size)
    probability = np.full(size, rules.chance(k) / (size - k))
    chosen = sure_places(scores, k, rules)
    probability[chosen] = 1.0
    probability[chosen[-1]] = 1.0 - rules.chance(k)
    return probability


def choose(scores: Floats, k: int, rules: Rules, generator: np.random.Generator | None) -> Places:
    """The candidates to recall; ``generator`` makes the draw, ``None``: there is none."""
    if len(scores) <= k:
        return np.arange(len(scores))
    chosen = sure_places(scores, k, rules)
    if generator is not None and generator.random() < rules.chance(k):
        passed_over = np.setdiff1d(np.arange(len(scores)), chosen)
        chosen[-1] = generator.choice(passed_over)
    return chosen

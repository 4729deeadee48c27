"""What another weighting would have been worth, from the log of the one that was used; and whether to dare it.

The doubly robust estimate (Dudík, Langford and Li 2011, arXiv 1103.4601), per place of the ranking: a model of the
reward, fitted by ridge regression, corrected by the rewards that were seen, each divided by the probability with which
it came to be seen, the ratio of probabilities clipped (Swaminathan and Joachims 2015, arXiv 1502.02362). What had no
chance to be recalled has no support in the log: there the model counts only where it speaks against, so that nothing
is adopted on hope. A weighting is adopted if, on feedback it was not chosen by, the lower confidence bound of what it
gains over the present one is not below 0. Attempt n of a session is allowed the error rate risk / (n (n + 1)), so that
all attempts together stay within ``risk``, as far as Student's t describes the mean of the gains.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from workbench.memory.learning.credit import FEATURES, Floats
from workbench.memory.learning.policy import Rules, Weights, inclusion, ranked

GRID = (0.0, 0.125, 0.25, 0.5, 1.0, 2.0, 4.0)  # none below 0: praise never lowers
HELD_OUT = 1 / 3
CLIP = 10.0
RIDGE = 1.0


@dataclass(slots=True)
class Recalled:
    """One recall as the log has it: m candidates, best first by the base.

    Attributes:
        indices: (m,) of the messages.
        base: (m,) standardised scores of the base.
        features: (m, 3) of feedback given before.
        propensities: (m,) with which each was recalled.
        shown: (m,) whether it was.
        rewards: (m,) feedback given on it afterwards; 0, neutral, where there was none.
        k: messages asked for.
    """

    indices: list[int]
    base: Floats
    features: Floats
    propensities: Floats
    shown: npt.NDArray[np.bool_]
    rewards: Floats
    k: int


@dataclass(frozen=True, slots=True)
class Trial:
    """A weighting that was tried on the log.

    Attributes:
        weights: the weighting.
        gain: estimated feedback per place above the present weighting's, on held-out recalls.
        bound: lower confidence bound of ``gain``.
        recalls: held-out recalls it was estimated on.
    """

    weights: Weights
    gain: float
    bound: float
    recalls: int

    @property
    def passes(self) -> bool:
        """Whether the gate lets it through: it seems better, and is not worse as far as can be told."""
        return self.gain > 0 and self.bound >= 0


def try_better(
    log: Sequence[Recalled], present: Weights, rules: Rules, *, risk: float, barred: Collection[Weights] = ()
) -> Trial | None:
    """The weighting that seems best on the older part of the log, tried on the newer.

    Args:
        log: recalls with feedback, oldest first.
        present: the weighting in use.
        rules: under which it would be used.
        risk: probability that a weighting no better passes.
        barred: weightings not to be tried.

    Returns:
        ``None``: no other weighting seems better.
    """
    cut = len(log) - max(2, math.ceil(len(log) * HELD_OUT))
    older, newer = log[:cut], log[cut:]
    if not older:
        return None
    model = reward_model(older)
    now = values(older, present, rules, model).mean()
    gains = {
        weights: float(values(older, weights, rules, model).mean() - now)
        for weights in _neighbours(present)
        if weights not in barred
    }
    best = max(gains, key=lambda weights: gains[weights], default=present)
    if gains.get(best, 0.0) <= 1e-12:
        return None
    differences = values(newer, best, rules, model) - values(newer, present, rules, model)
    return Trial(best, float(differences.mean()), lower_bound(differences, risk), len(newer))


def values(log: Sequence[Recalled], weights: Weights, rules: Rules, model: Floats) -> Floats:
    """Doubly robust estimate (len(log),) of the feedback per place that ``weights`` would have got."""
    return np.array([_value(one, weights, rules, model) for one in log])


def reward_model(log: Sequence[Recalled]) -> Floats:
    """Coefficients (1 + 1 + 3,) of the reward on a constant, the base's score and the features, of what was shown."""
    rows = np.vstack([_inputs(one)[one.shown] for one in log])
    rewards = np.concatenate([one.rewards[one.shown] for one in log])
    gram = rows.T @ rows + RIDGE * np.eye(rows.shape[1])
    return np.asarray(np.linalg.solve(gram, rows.T @ rewards), np.float64)


def lower_bound(differences: Floats, risk: float) -> float:
    """One-sided lower confidence bound of the mean: Student's t."""
    from scipy.stats import t  # scipy.stats takes a while to import, and most conversations never learn

    size = len(differences)
    error = float(differences.std(ddof=1)) / math.sqrt(size)
    return float(differences.mean() - t.ppf(1.0 - risk, size - 1) * error)


def _value(one: Recalled, weights: Weights, rules: Rules, model: Floats) -> float:
    chosen = inclusion(ranked(one.base, one.features, weights), one.k, rules)
    expected = np.clip(_inputs(one) @ model, -1.0, 1.0)
    supported = one.propensities > 0
    direct = chosen * np.where(supported, expected, np.minimum(expected, 0.0))
    ratio = np.minimum(chosen / np.where(supported, one.propensities, 1.0), CLIP)
    correction = np.where(one.shown, ratio * (one.rewards - expected), 0.0)
    return float((direct + correction).sum() / min(one.k, len(one.indices)))


def _inputs(one: Recalled) -> Floats:
    return np.column_stack([np.ones(len(one.base)), one.base, one.features])


def _neighbours(present: Weights) -> Iterator[Weights]:
    """Weightings that differ from the present one in one coefficient, and the base's own."""
    without = Weights(0.0, 0.0, 0.0)
    if present != without:
        yield without
    for name in FEATURES:
        for value in GRID:
            if value != getattr(present, name):
                yield replace(present, **{name: value})

"""The estimate against the truth, and the gate against chance, where both are known by construction."""

import numpy as np
import pytest
from scipy import stats

from workbench.memory.learning.offpolicy import Recalled, lower_bound, reward_model, try_better, values
from workbench.memory.learning.policy import Rules, Weights, choose, inclusion, ranked

RULES = Rules(base_share=0.25, exploration=0.5)
K, CANDIDATES = 4, 10
PRESENT = Weights(0.0, 0.0, 0.0)


def log(size, reward, *, seed=0, weights=PRESENT, rules=RULES):
    """Recalls by the policy of ``weights``; ``reward(features, draws)`` (m,) is the feedback on each candidate."""
    draws, made = np.random.default_rng(seed), []
    for _ in range(size):
        base = -np.sort(-draws.normal(size=CANDIDATES))
        features = draws.uniform(-1, 1, size=(CANDIDATES, 3))
        scores = ranked(base, features, weights)
        shown = np.zeros(CANDIDATES, bool)
        shown[choose(scores, K, rules, draws)] = True
        rewards = np.where(shown, reward(features, draws), 0.0)
        indices = list(range(CANDIDATES))
        made.append(Recalled(indices, base, features, inclusion(scores, K, rules), shown, rewards, K))
    return made


def useful(features, draws):
    """Feedback before says what feedback will be, with some noise."""
    return np.clip(features[:, 0] + draws.normal(scale=0.3, size=len(features)), -1, 1)


def curved(features, draws):
    """As useful, but in a way no linear model can tell."""
    return np.where(features[:, 0] > 0.5, 1.0, -0.2) * np.ones(len(features))


def chance(features, draws):
    return draws.choice([-1.0, 1.0], size=len(features))


def truth(weights, reward):
    """What the policy of ``weights`` really gets per place."""
    return float(np.mean([one.rewards[one.shown].mean() for one in log(1500, reward, seed=99, weights=weights)]))


@pytest.mark.parametrize("reward", [useful, curved, chance])
@pytest.mark.parametrize("weights", [PRESENT, Weights(0.5, 0.0, 0.0), Weights(0.0, 0.5, 0.25)])
def test_the_estimate_is_what_the_other_policy_would_get(reward, weights):
    recalls = log(1200, reward)
    estimates = values(recalls, weights, RULES, reward_model(recalls))
    error = estimates.std() / np.sqrt(len(estimates))
    assert abs(estimates.mean() - truth(weights, reward)) < 4 * error + 0.03


def test_nothing_is_hoped_of_what_had_no_chance():
    never = Rules(base_share=0.0, exploration=0.0)
    recalls = log(300, useful, rules=never)
    eager = Weights(4.0, 0.0, 0.0)
    hoped = values(recalls, eager, never, reward_model(recalls)).mean()
    real = np.mean([one.rewards[one.shown].mean() for one in log(500, useful, weights=eager, rules=never, seed=9)])
    assert hoped < real - 0.1


def test_what_feedback_foretells_is_learned():
    trial = try_better(log(90, useful), PRESENT, RULES, risk=0.05)
    assert trial is not None
    assert trial.passes
    assert trial.weights.own > 0
    assert trial.recalls == 30
    real = truth(trial.weights, useful) - truth(PRESENT, useful)
    assert trial.bound < real, "the bound is below the truth"


def test_chance_passes_the_gate_as_seldom_as_it_may():
    passed = [
        trial is not None and trial.passes
        for trial in (try_better(log(30, chance, seed=seed), PRESENT, RULES, risk=0.1) for seed in range(40))
    ]
    # with a true rate of 0.1, 11 and more of 40 happen once in 600
    assert sum(passed) < 11


def test_a_harmful_weighting_is_left():
    harmful = Weights(0.0, 4.0, 0.0)
    trial = try_better(log(90, lambda features, draws: -features[:, 1], weights=harmful), harmful, RULES, risk=0.05)
    assert trial.passes
    assert trial.weights.asked < 4.0


def test_barred_weightings_are_not_tried():
    recalls = log(90, useful)
    first = try_better(recalls, PRESENT, RULES, risk=0.05)
    second = try_better(recalls, PRESENT, RULES, risk=0.05, barred={first.weights})
    assert second.weights != first.weights


def test_too_short_a_log_teaches_nothing():
    assert try_better([], PRESENT, RULES, risk=0.1) is None
    assert try_better(log(2, useful), PRESENT, RULES, risk=0.1) is None


def test_the_bound_is_student_s():
    draws = np.random.default_rng(0).normal(0.3, 1.0, 12)
    low = lower_bound(draws, 0.05)
    assert low == pytest.approx(stats.ttest_1samp(draws, 0).confidence_interval(0.9).low)
    assert lower_bound(np.full(5, 0.2), 0.05) == pytest.approx(0.2)

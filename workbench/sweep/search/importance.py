"""Which parameters matter, by the trials of a search: a functional analysis of variance of random forests.

Hutter, Hoos & Leyton-Brown 2014, "An Efficient Approach for Assessing Hyperparameter Importance", ICML; Optuna's
implementation. Trials lie where the search liked them, so an ordinary analysis of variance would not do. Shares are of
the variance of the logarithms over the whole space; what they lack to 1 are interactions. Noise has a share, too.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from workbench.sweep.results import Importance
from workbench.sweep.search.space import Space
from workbench.sweep.search.study import in_memory
from workbench.sweep.search.trials import Result
from workbench.sweep.specification.spec import SweepSpec

LEAST_TRIALS = 8
"""Fewer say nothing of anybody's share."""


def importances_of_trials(spec: SweepSpec, space: Space, known: Sequence[Result]) -> list[Importance]:
    """Per objective and quality metric: every parameter that all trials had, the most important first."""
    return [one for measure in spec.measures for one in _of_metric(spec, space, known, measure.metric)]


def _of_metric(spec: SweepSpec, space: Space, known: Sequence[Result], metric: str) -> Iterator[Importance]:
    from optuna.importance import FanovaImportanceEvaluator
    from optuna.trial import create_trial

    points = list(_points(space, known, metric))
    if len(points) < LEAST_TRIALS or len({value for _, value in points}) < 2:
        return
    study = in_memory()
    for chosen, value in points:
        distributions = {name: space.distributions[name] for name in chosen}
        study.add_trial(create_trial(value=value, params=chosen, distributions=distributions))
    shares = FanovaImportanceEvaluator(seed=spec.seed % 2**32).evaluate(study)
    for name, share in sorted(shares.items(), key=lambda one: -one[1]):
        yield Importance(metric=metric, parameter=name, share=float(share))


def _points(space: Space, known: Sequence[Result], metric: str) -> Iterator[tuple[dict[str, float], float]]:
    for one in known:
        chosen, ratio = space.chosen(one.row), one.ratios.get(metric, 0.0)
        if one.fate == "done" and chosen is not None and ratio > 0:
            yield chosen, math.log(ratio)

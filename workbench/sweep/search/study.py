"""What to try next: Optuna's answer, given everything that is known. The same knowledge gets the same answer.

Each question goes to a study of its own, in memory, made of the results so far, with a sampler seeded by the
specification's seed and the number of the trial. Nothing of Optuna's is kept.

TPE: Bergstra, Bardenet, Bengio & Kégl 2011, "Algorithms for Hyper-Parameter Optimization", NeurIPS 24. NSGA-II: Deb,
Pratap, Agarwal & Meyarivan 2002, IEEE Trans. Evol. Comput. 6:182-197. Optuna: Akiba et al. 2019, KDD.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from workbench.sweep.design.configurations import canonical
from workbench.sweep.search.space import Row, Space, how
from workbench.sweep.search.trials import Result
from workbench.sweep.specification.spec import SweepSpec

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler
    from optuna.study import Study

_ASKED = 50
"""Times Optuna is asked for something new before chance, or counting, decides."""

_DRAWN = 1000
"""Draws by chance after which what may run is taken to be all known, or forbidden."""

_COUNTED = 20_000
"""Size of a space that is looked through in full instead."""


def suggest(spec: SweepSpec, space: Space, known: Sequence[Result], number: int) -> Row | None:
    """A configuration that is not known yet and may be run; ``None``: there is none left.

    Args:
        spec: with ``mode: search``.
        space: its space.
        known: everything asked for so far, and the baseline.
        number: of the trial, for the seed.

    Raises:
        SpecError: conditions forbid everything; it names the one that forbids most.
    """
    seen, forbidden = {canonical(dict(one.row)) for one in known}, Counter[str]()
    for full in _candidates(spec, space, known, number):
        objection = space.objection(full)
        if objection is not None:
            forbidden[objection] += 1
        elif canonical(dict(row := space.relevant(full))) not in seen:
            return row
    if forbidden and len(known) == 1:
        said, _ = forbidden.most_common(1)[0]
        problem = f"nothing that may be run was found in the space; most is forbidden by {said!r}. Loosen it."
        raise spec.error(problem, _key(spec, said))
    return None


def _key(spec: SweepSpec, said: str) -> tuple[str | int, ...]:
    texts = [f"where: {text}" for text in spec.where]
    return ("where", texts.index(said)) if said in texts else ("search",)


def _candidates(spec: SweepSpec, space: Space, known: Sequence[Result], number: int) -> Iterator[Row]:
    """What Optuna says, again and again; then what is left, by chance.

    It never says the same for long: what was asked for and not told is under way to it, and TPE keeps away from that.
    """
    study = study_of(spec, space, known, number)
    for _ in range(_ASKED):
        yield space.row(study.ask(space.distributions).params)
    luck = random.Random(f"{spec.seed}:{number}")  # noqa: S311 - an experiment, not a secret
    if space.size > _COUNTED:
        yield from (space.any(luck) for _ in range(_DRAWN))
        return
    rows = list(space.every())
    luck.shuffle(rows)
    yield from rows


def study_of(spec: SweepSpec, space: Space, known: Sequence[Result], number: int = 0) -> Study:
    """A study in memory that knows what is known.

    NSGA-II keeps its generations in the study: they come about again if every trial is asked for again, in order.
    """
    study = in_memory(directions=[objective.direction for objective in spec.objectives], sampler=_sampler(spec, number))
    for one in known:
        chosen = space.chosen(one.row)
        if chosen is None:  # the baseline may lie outside of the space
            continue
        if _kind(spec) == "nsga2":
            _replay(spec, space, study, one, chosen)
        else:
            _add(spec, space, study, one, chosen)
    return study


def _replay(spec: SweepSpec, space: Space, study: Study, one: Result, chosen: dict[str, float]) -> None:
    from optuna.trial import TrialState

    study.enqueue_trial(chosen)
    trial = study.ask(space.distributions)
    for name, value in one.limits.items():
        trial.set_constraint(name, value)
    if one.fate == "failed":
        study.tell(trial, state=TrialState.FAIL)
    elif one.fate != "under way":
        study.tell(trial, one.values(spec))


def _add(spec: SweepSpec, space: Space, study: Study, one: Result, chosen: dict[str, float]) -> None:
    from optuna.trial import TrialState, create_trial

    states = {"failed": TrialState.FAIL, "under way": TrialState.RUNNING}
    state = states.get(one.fate, TrialState.COMPLETE)
    study.add_trial(
        create_trial(
            state=state,
            values=one.values(spec) if state == TrialState.COMPLETE else None,
            params=chosen,
            distributions={name: space.distributions[name] for name in chosen},
            constraints=dict(one.limits),
        )
    )


def _kind(spec: SweepSpec) -> str:
    if how(spec).sampler != "auto":
        return how(spec).sampler
    return "tpe" if len(spec.objectives) == 1 else "nsga2"


def _sampler(spec: SweepSpec, number: int) -> BaseSampler:
    from optuna.samplers import NSGAIISampler, RandomSampler, TPESampler

    seed = random.Random(f"{spec.seed}:{number}").getrandbits(32)  # noqa: S311
    match _kind(spec):
        case "tpe":
            return TPESampler(seed=seed, n_startup_trials=how(spec).startup)
        case "nsga2":
            return NSGAIISampler(seed=seed, population_size=how(spec).startup)
    return RandomSampler(seed=seed)


def in_memory(**options: Any) -> Study:
    """An empty study, without the line that Optuna logs for each: there is one for every trial."""
    import optuna

    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        return optuna.create_study(**options)
    finally:
        optuna.logging.set_verbosity(before)

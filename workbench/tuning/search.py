"""The search: Optuna proposes, the laboratory measures in pairs with the default, the clearly worse is given up early.

TPE (Bergstra et al. 2011) through ``ask`` and ``tell``, median pruning over repeated pairs (Golovin et al. 2017). Every
pair is written to the study, so a killed search goes on where it was. What it finds is a shortlist, never a verdict:
the best of many noisy figures is too good to be true.
"""

from __future__ import annotations

import random
import statistics
from collections.abc import Callable
from dataclasses import dataclass, field

import optuna
from optuna.trial import FrozenTrial, TrialState

from workbench.errors import WorkbenchError, WorkerDied
from workbench.tuning.candidate import DEFAULT, Candidate
from workbench.tuning.lab import Lab, Shot
from workbench.tuning.plan import Plan
from workbench.tuning.results import TrialRecord
from workbench.tuning.space import Space
from workbench.tuning.study import Study
from workbench.tuning.workload import Workload


@dataclass
class Pairs:
    """Measurements of one candidate, each with the default's of the same moment."""

    taken: list[tuple[Shot, Shot]] = field(default_factory=list)

    def score(self, workload: Workload) -> float:
        """Mean log ratio to the default."""
        return statistics.fmean(log_ratio(shot, against, workload) for shot, against in self.taken)


def log_ratio(shot: Shot, against: Shot, workload: Workload) -> float:
    """How much faster, by the workload's weights, as a logarithm."""
    return workload.score(shot.prefill_tps / against.prefill_tps, shot.decode_tps / against.decode_tps)


class Search:
    """One study.

    Args:
        space: what is tried.
        lab: who measures.
        workload: what is measured.
        plan: how often.
        study: where trials are kept; belongs to the caller.
        seed: of the order within pairs.
    """

    def __init__(self, space: Space, lab: Lab, workload: Workload, plan: Plan, study: Study, *, seed: int = 0) -> None:
        self.space, self._lab, self._workload, self._plan = space, lab, workload, plan
        self._study = study.optuna
        self._random = random.Random(seed)  # noqa: S311 - the order of measurements
        self.pairs: dict[Candidate, Pairs] = {}
        self._recall()

    def run(self, goes_on: Callable[[], bool], told: Callable[[TrialRecord], None]) -> None:
        """Try candidates until ``goes_on`` says no or ``max_trials`` is reached; ``told`` hears of each.

        The default and each file as it is are tried whatever ``goes_on`` says: a tune has to know that much.
        """
        starts = self.space.starts()
        if not self._study.get_trials(deepcopy=False):
            for start in starts:
                self._study.enqueue_trial(self.space.full(start))
        most = self._plan.max_trials
        while (most is None or len(self.records()) < most) and (len(self.records()) < len(starts) or goes_on()):
            told(self._try_one())

    def take_pair(self, candidate: Candidate, against: Candidate = DEFAULT) -> tuple[Shot, Shot]:
        """Both measured, one right after the other, in random order.

        Raises:
            WorkbenchError: one of them failed.
        """
        if self._random.random() < 0.5:
            shot = self._lab.measure(candidate, self._workload)
            return shot, self._lab.measure(against, self._workload)
        other = self._lab.measure(against, self._workload)
        return self._lab.measure(candidate, self._workload), other

    def ranking(self) -> list[Candidate]:
        """Candidates that came through all their pairs and were faster than the default, best first."""
        whole = [one for one, pairs in self.pairs.items() if one != DEFAULT and len(pairs.taken) >= self._plan.pairs]
        scored = {one: self.pairs[one].score(self._workload) for one in whole}
        return sorted((one for one in whole if scored[one] > 0), key=lambda one: (-scored[one], one.changes))

    def records(self) -> list[TrialRecord]:
        """Trials that have ended, in order."""
        return [_record(one) for one in self._study.get_trials(deepcopy=False) if one.state.is_finished()]

    def simplified(self, best: Candidate, goes_on: Callable[[], bool]) -> Candidate:
        """``best`` without the settings that gain nothing: each is put back to its default, in turn, and measured.

        A setting whose reversal costs less than the plan's tolerance stays reversed.
        """
        for name, _ in best.settings:
            if not goes_on():
                break
            simpler = best.without(name)
            try:
                taken = [self.take_pair(simpler, best) for _ in range(self._plan.pairs)]
            except WorkbenchError:  # the setting is needed for the others to work
                continue
            if Pairs(taken).score(self._workload) >= -self._plan.tolerance:
                best = simpler
        return best

    def _try_one(self) -> TrialRecord:
        trial = self._study.ask()
        levels = {one.name: str(trial.suggest_categorical(one.name, list(one.levels))) for one in self.space.dimensions}
        candidate = self.space.candidate(levels)
        trial.set_user_attr("candidate", candidate.to_json())
        mine: list[tuple[Shot, Shot]] = []
        known = self.pairs.setdefault(candidate, Pairs())
        try:
            pruned = self._measure(trial, candidate, known, mine)
        except WorkbenchError as error:
            trial.set_user_attr("reason", error.hint if isinstance(error, WorkerDied) else str(error))
            return self._told(trial, TrialState.FAIL)
        return self._told(trial, TrialState.PRUNED if pruned else TrialState.COMPLETE, known.score(self._workload))

    def _measure(self, trial: optuna.Trial, candidate: Candidate, known: Pairs, mine: list[tuple[Shot, Shot]]) -> bool:
        """Take the pairs; True: given up early."""
        for step in range(self._plan.pairs):
            pair = self.take_pair(candidate)
            mine.append(pair)
            known.taken.append(pair)
            trial.set_user_attr("pairs", [[*_figures(one), *_figures(other)] for one, other in mine])
            trial.report(known.score(self._workload), step)
            if step + 1 < self._plan.pairs and trial.should_prune():
                trial.set_user_attr("reason", f"slower than most after {step + 1} of {self._plan.pairs} pairs")
                return True
        return False

    def _told(self, trial: optuna.Trial, state: TrialState, value: float | None = None) -> TrialRecord:
        self._study.tell(trial, value if state == TrialState.COMPLETE else None, state=state)
        return _record(self._study.get_trials(deepcopy=False)[trial.number])

    def _recall(self) -> None:
        """What an earlier, killed process measured; the trial it was in counts as failed."""
        for trial in self._study.get_trials(deepcopy=False):
            if trial.state == TrialState.RUNNING:
                self._study.tell(trial.number, state=TrialState.FAIL)
            elif trial.state.is_finished() and trial.state != TrialState.FAIL:
                record = _record(trial)
                self.pairs.setdefault(record.candidate, Pairs()).taken.extend(record.pairs)


def _figures(shot: Shot) -> tuple[float, float]:
    return shot.prefill_tps, shot.decode_tps


def _record(trial: FrozenTrial) -> TrialRecord:
    pairs = tuple((Shot(*one[:2]), Shot(*one[2:])) for one in trial.user_attrs.get("pairs", ()))
    states = {TrialState.COMPLETE: "measured", TrialState.PRUNED: "given up", TrialState.FAIL: "failed"}
    return TrialRecord(
        number=trial.number,
        candidate=Candidate.from_json(trial.user_attrs.get("candidate", DEFAULT.to_json())),
        levels=dict(trial.params),
        state=states.get(trial.state, "failed"),
        pairs=pairs,
        reason=str(trial.user_attrs.get("reason", "")),
        seconds=trial.duration.total_seconds() if trial.duration else 0.0,
    )

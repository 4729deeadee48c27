"""What came of trials: ratios to the baseline that ran beside them, and which limits they break."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from workbench.sweep.design.planning import Cell
from workbench.sweep.execution.standing import State
from workbench.sweep.findings.comparing import LENGTH_METRIC, TIME_UNITS
from workbench.sweep.findings.statistics import LEAST_BAND
from workbench.sweep.records.table import Run
from workbench.sweep.search.space import Row
from workbench.sweep.specification.spec import SweepSpec

Fate = Literal["under way", "done", "failed", "out of memory"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """A configuration that was asked for.

    Attributes:
        row: its values.
        cells: of it and of the baseline, ``repeats`` blocks of both.
    """

    row: Row
    cells: tuple[Cell, ...]

    @property
    def label(self) -> str:
        """For people."""
        return next(cell.configuration.label for cell in self.cells if cell.configuration.arm == "grid")

    def blocks(self) -> Iterator[tuple[Cell, Cell]]:
        """The configuration's cell and the baseline's, block by block."""
        ours = [cell for cell in self.cells if cell.configuration.arm == "grid"]
        theirs = {cell.block: cell for cell in self.cells if cell.configuration.arm == "baseline"}
        return ((cell, theirs[cell.block]) for cell in ours)


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a trial has shown so far.

    Attributes:
        row: the configuration.
        fate: what became of it.
        ratios: metric → its ratio to the baseline's, the median over the blocks.
        limits: what must not be above 0: memory, the losses of quality beyond their tolerance, another answer's length.
    """

    row: Row
    fate: Fate
    ratios: Mapping[str, float] = field(default_factory=dict)
    limits: Mapping[str, float] = field(default_factory=dict)

    @property
    def feasible(self) -> bool:
        """Whether it may be recommended."""
        return self.fate == "done" and all(value <= 0 for value in self.limits.values())

    def values(self, spec: SweepSpec) -> list[float]:
        """One per objective; what breaks memory has the worst there is."""
        worst = {"maximize": 0.0, "minimize": 1e9}
        return [self.ratios.get(one.metric, worst[one.direction]) for one in spec.objectives]


def results(
    spec: SweepSpec, trials: Iterable[Trial], runs: Iterable[Run], state: Callable[[Cell], State]
) -> list[Result]:
    """What came of each trial, in the order they were asked for."""
    finished = {run.cell.id: run for run in runs}
    return [_result(spec, trial, finished, state) for trial in trials]


def as_baseline(spec: SweepSpec, row: Row) -> Result:
    """The baseline itself: known without a run, all its ratios are 1."""
    ratios = {measure.metric: 1.0 for measure in spec.measures}
    return Result(row=row, fate="done", ratios=ratios, limits=_limits(spec, ratios))


def _result(spec: SweepSpec, trial: Trial, finished: Mapping[str, Run], state: Callable[[Cell], State]) -> Result:
    states = {cell.id: state(cell) for cell in trial.cells}
    if any(states[ours.id] == "out_of_memory" for ours, _ in trial.blocks()):
        return Result(row=trial.row, fate="out of memory", limits={**_limits(spec, {}), "memory": 1.0})
    if "missing" in states.values():
        return Result(row=trial.row, fate="under way")
    pairs = [(finished[a.id], finished[b.id]) for a, b in trial.blocks() if a.id in finished and b.id in finished]
    ratios = {m: ratio for m in _metrics(spec) if (ratio := _ratio(pairs, m)) is not None}
    if any(objective.metric not in ratios for objective in spec.objectives):
        return Result(row=trial.row, fate="failed")
    return Result(row=trial.row, fate="done", ratios=ratios, limits=_limits(spec, ratios))


def _metrics(spec: SweepSpec) -> list[str]:
    return list(dict.fromkeys([*(measure.metric for measure in spec.measures), LENGTH_METRIC]))


def _ratio(pairs: Sequence[tuple[Run, Run]], metric: str) -> float | None:
    """Median ratio of a metric over blocks on one host; ``None``: no block has one."""
    found = []
    for ours, theirs in pairs:
        one, other = ours.record.metrics.get(metric), theirs.record.metrics.get(metric)
        if one is None or other is None or ours.host != theirs.host:
            continue
        if one == other:
            found.append(1.0)
        elif math.isfinite(one) and math.isfinite(other) and one >= 0 and other > 0:
            found.append(one / other)
    return statistics.median(found) if found else None


def _limits(spec: SweepSpec, ratios: Mapping[str, float]) -> dict[str, float]:
    """As :class:`Result` has them. What was not measured breaks nothing: the blocks of the finals will say."""
    found = {"memory": 0.0}
    for quality in spec.quality:
        ratio = ratios.get(quality.metric, 1.0)
        found[quality.metric] = (ratio - 1 if quality.direction == "minimize" else 1 - ratio) - quality.tolerance
    if any(objective.metric.endswith(TIME_UNITS) for objective in spec.objectives):  # "faster because shorter"
        length = ratios.get(LENGTH_METRIC, 1.0)
        found["length"] = (abs(math.log(length)) if length > 0 else 1.0) - LEAST_BAND
    return found

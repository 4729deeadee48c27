"""From finished runs to findings: floors, comparisons, main effects, recommendations, targets.

Only complete pairs count; the audit says how many runs are missing. Draws nothing and runs nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from workbench.sweep.design.planning import Configuration, configurations, situations
from workbench.sweep.findings.comparing import against_reference, band_of, floor, main_effects
from workbench.sweep.findings.recommend import recommend
from workbench.sweep.findings.targets import evaluate
from workbench.sweep.records.table import Run, Table
from workbench.sweep.results import Analysis, Audit, MainEffect, Objective
from workbench.sweep.specification.spec import SweepSpec


def analyse(
    spec: SweepSpec, runs: Sequence[Run], audit: Audit, *, defaults: Mapping[str, Any] | None = None
) -> Analysis:
    """Everything a report needs.

    Args:
        spec: what was asked for.
        runs: finished runs of planned cells, each cell at most once.
        audit: how many cells ended how.
        defaults: the notebook's own parameter values, for targets that name them.
    """
    arms, table, measures = configurations(spec), Table(runs), spec.measures
    floors = {m.metric: found for m in measures if (found := floor(table, arms, m.metric)) is not None}
    bands = {m.metric: band_of(floors.get(m.metric)) for m in measures}
    groups = situations(spec, arms)
    comparisons = [c for m in measures for c in against_reference(table, [g for _, g in groups], m, bands[m.metric])]
    effects = [e for m in measures for e in main_effects(spec, arms, table, m, bands[m.metric])]
    return Analysis(
        name=spec.name,
        title=spec.title or spec.name,
        description=spec.description,
        objectives=measures,
        parameters=spec.levels,
        baseline=next((arm.label for arm in arms if arm.arm == "baseline"), None),
        frame=table.frame(list(spec.levels), [o.metric for o in spec.objectives]),
        floors=floors,
        comparisons=comparisons,
        main_effects=effects,
        recommendations=[
            recommend(m, group, table, comparisons, _of(spec, effects, group, table, m, bands), measures, situation)
            for m in measures
            if m.role == "objective"
            for situation, group in groups
        ],
        targets=[evaluate(spec, target, table, defaults or {}) for target in spec.targets],
        audit=audit,
        environment=_environment(runs),
        definitions=_definitions(runs),
    )


def _of(
    spec: SweepSpec,
    effects: Sequence[MainEffect],
    group: Sequence[Configuration],
    table: Table,
    measure: Objective,
    bands: Mapping[str, float],
) -> Sequence[MainEffect]:
    """The main effects within one situation; over all of them they are averaged."""
    return main_effects(spec, group, table, measure, bands[measure.metric]) if spec.within else effects


def _environment(runs: Sequence[Run]) -> dict[str, Any]:
    """The latest run's machine, and every recorded fact that was the same in all runs (model hash, build flags)."""
    if not runs:
        return {}
    latest = max(runs, key=lambda run: run.order)
    constant = {
        name: value
        for name, value in latest.record.info.items()
        if name != "definitions" and all(_same(run.record.info.get(name), value) for run in runs)
    }
    hosts = sorted({run.host for run in runs})
    return {**latest.environment, "hosts": hosts, **({"recorded": constant} if constant else {})}


def _same(one: Any, other: Any) -> bool:
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def _definitions(runs: Sequence[Run]) -> dict[str, str]:
    found: dict[str, str] = {}
    for run in runs:
        definitions = run.record.info.get("definitions")
        if isinstance(definitions, Mapping):
            found.update({str(name): str(text) for name, text in definitions.items()})
    return found

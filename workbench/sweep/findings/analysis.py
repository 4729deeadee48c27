"""From finished runs to findings: floors, comparisons, main effects, recommendations, targets.

Only complete pairs count; the audit says how many runs are missing. Draws nothing and runs nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from workbench.sweep.design.planning import Configuration, configurations
from workbench.sweep.findings.finding import find
from workbench.sweep.findings.ground import fresh_ground
from workbench.sweep.findings.importance import importances
from workbench.sweep.findings.recommend import Beside, recommend
from workbench.sweep.findings.targets import evaluate
from workbench.sweep.records.table import Run, Table
from workbench.sweep.results import Analysis, Audit, Boundary
from workbench.sweep.specification.spec import SweepSpec


def analyse(
    spec: SweepSpec,
    runs: Sequence[Run],
    audit: Audit,
    *,
    defaults: Mapping[str, Any] | None = None,
    boundaries: Sequence[Boundary] = (),
    confirmations: Sequence[Run] = (),
    arms: Sequence[Configuration] | None = None,
) -> Analysis:
    """Everything a report needs.

    Args:
        spec: what was asked for.
        runs: finished runs of planned cells, each cell at most once, confirmations not among them.
        audit: how many cells ended how.
        defaults: the notebook's own parameter values, for targets that name them.
        boundaries: configurations that did not fit into memory.
        confirmations: finished runs of fresh blocks, made after the choice.
        arms: the configurations; ``None``: those of the specification's grid.
    """
    from workbench.sweep.records.samples import samples

    arms = configurations(spec) if arms is None else arms
    findings = find(spec, runs, arms)
    fresh = fresh_ground(findings.ground, confirmations) if confirmations else None
    everything = sorted([*runs, *confirmations], key=lambda run: run.order)
    return Analysis(
        name=spec.name,
        title=spec.title or spec.name,
        description=spec.description,
        objectives=spec.measures,
        parameters=spec.levels,
        baseline=next((arm.label for arm in arms if arm.arm == "baseline"), None),
        frame=Table(everything).frame(list(spec.columns), [o.metric for o in spec.objectives]),
        floors=findings.ground.floors,
        comparisons=findings.comparisons,
        main_effects=findings.effects,
        recommendations=[
            recommend(found, Beside(situation=situation, fresh=fresh, confirm=spec.confirm, boundaries=boundaries))
            for situation, found in findings.choices
        ],
        targets=[evaluate(spec, target, findings.ground.table, defaults or {}) for target in spec.targets],
        audit=audit,
        environment=_environment(everything),
        definitions=_definitions(everything),
        stages=_stages(runs),
        load=spec.load,
        boundaries=boundaries,
        importances=importances(spec, arms, findings.ground.table),
        samples=samples(everything),
    )


def _stages(runs: Sequence[Run]) -> tuple[str, ...]:
    """The parts of the whole that the latest run names; only those that some run has measured."""
    named = next((run.record.info["stages"] for run in reversed(runs) if run.record.info.get("stages")), ())
    return tuple(str(stage) for stage in named if any(run.record.metrics.get(stage) is not None for run in runs))


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

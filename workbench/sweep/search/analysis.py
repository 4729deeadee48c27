"""What a search has found: the findings are those of its finals; the trials are shown beside them and weigh nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from workbench.sweep.design.configurations import canonical, configurations, label_of
from workbench.sweep.execution.standing import Standing
from workbench.sweep.findings.analysis import analyse
from workbench.sweep.records.samples import samples
from workbench.sweep.records.table import Run, Table
from workbench.sweep.results import Analysis, Recommendation
from workbench.sweep.search.finals import finals_spec
from workbench.sweep.search.front import best
from workbench.sweep.search.importance import importances_of_trials
from workbench.sweep.search.journal import Journal
from workbench.sweep.search.space import how
from workbench.sweep.search.trials import Result, as_baseline, results
from workbench.sweep.specification.spec import SweepSpec


def analyse_search(spec: SweepSpec, folder: Path, standing: Standing) -> Analysis:
    """Everything a report needs. As long as there are no finals, nothing is recommended.

    Args:
        spec: with ``mode: search``.
        folder: its results folder.
        standing: what has become of its cells.
    """
    journal, runs = Journal(spec, folder), standing.runs()
    known = results(spec, journal.trials, runs, standing.state)
    rows = journal.finalists or []
    final = finals_spec(spec, rows)
    found = analyse(
        final,
        [run for run in runs if run.cell.phase in ("grid", "more")],
        standing.audit(),
        boundaries=standing.boundaries(),
        confirmations=[run for run in runs if run.cell.phase == "confirm"],
        arms=configurations(final) if rows else configurations(spec),
    )
    return replace(
        found,
        parameters=_tried(journal, runs),
        frame=Table(runs).frame(list(spec.columns), [objective.metric for objective in spec.objectives]),
        recommendations=[_told(spec, one, known) for one in found.recommendations],
        importances=importances_of_trials(spec, journal.space, [as_baseline(spec, journal.baseline.varied), *known]),
        samples=samples(sorted(runs, key=lambda run: run.order)),
    )


def _tried(journal: Journal, runs: Sequence[Run]) -> dict[str, tuple[Any, ...]]:
    """Parameter → the values that ran; numbers in rising order, others in the order of the specification."""
    written = journal.spec.levels
    found: dict[str, dict[str, Any]] = {name: {} for name in written}
    for run in runs:
        for name, value in run.cell.configuration.varied.items():
            found.setdefault(name, {})[canonical(value)] = value
    return {name: tuple(_in_order(list(values.values()), written.get(name, ()))) for name, values in found.items()}


def _in_order(values: list[Any], written: Sequence[Any]) -> list[Any]:
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        return sorted(values)
    places = {canonical(value): at for at, value in enumerate(written)}
    return sorted(values, key=lambda value: places.get(canonical(value), len(places)))


def _told(spec: SweepSpec, one: Recommendation, known: Sequence[Result]) -> Recommendation:
    """What the search was, beside what its finals say; before there are any, what it looks like."""
    notes = (*one.notes, searched(spec, known))
    front = [] if one.evidence is not None or one.conclusive else best(spec, known)
    if not front:
        return replace(one, notes=notes)
    ahead = f"So far {label_of(front[0])} looks best, in its own trial only: the finals have not been run."
    return replace(one, notes=(ahead, *notes))


def searched(spec: SweepSpec, known: Sequence[Result]) -> str:
    """The search in a sentence."""
    fates = Counter("broke a limit" if one.fate == "done" and not one.feasible else one.fate for one in known)
    others = [f"{count:,} {fate}" for fate, count in fates.items() if fate != "done"]
    counted = f"{len(known):,} of at most {how(spec).trials:,} trials" + (f" ({', '.join(others)})" if others else "")
    return f"Searched in {counted}; verdicts rest on the blocks of the finals alone."

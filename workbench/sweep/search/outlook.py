"""What a search is going to do, in words and in runs, before it does it."""

from __future__ import annotations

from collections.abc import Iterator

from workbench.sweep.design.configurations import label_of
from workbench.sweep.execution.runner import Sweep
from workbench.sweep.search.finals import most_runs
from workbench.sweep.search.front import places
from workbench.sweep.search.journal import Journal
from workbench.sweep.search.planners import next_row
from workbench.sweep.search.space import how
from workbench.sweep.search.trials import results
from workbench.sweep.specification.spec import SweepSpec


def runs_ahead(sweep: Sweep) -> int:
    """How many runs a search may still ask for, beside those it has asked for."""
    spec, journal = sweep.spec, Journal(sweep.spec, sweep.folder)
    trials = max(how(spec).trials - len(journal.trials), 0) * 2 * how(spec).repeats
    finals = 0 if journal.finalists is not None and not trials else most_runs(spec)
    if spec.budget.runs is not None:
        return min(trials + finals, max(spec.budget.runs - len(sweep.plan()), 0))
    return trials + finals


def outlook(sweep: Sweep) -> Iterator[str]:
    """Trials, what is asked first, and the finals: a line each.

    Raises:
        SpecError: conditions forbid everything.
    """
    spec, journal = sweep.spec, Journal(sweep.spec, sweep.folder)
    search, asked = how(spec), len(journal.trials)
    beside = f"× {search.repeats:,} blocks" if search.repeats > 1 else "× 1 block"
    yield (
        f"{spec.name}: a search of {search.trials:,} trials {beside} × (configuration + baseline) "
        f"= {search.trials * search.repeats * 2:,} runs, {asked:,} trials asked for"
    )
    yield f"  {_sampler(spec)}, over {', '.join(journal.space.axes)}"
    if journal.finalists is None and asked < search.trials:
        standing = sweep.standing()
        row = next_row(spec, journal, results(spec, journal.trials, standing.runs(), standing.state))
        yield f"  {'first' if not asked else 'next'}: {'nothing is left' if row is None else label_of(row)}"
    twin = " and its twin" if spec.twin else ""
    yield (
        f"then up to {places(spec):,} finalists and the baseline{twin} in {spec.blocks:,} blocks: "
        f"at most {(places(spec) + 1 + spec.twin) * spec.blocks:,} runs"
    )


def _sampler(spec: SweepSpec) -> str:
    names = {"tpe": "TPE", "nsga2": "NSGA-II", "random": "chance"}
    auto = "tpe" if len(spec.objectives) == 1 else "nsga2"
    name = names[auto if how(spec).sampler == "auto" else how(spec).sampler]
    return f"by {name}, the first {how(spec).startup:,} by chance" if name != "chance" else "by chance"

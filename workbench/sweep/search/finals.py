"""The finals: an ordinary sweep of the best, against the baseline, in randomised blocks.

It knows nothing of the search, so that its verdicts, further blocks and confirmations are those of any other sweep.
"""

from __future__ import annotations

from collections.abc import Sequence

from workbench.sweep.design.planning import configurations, reference
from workbench.sweep.search.front import places
from workbench.sweep.search.space import Row
from workbench.sweep.specification.spec import SweepSpec


def finals_spec(spec: SweepSpec, rows: Sequence[Row]) -> SweepSpec:
    """The specification with these configurations written out instead of a space to search."""
    final = spec.model_copy(
        update={
            "mode": "grid",
            "search": None,
            "parameters": {},
            "linked": (),
            "configurations": tuple(dict(row) for row in rows),
            # every value of it, lest it take what it leaves open from the first of the finalists
            "baseline": {**(spec.baseline or {}), **reference(configurations(spec)).varied},
        }
    )
    final._remembered = {}  # the copy shares it, and another specification's configurations are in it
    return final


def most_runs(spec: SweepSpec) -> int:
    """What the finals, and their confirmation, cost at most, further blocks apart."""
    return (places(spec) + 1 + spec.twin) * spec.blocks + spec.confirm * (1 + len(spec.objectives))

"""Does a specification with ``mode: search`` say what a search needs, and nothing it could not keep?"""

from __future__ import annotations

from workbench.sweep.specification.spec import SweepSpec

_REFUSED = {
    "workloads": "a search finds one best configuration. Write a search for each workload, its parameters in `fixed`.",
    "within": "a search finds one best configuration. Write a search for each situation.",
    "configurations": "a search chooses configurations itself. Leave it out, or write `mode: grid`.",
    "targets": "which arms a search will have is not known beforehand. Leave it out, or write `mode: grid`.",
    "claims": "which arms a search will have is not known beforehand. Leave it out, or write `mode: grid`.",
}


def check_search(spec: SweepSpec) -> None:
    """Refuse what a search cannot do.

    Raises:
        SpecError: with the line, the key and the remedy.
    """
    if spec.search is None:
        return
    for key, problem in _REFUSED.items():
        if getattr(spec, key):
            raise spec.error(problem, (key,))
    if spec.baseline is None:
        raise spec.error(
            "a search needs a `baseline`, which runs beside every trial. `baseline: {}` takes the first levels, and of "
            "ranges the notebook's defaults.",
            ("mode",),
        )
    if not spec.objectives:
        raise spec.error("a search needs `objectives`: what is good?", ("mode",))
    if not (spec.parameters or spec.linked or spec.search.ranges):
        raise spec.error("there is nothing to search: give `parameters`, `linked` or `search.ranges`.", ("search",))

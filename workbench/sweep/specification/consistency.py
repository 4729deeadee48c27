"""Do the keys of a specification fit each other? Looks at nothing but the specification itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from workbench.errors import UnknownName
from workbench.sweep.specification.searching import check_search
from workbench.sweep.specification.source import KeyPath
from workbench.sweep.specification.spec import WORKLOAD, SweepSpec


def check_consistency(spec: SweepSpec) -> None:
    """Refuse keys that contradict or need each other.

    Raises:
        SpecError: with the line, the key and the known names.
    """
    _check_overlap(spec)
    _check_workloads(spec)
    _check_search(spec)
    check_search(spec)
    _check_slow(spec)
    _check_load(spec)
    _check_further_blocks(spec)
    _check_side_by_side(spec)


def groups(spec: SweepSpec) -> Iterator[tuple[KeyPath, Mapping[str, list[Any]]]]:
    """Sections that map names to lists of levels."""
    yield ("parameters",), spec.parameters
    for index, group in enumerate(spec.linked):
        yield ("linked", index), group


def _check_overlap(spec: SweepSpec) -> None:
    seen: dict[str, KeyPath] = {}
    for path, group in groups(spec):
        for name in group:
            if name in spec.fixed:
                raise spec.error(f"this parameter is in `{path[0]}` and in `fixed`. Keep one.", ("fixed", name))
            if name in seen:
                raise spec.error(f"this parameter is in `{seen[name][0]}` already. Keep one.", (*path, name))
            seen[name] = path


def _check_workloads(spec: SweepSpec) -> None:
    """A parameter is either a workload's or somebody else's: which value a run gets must not be a riddle."""
    others = dict(_elsewhere(spec))
    if spec.workloads and WORKLOAD in others:
        problem = f"with `workloads` the parameter `{WORKLOAD}` has their names as its levels. Leave it out here."
        raise spec.error(problem, others[WORKLOAD])
    for workload, values in spec.workloads.items():
        for name in values:
            if name == WORKLOAD:
                problem = f"`{WORKLOAD}` is {workload!r} here already, the name of the workload. Leave it out."
                raise spec.error(problem, ("workloads", workload, name))
            if name in others:
                problem = f"this parameter is in `{others[name][0]}` already. Keep one."
                raise spec.error(problem, ("workloads", workload, name))


def _elsewhere(spec: SweepSpec) -> Iterator[tuple[str, KeyPath]]:
    """Parameters that are set outside of the workloads, and where."""
    for path, group in groups(spec):
        yield from ((name, (*path, name)) for name in group)
    for index, one in enumerate(spec.configurations):
        yield from ((name, ("configurations", index, name)) for name in one)
    yield from ((name, ("fixed", name)) for name in spec.fixed)
    yield from ((name, ("baseline", name)) for name in spec.baseline or {})


def _check_search(spec: SweepSpec) -> None:
    if spec.mode == "search" and spec.search is None:
        raise spec.error("`mode: search` needs a section `search`, at least `search: {trials: 50}`.", ("mode",))
    if spec.search is None:
        return
    if spec.mode != "search":
        raise spec.error("`search` says how to search: write `mode: search` with it, or leave it out.", ("search",))
    others = dict(_elsewhere(spec))
    for name in spec.search.ranges:
        if name in others and others[name][0] != "baseline":  # which may, and should, say what it has
            problem = f"this parameter is in `{others[name][0]}` already. Keep one."
            raise spec.error(problem, ("search", "ranges", name))


def _varied(spec: SweepSpec) -> set[str]:
    return {*spec.levels, *(spec.search.ranges if spec.search else ())}


def _check_slow(spec: SweepSpec) -> None:
    seen: set[str] = set()
    for index, name in enumerate(spec.slow):
        _known(spec, "varied parameter", name, _varied(spec), ("slow", index))
        if name in seen:
            raise spec.error(f"{name!r} is listed twice.", ("slow", index))
        seen.add(name)


def _check_load(spec: SweepSpec) -> None:
    if spec.load is not None:
        _known(
            spec, "varied parameter or parameter of a workload", spec.load, {*_varied(spec), *spec.columns}, ("load",)
        )


def _known(spec: SweepSpec, kind: str, name: str, known: Iterable[str], path: KeyPath) -> None:
    names = sorted(known)
    if name not in names:
        remedy = "" if names else "Nothing is varied here: give `parameters`."
        raise spec.error(str(UnknownName(kind, name, names, remedy)), path)


def _check_further_blocks(spec: SweepSpec) -> None:
    """More blocks settle a ranking, and a confirmation what was chosen: without an objective there is neither."""
    for key in ("more_blocks", "confirm"):
        if getattr(spec, key) and not spec.objectives:
            raise spec.error("without `objectives` nothing is ranked or chosen. Give one, or leave this out.", (key,))


def _check_side_by_side(spec: SweepSpec) -> None:
    """Two runs at once spoil each other's times."""
    if spec.side_by_side == 1:
        return
    from workbench.sweep.findings.comparing import TIME_UNITS

    for section in ("objectives", "quality", "targets", "claims"):
        for measure in getattr(spec, section):
            if measure.metric.endswith(TIME_UNITS):
                raise spec.error(
                    f"runs side by side disturb each other, and {measure.metric!r} in `{section}` is measured in time "
                    f"or energy (it ends in {', '.join(TIME_UNITS[:-1])} or {TIME_UNITS[-1]}). Leave `side_by_side` "
                    "out, or measure only what does not depend on time.",
                    ("side_by_side",),
                )

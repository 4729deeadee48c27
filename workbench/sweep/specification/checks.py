"""Does every name in a specification exist? Asked before anything runs (a sweep of an hour must not die of a typo).

Parameter names are held against the notebook; engine, preset and model names against what is installed; values whose
names are engine settings against :class:`EngineSettings`. Knows no statistics.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from workbench.errors import InvalidSettings, ModelError, SweepError, UnknownName
from workbench.settings import EngineSettings
from workbench.sweep.design.configurations import Arm, canonical, configurations
from workbench.sweep.specification.conditions import names as condition_names
from workbench.sweep.specification.consistency import check_consistency, groups
from workbench.sweep.specification.parts import ClaimSpec, TargetSpec
from workbench.sweep.specification.source import KeyPath
from workbench.sweep.specification.spec import WORKLOAD, SweepSpec


def check(spec: SweepSpec) -> None:
    """Refuse what cannot run.

    Raises:
        SpecError: with the line, the key and the known names.
    """
    _check_levels(spec)
    defaults = _notebook(spec)
    _check_parameters(spec, defaults)
    check_consistency(spec)
    _check_conditions(spec)
    _check_measures(spec)
    for path, name, value in _values(spec):
        _check_value(spec, path, name, value)
    _check_engine_settings(spec)
    _check_searched_settings(spec)
    _check_targets(spec, defaults)


def _check_parameters(spec: SweepSpec, defaults: Mapping[str, Any]) -> None:
    for path, values in _sections(spec):
        named = {WORKLOAD} if spec.workloads and path[0] in ("targets", "claims") else set()
        for name in values:
            if name not in defaults and name not in named:
                problem = str(UnknownName(f"parameter of {spec.notebook_path.name}", name, {*defaults, *named}))
                raise spec.error(problem, (*path, name))


def _check_levels(spec: SweepSpec) -> None:
    for path, group in groups(spec):
        for name, levels in group.items():
            if not levels:
                raise spec.error("this list of levels is empty. Give at least one.", (*path, name))
    for index, group in enumerate(spec.linked):
        counts = {name: len(levels) for name, levels in group.items()}
        if len(set(counts.values())) != 1:
            told = ", ".join(f"{name}: {count}" for name, count in counts.items()) or "none"
            raise spec.error(f"linked parameters need equally many levels ({told}).", ("linked", index))
    for path, _, value in _values(spec):
        _check_plain(spec, path, value)


def _check_conditions(spec: SweepSpec) -> None:
    """Each condition can be read and speaks of parameters whose values the specification gives."""
    known = {*spec.columns, *spec.fixed}
    conditions: list[tuple[KeyPath, str]] = [(("when", name), text) for name, text in spec.when.items()]
    conditions += [(("where", index), text) for index, text in enumerate(spec.where)]
    for path, text in conditions:
        try:
            unknown = sorted(condition_names(text) - known)
        except InvalidSettings as error:
            raise spec.error(str(error), path) from error
        if unknown:
            raise spec.error(str(UnknownName("parameter", unknown[0], known)), path)
    for index, name in enumerate(spec.within):
        if name not in spec.levels:
            raise spec.error(str(UnknownName("varied parameter", name, spec.levels)), ("within", index))
    if set(spec.within) - {WORKLOAD} and spec.baseline is not None:
        problem = "a baseline belongs to no situation. Make it the first of the grid, or leave `within` out."
        raise spec.error(problem, ("baseline",))
    for name in spec.when:
        if name not in spec.levels:
            raise spec.error(str(UnknownName("varied parameter", name, spec.levels)), ("when", name))


def _check_plain(spec: SweepSpec, path: KeyPath, value: Any) -> None:
    """Values must travel through JSON unchanged: they are hashed, stored and handed to another process."""
    try:
        same = json.loads(json.dumps(value, allow_nan=False)) == value
    except (TypeError, ValueError):
        same = False
    if not same:
        raise spec.error(f"{value!r} cannot be a parameter: use text, numbers, true, false, null or lists.", path)


def _notebook(spec: SweepSpec) -> dict[str, Any]:
    from workbench.sweep.specification.notebooks import parameter_defaults

    if not spec.notebook_path.is_file():
        raise spec.error(f"there is no notebook {spec.notebook_path}.", ("notebook",))
    try:
        return parameter_defaults(spec.notebook_path)
    except SweepError as error:
        raise spec.error(str(error), ("notebook",)) from error


def _sections(spec: SweepSpec) -> Iterator[tuple[KeyPath, Mapping[str, Any]]]:
    yield from groups(spec)
    for index, one in enumerate(spec.configurations):
        yield ("configurations", index), one
    for name, workload in spec.workloads.items():
        yield ("workloads", name), workload
    if spec.search is not None:
        yield ("search", "ranges"), spec.search.ranges
    yield ("fixed",), spec.fixed
    yield ("baseline",), spec.baseline or {}
    for path, asked in _asked(spec):
        yield (*path, "of"), asked.of
        yield (*path, "against"), asked.against or {}


def _asked(spec: SweepSpec) -> Iterator[tuple[KeyPath, TargetSpec | ClaimSpec]]:
    """What names arms."""
    yield from ((("targets", index), target) for index, target in enumerate(spec.targets))
    yield from ((("claims", index), claim) for index, claim in enumerate(spec.claims))


def _values(spec: SweepSpec) -> Iterator[tuple[KeyPath, str, Any]]:
    """Every single value with its key path and parameter name."""
    for path, values in _sections(spec):
        for name, value in values.items():
            if path[0] == "search":  # no value, a range of them
                continue
            if path[0] in ("parameters", "linked"):
                yield from (((*path, name, index), name, level) for index, level in enumerate(value))
            else:
                yield (*path, name), name, value


def _check_measures(spec: SweepSpec) -> None:
    if not spec.measures and not spec.targets:
        raise spec.error("nothing to measure: give `objectives`, `quality` or `targets`.", ())
    seen: set[str] = set()
    for section, measures in (("objectives", spec.objectives), ("quality", spec.quality)):
        for index, measure in enumerate(measures):
            if measure.metric in seen:
                raise spec.error(f"the metric {measure.metric!r} is listed twice.", (section, index, "metric"))
            seen.add(measure.metric)


def _check_value(spec: SweepSpec, path: KeyPath, name: str, value: Any) -> None:
    look_up = {"engine": _known_engine, "preset": _known_preset, "model": _known_model}.get(name)
    if look_up is None or value is None:
        return
    try:
        look_up(str(value))
    except (UnknownName, ModelError) as error:
        raise spec.error(str(error), path) from error


def _known_engine(name: str) -> None:
    from workbench.registry import engines

    if name not in engines.names():
        raise UnknownName("engine", name, engines.names())


def _known_preset(name: str) -> None:
    from workbench.engine import presets

    if name not in presets:
        raise UnknownName("preset", name, presets)


def _known_model(name: str) -> None:
    from workbench.models import resolve

    resolve(name)


def _check_engine_settings(spec: SweepSpec) -> None:
    """Each configuration as a whole: some settings exclude each other."""
    names, good = frozenset(EngineSettings.names()), set()
    for one in configurations(spec):
        settings = {name: value for name, value in one.parameters.items() if name in names}
        if (key := canonical(settings)) in good:  # what differs is none of the engine's business
            continue
        good.add(key)
        try:
            EngineSettings.from_mapping(settings)
        except (UnknownName, InvalidSettings) as error:
            raise spec.error(f"{one.label!r} cannot run: {error}", _culprit(spec, settings, one.arm)) from error


def _check_searched_settings(spec: SweepSpec) -> None:
    """What a search chooses from, value by value: which of them go together it finds out before it runs them."""
    if spec.search is None:
        return
    ends: list[tuple[KeyPath, str, Any]] = [
        (("search", "ranges", name), name, end)
        for name, one in spec.search.ranges.items()
        for end in (one.low, one.high)
    ]
    for path, name, value in [*(one for one in _values(spec) if one[0][0] in ("parameters", "linked")), *ends]:
        if name in EngineSettings.names() and not _stands_alone(name, value):
            raise spec.error(f"{value!r} is no {name} that an engine can run with.", path)


def _culprit(spec: SweepSpec, settings: Mapping[str, Any], arm: Arm) -> KeyPath:
    """The key to point at: the setting that is refused on its own, or the section if only the combination is."""
    for name, value in settings.items():
        if not _stands_alone(name, value):
            return _where(spec, name, value, arm)
    return ("baseline",) if arm == "baseline" else ("parameters",)


def _stands_alone(name: str, value: Any) -> bool:
    try:
        EngineSettings.from_mapping({name: value})
    except (UnknownName, InvalidSettings):
        return False
    return True


def _where(spec: SweepSpec, name: str, value: Any, arm: Arm) -> KeyPath:
    if arm == "baseline" and name in (spec.baseline or {}):
        return ("baseline", name)
    for path, group in groups(spec):
        if name in group and value in group[name]:
            return (*path, name, group[name].index(value))
    for section, members in (("configurations", enumerate(spec.configurations)), ("workloads", spec.workloads.items())):
        for at, one in members:
            if one.get(name) == value and name in one:
                return (section, at, name)
    return ("fixed", name)


def _check_targets(spec: SweepSpec, defaults: Mapping[str, Any]) -> None:
    from workbench.sweep.findings.targets import select

    for path, asked in _asked(spec):
        for side, wanted in (("of", asked.of), ("against", asked.against)):
            try:
                _ = None if wanted is None else select(spec, wanted, defaults)
            except SweepError as error:
                raise spec.error(str(error), (*path, side)) from error

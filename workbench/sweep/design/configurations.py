"""From a specification to configurations: the grid, what is written out, the workloads, the baseline, the twin.

Knows neither blocks nor the order in which anything runs.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from workbench.errors import InvalidSettings
from workbench.sweep.specification.conditions import holds
from workbench.sweep.specification.notebooks import parameter_defaults
from workbench.sweep.specification.source import KeyPath
from workbench.sweep.specification.spec import WORKLOAD, SweepSpec

Arm = Literal["grid", "baseline", "twin"]
_BASELINE: Arm = "baseline"


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """One set of parameters, in one role.

    Attributes:
        label: short name for people, unique in the sweep.
        arm: "grid", "baseline" or "twin".
        parameters: everything the notebook is given.
        varied: those of them that make it what it is among the others; with ``workloads`` the name of its own, too.
    """

    label: str
    arm: Arm
    parameters: Mapping[str, Any]
    varied: Mapping[str, Any]

    def value(self, name: str) -> Any:
        """What a parameter is here; ``None`` if it is left open."""
        return self.parameters.get(name, self.varied.get(name))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Workload:
    """What a workload adds to a configuration."""

    varied: Mapping[str, Any]
    parameters: Mapping[str, Any]


_NO_WORKLOAD = _Workload(varied={}, parameters={})


def configurations(spec: SweepSpec) -> tuple[Configuration, ...]:
    """Every configuration: the grid in the order of the file, what is written out, the baseline, the twin.

    Of a search those that are known before it has begun: the baseline and the twin.

    Raises:
        SpecError: two configurations are the same, or the conditions leave none.
        SweepError: there are workloads, and the notebook cannot be read.
    """
    workloads = _workloads(spec)
    return spec.remembered(
        ("configurations", canonical([dict(w.parameters) for w in workloads])), lambda: _all(spec, workloads)
    )


def of_row(spec: SweepSpec, row: Mapping[str, Any]) -> Configuration:
    """The configuration with these values of the varied parameters, less those that play no part (``when``)."""
    return _configuration(spec, "grid", _relevant(spec, row, _NO_WORKLOAD), _NO_WORKLOAD)


def forbidden_by(spec: SweepSpec, row: Mapping[str, Any]) -> int | None:
    """Index of the first condition of ``where`` that such a configuration breaks; ``None``: it may run."""
    broken = (at for at, text in enumerate(spec.where) if not _holds(spec, ("where", at), text, row, _NO_WORKLOAD))
    return next(broken, None)


def reference(arms: Sequence[Configuration]) -> Configuration:
    """What the others are compared with: the baseline, or the first configuration of the grid."""
    return next((arm for arm in arms if arm.arm == "baseline"), arms[0])


def situations(spec: SweepSpec, arms: Sequence[Configuration]) -> list[tuple[str, list[Configuration]]]:
    """The arms by the situation they are in (``within``), each in words; without any there is one, without a name."""
    groups: dict[str, list[Configuration]] = {}
    for arm in arms:
        situation = label_of({name: arm.varied.get(name) for name in spec.within}) if spec.within else ""
        groups.setdefault(situation, []).append(arm)
    return list(groups.items())


def _all(spec: SweepSpec, workloads: Sequence[_Workload]) -> tuple[Configuration, ...]:
    grid = [] if spec.mode == "search" else _grid(spec, workloads)  # a search says itself what it tries
    baselines = _baselines(spec, workloads)
    _refuse_duplicates(spec, grid, baselines)
    arms = [*grid, *baselines]
    if spec.twin:
        twin_of = (baselines or grid)[0]
        arms.append(Configuration(label="twin", arm="twin", parameters=twin_of.parameters, varied=dict(twin_of.varied)))
    return tuple(arms)


def _workloads(spec: SweepSpec) -> list[_Workload]:
    """The workloads; without any, one that adds nothing."""
    if not spec.workloads:
        return [_NO_WORKLOAD]
    told = WORKLOAD in parameter_defaults(spec.notebook_path)
    return [
        _Workload(varied={WORKLOAD: name}, parameters={**values, **({WORKLOAD: name} if told else {})})
        for name, values in spec.workloads.items()
    ]


def _grid(spec: SweepSpec, workloads: Sequence[_Workload]) -> list[Configuration]:
    rows = [(row, workload) for row in _rows(spec) for workload in workloads]
    kept = [
        (row, workload)
        for row, workload in rows
        if all(_holds(spec, ("where", at), text, row, workload) for at, text in enumerate(spec.where))
    ]
    if spec.when:  # what a condition leaves out makes some of them the same
        relevant = [(_relevant(spec, row, workload), workload) for row, workload in kept]
        kept = list({canonical([row, dict(workload.varied)]): (row, workload) for row, workload in relevant}.values())
    if not kept:
        raise spec.error(f"the conditions leave none of {len(rows)} configurations. Loosen one.", ("where",))
    return [_configuration(spec, "grid", row, workload) for row, workload in kept]


def _configuration(spec: SweepSpec, arm: Arm, row: Mapping[str, Any], workload: _Workload) -> Configuration:
    varied = {**row, **workload.varied}
    label = (
        label_of(varied) if arm == "grid" else ", ".join([arm, *([label_of(workload.varied)] * bool(spec.workloads))])
    )
    return Configuration(label=label, arm=arm, parameters={**spec.fixed, **workload.parameters, **row}, varied=varied)


def _rows(spec: SweepSpec) -> list[dict[str, Any]]:
    """Name → level of each configuration: the grid, unless there are only configurations written out, and those."""
    axes = [[{name: level} for level in levels] for name, levels in spec.parameters.items()]
    axes += [[dict(zip(group, row, strict=True)) for row in zip(*group.values(), strict=True)] for group in spec.linked]
    grid = [dict(itertools.chain.from_iterable(part.items() for part in parts)) for parts in itertools.product(*axes)]
    return (grid if axes or not spec.configurations else []) + [dict(row) for row in spec.configurations]


def _first(spec: SweepSpec) -> dict[str, Any]:
    """The first configuration of the grid; of what a search has ranges for, the notebook's defaults."""
    row = {name: levels[0] for group in (spec.parameters, *spec.linked) for name, levels in group.items()}
    if spec.search is not None and spec.search.ranges:
        defaults = parameter_defaults(spec.notebook_path)
        row |= {name: defaults[name] for name in spec.search.ranges if name in defaults}
    return row or dict(next(iter(spec.configurations), {}))


def _relevant(spec: SweepSpec, row: Mapping[str, Any], workload: _Workload) -> dict[str, Any]:
    """The row without the parameters that play no part in it."""
    return {
        name: value
        for name, value in row.items()
        if name not in spec.when or _holds(spec, ("when", name), spec.when[name], row, workload)
    }


def _holds(spec: SweepSpec, path: KeyPath, condition: str, row: Mapping[str, Any], workload: _Workload) -> bool:
    try:
        return holds(condition, {**spec.fixed, **workload.varied, **workload.parameters, **row})
    except InvalidSettings as error:
        raise spec.error(str(error), path) from error


def _baselines(spec: SweepSpec, workloads: Sequence[_Workload]) -> list[Configuration]:
    """The baseline under each workload: what the configurations under the same one are compared with."""
    if spec.baseline is None:
        return []
    first = {**_first(spec), **spec.baseline}
    return [_configuration(spec, _BASELINE, _relevant(spec, first, workload), workload) for workload in workloads]


def _refuse_duplicates(spec: SweepSpec, grid: Sequence[Configuration], baselines: Sequence[Configuration]) -> None:
    labels: set[str] = set()
    for one in grid:  # labels tell configurations apart for people: 1 and "1" must not both be levels
        if one.label in labels:
            section = "parameters" if spec.parameters or spec.linked else "configurations"
            raise spec.error(f"{one.label!r} is in the grid twice. Remove the repeated level.", (section,))
        labels.add(one.label)
    seen: dict[str, str] = {}
    for one in grid:
        same = seen.setdefault(canonical(one.parameters), one.label)
        if same != one.label:
            raise spec.error(
                f"{one.label!r} runs the same as {same!r}: they differ in nothing the notebook is given. Give the "
                f"workloads different parameters, or the notebook a parameter `{WORKLOAD}`.",
                ("workloads", str(one.varied.get(WORKLOAD))),
            )
    for baseline in baselines:
        twin = seen.get(canonical(baseline.parameters))
        if twin is not None:
            raise spec.error(
                f"the baseline is the same as {twin!r} of the grid. Leave it out: the first configuration is then the "
                "reference; `twin: true` runs it twice.",
                ("baseline",),
            )


def label_of(varied: Mapping[str, Any]) -> str:
    """A configuration in words.

    >>> label_of({"n_batch": 512, "flash_attn": True})
    'n_batch=512, flash_attn=on'
    """
    return ", ".join(f"{name}={show(value)}" for name, value in varied.items()) or "as fixed"


def show(value: Any) -> str:
    """A parameter's value for people."""
    if isinstance(value, bool):
        return "on" if value else "off"
    return "auto" if value is None else str(value)


def canonical(value: Any) -> str:
    """Equal for equal values, and for no others: 1, 1.0 and true are three."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))

"""From a specification to cells: configurations × blocks, in an order that chance decides and a seed repeats.

Randomised complete blocks: each configuration once per block, so that whatever drifts (temperature, other load)
hits all of them alike. Two arms alternate ABBA. Knows nothing of how a cell is run.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from workbench.errors import InvalidSettings
from workbench.sweep.specification.conditions import holds
from workbench.sweep.specification.notebooks import code_hash
from workbench.sweep.specification.source import KeyPath
from workbench.sweep.specification.spec import SweepSpec

Arm = Literal["grid", "baseline", "twin"]
Phase = Literal["grid", "more", "confirm"]
_PHASES = {"grid": "block", "more": "further block", "confirm": "confirmation"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """One set of parameters, in one role.

    Attributes:
        label: short name for people, unique in the sweep.
        arm: "grid", "baseline" or "twin".
        parameters: everything the notebook is given.
        varied: those of them that make it what it is among the others.
    """

    label: str
    arm: Arm
    parameters: Mapping[str, Any]
    varied: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One run: a configuration in a block.

    Attributes:
        id: the same for the same configuration, role, block and notebook code, whatever else the sweep holds.
        configuration: what is run.
        block: 0-based, within its phase.
        phase: "grid": every configuration in every block; "more": of those whose ranking was undecided;
            "confirm": what was chosen, and its reference, in fresh blocks.
    """

    id: str
    configuration: Configuration
    block: int
    phase: Phase = "grid"

    @property
    def label(self) -> str:
        """For people."""
        return f"{self.configuration.label} · {_PHASES[self.phase]} {self.block + 1}"


def configurations(spec: SweepSpec) -> tuple[Configuration, ...]:
    """Every configuration: the grid in the order of the file, what is written out, the baseline, the twin.

    Raises:
        SpecError: two configurations are the same, or the conditions leave none.
    """
    grid = _grid(spec)
    baseline = _baseline(spec)
    _refuse_duplicates(spec, grid, baseline)
    arms = [*grid, *([baseline] if baseline else [])]
    if spec.twin:
        twin_of = baseline or grid[0]
        arms.append(Configuration(label="twin", arm="twin", parameters=twin_of.parameters, varied=dict(twin_of.varied)))
    return tuple(arms)


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


def plan(spec: SweepSpec) -> list[Cell]:
    """Every cell in running order. More blocks only append; cells that were there keep their ids.

    Raises:
        SweepError: the notebook cannot be read.
        SpecError: two configurations are the same.
    """
    arms, code = configurations(spec), code_hash(spec.notebook_path)
    return [
        Cell(id=_cell_id(arms[index], block, code), configuration=arms[index], block=block)
        for block in range(spec.blocks)
        for index in _order(len(arms), spec.seed, block)
    ]


def _order(count: int, seed: int, block: int) -> list[int]:
    """Order of the arms in one block, from nothing but the seed and the block's number."""
    if count == 2:  # ABBA: the two of each pair of blocks mirror each other, so linear drift cancels
        first = random.Random(f"{seed}:{block // 2}").randrange(2)  # noqa: S311 - an experiment, not a secret
        start = first if block % 2 == 0 else 1 - first
        return [start, 1 - start]
    order = list(range(count))
    random.Random(f"{seed}:{block}").shuffle(order)  # noqa: S311
    return order


def _grid(spec: SweepSpec) -> list[Configuration]:
    rows = _rows(spec)
    kept = [row for row in rows if all(_holds(spec, ("where", at), text, row) for at, text in enumerate(spec.where))]
    if spec.when:  # what a condition leaves out makes some of them the same
        kept = list({canonical(row): row for row in (_relevant(spec, row) for row in kept)}.values())
    if not kept:
        raise spec.error(f"the conditions leave none of {len(rows)} configurations. Loosen one.", ("where",))
    return [
        Configuration(label=label_of(row), arm="grid", parameters={**spec.fixed, **row}, varied=row) for row in kept
    ]


def _rows(spec: SweepSpec) -> list[dict[str, Any]]:
    """Name → level of each configuration: the grid, unless there are only configurations written out, and those."""
    axes = [[{name: level} for level in levels] for name, levels in spec.parameters.items()]
    axes += [[dict(zip(group, row, strict=True)) for row in zip(*group.values(), strict=True)] for group in spec.linked]
    grid = [dict(itertools.chain.from_iterable(part.items() for part in parts)) for parts in itertools.product(*axes)]
    return (grid if axes or not spec.configurations else []) + [dict(row) for row in spec.configurations]


def _relevant(spec: SweepSpec, row: dict[str, Any]) -> dict[str, Any]:
    """The row without the parameters that play no part in it."""
    return {
        name: value
        for name, value in row.items()
        if name not in spec.when or _holds(spec, ("when", name), spec.when[name], row)
    }


def _holds(spec: SweepSpec, path: KeyPath, condition: str, row: Mapping[str, Any]) -> bool:
    try:
        return holds(condition, {**spec.fixed, **row})
    except InvalidSettings as error:
        raise spec.error(str(error), path) from error


def _baseline(spec: SweepSpec) -> Configuration | None:
    if spec.baseline is None:
        return None
    first = _rows(spec)[0]
    varied = _relevant(spec, {**first, **spec.baseline})
    return Configuration(label="baseline", arm="baseline", parameters={**spec.fixed, **varied}, varied=varied)


def _refuse_duplicates(spec: SweepSpec, grid: Sequence[Configuration], baseline: Configuration | None) -> None:
    labels: set[str] = set()
    for one in grid:  # labels tell configurations apart for people: 1 and "1" must not both be levels
        if one.label in labels:
            section = "parameters" if spec.parameters or spec.linked else "configurations"
            raise spec.error(f"{one.label!r} is in the grid twice. Remove the repeated level.", (section,))
        labels.add(one.label)
    seen = {canonical(one.parameters): one.label for one in grid}
    if baseline and canonical(baseline.parameters) in seen:
        raise spec.error(
            f"the baseline is the same as {seen[canonical(baseline.parameters)]!r} of the grid. Leave it out: the "
            "first configuration is then the reference; `twin: true` runs it twice.",
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


def _cell_id(arm: Configuration, block: int, code: str) -> str:
    return _digest([dict(arm.parameters), arm.arm, block, code])[:20]


def _digest(value: Any) -> str:
    return hashlib.sha256(canonical(value).encode()).hexdigest()


def canonical(value: Any) -> str:
    """Equal for equal values, and for no others: 1, 1.0 and true are three."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))

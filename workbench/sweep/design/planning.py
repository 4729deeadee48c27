"""From configurations to cells: each once per block, in three phases, in an order that can be repeated.

Knows nothing of how a cell is run, nor of what runs found: which configurations get further blocks is said by others.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from workbench.sweep.design.configurations import (
    Arm,
    Configuration,
    canonical,
    configurations,
    label_of,
    reference,
    show,
    situations,
)
from workbench.sweep.design.order import order
from workbench.sweep.specification.notebooks import code_hash
from workbench.sweep.specification.spec import SweepSpec

Phase = Literal["search", "grid", "more", "confirm"]
PHASES: dict[Phase, str] = {
    "search": "trial block",
    "grid": "block",
    "more": "further block",
    "confirm": "confirmation",
}
"""What a block of each phase is called."""

__all__ = [
    "PHASES",
    "Arm",
    "Cell",
    "Configuration",
    "Phase",
    "canonical",
    "cells_of",
    "cells_of_block",
    "configurations",
    "label_of",
    "plan",
    "reference",
    "show",
    "situations",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One run: a configuration in a block.

    Attributes:
        id: the same for the same configuration, role, phase, block and notebook code, whatever else the sweep holds.
        configuration: what is run.
        block: 0-based, within its phase.
        phase: "search": a trial of a search, and the baseline beside it; "grid": every configuration in every block;
            "more": of those whose ranking was undecided; "confirm": what was chosen and its reference, in fresh blocks.
    """

    id: str
    configuration: Configuration
    block: int
    phase: Phase = "grid"

    @property
    def label(self) -> str:
        """For people."""
        return f"{self.configuration.label} · {PHASES[self.phase]} {self.block + 1}"


def plan(spec: SweepSpec) -> list[Cell]:
    """Every cell of the grid in running order. More blocks only append; cells that were there keep their ids.

    Raises:
        SweepError: the notebook cannot be read.
        SpecError: two configurations are the same.
    """
    arms, code = configurations(spec), code_hash(spec.notebook_path)
    parts = [_Parts(arm, code) for arm in arms]
    return [
        Cell(id=parts[index].id("grid", block), configuration=arms[index], block=block)
        for block in range(spec.blocks)
        for index in order(arms, spec.slow, str(spec.seed), block)
    ]


def cells_of_block(spec: SweepSpec, labels: Iterable[str], phase: Phase, block: int) -> list[Cell]:
    """The cells of one block of ``phase`` in running order, of the configurations with these labels.

    Labels nobody has are passed over: what they named is no longer part of the sweep.
    """
    wanted = frozenset(labels)
    return cells_of(spec, [arm for arm in configurations(spec) if arm.label in wanted], phase, block)


def cells_of(spec: SweepSpec, arms: Sequence[Configuration], phase: Phase, block: int) -> list[Cell]:
    """The cells of one block of ``phase``, of these configurations, in running order."""
    code = code_hash(spec.notebook_path)
    return [
        Cell(id=_Parts(arms[index], code).id(phase, block), configuration=arms[index], block=block, phase=phase)
        for index in order(arms, spec.slow, f"{spec.seed}:{phase}", block)
    ]


class _Parts:
    """What the ids of a configuration's cells have in common, written once: a sweep may have ten thousand."""

    __slots__ = ("_after", "_before")

    def __init__(self, arm: Configuration, code: str) -> None:
        self._before, self._after = f"[{canonical(dict(arm.parameters))},{canonical(arm.arm)}", f",{canonical(code)}]"

    def id(self, phase: Phase, block: int) -> str:
        """An id; those of the grid say nothing of a phase, as they did before there were any."""
        where = f",{block}" if phase == "grid" else f",{canonical(phase)},{block}"
        return hashlib.sha256(f"{self._before}{where}{self._after}".encode()).hexdigest()[:20]

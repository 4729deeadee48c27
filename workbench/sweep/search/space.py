"""What a search may try: the parameters of a specification as Optuna's distributions, and back to configurations.

A list of numbers is searched by rank (smallest first), so that neighbours are neighbours; any other list, and linked
parameters, are categories. Levels travel as their indices, so that any value may be one.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from workbench.errors import InvalidSettings
from workbench.settings import EngineSettings
from workbench.sweep.design.configurations import canonical, forbidden_by, of_row
from workbench.sweep.specification.parts import RangeSpec, SearchSpec
from workbench.sweep.specification.spec import SweepSpec

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

Row = Mapping[str, Any]
"""Parameter → value, of what is varied."""

_DIGITS = 4
"""Significant digits of a number from a continuous range: more would be noise in every label."""


@dataclass(frozen=True, slots=True)
class Levels:
    """Parameters with levels written out: one, or several linked.

    Attributes:
        names: the parameters.
        rows: their levels, those of numbers in rising order.
        ordered: whether neighbours are alike.
    """

    names: tuple[str, ...]
    rows: tuple[Row, ...]
    ordered: bool

    @property
    def size(self) -> int:
        """How many there are."""
        return len(self.rows)

    @property
    def distribution(self) -> BaseDistribution:
        """For Optuna: of indices."""
        from optuna.distributions import CategoricalDistribution, IntDistribution

        return IntDistribution(0, self.size - 1) if self.ordered else CategoricalDistribution(list(range(self.size)))

    def row(self, chosen: float) -> Row:
        """Parameters of an index."""
        return self.rows[int(chosen)]

    def chosen(self, row: Row) -> int | None:
        """Index of what a row has; ``None``: it has none of these."""
        wanted = canonical({name: row[name] for name in self.names})
        return next((at for at, one in enumerate(self.rows) if canonical(dict(one)) == wanted), None)

    def every(self) -> Iterator[Row]:
        """All of them."""
        return iter(self.rows)

    def any(self, luck: random.Random) -> Row:
        """One by chance."""
        return luck.choice(self.rows)


@dataclass(frozen=True, slots=True)
class Range:
    """A parameter that is a number between two ends."""

    name: str
    spec: RangeSpec

    @property
    def names(self) -> tuple[str, ...]:
        """The parameter."""
        return (self.name,)

    @property
    def whole(self) -> bool:
        """Whether only whole numbers are meant."""
        return all(isinstance(one, int) for one in (self.spec.low, self.spec.high, self.spec.step or 1))

    @property
    def size(self) -> float:
        """How many numbers there are; infinite for a continuous range."""
        if not self.whole and self.spec.step is None:
            return math.inf
        # as written: (0.3 - 0.1) / 0.1 is a little less than 2
        return math.floor((self.spec.high - self.spec.low) / (self.spec.step or 1) + 1e-9) + 1

    @property
    def distribution(self) -> BaseDistribution:
        """For Optuna; its end is the last number that can be reached by whole steps."""
        from optuna.distributions import FloatDistribution, IntDistribution

        low, high, step, log = self.spec.low, self.spec.high, self.spec.step, self.spec.log
        if step is not None:
            high = self._at(int(self.size) - 1)
        if self.whole:
            return IntDistribution(int(low), int(high), log=log, step=int(step or 1))
        return FloatDistribution(float(low), float(high), log=log, step=None if step is None else float(step))

    def row(self, chosen: float) -> Row:
        """The parameter, rounded to what a label can hold."""
        if self.whole:
            return {self.name: int(chosen)}
        if self.spec.step is not None:
            return {self.name: self._at(round((chosen - self.spec.low) / self.spec.step))}
        return {self.name: min(max(float(f"{chosen:.{_DIGITS}g}"), float(self.spec.low)), float(self.spec.high))}

    def chosen(self, row: Row) -> float | None:
        """The number a row has; ``None``: it is none of these."""
        value = row[self.name]
        if isinstance(value, bool) or not isinstance(value, int | float):
            return None
        return value if self.spec.low <= value <= self.spec.high and self.row(value)[self.name] == value else None

    def every(self) -> Iterator[Row]:
        """All of them, of a range with an end to counting."""
        return ({self.name: self._at(at)} for at in range(int(self.size)))

    def any(self, luck: random.Random) -> Row:
        """One by chance."""
        low, high = self.spec.low, self.spec.high
        if self.spec.log:
            drawn = math.exp(luck.uniform(math.log(low), math.log(high)))
            return self.row(round(drawn) if self.whole else drawn)
        return (
            {self.name: self._at(luck.randrange(int(self.size)))}
            if self.size < math.inf
            else self.row(luck.uniform(low, high))
        )

    def _at(self, index: int) -> int | float:
        value = self.spec.low + index * (self.spec.step or 1)
        return int(value) if self.whole else float(f"{value:.10g}")


def how(spec: SweepSpec) -> SearchSpec:
    """How a specification searches."""
    return spec.search or SearchSpec()


class Space:
    """Everything a search may try.

    Args:
        spec: with ``mode: search``.
    """

    def __init__(self, spec: SweepSpec) -> None:
        self.spec = spec
        groups = [{name: levels} for name, levels in spec.parameters.items()] + list(spec.linked)
        axes: list[Levels | Range] = [_levels(group) for group in groups]
        axes += [Range(name, one) for name, one in how(spec).ranges.items()]
        self.axes = {", ".join(axis.names): axis for axis in axes}
        self.names = tuple(name for axis in self.axes.values() for name in axis.names)
        self.distributions = {name: axis.distribution for name, axis in self.axes.items()}

    @property
    def size(self) -> float:
        """How many combinations there are, conditions apart; infinite with a continuous range."""
        return math.prod(axis.size for axis in self.axes.values())

    def row(self, chosen: Mapping[str, float]) -> Row:
        """What Optuna's numbers stand for, a value for every parameter."""
        return _joined([axis.row(chosen[name]) for name, axis in self.axes.items()])

    def chosen(self, row: Row) -> dict[str, float] | None:
        """Optuna's numbers for a configuration; of parameters that play no part there are none.

        ``None``: it lies outside of the space.
        """
        found: dict[str, float] = {}
        if not set(row) <= set(self.names) or not set(self.names) - set(row) <= set(self.spec.when):
            return None
        for name, axis in self.axes.items():
            if set(axis.names) <= set(row):
                value = axis.chosen(row)
                if value is None:
                    return None
                found[name] = value
        return found

    def every(self) -> Iterator[Row]:
        """All rows, of a space with an end to counting."""
        return (_joined(parts) for parts in itertools.product(*(axis.every() for axis in self.axes.values())))

    def any(self, luck: random.Random) -> Row:
        """A row by chance."""
        return _joined([axis.any(luck) for axis in self.axes.values()])

    def relevant(self, row: Row) -> Row:
        """Without the parameters that play no part in it (``when``)."""
        return of_row(self.spec, row).varied

    def objection(self, row: Row) -> str | None:
        """Why a full row must not be run: the condition it breaks, or what the engine says; ``None``: it may."""
        broken = forbidden_by(self.spec, row)
        if broken is not None:
            return f"where: {self.spec.where[broken]}"
        known = frozenset(EngineSettings.names())
        given = of_row(self.spec, row).parameters
        try:
            EngineSettings.from_mapping({name: value for name, value in given.items() if name in known})
        except InvalidSettings as error:
            return str(error)
        return None


def _joined(parts: Sequence[Row]) -> Row:
    return {name: value for part in parts for name, value in part.items()}


def _levels(group: Mapping[str, Sequence[Any]]) -> Levels:
    names = tuple(group)
    rows = [dict(zip(names, values, strict=True)) for values in zip(*group.values(), strict=True)]
    values = [row[names[0]] for row in rows]
    ordered = len(names) == 1 and all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)
    return Levels(names, tuple(sorted(rows, key=lambda row: row[names[0]]) if ordered else rows), ordered)

"""Which parameters matter: shares of the variance between configurations, by sums of squares.

The logarithms of a metric, averaged over the blocks, are taken apart by a linear model with a step for every level of
every parameter and every pair of levels of two (analysis of variance, Fisher 1925). A term's share is what the sum of
squares loses when it is left out and every term that does not contain it stays (type II sums of squares, Yates 1934;
Langsrud 2003, Stat. Comput. 13:163-167). On a full grid the terms are orthogonal, so the order does not matter, the
shares and what is left for higher interactions make 1, and they are those of a functional analysis of variance (Hutter,
Hoos & Leyton-Brown 2014). On conditional and unbalanced grids what two parameters explain together is nobody's.

Noise has a share, too: with few blocks even a parameter without any effect gets a little. Intervals: blocks resampled
(percentile bootstrap, Efron 1979). Parameters that are situations (``within``) are no choices: what they do is taken
out first, and only how they change what others do is a term.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.linalg

from workbench.sweep.design.configurations import Configuration, canonical
from workbench.sweep.findings.statistics import ALPHA, BLOCKS_FOR_INTERVAL
from workbench.sweep.records.table import BlockKey, Table
from workbench.sweep.results import Importance
from workbench.sweep.specification.spec import SweepSpec

FloatArray = npt.NDArray[np.float64]

DRAWS = 1000
_RANK_TOLERANCE = 1e-9
_NO_VARIANCE = 1e-18
"""Mean square of logarithms below which configurations are all the same: rounding."""

Factor = tuple[str, ...]
"""A parameter, or several that change together."""


@dataclass(frozen=True, slots=True)
class _Term:
    """Directions (n_configurations, rank) in which only this term moves the configurations."""

    name: str
    basis: FloatArray


@dataclass(frozen=True, slots=True)
class _Model:
    """Directions of the mean and of the situations (n_configurations, rank), and the terms that are left."""

    nuisance: FloatArray
    terms: Sequence[_Term]


def importances(spec: SweepSpec, arms: Sequence[Configuration], table: Table) -> list[Importance]:
    """Per objective and quality metric: every parameter and pair, the most important first."""
    grid = [arm for arm in arms if arm.arm == "grid"]
    models: dict[tuple[str, ...], _Model] = {}
    found = []
    for measure in spec.measures:
        kept, logs = _complete(grid, table, measure.metric)
        if len(kept) > 1:
            labels = tuple(arm.label for arm in kept)  # most metrics have the same configurations
            if labels not in models:
                models[labels] = _model(kept, _factors(spec, kept), spec.within)
            found += _of_metric(measure.metric, logs, models[labels])
    return found


def _of_metric(metric: str, logs: FloatArray, model: _Model) -> list[Importance]:
    nuisance, terms = model.nuisance, model.terms
    if not terms:
        return []
    outside = logs - (logs @ nuisance) @ nuisance.T
    shares = _shares(np.full((1, len(outside)), 1 / len(outside)), outside, terms)
    if shares is None:
        return []
    intervals = _intervals(outside, terms)
    found = [
        Importance(metric=metric, parameter=term.name, share=float(share), low=low, high=high)
        for term, share, (low, high) in zip(terms, shares[0], intervals, strict=True)
    ]
    return sorted(found, key=lambda one: -one.share)


def _complete(grid: Sequence[Configuration], table: Table, metric: str) -> tuple[list[Configuration], FloatArray]:
    """Configurations and their logarithms (n_blocks, n_configurations), in blocks that have all of them.

    Configurations with runs in less than half of the blocks of the fullest are left out: they would cost all blocks.
    """
    columns = {arm.label: table.column(arm.label, metric) for arm in grid}
    most = max((len(column) for column in columns.values()), default=0)
    kept = [arm for arm in grid if most and 2 * len(columns[arm.label]) >= most]
    shared: set[BlockKey] = set.intersection(*(set(columns[arm.label]) for arm in kept)) if kept else set()
    values = np.array([[columns[arm.label][block] for arm in kept] for block in sorted(shared)], dtype=np.float64)
    if not shared or (values <= 0).any():
        return [], np.empty((0, 0))
    return kept, np.log(values)


def _factors(spec: SweepSpec, kept: Sequence[Configuration]) -> list[Factor]:
    """What was varied: linked parameters are one factor, for nobody can tell which of them did it."""
    names = list(dict.fromkeys(name for arm in kept for name in arm.varied))
    linked = [tuple(name for name in group if name in names) for group in spec.linked]
    alone = [(name,) for name in names if not any(name in group for group in linked)]
    return [factor for factor in (*alone, *linked) if len({_level(arm, factor) for arm in kept}) > 1]


def _level(arm: Configuration, factor: Factor) -> str:
    """A factor's level; a parameter that plays no part (``when``) has one of its own."""
    return canonical([[name in arm.varied, arm.varied.get(name)] for name in factor])


def _model(kept: Sequence[Configuration], factors: Sequence[Factor], within: Sequence[str]) -> _Model:
    """The terms of the model, situations apart."""
    steps = {factor: _steps([_level(arm, factor) for arm in kept]) for factor in factors}
    situations = [factor for factor in factors if set(factor) <= set(within)]
    fixed = np.column_stack([np.ones(len(kept)), _steps([canonical([_level(a, f) for f in situations]) for a in kept])])
    columns = {frozenset([factor]): steps[factor] for factor in factors if factor not in situations}
    for one, other in itertools.combinations(factors, 2):
        if not (one in situations and other in situations):
            columns[frozenset([one, other])] = _products(steps[one], steps[other])
    names = {key: " × ".join(", ".join(factor) for factor in factors if factor in key) for key in columns}
    found = []
    for key, own in columns.items():
        others = [column for other, column in columns.items() if not key <= other]
        basis = _beyond(own, np.column_stack([fixed, *others]))
        if basis.shape[1]:
            found.append(_Term(names[key], basis))
    return _Model(_orthonormal(fixed), found)


def _steps(levels: Sequence[str]) -> FloatArray:
    """One column a level but the first: (n, n_levels - 1) of 0 and 1."""
    known = {level: index for index, level in enumerate(dict.fromkeys(levels))}
    return np.eye(len(known))[[known[level] for level in levels], 1:]


def _products(one: FloatArray, other: FloatArray) -> FloatArray:
    """Every column of one times every column of the other: (n, n_one * n_other)."""
    return (one[:, :, None] * other[:, None, :]).reshape(len(one), -1)


def _orthonormal(columns: FloatArray) -> FloatArray:
    """An orthonormal basis of what the columns span: (n, rank)."""
    if not columns.size:
        return np.empty((len(columns), 0))
    basis, upper, _ = scipy.linalg.qr(columns, mode="economic", pivoting=True)
    sizes = np.abs(np.diag(upper))
    kept: FloatArray = basis[:, : int((sizes > _RANK_TOLERANCE).sum())]
    return kept


def _beyond(columns: FloatArray, others: FloatArray) -> FloatArray:
    """An orthonormal basis of what the columns span and the others do not: (n, rank)."""
    known = _orthonormal(others)
    return _orthonormal(columns - known @ (known.T @ columns))


def _shares(weights: FloatArray, logs: FloatArray, terms: Sequence[_Term]) -> FloatArray | None:
    """Share of each term: (n_draws, n_terms); ``None`` if configurations do not differ at all.

    Args:
        weights: (n_draws, n_blocks) of the blocks in each mean.
        logs: (n_blocks, n_configurations) without the mean and the situations.
        terms: the terms.
    """
    # blocks are few and configurations many: everything passes through (n_blocks, ...) matrices
    total = np.einsum("db,bc,dc->d", weights, logs @ logs.T, weights, optimize=True)
    if (total <= _NO_VARIANCE * logs.shape[1]).any():
        return None
    return np.column_stack([((weights @ (logs @ term.basis)) ** 2).sum(axis=1) / total for term in terms])


@functools.lru_cache(maxsize=8)
def _weights_drawn(blocks: int, draws: int) -> FloatArray:
    """Weight of each block in each resample: (draws, blocks)."""
    rng = np.random.default_rng(0)
    return rng.multinomial(blocks, np.full(blocks, 1 / blocks), size=draws) / blocks


def _intervals(logs: FloatArray, terms: Sequence[_Term]) -> Iterator[tuple[float | None, float | None]]:
    """95 % percentile intervals of the shares, blocks resampled; without enough blocks there are none."""
    blocks = len(logs)
    shares = _shares(_weights_drawn(blocks, DRAWS), logs, terms) if blocks >= BLOCKS_FOR_INTERVAL else None
    if shares is None:
        yield from [(None, None)] * len(terms)
        return
    low, high = np.quantile(shares, [ALPHA / 2, 1 - ALPHA / 2], axis=0)
    yield from ((float(a), float(b)) for a, b in zip(low, high, strict=True))

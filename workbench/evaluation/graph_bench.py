"""What a large relationship graph costs: taking statements in, and slicing it around somebody.

Makes its own graph, the same for the same seed; the size usually asked for is that of a long story's world.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from workbench.errors import InvalidSettings
from workbench.memory.graph import RelationshipGraph
from workbench.memory.relations import SENTIMENT

_DAY_S = 86_400.0


def graph_times(
    nodes: int = 37_710, *, degree: int = 3, slices: int = 300, radius: int = 2, limit: int = 50, seed: int = 0
) -> dict[str, Any]:
    """Build a random graph edge by edge, then slice it around random nodes.

    Args:
        nodes: entities.
        degree: statements for each of them on average; pairs and types are drawn at random.
        slices: how many are timed.
        radius: steps from the middle.
        limit: most edges of a slice.
        seed: of graph and nodes.

    Returns:
        ``add_us_p50`` and ``add_us_p99``: a statement taken into the graph, in microseconds; ``slice_ms_p50`` and
        ``slice_ms_p99``; ``path_ms_p50``: shortest path between two random nodes (20 of them); ``nodes`` with an edge;
        ``edges``.

    Raises:
        InvalidSettings: fewer than two nodes, or nothing to time.
    """
    if nodes < 2 or degree < 1 or slices < 1:
        raise InvalidSettings(f"Give at least 2 nodes, 1 statement each and 1 slice; got {nodes}, {degree}, {slices}.")
    draw, types = random.Random(f"graph {seed}"), sorted(SENTIMENT)  # noqa: S311 - a graph for a benchmark
    names = [f"n{number}" for number in range(nodes)]
    graph, adding = RelationshipGraph(), []
    for number in range(nodes * degree):
        source, target = draw.sample(names, 2)
        started = time.perf_counter()
        graph.state(source, target, draw.choice(types), at=number * _DAY_S / 100, index=number)
        adding.append(1e6 * (time.perf_counter() - started))
    middles = draw.choices(names, k=slices)
    slicing = [_ms(graph.slice, name, radius=radius, limit=limit) for name in middles]
    paths = [_ms(graph.path, *draw.sample(names, 2)) for _ in range(20)]
    return {
        "add_us_p50": float(np.percentile(adding, 50)),
        "add_us_p99": float(np.percentile(adding, 99)),
        "slice_ms_p50": float(np.percentile(slicing, 50)),
        "slice_ms_p99": float(np.percentile(slicing, 99)),
        "path_ms_p50": float(np.percentile(paths, 50)),
        "nodes": len(graph),
        "edges": len(graph.edges()),
    }


def _ms(work: Callable[..., object], *arguments: Any, **options: Any) -> float:
    started = time.perf_counter()
    work(*arguments, **options)
    return 1e3 * (time.perf_counter() - started)

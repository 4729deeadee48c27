"""The graph's bench: what it builds is what was asked for, and every figure is of it."""

import pytest

from workbench.errors import InvalidSettings
from workbench.evaluation.graph_bench import graph_times


def test_figures_of_a_small_graph():
    seen = graph_times(60, degree=2, slices=10)
    assert 50 <= seen["nodes"] <= 60
    assert 60 < seen["edges"] <= 120
    assert 0 < seen["add_us_p50"] <= seen["add_us_p99"]
    assert 0 < seen["slice_ms_p50"] <= seen["slice_ms_p99"]
    assert seen["path_ms_p50"] > 0


def test_the_same_seed_gives_the_same_graph():
    assert graph_times(40, slices=1)["edges"] == graph_times(40, slices=1)["edges"]
    sizes = {graph_times(40, slices=1, seed=seed)["edges"] for seed in range(8)}
    assert len(sizes) > 1, "another seed gives another graph"


@pytest.mark.parametrize("wrong", [{"nodes": 1}, {"degree": 0}, {"slices": 0}])
def test_nothing_to_time_is_refused(wrong):
    with pytest.raises(InvalidSettings):
        graph_times(**{"nodes": 5, **wrong})

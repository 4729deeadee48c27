import math

import numpy as np
import pandas as pd
import pytest

from workbench.dashboard import data
from workbench.errors import UnknownName
from workbench.sweep.results import Analysis


def test_objectives_come_first_and_what_nobody_recorded_is_left_out(normal: Analysis) -> None:
    assert data.metrics(normal) == ("decode_tps", "prefill_tps", "ttft_ms", "perplexity", "load_ms")
    assert "gpu_watts" in normal.frame.columns


def test_an_unknown_metric_lists_the_known_ones(normal: Analysis) -> None:
    with pytest.raises(UnknownName, match="decode_tps"):
        data.runs(normal, "decode_tp")


def test_runs_are_related_to_the_median_of_their_own_configuration(normal: Analysis) -> None:
    runs = data.runs(normal, "decode_tps")
    assert len(runs) == len(normal.frame)
    assert runs["order"].is_monotonic_increasing
    assert runs.groupby("name")["relative"].median().to_numpy() == pytest.approx(1.0)


def test_the_slow_run_is_an_outlier_of_its_own_metric_only(normal: Analysis) -> None:
    def flagged(metric: str) -> set[int]:
        runs = data.runs(normal, metric)
        return set(runs.loc[runs["outlier"], "order"])

    assert 41 in flagged("decode_tps")
    assert not flagged("perplexity")


def test_runs_without_the_metric_are_absent_not_zero(normal: Analysis) -> None:
    frame = normal.frame.copy()
    frame.loc[frame.index[:5], "decode_tps"] = None
    runs = data.runs(_with(normal, frame), "decode_tps")
    assert len(runs) == len(frame) - 5
    assert (runs["value"] > 0).all()


def test_a_median_of_zero_gives_no_ratio(normal: Analysis) -> None:
    runs = data.runs(_with(normal, normal.frame.assign(errors=0.0)), "errors")
    assert runs["relative"].isna().all()


def test_a_twin_with_its_siblings_label_is_told_apart(normal: Analysis) -> None:
    frame = normal.frame.assign(label=normal.frame["label"].replace("twin", "baseline"))
    names = set(data.runs(_with(normal, frame), "decode_tps")["name"])
    assert {"baseline", "baseline (twin)"} <= names


@pytest.mark.parametrize(
    ("one", "other"),
    [(512, 512.0), (512, np.int64(512)), (None, math.nan), (True, np.bool_(True)), ((1, 2), [1.0, 2.0])],
)
def test_a_level_is_found_again_whatever_the_table_made_of_it(one: object, other: object) -> None:
    assert data.level_key(one) == data.level_key(other)


@pytest.mark.parametrize(("one", "other"), [(1, True), (1, "1"), (None, "None"), (512, 513)])
def test_different_levels_have_different_keys(one: object, other: object) -> None:
    assert data.level_key(one) != data.level_key(other)


def test_the_grid_holds_neither_baseline_nor_twin(normal: Analysis) -> None:
    grid = data.grid(normal, "decode_tps")
    assert len(grid) == (normal.frame["arm"] == "grid").sum()
    assert set(grid["n_batch"]) == {data.level_key(128), data.level_key(512)}


def test_people_count_blocks_from_one() -> None:
    assert data.block_name(np.int64(0)) == "1"
    assert data.block_name("night") == "night"


def test_the_reference_is_the_baseline_or_what_the_comparisons_name(normal: Analysis, single: Analysis) -> None:
    assert data.reference_of(normal) == "baseline"
    assert data.reference_of(single) is None


def _with(analysis: Analysis, frame: pd.DataFrame) -> Analysis:
    import dataclasses

    return dataclasses.replace(analysis, frame=frame)

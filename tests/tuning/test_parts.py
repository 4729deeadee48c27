"""Candidates, spaces, workloads, limits and plans: plain values."""

from __future__ import annotations

import math

import pytest

from workbench.errors import InvalidSettings, UnknownName
from workbench.models import ModelFile
from workbench.tuning import Candidate, Plan, Quality, QualityLimit, Workload, limit_of
from workbench.tuning.candidate import DEFAULT
from workbench.tuning.space import AS_IS, FILE, Space, build_space, thread_counts


def space_of(file: ModelFile, **changes: object) -> Space:
    options = {"prompt_tokens": 512, "usable_cores": 2, "default_threads": 2, "gpu": False, **changes}
    return build_space(file, ("Q4_0", "Q8_0"), **options)  # type: ignore[arg-type]


def quality(kl: float = 0.1, same_top: float = 0.9) -> Quality:
    return Quality(
        kl=kl,
        kl_stderr=0.01,
        same_top=same_top,
        same_top_low=same_top - 0.02,
        same_top_high=same_top + 0.02,
        perplexity_ratio=1.05,
        tokens=500,
    )


def test_what_equals_the_default_is_the_default() -> None:
    assert Candidate.of(None, {"n_batch": 512, "use_mmap": True}) == DEFAULT
    assert DEFAULT.label == "default"


def test_a_candidate_goes_through_text_and_back() -> None:
    candidate = Candidate.of("Q4_0", {"n_threads": 2, "type_k": "q8_0", "flash_attn": True})
    assert Candidate.from_json(candidate.to_json()) == candidate
    assert candidate.label == "Q4_0, flash_attn=True, n_threads=2, type_k=q8_0"
    assert candidate.numerics == Candidate.of("Q4_0", {"type_k": "q8_0", "flash_attn": True})
    assert candidate.without("n_threads").changes == candidate.changes - 1


def test_senseless_settings_are_refused() -> None:
    with pytest.raises(UnknownName):
        Candidate.of(None, {"n_treads": 1})


def test_every_dimension_begins_with_what_changes_nothing(file: ModelFile) -> None:
    space = space_of(file, gpu=True, speculation=True)
    assert space.candidate({}) == DEFAULT
    assert {one.name for one in space.dimensions} >= {FILE, "threads", "GPU layers", "speculation", "attention"}
    for one in space.dimensions:
        assert len({space.candidate({one.name: level}) for level in one.levels}) == len(one.levels), one.name


def test_without_a_gpu_or_the_flag_there_is_nothing_of_either(file: ModelFile) -> None:
    names = {one.name for one in space_of(file).dimensions}
    assert names.isdisjoint({"GPU layers", "speculation"})


def test_a_micro_batch_is_cut_to_the_batch(file: ModelFile) -> None:
    candidate = space_of(file).candidate({"batch": "128", "micro-batch": "256"})
    assert candidate.engine_settings().n_ubatch == 128


def test_refused_levels_are_gone_and_lone_ones_are_no_dimension(file: ModelFile) -> None:
    space = space_of(file).without({(FILE, "Q4_0")})
    assert next(level for _, level, _ in space.single_changes()) == "Q8_0"
    assert FILE not in [one.name for one in space.without({(FILE, "Q8_0")}).dimensions]


def test_the_search_begins_with_the_default_and_each_file(file: ModelFile) -> None:
    space = space_of(file)
    assert space.starts() == [{}, {FILE: "Q4_0"}, {FILE: "Q8_0"}]
    assert space.full({})[FILE] == AS_IS


@pytest.mark.parametrize(("usable", "counts"), [(1, [1]), (4, [1, 2, 3, 4]), (16, [4, 8, 12, 16])])
def test_thread_counts(usable: int, counts: list[int]) -> None:
    assert thread_counts(usable) == counts


def test_the_score_is_a_weighted_geometric_mean() -> None:
    assert math.exp(Workload().score(4.0, 1.0)) == pytest.approx(2.0)
    assert math.exp(Workload(prompt_weight=0).score(4.0, 1.5)) == pytest.approx(1.5)
    assert math.exp(Workload(decode_weight=3).score(16.0, 1.0)) == pytest.approx(2.0)


def test_a_turn_is_cut_never_stretched() -> None:
    assert Workload().scaled(2.0) == Workload()
    assert Workload().scaled(0.5) == Workload(prompt_tokens=256, decode_tokens=64)
    assert Workload().scaled(0.001) == Workload(prompt_tokens=64, decode_tokens=16)
    assert Workload(prompt_tokens=32).scaled(0.1).prompt_tokens == 32


def test_the_limit_says_what_it_refuses() -> None:
    assert QualityLimit().refusal(quality(kl=0.26)) == ""
    assert "exceeds the limit of 0.3" in QualityLimit().refusal(quality(kl=0.4))
    assert "exceeds" in QualityLimit().refusal(quality(kl=math.nan)), "what is not a number keeps no limit"
    assert "below the limit of 95.0%" in QualityLimit(min_same_top=0.95).refusal(quality())
    assert "90.0%" in str(quality())


def test_one_figure_given_stands_alone() -> None:
    assert limit_of(None, None) == QualityLimit()
    assert limit_of(None, 0.99) == QualityLimit(max_kl=None, min_same_top=0.99)
    assert limit_of(0.01, None) == QualityLimit(max_kl=0.01)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Workload(prompt_tokens=0),
        lambda: Workload(prompt_weight=0, decode_weight=0),
        lambda: Workload(decode_weight=-1),
        lambda: QualityLimit(max_kl=-0.1),
        lambda: QualityLimit(min_same_top=95),
        lambda: Plan(rounds=0),
        lambda: Plan(search_share=0.9),
    ],
)
def test_senseless_values_are_refused(make: object) -> None:
    with pytest.raises(InvalidSettings):
        make()  # type: ignore[operator]

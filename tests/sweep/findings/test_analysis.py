import math

import numpy as np
import pytest

from workbench.sweep import Analysis


def noise(block, salt, size=0.01):
    return float(np.exp(size * np.random.default_rng([block, salt]).standard_normal()))


def test_floors_comparisons_and_frame(spec_of, simulated):
    spec = spec_of(
        parameters={"a": [1, 2], "b": [True, False]},
        baseline={"engine": "baseline"},
        twin=True,
        quality=[{"metric": "perplexity", "direction": "minimize"}],
    )

    def measure(parameters, arm, block, order):
        speed = 100.0 * noise(block, order) * (1.3 if parameters["a"] == 2 else 1.0) / (1.1 if arm != "grid" else 1)
        return {"speed": speed, "perplexity": 12.0, "extra": None}

    analysis = simulated(spec, measure)
    assert isinstance(analysis, Analysis)
    assert analysis.baseline == "baseline"
    assert list(analysis.parameters) == ["a", "b"]
    assert {c.label for c in analysis.comparisons} == {"a=1, b=on", "a=1, b=off", "a=2, b=on", "a=2, b=off"}
    assert all(c.reference == "baseline" for c in analysis.comparisons)
    best = next(c for c in analysis.comparisons if c.label == "a=2, b=on" and c.metric == "speed")
    assert best.verdict == "better"
    assert best.effect.low < 1.43 < best.effect.high
    assert best.medians[0] == pytest.approx(1.43, rel=0.03)
    assert best.p_holm == pytest.approx(4 * 2 / 2**10)
    assert 0.0 < analysis.floors["speed"].width < 0.05
    assert best.band == max(0.01, analysis.floors["speed"].width)
    frame = analysis.frame
    assert len(frame) == 60
    assert list(frame.columns[:9]) == [
        "cell", "label", "block", "order", "arm", "host", "started_at", "elapsed_s", "outlier",
    ]  # fmt: skip
    assert frame["order"].is_monotonic_increasing
    assert frame["extra"].isna().all()
    assert set(frame["arm"]) == {"grid", "baseline", "twin"}
    same = [c for c in analysis.comparisons if c.metric == "perplexity"]
    assert {c.verdict for c in same} == {"equivalent"}


def test_main_effects_are_averaged_within_blocks_with_n_the_number_of_blocks(spec_of, simulated):
    spec = spec_of(parameters={"a": [1, 2], "b": [0, 1, 2]})

    def measure(parameters, arm, block, order):
        return {"speed": noise(block, order) * 1.2 ** (parameters["a"] == 2) * 1.05 ** parameters["b"]}

    effects = {(e.parameter, e.level): e for e in simulated(spec, measure).main_effects}
    assert set(effects) == {("a", 2), ("b", 1), ("b", 2)}
    for key, truth in {("a", 2): 1.2, ("b", 1): 1.05, ("b", 2): 1.05**2}.items():
        comparison = effects[key].comparison
        assert comparison.effect.n == 10
        assert comparison.effect.ratio == pytest.approx(truth, rel=0.01)
        assert comparison.verdict == "better"
    assert effects["b", 2].comparison.reference == "b=0"


def test_an_answer_without_tokens_is_not_compared_by_time(spec_of, simulated):
    spec = spec_of(objectives=[{"metric": "e2e_ms", "direction": "minimize"}])

    def measure(parameters, arm, block, order):
        empty = parameters["a"] == 2
        return {"e2e_ms": noise(block, order) * (0.5 if empty else 1), "output_tokens": 0 if empty else 32}

    analysis = simulated(spec, measure)
    for found in (analysis.comparisons[0], analysis.main_effects[0].comparison):
        assert (found.verdict, "without tokens" in found.reason) == ("inconclusive", True)


def test_runs_of_different_length_are_not_compared_by_time(spec_of, simulated):
    spec = spec_of(
        objectives=[{"metric": "e2e_ms", "direction": "minimize"}, {"metric": "rss_bytes", "direction": "minimize"}]
    )

    def measure(parameters, arm, block, order):
        short = parameters["a"] == 2
        value = noise(block, order) * (0.5 if short else 1)
        return {"e2e_ms": value, "rss_bytes": value, "output_tokens": 16 if short else 32}

    analysis = simulated(spec, measure)
    time, memory = analysis.comparisons
    assert time.verdict == "inconclusive"
    assert time.reason == "the answers differ in length (0.500 × the output tokens), so times do not compare"
    assert memory.verdict == "better"
    assert analysis.main_effects[0].comparison.verdict == "inconclusive"
    assert not analysis.recommendations[0].conclusive


def test_only_complete_pairs_count_and_the_audit_tells(spec_of, simulated):
    spec = spec_of(parameters={"a": [1, 2, 3]}, blocks=12)

    def measure(parameters, arm, block, order):
        failed = parameters["a"] == 3 or (parameters["a"] == 2 and block in (0, 5))
        return None if failed else {"speed": noise(block, order) * parameters["a"]}

    analysis = simulated(spec, measure)
    two, three = analysis.comparisons
    assert two.effect.n == 10
    assert two.verdict == "better"
    assert three.effect.n == 0
    assert math.isnan(three.effect.ratio)
    assert (three.verdict, three.reason) == ("inconclusive", "no block has a finished run of both")
    assert analysis.audit.failed == 14
    assert [e.comparison.effect.n for e in analysis.main_effects] == [10, 0]


def test_a_main_effect_leaves_out_blocks_that_lack_a_member(spec_of, simulated):
    spec = spec_of(parameters={"a": [1, 2], "b": [0, 1]})

    def measure(parameters, arm, block, order):
        if block == 3 and parameters == {"a": 2, "b": 1}:
            return None
        # b changes what a does: an average over other members would jump in block 3
        return {"speed": 1.0 * (1.5 if parameters["a"] == 2 and parameters["b"] else 1)}

    effect = simulated(spec, measure).main_effects[0].comparison.effect
    assert effect.n == 9
    assert effect.low == effect.high == pytest.approx(math.sqrt(1.5))


def test_values_without_a_ratio_are_said_to_be_so(spec_of, simulated):
    spec = spec_of(objectives=[{"metric": "recall", "direction": "maximize"}])
    analysis = simulated(spec, lambda parameters, arm, block, order: {"recall": float(parameters["a"] - 1)})
    assert analysis.comparisons[0].verdict == "inconclusive"
    assert "zero or negative" in analysis.comparisons[0].reason
    assert analysis.comparisons[0].medians is None


def test_outliers_are_marked_in_the_frame_and_kept(spec_of, simulated):
    spec = spec_of(blocks=10)

    def measure(parameters, arm, block, order):
        return {"speed": 100 * noise(block, order) * (3 if block == 4 and parameters["a"] == 1 else 1)}

    frame = simulated(spec, measure).frame
    assert frame[frame["outlier"]][["block", "a"]].to_numpy().tolist() == [[4, 1]]
    assert len(frame) == 20


def test_what_was_the_same_everywhere_is_part_of_the_environment(spec_of, simulated):
    info = {"model_sha256": "abc", "definitions": {"speed": "tokens / second"}}
    analysis = simulated(spec_of(), lambda *_: {"speed": 1.0}, info=info)
    assert analysis.environment["recorded"] == {"model_sha256": "abc"}
    assert analysis.environment["hosts"] == ["bench"]
    assert analysis.definitions == {"speed": "tokens / second"}


def test_nothing_finished_is_an_analysis_too(spec_of, simulated):
    analysis = simulated(
        spec_of(twin=True, targets=[{"name": "t", "metric": "m", "of": {"a": 1}, "at_most": 1.0}]), lambda *_: None
    )
    assert len(analysis.frame) == 0
    assert analysis.floors == {}
    assert {c.verdict for c in analysis.comparisons} == {"inconclusive"}
    assert analysis.recommendations[0].text == "Inconclusive: no finished run has speed."
    assert analysis.targets[0].met is None
    assert analysis.environment == {}


def test_stages_load_and_samples_are_handed_on(spec_of, simulated):
    info = {"stages": ["load_ms", "prefill_ms", "never_ms"]}
    spec = spec_of(parameters={"a": [1, 2]}, load="a")
    analysis = simulated(spec, lambda *_: {"speed": 1.0, "load_ms": 3.0, "prefill_ms": 2.0}, info=info)
    assert analysis.stages == ("load_ms", "prefill_ms")  # what nobody measured is no part
    assert analysis.load == "a"
    assert list(analysis.samples.columns[:6]) == ["cell", "label", "block", "series", "at_s", "value"]


def test_further_and_fresh_blocks_are_in_the_frame_and_never_paired_with_others(spec_of, analysed):
    spec = spec_of(more_blocks=2, confirm=6, blocks=10)

    def measure(cell, order):
        drift = {"grid": 1.0, "more": 3.0, "confirm": 9.0}[cell.phase]
        return {"speed": drift * (1 + 0.012 * (cell.configuration.parameters["a"] - 1)) * noise(cell.block, order)}

    analysis = analysed(spec, measure)
    assert set(analysis.frame["phase"]) >= {"grid", "confirm"}
    assert analysis.comparisons[0].effect.n in (10, 12)
    assert 0.9 < analysis.comparisons[0].effect.ratio < 1.1
    assert analysis.frame["order"].is_monotonic_increasing


def test_an_adaptive_comparison_has_the_level_of_its_look(spec_of, simulated):
    plain = simulated(spec_of(), lambda p, *_: {"speed": float(p["a"])}).comparisons[0]
    adaptive = simulated(spec_of(more_blocks=10), lambda p, *_: {"speed": float(p["a"])}).comparisons[0]
    assert 0.95 <= plain.effect.level < 0.96
    assert adaptive.effect.level >= 1 - 0.05 / 7
    assert adaptive.p_holm == pytest.approx(7 * plain.p_holm)
    assert adaptive.verdict == "better"

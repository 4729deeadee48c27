import pytest

from workbench.errors import SpecError
from workbench.sweep.findings.targets import show_effect
from workbench.sweep.results import Effect


def result(spec_of, simulated, target, *, engine_ratio=1.3, blocks=10, metric=lambda v: {"m": v}):
    spec = spec_of(
        parameters={"engine": ["tuned"]},
        baseline={"engine": "baseline"},
        blocks=blocks,
        objectives=[],
        targets=[{"name": "t", "metric": "m", **target}],
    )

    def measure(parameters, arm, block, order):
        return metric((1 + block / 100) * (engine_ratio if parameters["engine"] == "tuned" else 1.0))

    return simulated(spec, measure, defaults={"engine": "tuned", "a": 1}).targets[0]


RATIO = {"of": {"engine": "tuned"}, "against": {"engine": "baseline"}}


@pytest.mark.parametrize(("bound", "met"), [(1.2, True), (1.4, False)])
def test_a_ratio_against_its_bound(spec_of, simulated, bound, met):
    found = result(spec_of, simulated, {**RATIO, "at_least": bound})
    assert found.met is met
    assert found.measured == "1.30 × [1.30, 1.30], n=10"
    assert found.asked == f"≥ {bound} ×"


def test_a_level_is_the_median_of_one_arm(spec_of, simulated):
    found = result(spec_of, simulated, {"of": {"engine": "baseline"}, "at_most": 1.05})
    assert found.met
    assert found.measured == "1.045 (median; 1 to 1.09), n=10"
    assert not result(spec_of, simulated, {"of": {"engine": "baseline"}, "at_most": 1.04}).met


def test_defaults_of_the_notebook_name_an_arm_too(spec_of, simulated):
    assert result(spec_of, simulated, {"of": {"a": 1, "engine": "tuned"}, "at_least": 1.0}).met


def test_an_interval_that_reaches_across_is_admitted(spec_of, simulated):
    values = iter([1.0, 1.5, 0.9, 1.6, 1.0, 1.4, 0.8, 1.7, 1.0, 1.5] * 4)
    found = result(spec_of, simulated, {**RATIO, "at_least": 1.0}, metric=lambda v: {"m": v * next(values)})
    assert found.measured.endswith("; the interval reaches across the target")


def test_two_metrics_of_the_same_run_are_a_pair(spec_of, simulated):
    target = {"of": {"engine": "tuned"}, "against_metric": "other", "at_most": 0.1}
    found = result(spec_of, simulated, target, metric=lambda v: {"m": v, "other": 20 * v})
    assert (found.met, found.measured, found.asked) == (True, "0.050 × [0.050, 0.050], n=10", "≤ 0.1 ×")
    alone = result(spec_of, simulated, target, metric=lambda v: {"m": v, "other": None})
    assert (alone.met, alone.measured) == (None, "not measured: no run has m and other")


def test_two_kinds_of_reference_are_refused(spec_of, simulated):
    with pytest.raises(SpecError, match="against_metric"):
        result(spec_of, simulated, {**RATIO, "against_metric": "other", "at_most": 1})


def test_few_blocks_have_no_interval(spec_of, simulated):
    assert result(spec_of, simulated, {**RATIO, "at_least": 1.2}, blocks=3).measured == "1.3 × (no interval), n=3"


@pytest.mark.parametrize("metric", [lambda v: None, lambda v: {"m": None}, lambda v: {"other": v}])
def test_what_was_not_measured_is_neither_met_nor_missed(spec_of, simulated, metric):
    for target in ({**RATIO, "at_least": 1.2}, {"of": {"engine": "tuned"}, "at_most": 1.0}):
        found = result(spec_of, simulated, target, metric=metric)
        assert found.met is None
        assert found.measured.startswith("not measured: ")


def test_small_differences_get_a_third_digit():
    effect = Effect(ratio=1.0123, low=1.0042, high=1.0199, level=0.95, p=0.01, n=10)
    assert show_effect(effect) == "1.012 × [1.004, 1.020], n=10"
    assert show_effect(Effect(ratio=float("nan"), low=None, high=None, level=None, p=None, n=0)) == "not measured"

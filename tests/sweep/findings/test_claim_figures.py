"""The figures behind verdicts: ratios over blocks, values with their intervals, and what was missing."""

import itertools

import pytest

from workbench.interfaces import Record
from workbench.sweep.design.planning import plan
from workbench.sweep.findings.claim_figures import evaluate_claims
from workbench.sweep.records.table import Run

FASTER = {"says": "twice as fast", "metric": "speed", "of": {"a": 2}, "against": {"a": 1}, "low": 1.8, "high": 2.2}
NOISE = (1.01, 0.99, 1.02, 0.98, 1.0)


@pytest.fixture
def evaluated(spec_of):
    """Results of one claim for runs that are `measure(parameters, arm, block)` → metrics (None: not finished)."""

    def run(claim, measure, *, environment=None, changes=None, **options):
        whole = {"direction": "maximize", **claim}
        spec = spec_of(claims=[whole], **(changes or {}))
        clock = itertools.count(1)
        runs = [
            Run(
                cell=cell,
                order=next(clock),
                host="bench",
                started=1.7e9,
                elapsed_s=1.0,
                record=Record(metrics=metrics, info={}),
                environment=environment or {},
            )
            for cell in plan(spec)
            if (metrics := measure(cell.configuration.parameters, cell.configuration.arm, cell.block)) is not None
        ]
        (result,) = evaluate_claims(spec, runs, **options)
        return result

    return run


def noisy(parameters, arm, block):
    return {"speed": 10.0 * parameters["a"] * NOISE[(block + parameters["a"]) % 5]}


def test_a_ratio_over_blocks_has_the_exact_interval(evaluated):
    result = evaluated(FASTER, noisy)
    assert result.verdict == "confirmed"
    assert result.measured.n == 10
    assert result.measured.low < 2 < result.measured.high
    assert "Wilcoxon" in result.measured.note


def test_nine_blocks_do_not_decide(evaluated):
    result = evaluated(FASTER, noisy, changes={"blocks": 9})
    assert result.verdict == "inconclusive"
    assert "only 9 complete blocks; 10 decide" in result.reason
    assert result.measured.low is not None


def test_an_exact_figure_needs_one_block_and_shows_its_range(evaluated):
    claim = {**FASTER, "exact": True}
    assert evaluated(claim, lambda p, arm, block: {"speed": p["a"]}, changes={"blocks": 1}).verdict == "confirmed"
    drifting = evaluated(claim, lambda p, arm, block: {"speed": p["a"] ** (1 + block / 10)}, changes={"blocks": 3})
    assert (drifting.measured.low, drifting.measured.high) == pytest.approx((2, 2**1.2))
    assert evaluated(claim, lambda p, arm, block: {"speed": 0.0}).measured.estimate == 1


def test_twins_say_what_makes_no_difference(evaluated):
    claim = {**FASTER, "low": 1.5, "high": None}

    def small(parameters, arm, block):
        return {"speed": 1.1 if parameters["a"] == 2 else 1.0 + 0.2 * (arm == "twin")}

    assert evaluated(claim, small).verdict == "partly"
    wide = evaluated(claim, small, changes={"twin": True})
    assert (wide.verdict, wide.measured.band) == ("refuted", pytest.approx(0.2))


def test_faster_because_shorter_is_rejected(evaluated):
    def shorter(parameters, arm, block):
        return {"output_tps": noisy(parameters, arm, block)["speed"], "output_tokens": 40 / parameters["a"]}

    result = evaluated({**FASTER, "metric": "output_tps"}, shorter)
    assert (result.verdict, "differ in length (0.500" in result.reason) == ("inconclusive", True)


def test_two_metrics_of_one_run_are_a_pair(evaluated):
    claim = {"says": "s", "metric": "speed", "of": {"a": 1}, "against_metric": "slow", "low": 1.5}
    result = evaluated(claim, lambda p, arm, block: {"speed": 2.0 + block, "slow": 1.0 + block / 2})
    assert (result.measured.estimate, result.measured.n, result.measured.band) == (pytest.approx(2), 10, 0.01)
    assert result.verdict == "confirmed"


@pytest.mark.parametrize("wrong", [{"speed": 0.0}, {"speed": -1.0}])
def test_values_without_a_ratio_say_so(evaluated, wrong):
    result = evaluated(FASTER, lambda p, arm, block: wrong if p["a"] == 1 else {"speed": 2.0})
    assert (result.verdict, "zero or negative" in result.reason) == ("inconclusive", True)


def test_a_side_that_never_finished_is_missed(evaluated):
    result = evaluated(FASTER, lambda p, arm, block: {"speed": 1.0} if p["a"] == 1 else None)
    assert (result.verdict, "with and without" in result.reason) == ("inconclusive", True)
    value = {"says": "s", "metric": "share", "of": {"a": 1}, "low": 1.0}
    assert "no finished run has share" in evaluated(value, lambda p, arm, block: {"speed": 1.0}).reason


VALUE = {"says": "s", "metric": "saved_ms", "of": {"a": 1}, "low": 150, "high": 300, "nothing": 0}


def test_a_value_has_its_range_over_six_blocks(evaluated):
    def saved(parameters, arm, block):
        return {"saved_ms": 160.0 + block}

    result = evaluated(VALUE, saved, changes={"blocks": 6})
    assert (result.measured.estimate, result.measured.low, result.measured.high) == (162.5, 160, 165)
    assert result.verdict == "confirmed"
    few = evaluated(VALUE, saved, changes={"blocks": 5})
    assert (few.verdict, few.measured.low, "only 5 blocks" in few.reason) == ("inconclusive", None, True)
    assert evaluated({**VALUE, "exact": True}, saved, changes={"blocks": 1}).verdict == "confirmed"


def test_a_value_may_bring_its_own_interval_and_the_widest_counts(evaluated):
    claim = {"says": "s", "metric": "f1", "of": {"a": 1}, "low": 0.85, "bounds": ["f1_low", "f1_high"]}

    def scored(parameters, arm, block):
        return {"f1": 0.9, "f1_low": 0.87 - block / 100, "f1_high": 0.93 + block / 100}

    assert evaluated(claim, scored, changes={"blocks": 1}).verdict == "confirmed"
    wide = evaluated(claim, scored, changes={"blocks": 4})
    assert (wide.measured.low, wide.measured.high) == pytest.approx((0.84, 0.96))
    assert wide.verdict == "inconclusive"
    none = evaluated(claim, lambda p, arm, block: {"f1": 0.9, "f1_low": None, "f1_high": None})
    assert (none.verdict, "recorded none" in none.reason) == ("inconclusive", True)


def test_a_share_of_trials_has_the_exact_binomial_interval(evaluated):
    claim = {"says": "s", "metric": "isolated", "of": {"a": 1}, "low": 1, "trials": "recalled"}
    kept = evaluated(claim, lambda p, arm, block: {"isolated": 1.0, "recalled": 1000}, changes={"blocks": 1})
    assert kept.verdict == "confirmed"
    assert kept.measured.low == pytest.approx(0.025 ** (1 / 1000))  # Clopper and Pearson of n of n
    leaked = evaluated(claim, lambda p, arm, block: {"isolated": 0.999, "recalled": 1000}, changes={"blocks": 1})
    assert leaked.verdict == "refuted"
    nothing = evaluated(claim, lambda p, arm, block: {"isolated": 1.0, "recalled": 0}, changes={"blocks": 1})
    assert nothing.verdict == "inconclusive"


GPU = {"gpus": [{"name": "card"}], "llama_cpp": {"gpu_offload": True}}


@pytest.mark.parametrize(
    ("environment", "verdict"),
    [
        (GPU, "confirmed"),
        ({**GPU, "gpus": []}, "cannot be tested here"),
        ({**GPU, "llama_cpp": {"gpu_offload": False}}, "cannot be tested here"),
        ({**GPU, "llama_cpp": None}, "cannot be tested here"),
    ],
)
def test_a_claim_about_gpus_is_tested_on_one_or_not_at_all(evaluated, environment, verdict):
    """Where the runs were made tells, not the machine that asks."""
    result = evaluated({**FASTER, "needs": "gpu"}, noisy, environment=environment, lacking=("gpu",))
    assert result.verdict == verdict
    assert (result.measured.estimate is None) == (verdict == "cannot be tested here")


def test_without_a_run_it_is_not_run_yet_or_cannot_be(evaluated):
    def nothing(parameters, arm, block):
        return None

    assert evaluated(FASTER, nothing, lacking=("gpu", "data")).verdict == "not run yet"
    failed = evaluated(FASTER, nothing, failure="ValueError: no")
    assert (failed.verdict, "ValueError: no" in failed.reason) == ("not run yet", True)
    data = evaluated({**FASTER, "needs": "data"}, nothing, lacking=("data",))
    assert (data.verdict, "WORKBENCH_DATA" in data.reason) == ("cannot be tested here", True)
    assert evaluated({**FASTER, "needs": "data"}, nothing).verdict == "not run yet"
    assert evaluated({**FASTER, "needs": "data"}, noisy, lacking=("data",)).verdict == "confirmed"


def test_one_run_with_an_exception_among_many_refutes_all_of_them(evaluated):
    claim = {"says": "s", "metric": "isolated", "of": {"a": 1}, "low": 1, "trials": "recalled"}

    def isolated(parameters, arm, block):
        return {"isolated": 0.99 if block == 2 else 1.0, "recalled": 100.0}

    assert evaluated(claim, isolated, changes={"blocks": 5}).verdict == "refuted"
    assert evaluated(claim, isolated, changes={"blocks": 2}).verdict == "confirmed"


def test_an_answer_without_tokens_is_no_faster_answer(evaluated):
    claim = {**FASTER, "metric": "total_ms", "low": 0.4, "high": 0.6, "direction": "minimize"}

    def empty(parameters, arm, block):
        return {"total_ms": 10.0 / parameters["a"], "output_tokens": 0.0 if parameters["a"] == 2 else 32.0}

    result = evaluated(claim, empty)
    assert (result.verdict, "without tokens" in result.reason) == ("inconclusive", True)
    both = evaluated(claim, lambda p, arm, block: {**empty(p, arm, block), "output_tokens": 0.0})
    assert both.verdict == "confirmed"


def test_a_size_is_not_confirmed_by_what_equal_runs_show_too(evaluated):
    claim = {**FASTER, "low": 1.15, "high": None}

    def measure(parameters, arm, block):
        return {"speed": 1.2 if parameters["a"] == 2 else 1.0 + 0.5 * (arm == "twin")}

    assert evaluated(claim, measure).verdict == "confirmed"
    loud = evaluated(claim, measure, changes={"twin": True})
    assert loud.verdict == "inconclusive"
    assert "equal runs differ by up to 50.0%" in loud.reason
    kept = evaluated({**claim, "low": 0.98}, measure, changes={"twin": True})  # no effect is claimed
    assert kept.verdict == "confirmed"

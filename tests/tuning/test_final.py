"""The final and its verdicts, and the search's own bookkeeping."""

from __future__ import annotations

import dataclasses
from collections import Counter

import pytest

from workbench.sweep.results import Effect
from workbench.tuning import Candidate, Plan, Quality, Workload
from workbench.tuning.candidate import DEFAULT
from workbench.tuning.final import band, choose, measure_final, rows
from workbench.tuning.results import Row
from workbench.tuning.search import Search
from workbench.tuning.space import build_space
from workbench.tuning.study import Study

FAST, SLOW = Candidate("Q4_0"), Candidate("Q8_0")


def row(candidate: Candidate, ratio: float, kl: float | None = None, verdict: str = "better") -> Row:
    effect = Effect(ratio=ratio, low=0.98 * ratio, high=1.02 * ratio, level=0.96, p=0.002, n=10)
    quality = kl and Quality(
        kl=kl, kl_stderr=0.0, same_top=0.9, same_top_low=0.9, same_top_high=0.9, perplexity_ratio=1.0, tokens=9
    )
    return Row(
        candidate=candidate,
        prefill=effect,
        decode=effect,
        speed=effect,
        prefill_tps=1.0,
        decode_tps=1.0,
        verdict=verdict,
        reason="",
        quality=quality or None,
    )


def winner(*found: Row) -> Candidate | None:
    return next((one.candidate for one in choose(found, Workload(), 0.02) if one.chosen), None)


def test_every_arm_runs_once_a_round_and_the_default_twice(lab) -> None:
    machine = lab()
    final = measure_final(machine, [FAST, SLOW], Workload(), 4, seed=1)
    counts = [Counter(machine.measured[at : at + 4]) for at in range(0, 16, 4)]
    assert counts == [Counter({DEFAULT: 2, FAST: 1, SLOW: 1})] * 4
    assert len({tuple(machine.measured[at : at + 4]) for at in range(0, 16, 4)}) > 1, "in random order"
    assert {len(shots) for shots in final.shots.values()} == {4}


def test_drift_of_the_machine_falls_out(lab) -> None:
    """Speeds wander by a factor of two over the final; the ratio stays within a percent."""
    machine = lab(lambda c: (300.0, 100.0) if c == DEFAULT else (450.0, 150.0), drift=0.05, noise=0.002, seed=3)
    final = measure_final(machine, [FAST], Workload(), 12, seed=1)
    [found] = rows(final, Workload(), {})
    assert found.decode.ratio == pytest.approx(1.5, rel=0.06)
    assert found.verdict == "better"


def test_the_band_is_the_defaults_own_scatter_and_one_percent_at_least(lab) -> None:
    assert band(measure_final(lab(), [FAST], Workload(), 10, seed=1), Workload()) == 0.01
    assert band(measure_final(lab(noise=0.2), [FAST], Workload(), 10, seed=1), Workload()) > 0.05


def test_a_finalist_that_dies_is_dropped_and_the_others_go_on(lab) -> None:
    machine = lab(failing=lambda candidate: candidate == FAST)
    final = measure_final(machine, [FAST, SLOW], Workload(), 10, seed=1)
    assert set(final.dropped) == {FAST}
    assert [one.candidate for one in rows(final, Workload(), {})] == [SLOW]


def test_the_fastest_of_the_better_wins() -> None:
    assert winner(row(SLOW, 1.3), row(FAST, 1.8)) == FAST
    assert winner(row(SLOW, 1.3), row(FAST, 1.8, verdict="inconclusive")) == SLOW
    assert winner(row(FAST, 1.8, verdict="inconclusive")) is None


def test_within_the_noise_quality_decides_then_simplicity() -> None:
    assert winner(row(FAST, 1.81, kl=0.26), row(SLOW, 1.80, kl=0.14)) == SLOW
    more = Candidate("Q4_0", (("n_ubatch", 64),))
    assert winner(row(more, 1.81, kl=0.26), row(FAST, 1.80, kl=0.26)) == FAST
    assert winner(row(more, 1.90, kl=0.26), row(FAST, 1.80, kl=0.14)) == more, "not within the noise"


def test_a_slower_half_that_does_not_count_is_no_objection() -> None:
    one = row(FAST, 1.8)
    slow = dataclasses.replace(one, decode=dataclasses.replace(one.decode, ratio=0.5, low=0.49, high=0.51))
    assert not choose([slow], Workload(), 0.02)[0].chosen
    assert choose([slow], Workload(decode_weight=0.0), 0.02)[0].chosen


@pytest.fixture
def space(file):
    return build_space(file, ("Q4_0",), prompt_tokens=512, usable_cores=2, default_threads=2, gpu=False)


def test_clearly_worse_candidates_are_given_up_after_fewer_pairs(lab, space) -> None:
    machine = lab(lambda c: (30.0, 10.0) if dict(c.settings).get("n_threads") == 1 else (300.0, 100.0), noise=0.02)
    with Study(None, 1) as study:
        search = Search(space, machine, Workload(), Plan(max_trials=25), study)
        search.run(lambda: True, lambda _: None)
    slow = [one for one in search.records() if dict(one.candidate.settings).get("n_threads") == 1]
    assert [one for one in slow if one.state == "given up"]
    assert all(len(one.pairs) < 3 for one in slow if one.state == "given up")
    assert not [one for one in search.ranking() if dict(one.settings).get("n_threads") == 1]


def test_pairs_of_a_candidate_met_again_are_added(lab, space) -> None:
    machine = lab(noise=0.05)
    with Study(None, 1) as study:
        search = Search(space, machine, Workload(), Plan(max_trials=30, pairs=2), study)
        search.run(lambda: True, lambda _: None)
    taken = Counter()
    for record in search.records():
        taken[record.candidate] += len(record.pairs)
    assert taken == {candidate: len(pairs.taken) for candidate, pairs in search.pairs.items()}


def test_starts_are_tried_even_when_the_time_is_over(lab, space) -> None:
    with Study(None, 1) as study:
        search = Search(space, lab(), Workload(), Plan(), study)
        search.run(lambda: False, lambda _: None)
    assert [one.candidate for one in search.records()] == [DEFAULT, FAST]


def test_what_costs_speed_to_put_back_is_kept(lab, space) -> None:
    machine = lab(lambda c: (600.0 if ("n_batch", 128) in c.settings else 300.0, 100.0), noise=0.001)
    with Study(None, 1) as study:
        search = Search(space, machine, Workload(), Plan(), study)
        best = Candidate.of("Q4_0", {"n_batch": 128, "use_mmap": False})
        assert search.simplified(best, lambda: True) == Candidate.of("Q4_0", {"n_batch": 128})
        assert search.simplified(best, lambda: False) == best


def test_a_trial_without_a_measurement_has_no_ratio(lab, space) -> None:
    with Study(None, 1) as study:
        search = Search(space, lab(failing=lambda _: True), Workload(), Plan(max_trials=1), study)
        search.run(lambda: True, lambda _: None)
    [record] = search.records()
    assert record.state == "failed"
    assert record.ratio(Workload()) is None

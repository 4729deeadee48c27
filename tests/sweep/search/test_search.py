"""A search from the first trial to the verdict: what runs, what is told, what survives, what is refused."""

import itertools
import json
import math
from collections import Counter

import pytest

from workbench.errors import SpecError, StoreCorrupt
from workbench.sweep.forecast import forecast
from workbench.sweep.search.journal import JOURNAL

BATCHES = [2**n for n in range(4, 13)]
SPACE = {"n_batch": BATCHES, "n_threads": [1, 2, 3, 4, 5, 6, 7, 8], "flash": [False, True], "kind": ["f16", "q8", "q4"]}


def speed(given):
    """100 at n_batch 256, 6 threads, with flash, q8; each step away costs 11 % or more."""
    away = 0.15 * abs(math.log2(given["n_batch"]) - 8) + 0.12 * abs(given["n_threads"] - 6)
    away += 0.0 if given["flash"] else 0.3
    return 100 * math.exp(-away - {"f16": 0.1, "q8": 0.0, "q4": 0.25}[given["kind"]])


def fast(given):
    return {"speed": speed(given)}


def test_tpe_finds_the_best_where_chance_does_not(search, surface):
    """Over three seeds, at 40 trials of 432 configurations each; nothing in it depends on time."""

    def best(sampler, seed):
        sweep = search(
            f"{sampler}-{seed}", parameters=SPACE, seed=seed, search={"trials": 40, "sampler": sampler}, blocks=1
        )
        executor = surface(fast, seed=seed)
        sweep.run(progress=False, executor=executor)
        return max(speed(one["parameters"]) for one in executor.ran if one["phase"] == "grid")

    found = {sampler: [best(sampler, seed) for seed in range(3)] for sampler in ("tpe", "random")}
    assert min(found["tpe"]) > 85, "one step away from the best costs 11 or more"
    assert all(ours >= theirs for ours, theirs in zip(*found.values(), strict=True))
    assert sum(found["tpe"]) > sum(found["random"]) + 3 * 5


def test_every_trial_runs_beside_the_baseline_and_the_best_go_through_blocks(search, surface):
    sweep, executor = search(search={"trials": 12, "repeats": 2}, twin=True, confirm=6), surface(fast)
    analysis = sweep.run(progress=False, executor=executor)
    blocks = Counter((one["block"], one["label"] == "baseline") for one in executor.ran if one["phase"] == "search")
    assert blocks == {(block, is_it): 1 for block in range(24) for is_it in (False, True)}
    finals = Counter(one["label"] for one in executor.ran if one["phase"] == "grid")
    assert len(finals) == 5
    assert set(finals.values()) == {6}
    assert {"baseline", "twin"} < set(finals)
    one = analysis.recommendations[0]
    assert one.evidence.effect.n == 6, "trials are no evidence"
    assert one.confirmation.effect.n == 6
    assert "Searched in 12 of at most 12 trials" in one.text
    assert {c.label for c in analysis.comparisons} == set(finals) - {"baseline", "twin"}
    assert set(analysis.frame["phase"]) == {"search", "grid", "confirm"}
    assert analysis.audit.missing == 0
    assert analysis.audit.planned == len(executor.ran) == len(analysis.frame)
    assert list(analysis.parameters) == list(SPACE)


@pytest.mark.parametrize(
    "changes",
    [
        {"search": {"trials": 9, "startup": 3}},
        {"search": {"trials": 8, "startup": 3}, "side_by_side": 2},
        {
            "search": {"trials": 9, "startup": 3},
            "objectives": [{"metric": m, "direction": "maximize"} for m in ("speed", "slim")],
        },
    ],
)
def test_killed_anywhere_it_goes_on_with_the_same_trials(search, surface, changes):
    def metrics(given):
        return {"speed": speed(given), "slim": 1.0 / given["n_batch"]}

    whole = surface(metrics)
    search("whole", blocks=2, **changes).run(progress=False, executor=whole)
    ran = []
    for most in itertools.chain((1, 2, 3, 5, 4), itertools.repeat(6)):
        part = surface(metrics, most=most)
        try:
            search("parts", blocks=2, **changes).run(progress=False, executor=part)
        except KeyboardInterrupt:
            ran += part.ran
            continue
        ran += part.ran
        break
    assert [one["id"] for one in ran] == [one["id"] for one in whole.ran]


def test_a_trial_that_was_tried_is_not_tried_again_and_a_small_space_ends(search, surface):
    small = {"n_threads": [1, 2, 3], "flash": [False, True]}
    executor = surface(lambda given: {"speed": float(given["n_threads"])})
    search(parameters=small, search={"trials": 50}).run(progress=False, executor=executor)
    assert len(executor.trials) == len(set(executor.trials)) == 5, "six configurations, and one is the baseline"


def test_conditions_hold_for_whatever_is_tried(search, surface):
    space = {**SPACE, "draft": [2, 4, 8]}
    executor = surface(fast)
    search(
        parameters=space,
        where=["flash or kind == 'f16'", "n_batch >= 64 or n_threads < 4"],
        when={"draft": "flash"},
        search={"trials": 40},
    ).run(progress=False, executor=executor)
    given = [one["parameters"] for one in executor.ran]
    assert all(one["flash"] or one["kind"] == "f16" for one in given)
    assert all(one["n_batch"] >= 64 or one["n_threads"] < 4 for one in given)
    assert all(("draft" in one) == one["flash"] for one in given)
    assert {one["flash"] for one in given} == {False, True}
    assert len(executor.trials) == 40


def test_if_nothing_may_run_the_condition_is_named(search, surface):
    sweep = search(where=["n_threads > 8"])
    with pytest.raises(SpecError, match=r"where\[0\].*n_threads > 8"):
        sweep.run(progress=False, executor=surface(fast))


def test_settings_that_exclude_each_other_are_not_run(search, surface, notebook):
    notebook("n_batch = 512\nn_ubatch = None", "pass")
    sweep = search(parameters={"n_batch": [64, 128, 256], "n_ubatch": [32, 128, 256]}, search={"trials": 9})
    executor = surface(lambda given: {"speed": float(given["n_batch"])})
    sweep.run(progress=False, executor=executor)
    assert all(one["parameters"]["n_ubatch"] <= one["parameters"]["n_batch"] for one in executor.ran)


def test_numbers_come_from_their_ranges(search, surface):
    ranges = {
        "n_batch": {"low": 16, "high": 4096, "log": True},
        "n_threads": {"low": 1, "high": 8, "step": 2},
        "ratio": {"low": 0.1, "high": 0.75, "step": 0.1},
        "draft": {"low": 0.5, "high": 2.5},
    }
    executor = surface(lambda given: {"speed": 100 * math.exp(-abs(math.log2(given["n_batch"]) - 8))})
    sweep = search(parameters={}, search={"trials": 30, "ranges": ranges})
    analysis = sweep.run(progress=False, executor=executor)
    given = [one["parameters"] for one in executor.ran if one["label"] != "baseline"]
    assert all(isinstance(one["n_batch"], int) and 16 <= one["n_batch"] <= 4096 for one in given)
    assert {one["n_threads"] for one in given} <= {1, 3, 5, 7}
    assert {one["ratio"] for one in given} <= {0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7}
    assert all(0.5 <= one["draft"] <= 2.5 and len(str(one["draft"])) <= 6 for one in given)
    baseline = next(one["parameters"] for one in executor.ran if one["label"] == "baseline")
    assert baseline == {"n_batch": 512, "n_threads": 1, "ratio": 0.5, "draft": 4}, "as the notebook has it"
    assert 128 <= analysis.recommendations[0].configuration["n_batch"] <= 512
    assert len(analysis.parameters["n_batch"]) > 10


def test_linked_parameters_change_together(search, surface):
    linked = [{"n_batch": [16, 256, 1024], "n_threads": [1, 6, 8]}]
    executor = surface(lambda given: {"speed": float(given["n_batch"])})
    search(parameters={"flash": [False, True]}, linked=linked, search={"trials": 20}).run(
        progress=False, executor=executor
    )
    pairs = {(one["parameters"]["n_batch"], one["parameters"]["n_threads"]) for one in executor.ran}
    assert pairs == {(16, 1), (256, 6), (1024, 8)}


def test_it_keeps_away_from_where_memory_ends(search, surface):
    """The fastest are just beyond: a search goes there if nothing stops it, less often than chance if memory does."""

    def metrics(given):
        return "out_of_memory" if given["n_batch"] > 128 else {"speed": speed(given)}

    def beyond(executor):
        trials = [one["parameters"]["n_batch"] for one in executor.ran if one["phase"] == "search"]
        return sum(size > 128 for size in trials[-40:])  # the last twenty trials, the baseline's 16 beside each

    with_end, without = 0, 0
    for seed in range(4):
        executor, free = surface(metrics), surface(fast)
        changes = {"seed": seed, "search": {"trials": 40}, "blocks": 2}
        analysis = search(f"memory-{seed}", **changes).run(progress=False, executor=executor)
        search(f"free-{seed}", **changes).run(progress=False, executor=free)
        with_end, without = with_end + beyond(executor), without + beyond(free)
        assert analysis.boundaries
        assert analysis.audit.failed == 0
        assert all(one["parameters"]["n_batch"] <= 128 for one in executor.ran if one["phase"] == "grid")
        assert analysis.recommendations[0].configuration["n_batch"] >= 64
        assert len(executor.trials) == len(set(executor.trials)), "what was out of memory is not tried again"
    assert with_end < 0.75 * without
    assert with_end / 80 < 5 / 9, "five of nine sizes lie beyond"


def test_quality_and_length_are_limits(search, surface):
    def metrics(given):
        worse = 1.2 if given["kind"] == "q8" else 1.0
        return {"speed_tps": speed(given), "perplexity": 10 * worse, "output_tokens": 24 - 4 * given["flash"]}

    executor = surface(metrics, noise=0.0)
    search(
        objectives=[{"metric": "speed_tps", "direction": "maximize"}],
        quality=[{"metric": "perplexity", "direction": "minimize"}],
        search={"trials": 40},
    ).run(progress=False, executor=executor)
    finals = [one["parameters"] for one in executor.ran if one["phase"] == "grid"]
    assert all(one["kind"] != "q8" and not one["flash"] for one in finals)


def test_what_failed_is_told_and_not_tried_again(search, surface):
    executor = surface(lambda given: "error" if given["kind"] == "q8" else {"speed": speed(given)})
    analysis = search(retries=1, search={"trials": 30}).run(progress=False, executor=executor)
    tried = Counter(executor.trials)
    assert {count for label, count in tried.items() if "q8" in label} == {2}, "once more, as retries ask"
    assert {count for label, count in tried.items() if "q8" not in label} == {1}
    assert analysis.audit.failed == sum("q8" in label for label in tried)
    assert "failed" in analysis.recommendations[0].text


def test_several_objectives_get_a_front_with_its_true_ends(search, surface):
    """Faster needs more memory: the ends of the true front are the smallest and the fastest."""
    space = {"n_batch": BATCHES, "n_threads": [1, 2, 3, 4]}

    def metrics(given):
        return {
            "speed": given["n_batch"] ** 0.5 * (1 + 0.2 * given["n_threads"]),
            "bytes": 1e6 + 100 * given["n_batch"],
        }

    executor = surface(metrics, noise=0.001)
    objectives = [{"metric": "speed", "direction": "maximize"}, {"metric": "bytes", "direction": "minimize"}]
    sweep = search(parameters=space, objectives=objectives, search={"trials": 30, "startup": 8})
    analysis = sweep.run(progress=False, executor=executor)
    finals = {
        one["parameters"]["n_batch"]: one["parameters"]["n_threads"] for one in executor.ran if one["phase"] == "grid"
    }
    assert {16, 4096} <= set(finals)
    assert len(analysis.recommendations) == 2
    assert analysis.recommendations[0].configuration == {"n_batch": 4096, "n_threads": 4}
    assert 2 <= len({c.label for c in analysis.comparisons}) <= 8


def test_the_budget_lasts_for_the_finals(search, surface):
    executor = surface(fast)
    sweep = search(budget={"runs": 50}, blocks=6)
    analysis = sweep.run(progress=False, executor=executor)
    assert len(executor.ran) <= 50
    assert Counter(one["phase"] for one in executor.ran) == {"search": 26, "grid": 24}
    assert analysis.audit.left_out == 0
    with pytest.raises(SpecError, match=r"budget.*20 runs pay for no trial"):
        search("poor", budget={"runs": 20}).run(progress=False, executor=surface(fast))


def test_minutes_last_for_the_finals(search, surface):
    """A run takes a second: of 100, the finals need 24."""
    executor = surface(fast)
    search(budget={"minutes": 100 / 60}, search={"trials": 200}).run(progress=False, executor=executor)
    assert Counter(one["phase"] for one in executor.ran)["grid"] == 24
    assert 60 <= Counter(one["phase"] for one in executor.ran)["search"] <= 76


def test_what_matters_most_is_said_by_the_trials(search, surface):
    def metrics(given):
        return {"speed": 100 * math.exp(-0.5 * abs(math.log2(given["n_batch"]) - 8) - 0.02 * given["n_threads"])}

    analysis = search(search={"trials": 40, "sampler": "random"}, blocks=1).run(
        progress=False, executor=surface(metrics)
    )
    shares = {one.parameter: one.share for one in analysis.importances}
    assert set(shares) == set(SPACE)
    assert shares["n_batch"] > 0.7
    assert sum(shares.values()) <= 1.0 + 1e-9


def test_before_there_are_finals_nothing_is_recommended(search, surface):
    sweep = search(search={"trials": 10})
    assert not sweep.analyse().recommendations[0].conclusive
    with pytest.raises(KeyboardInterrupt):
        sweep.run(progress=False, executor=surface(fast, most=8))
    one = sweep.analyse().recommendations[0]
    assert not one.conclusive
    assert "looks best, in its own trial only" in one.text
    assert sweep.status().done == 8


def test_more_trials_later_go_on_and_decide_anew(search, surface):
    search(search={"trials": 8}).run(progress=False, executor=surface(fast))
    executor = surface(fast)
    sweep = search(search={"trials": 20})
    sweep.run(progress=False, executor=executor)
    assert len(executor.trials) == 12
    assert sweep.status("search").done == 40
    assert sweep.status("grid").done == 24
    again = surface(fast)
    search(search={"trials": 20}).run(progress=False, executor=again)
    assert again.ran == []


def test_trials_of_another_notebook_or_space_are_no_longer_part_of_it(search, surface, notebook):
    search(search={"trials": 6}).run(progress=False, executor=surface(fast))
    less = search(parameters={**SPACE, "kind": ["f16"]})
    assert all("kind=f16" in c.label or "baseline" in c.label for c in less.plan())
    notebook("n_batch = 512\nn_threads = 1\nflash = False\nkind = 'f16'", "other = 1")
    assert search(search={"trials": 6}).plan() == []


def test_a_damaged_journal_is_said_not_guessed(search):
    sweep = search()
    sweep.folder.mkdir(parents=True)
    for text in (json.dumps({"trials": [{"row": {}}], "finalists": None}), json.dumps([]), "{"):
        (sweep.folder / JOURNAL).write_text(text)
        with pytest.raises(StoreCorrupt, match=r"search\.json"):
            sweep.plan()


def test_the_plan_says_trials_finalists_and_what_is_asked_first(search, surface):
    sweep = search(search={"trials": 12, "repeats": 2}, twin=True)
    text = str(forecast(sweep))
    assert "12 trials × 2 blocks × (configuration + baseline) = 48 runs" in text
    assert "up to 3 finalists and the baseline and its twin in 6 blocks: at most 30 runs" in text
    assert "by TPE, the first 10 by chance" in text
    assert not sweep.folder.exists(), "a plan leaves nothing behind"
    executor = surface(fast)
    sweep.run(progress=False, executor=executor)
    assert f"first: {executor.trials[0]}" in text
    assert "12 trials asked for" in str(forecast(sweep))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"workloads": {"chat": {"ratio": 0.1}, "book": {"ratio": 0.2}}}, "workloads"),
        ({"within": ["flash"]}, "within"),
        ({"configurations": [{"n_batch": 3}]}, "configurations"),
        ({"targets": [{"name": "x", "metric": "speed", "at_least": 1.0}]}, "targets"),
        ({"baseline": None}, "needs a `baseline`"),
        ({"parameters": {}}, "nothing to search"),
        ({"parameters": {"n_batch": [512, -1]}}, r"parameters.n_batch\[1\]"),
        ({"search": {"trials": 3, "ranges": {"draught": {"low": 1, "high": 2}}}}, "draught"),
    ],
)
def test_what_a_search_cannot_do_is_refused_before_it_runs(search, changes, said):
    from workbench.sweep.specification.checks import check

    with pytest.raises(SpecError, match=said):
        check(search(**changes).spec)

import numpy as np

from workbench.sweep.findings.recommend import code_for


def noise(block, order, size=0.005):
    return float(np.exp(size * np.random.default_rng([block, order]).standard_normal()))


QUALITY = [{"metric": "perplexity", "direction": "minimize", "tolerance": 0.01}]


def measured(speed, perplexity=lambda p: 12.0):
    def measure(parameters, arm, block, order):
        value = speed(parameters, arm)
        if value is None:
            return None
        return {"speed": value * noise(block, order), "perplexity": perplexity(parameters)}

    return measure


def recommendation(spec, simulated, *arguments):
    return simulated(spec, measured(*arguments)).recommendations[0]


def test_the_better_level_is_chosen_and_the_indifferent_one_stays(spec_of, simulated):
    spec = spec_of(
        parameters={"n_batch": [64, 512], "n_ctx": [1024, 4096]},
        fixed={"model": "smollm2-135m"},
        baseline={"engine": "baseline"},
        quality=QUALITY,
    )
    found = recommendation(
        spec, simulated, lambda p, arm: (2 if p["n_batch"] == 512 else 1) * (0.8 if arm != "grid" else 1)
    )
    assert found.conclusive
    assert found.configuration == {"n_batch": 512, "n_ctx": 1024}
    assert found.code == 'engine = wb.load("smollm2-135m", n_batch=512, n_ctx=1024)'
    assert found.text.startswith("Use n_batch=512, n_ctx=1024: speed 2.5")
    assert "n=10 blocks against baseline, p=" in found.text
    assert "on bench" in found.text
    assert "n_ctx=4096 instead of 1024" in found.text
    assert "1024 is kept" in found.text
    assert "Quality: perplexity 1.000 × [1.000, 1.000], n=10 (equivalent)." in found.text
    assert found.evidence.verdict == "better"
    assert [c.metric for c in found.quality] == ["perplexity"]


def test_a_winner_that_costs_quality_is_refused_with_the_reason(spec_of, simulated):
    spec = spec_of(parameters={"a": [1, 2, 3]}, quality=QUALITY)
    found = recommendation(spec, simulated, lambda p, arm: p["a"], lambda p: 12.5 if p["a"] == 3 else 12.0)
    assert found.configuration == {"a": 2}
    assert found.conclusive
    assert "a=3 is refused: perplexity 1.042 × [1.042, 1.042], n=10 breaks the tolerance of 1.0%." in found.text


def test_when_every_gain_costs_quality_the_reference_stays(spec_of, simulated):
    spec = spec_of(parameters={"a": [1, 2]}, quality=QUALITY)
    found = recommendation(spec, simulated, lambda p, arm: p["a"], lambda p: 12.0 * p["a"])
    assert found.configuration == {"a": 1}
    assert "a=2 is refused" in found.text


def test_the_quality_direction_counts(spec_of, simulated):
    spec = spec_of(parameters={"a": [1, 2]}, quality=[{"metric": "perplexity", "direction": "maximize"}])
    found = recommendation(spec, simulated, lambda p, arm: p["a"], lambda p: 12.0 * p["a"])
    assert found.configuration == {"a": 2}
    assert found.conclusive


def test_quality_that_is_not_settled_makes_it_inconclusive(spec_of, simulated):
    spec = spec_of(parameters={"a": [1, 2]}, quality=QUALITY)

    def measure(parameters, arm, block, order):
        return {"speed": parameters["a"] * noise(block, order), "perplexity": 12 * noise(block, order, 0.05)}

    found = simulated(spec, measure).recommendations[0]
    assert not found.conclusive
    assert "Quality is not settled: of a=2, perplexity" in found.text
    assert "may or may not keep its tolerance of 1.0%" in found.text
    missing = simulated(spec, lambda p, *_: {"speed": float(p["a"]), "perplexity": None}).recommendations[0]
    assert not missing.conclusive
    assert "perplexity could not be compared" in missing.text


def test_too_few_blocks_are_called_what_they_are(spec_of, simulated):
    spec = spec_of(blocks=7, baseline={"engine": "baseline"})
    found = recommendation(spec, simulated, lambda p, arm: p["a"] if arm == "grid" else 0.5)
    assert not found.conclusive
    assert found.text.startswith("Inconclusive: a=1")
    assert "only 7 complete blocks; 10 are needed to decide" in found.headline
    assert "The best estimate so far is a=2: speed " in found.text
    assert found.configuration == {"a": 1}


def test_noise_is_inconclusive_and_says_which_may_still_be_better(spec_of, simulated):
    spec = spec_of(blocks=10)

    def measure(parameters, arm, block, order):
        return {"speed": noise(block, order, 0.2)}

    found = simulated(spec, measure).recommendations[0]
    assert not found.conclusive
    assert found.text.startswith("Inconclusive: no configuration is shown to be better than a=1, but 1 may be")


def test_a_reference_nothing_can_beat_is_kept_for_sure(spec_of, simulated):
    found = recommendation(spec_of(parameters={"a": [1, 2, 3]}), simulated, lambda p, arm: 1 / p["a"])
    assert found.conclusive
    assert found.configuration == {"a": 1}
    assert found.text.startswith("Keep a=1: none of the 2 other configurations is better")
    assert found.evidence is None


def test_a_single_configuration_beats_nobody(spec_of, simulated):
    found = recommendation(spec_of(parameters={"a": [1]}), simulated, lambda p, arm: 1.0)
    assert found.text.startswith("Nothing to choose between: a=1 is the only configuration.")


def test_a_grid_no_different_from_the_baseline_may_be_used(spec_of, simulated):
    spec = spec_of(parameters={"a": [1]}, baseline={"engine": "baseline"}, fixed={"model": "m"})
    found = recommendation(spec, simulated, lambda p, arm: 1.0)
    assert found.conclusive
    assert found.text.startswith("Use a=1, or keep baseline: no difference, speed ")
    assert found.configuration == {"a": 1}
    assert found.code == 'engine = wb.load("m")'


def test_a_grid_that_loses_leaves_the_baseline(spec_of, simulated):
    spec = spec_of(parameters={"a": [1]}, baseline={"engine": "baseline"}, fixed={"model": "m"})
    found = recommendation(spec, simulated, lambda p, arm: 0.8 if arm == "grid" else 1.0)
    assert found.conclusive
    assert found.text.startswith("Keep baseline: the best of the grid, a=1, is speed 0.80")
    assert found.code == 'engine = wb.load("m", engine="baseline")'


def test_parts_that_do_not_add_up_are_noticed(spec_of, simulated):
    # each parameter on its own does nothing on average, one combination does
    spec = spec_of(parameters={"a": [0, 1], "b": [0, 1]})
    found = recommendation(
        spec, simulated, lambda p, arm: 1.2 if p["a"] == 1 and p["b"] == 0 else (0.7 if p["a"] else 1.0)
    )
    assert found.configuration == {"a": 1, "b": 0}
    assert "do not simply add up: it beats a=0, b=0 by 1.20 ×" in found.text
    assert found.conclusive


def test_the_direction_of_the_objective_counts(spec_of, simulated):
    spec = spec_of(parameters={"a": [1, 2, 3]}, objectives=[{"metric": "speed", "direction": "minimize"}])
    found = recommendation(spec, simulated, lambda p, arm: {1: 1.0, 2: 0.5, 3: 0.8}[p["a"]])
    assert found.configuration == {"a": 2}


def test_a_configuration_that_never_ran_is_not_recommended(spec_of, simulated):
    spec = spec_of(parameters={"a": [1, 2, 3]})
    found = recommendation(spec, simulated, lambda p, arm: None if p["a"] == 3 else p["a"])
    assert found.configuration == {"a": 2}


def test_code_is_ready_to_paste():
    assert code_for({"model": "m", "n_batch": 8, "flash_attn": True, "prompt_tokens": 5, "engine": "tuned"}) == (
        'engine = wb.load("m", n_batch=8, flash_attn=True)'
    )
    assert code_for({"model": "m", "type_k": "q8_0"}) == 'engine = wb.load("m", type_k="q8_0")'
    assert code_for({"a": 1}) == "settings = dict(a=1)"
    varied = {"model": "m", "strategy": "hybrid", "embedding": "hashing", "k": 10, "history": 0}
    assert code_for(varied) == 'memory = wb.memories.create("hybrid", embedder="hashing")'
    assert code_for({**varied, "strategy": "buffer", "size": 50}) == 'memory = wb.memories.create("buffer", size=50)'
    assert code_for({"embedding": "hashing", "k": 3}) == 'embedder = wb.embedders.create("hashing")'

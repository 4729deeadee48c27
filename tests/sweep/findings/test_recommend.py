import numpy as np

from workbench.hardware import snapshot
from workbench.interfaces import Record
from workbench.models.profiles import Profile, machine_facts
from workbench.settings import EngineSettings
from workbench.sweep.findings.pasting import code_for, profile_for
from workbench.sweep.records.table import Run
from workbench.sweep.results import Boundary


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


ENVIRONMENT = {
    "machine": "x86_64",
    "cpu": {"name": "CPU", "physical": 2, "logical": 4, "usable": 2},
    "gpus": [{"name": "GPU", "memory_total_bytes": 8, "index": 0}],
    "packages": {"llama-cpp-python": "0.3.36"},
    "models": {"smollm2-135m": {"sha256": "ab" * 32, "quantisation": "Q4_1", "path": "/m.gguf", "size_bytes": 1}},
}


def batches(cell, order):
    return {"decode_tps": (2.0 if cell.configuration.parameters["n_batch"] == 64 else 1.0) * noise(cell.block, order)}


def batch_spec(spec_of, **changes):
    return spec_of(
        parameters={"n_batch": [512, 64]},
        fixed={"model": "smollm2-135m", "prompt_tokens": 16},
        objectives=[{"metric": "decode_tps", "direction": "maximize"}],
        **changes,
    )


def test_a_profile_to_load_the_model_with(spec_of, analysed):
    found = analysed(batch_spec(spec_of), batches, environment=ENVIRONMENT).recommendations[0]
    profile = Profile.from_dict(found.profile)
    assert profile.settings == {"n_batch": 64}
    assert (profile.model, profile.model_sha256, profile.quantisation) == ("smollm2-135m", "ab" * 32, "Q4_1")
    assert profile.machine == {
        "machine": "x86_64",
        "cpu": "CPU",
        "physical_cores": 2,
        "usable_cores": 2,
        "gpus": [{"name": "GPU", "memory_bytes": 8}],
    }
    assert profile.measured == {"decode_tps": found.evidence.effect.ratio}
    assert profile.note == found.headline
    assert EngineSettings.from_mapping(profile.settings).n_batch == 64


def test_a_profile_knows_a_machine_as_loading_does():
    """What a run captures is enough to tell this machine from another one."""
    run = Run(
        cell=None, order=1, host="h", started=0.0, elapsed_s=1.0, record=Record(metrics={}),
        environment={**snapshot(), "packages": {"llama-cpp-python": "1"}, "models": ENVIRONMENT["models"]},
    )  # fmt: skip
    assert profile_for({"model": "smollm2-135m"}, run, None, "")["machine"] == machine_facts()


def test_what_is_no_setting_of_the_tuned_engine_has_no_profile(spec_of, analysed):
    spec = batch_spec(spec_of, baseline={"engine": "baseline"})
    found = analysed(spec, lambda cell, order: {"decode_tps": 2.0 if cell.configuration.arm == "baseline" else 1.0})
    assert found.recommendations[0].configuration == {"n_batch": 512, "engine": "baseline"}
    assert found.recommendations[0].profile is None
    assert analysed(batch_spec(spec_of), batches).recommendations[0].profile is None  # the machine is not known


def test_the_runs_behind_it_are_named(spec_of, analysed):
    spec = spec_of(parameters={"a": [1, 2, 3]}, confirm=6)
    analysis = analysed(spec, lambda cell, order: {"speed": float(cell.configuration.parameters["a"])})
    found, frame = analysis.recommendations[0], analysis.frame
    assert len(found.runs) == 2 * 10 + 2 * 6
    used = frame[frame["cell"].isin([folder.removeprefix("runs/").removesuffix("-1") for folder in found.runs])]
    assert set(used["a"]) == {1, 3}
    assert set(used["phase"]) == {"grid", "confirm"}


def test_speed_is_never_said_alone(spec_of, analysed):
    quality = [{"metric": "perplexity", "direction": "minimize"}]
    with_it = analysed(batch_spec(spec_of, quality=quality), lambda c, o: {**batches(c, o), "perplexity": 12.0})
    assert with_it.recommendations[0].notes[0].startswith("Quality: perplexity 1.000 × [")
    without = analysed(batch_spec(spec_of), batches).recommendations[0]
    assert without.notes[0] == "What it costs in quality was not measured."


def test_the_edge_of_memory_next_to_the_winner_is_named(spec_of, analysed):
    spec = spec_of(parameters={"a": [1, 2, 3], "b": [1, 2]})
    edges = [
        Boundary(label="a=3, b=1", configuration={"a": 3, "b": 1}, runs=10, said="9.0 GiB needed, 8.0 GiB there."),
        Boundary(label="a=3, b=2", configuration={"a": 3, "b": 2}, runs=10, said=""),
    ]

    def measure(cell, order):
        a = cell.configuration.parameters["a"]
        return None if a == 3 else {"speed": a * noise(cell.block, order)}

    analysis = analysed(spec, measure, boundaries=edges)
    assert analysis.boundaries == edges
    found = analysis.recommendations[0]
    assert found.configuration == {"a": 2, "b": 1}
    said = [note for note in found.notes if "memory" in note]
    assert said == ["The edge of memory is next to it: a=3 instead of 2 did not fit: 9.0 GiB needed, 8.0 GiB there."]


def test_what_looks_worse_is_never_called_a_candidate(spec_of, simulated):
    spec = spec_of(
        parameters={"a": [1, 2, 3]}, blocks=1, objectives=[{"metric": "ttft_ms", "direction": "minimize"}], quality=[]
    )
    worse = simulated(spec, lambda p, *_: {"ttft_ms": 10.0 * p["a"]}).recommendations[0]
    assert not worse.conclusive
    assert "may be" not in worse.headline
    assert worse.headline.startswith(
        "Inconclusive: the estimates speak for a=1, but do not decide; nearest to it is a=2: ttft_ms 2 × (no interval)"
    )
    assert "only 1 complete block; 10 are needed" in worse.headline
    mixed = simulated(spec, lambda p, *_: {"ttft_ms": {1: 10.0, 2: 5.0, 3: 30.0}[p["a"]]}).recommendations[0]
    assert "a=1, but 1 may be, first of all a=2: ttft_ms 0.5 ×" in mixed.headline


def test_fewer_than_ten_blocks_do_not_decide_for_the_reference_either(spec_of, simulated):
    early = recommendation(spec_of(blocks=7), simulated, lambda p, arm: 1 / p["a"])
    assert not early.conclusive
    assert "there are only 7 complete blocks; 10 are needed to decide" in early.headline
    whole = recommendation(spec_of(blocks=10), simulated, lambda p, arm: 1 / p["a"])
    assert whole.conclusive
    assert whole.headline == "Keep a=1: a=2 is not better by more than the noise."


def test_a_reference_that_never_finished_leaves_nothing_to_say(spec_of, simulated):
    found = simulated(spec_of(), measured(lambda p, arm: None if p["a"] == 1 else 2.0)).recommendations[0]
    assert not found.conclusive
    assert "no block has a finished run of a=1" in found.headline

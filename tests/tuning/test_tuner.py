"""The whole tune, on a scripted machine: what it finds, what it refuses, what noise cannot make it believe."""

from __future__ import annotations

from pathlib import Path

import pytest

import workbench as wb
from workbench.errors import EngineError, InvalidSettings, StoreInUse, UnknownName, UsageError
from workbench.models import ModelFile
from workbench.models.profiles import find_profile
from workbench.storage import FolderLock, write_json
from workbench.tuning import Plan, QualityLimit, Workload, tune
from workbench.tuning.candidate import DEFAULT, Candidate

KL = {"Q4_0": 0.26, "Q8_0": 0.005, "Q2_K": 2.0}


def like_the_bundled_model(candidate: Candidate) -> tuple[float, float]:
    """As in ENGINE notes: Q4_1 reads 310 and writes 131 tokens/s, Q8_0 767 and 165, Q4_0 948 and 233; two threads."""
    prefill, decode = {None: (310, 131), "Q8_0": (767, 165), "Q4_0": (948, 233), "Q2_K": (2000, 400)}[
        candidate.quantisation
    ]
    settings = dict(candidate.settings)
    if settings.get("n_threads") == 1:
        prefill, decode = prefill * 0.55, decode * 0.6
    if settings.get("n_ubatch") == 64:
        prefill *= 0.8
    if settings.get("flash_attn"):
        decode *= 0.7
    return prefill, decode


def run(lab, file, **options):
    settings = {"quantizations": ("Q4_0", "Q8_0"), "quality": QualityLimit(), "resume": False, "clock": lab.clock}
    return tune(file, lab=lab, **{**settings, **options})


def test_the_quantisation_that_pays_is_found_within_the_time_and_its_cost_is_stated(lab, file) -> None:
    machine = lab(like_the_bundled_model, noise=0.05, drift=0.02, kl=KL)
    result = run(machine, file, minutes=10)
    assert result.chosen is not None
    assert result.chosen.candidate.quantisation == "Q4_0"
    assert result.decode_ratio > 1.6
    assert result.prefill_ratio > 2.5
    assert (result.kl, result.same_top) == (0.26, pytest.approx(0.74))
    for said in (str(result), result.profile.note):
        assert "KL 0.26" in said
        assert "74.0%" in said
    assert repr(result) == str(result)
    assert machine.now < 1.1 * 600
    assert machine.kept == result.chosen.candidate
    assert machine.closed


def test_settings_that_gain_nothing_are_put_back(lab, file) -> None:
    result = run(lab(like_the_bundled_model, noise=0.01, kl=KL), file)
    assert result.chosen.candidate == Candidate("Q4_0")


@pytest.mark.parametrize(
    ("limit", "expected", "why"),
    [
        (QualityLimit(max_kl=0.1), "Q8_0", "mean KL 0.2600 nats exceeds the limit of 0.1"),
        (QualityLimit(max_kl=None, min_same_top=0.98), "Q8_0", "same top token 74.0% is below the limit of 98.0%"),
        (QualityLimit(max_kl=0.002), None, "mean KL 0.0050 nats exceeds the limit of 0.002"),
    ],
)
def test_what_costs_too_much_is_refused_with_the_reason(lab, file, limit, expected, why) -> None:
    machine = lab(like_the_bundled_model, noise=0.02, kl=KL)
    result = run(machine, file, quality=limit)
    assert (result.chosen and result.chosen.candidate.quantisation) == expected
    assert why in [one.refused for one in result.screened]
    assert why in str(result)
    assert not any(one.quantisation == "Q4_0" for one in machine.measured), "what is refused is not even searched"


def test_a_combination_beyond_the_limit_is_refused_before_the_final(lab, file) -> None:
    """Each change alone keeps the limit, both together do not."""
    machine = lab(lambda c: (300.0 * (1 + c.changes), 100.0 * (1 + c.changes)), kl={"Q8_0": 0.005})
    quality = machine.quality

    def together(candidate, limit_tokens):
        found = quality(candidate, limit_tokens)
        return (
            found
            if candidate.changes < 2
            else type(found)(**{n: getattr(found, n) for n in found.__slots__} | {"kl": 9.0})
        )

    machine.quality = together
    result = run(machine, file, quantizations=("Q8_0",), quality=QualityLimit(max_kl=0.1))
    assert any("is refused: mean KL 9.0000" in note for note in result.notes)
    assert all(row.candidate.numerics.changes < 2 for row in result.rows)


def test_equal_candidates_never_beat_the_default_by_luck(lab, file) -> None:
    """A/A: nothing makes a difference, measurements scatter by 10 %; the default has to stay in 90 % of the runs."""
    plan = Plan(max_trials=10)
    kept = 0
    for seed in range(30):
        machine = lab(noise=0.1, drift=0.03, seed=seed)
        result = run(machine, file, quantizations=("Q8_0",), seed=seed, plan=plan, save=False, minutes=60)
        kept += result.chosen is None
    assert kept >= 27


def test_a_real_gain_beyond_the_noise_is_found_under_the_same_noise(lab, file) -> None:
    """The counterpart: the test above would pass if nothing ever won."""
    plan = Plan(max_trials=10)
    won = 0
    for seed in range(6):
        machine = lab(lambda c: (450.0, 150.0) if c.quantisation else (300.0, 100.0), noise=0.1, drift=0.03, seed=seed)
        result = run(machine, file, quantizations=("Q8_0",), seed=seed, plan=plan, save=False, minutes=60)
        won += result.chosen is not None
    assert won >= 5


def test_what_makes_one_half_slower_does_not_win(lab, file) -> None:
    def lopsided(candidate: Candidate) -> tuple[float, float]:
        return (1500.0, 80.0) if candidate.quantisation else (300.0, 100.0)

    result = run(lab(lopsided, noise=0.01), file, quantizations=("Q8_0",))
    assert result.chosen is None
    assert "generating is slower" in str(result)
    reading_only = Workload(decode_weight=0.0)
    assert run(lab(lopsided, noise=0.01), file, quantizations=("Q8_0",), workload=reading_only).chosen is not None


def test_a_crash_is_a_failed_trial_not_a_failed_tune(lab, file) -> None:
    machine = lab(like_the_bundled_model, noise=0.02, kl=KL, failing=lambda c: dict(c.settings).get("repack") is False)
    result = run(machine, file)
    failed = [one for one in result.trials if one.state == "failed"]
    assert failed
    assert all(one.reason == "scripted to fail" for one in failed)
    assert result.chosen.candidate.quantisation == "Q4_0"


def test_a_default_that_cannot_run_is_an_error(lab, file) -> None:
    machine = lab(failing=lambda candidate: candidate == DEFAULT)
    with pytest.raises(EngineError):
        run(machine, file)
    assert machine.closed


def test_a_killed_tune_goes_on_where_it_was(lab, file) -> None:
    class Killed(BaseException):
        pass

    first = lab(like_the_bundled_model, noise=0.02, kl=KL)
    lines: list[str] = []

    def until_trial_5(line: str) -> None:
        lines.append(line)
        if line.startswith("trial 5:"):
            raise Killed

    with pytest.raises(Killed):
        run(first, file, resume=True, progress=until_trial_5)
    assert first.compared
    second = lab(like_the_bundled_model, noise=0.02, kl=KL, seed=1)
    result = run(second, file, resume=True)
    assert [one.number for one in result.trials] == list(range(len(result.trials)))
    assert len(result.trials) > 5
    assert len(second.compared) < len(first.compared), "what was screened is not screened again"
    assert result.seconds > second.now, "the time of the first process counts"
    assert result.chosen.candidate.quantisation == "Q4_0"
    third = lab(like_the_bundled_model, noise=0.02, kl=KL)
    assert run(third, file, resume=True).seconds < result.seconds + 60, "a finished tune is not gone on with"


def test_two_tunes_do_not_measure_each_other(lab, file, own_home: Path) -> None:
    with FolderLock(own_home / "tuning"), pytest.raises(StoreInUse):
        run(lab(), file)


def test_long_turns_are_cut_to_what_the_time_allows_and_that_is_said(lab, file) -> None:
    result = run(lab(lambda _: (20.0, 5.0)), file, minutes=10)
    assert result.workload.prompt_tokens < 512 == result.asked.prompt_tokens
    assert "A whole turn takes" in str(result)


def test_a_noisy_machine_is_named(lab, file) -> None:
    machine = lab(lambda c: (900.0, 300.0) if c.quantisation else (300.0, 100.0), noise=0.5)
    assert "kept this machine busy" in str(run(machine, file, quantizations=("Q8_0",), plan=Plan(max_trials=4)))


def test_the_profile_is_found_by_load(lab, file: ModelFile) -> None:
    machine = lab(lambda c: (300.0, 100.0 * (1 + (dict(c.settings).get("n_threads") == 1))))
    result = run(machine, file, quantizations=())
    assert result.profile_path.is_file()
    assert find_profile(file) == result.profile
    with wb.load(file.path) as engine:
        assert engine.profile == result.profile
        assert engine.settings.n_threads == 1
    dry = run(lab(machine.speeds), file, quantizations=(), save=False)
    assert dry.profile_path is None
    assert dry.profile is not None
    assert "was not kept" in str(dry)


def test_bad_input_names_the_remedy(lab, file: ModelFile) -> None:
    with pytest.raises(InvalidSettings):
        run(lab(), file, minutes=0)
    with pytest.raises(UnknownName, match="Q4_K_M"):
        run(lab(), file, quantizations=("Q4_KM",))
    write_json(file.path.with_suffix(".json"), {"source": {"name": "original"}, "type": "Q4_0", "note": "a copy"})
    try:
        with pytest.raises(UsageError, match="Tune the original: original"):
            run(lab(), file)
    finally:
        file.path.with_suffix(".json").unlink()

"""Requests, sampling, timings, scores: values that check themselves."""

import numpy as np
import pytest

from workbench.errors import InvalidSettings, UnknownName
from workbench.interfaces import Message, Request, Sampling, Scores, Timings

PRESETS = {"cold": Sampling(temperature=0.0), "warm": Sampling(temperature=0.9, top_k=7)}


def timings(**changes):
    values = {
        "queue_ms": 1.0,
        "prefill_ms": 10.0,
        "ttft_ms": 12.0,
        "decode_ms": 40.0,
        "total_ms": 52.0,
        "prompt_tokens": 20,
        "cached_tokens": 0,
        "output_tokens": 5,
    }
    return Timings(**{**values, **changes})


# -- Request.of -------------------------------------------------------------------------------------------------------


def test_options_are_sorted_into_their_places():
    request = Request.of("p", max_tokens=5, temperature=0.1, seed=3, stop=["a", "b"], priority=2, cache_prompt=False)
    assert request == Request(
        prompt="p",
        max_tokens=5,
        sampling=Sampling(temperature=0.1, seed=3),
        stop=("a", "b"),
        priority=2,
        cache_prompt=False,
    )


def test_a_request_gives_the_defaults():
    base = Request(prompt="p", max_tokens=9, sampling=Sampling(top_k=3), stop=("x",))
    changed = Request.of(base, temperature=0.0)
    assert changed.sampling == Sampling(top_k=3, temperature=0.0)
    assert (changed.prompt, changed.max_tokens, changed.stop) == ("p", 9, ("x",))
    assert Request.of(base) == base
    assert Request.of(base, max_tokens=None).max_tokens is None


def test_a_single_stop_string_is_not_its_characters():
    assert Request.of("p", stop="END").stop == ("END",)
    assert Request.of("p", stop=()).stop == ()


def test_presets_are_the_start_and_single_fields_change_them():
    assert Request.of("p", presets=PRESETS, preset="warm", top_p=0.5).sampling == Sampling(
        temperature=0.9, top_k=7, top_p=0.5
    )
    base = Request(prompt="p", sampling=Sampling(top_k=99))
    assert Request.of(base, presets=PRESETS, preset="cold").sampling == PRESETS["cold"]
    assert Request.of("p", presets=PRESETS, preset=None).sampling == Sampling()


def test_sampling_may_be_given_whole_or_as_a_dictionary():
    assert Request.of("p", sampling=Sampling(top_k=2), seed=1).sampling == Sampling(top_k=2, seed=1)
    assert Request.of("p", sampling={"top_k": 2}).sampling == Sampling(top_k=2)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"temprature": 1}, r"Unknown option 'temprature'. Did you mean 'temperature'\?.*max_tokens.*preset"),
        ({"prompt_": "x"}, "Unknown option"),
        ({"preset": "hot"}, "Unknown preset 'hot'.*cold, warm"),
        ({"sampling": {"top": 1}}, "Unknown sampling parameter 'top'.*top_k"),
    ],
)
def test_unknown_names_list_the_known(options, words):
    with pytest.raises(UnknownName, match=words):
        Request.of("p", presets=PRESETS, **options)


@pytest.mark.parametrize(
    "options",
    [
        {"sampling": Sampling(), "preset": "cold"},
        {"sampling": 0.5},
        {"temperature": "hot"},
        {"temperature": None},
        {"max_tokens": "5"},
        {"max_tokens": 0},
        {"max_tokens": 1.5},
        {"max_tokens": True},
        {"stop": 3},
        {"stop": ["a", 3]},
        {"stop": ""},
        {"stop": ["a", ""]},
    ],
)
def test_values_of_the_wrong_kind_are_refused(options):
    with pytest.raises(InvalidSettings):
        Request.of("p", presets=PRESETS, **options)


# -- sampling ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "values",
    [
        {"temperature": -0.1},
        {"temperature": float("nan")},
        {"top_p": 1.1},
        {"min_p": -1},
        {"typical_p": 2},
        {"xtc_probability": 7},
        {"repeat_penalty": 0},
        {"seed": -1},
        {"seed": 2**32 - 1},
    ],
)
def test_sampling_out_of_range_is_refused(values):
    with pytest.raises(InvalidSettings, match=next(iter(values))):
        Sampling(**values)


def test_greedy_is_temperature_zero():
    assert Sampling(temperature=0).greedy
    assert not Sampling().greedy


def test_sampling_parameters_are_known_by_name():
    with pytest.raises(UnknownName, match="top_k"):
        Sampling().replace(topk=3)


def test_every_sampling_parameter_is_documented():
    for name in Sampling.__slots__:
        assert f"        {name}: " in Sampling.__doc__


# -- prompts ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("prompt", ["", [], ()])
def test_an_empty_prompt_is_refused(prompt):
    with pytest.raises(InvalidSettings, match="empty"):
        Request.of(prompt)


# -- timings ----------------------------------------------------------------------------------------------------------


def test_rates_follow_their_formulas():
    made = timings()
    assert made.prefill_tps == pytest.approx(2000.0)
    assert made.decode_tps == pytest.approx(100.0), "(N - 1) / decode time"
    assert made.tpot_ms == pytest.approx(10.0), "(E2E - TTFT) / (N - 1)"


def test_reused_tokens_are_not_computed_ones():
    assert timings(cached_tokens=15).prefill_tps == pytest.approx(500.0)


@pytest.mark.parametrize(
    ("changes", "absent"),
    [
        ({"cached_tokens": 20}, "prefill_tps"),
        ({"prefill_ms": 0.0}, "prefill_tps"),
        ({"output_tokens": 1, "decode_ms": 0.0}, "decode_tps"),
        ({"decode_ms": 0.0}, "decode_tps"),
        ({"output_tokens": 1}, "tpot_ms"),
        ({"ttft_ms": None}, "tpot_ms"),
    ],
)
def test_what_cannot_be_measured_is_none(changes, absent):
    assert getattr(timings(**changes), absent) is None


def test_perplexity_leaves_out_the_token_without_context():
    scores = Scores((1, 2, 3), np.array([np.nan, -1.0, -3.0], np.float32))
    assert scores.perplexity == pytest.approx(np.exp(2.0))


# -- messages ---------------------------------------------------------------------------------------------------------


def test_all_shapes_of_a_conversation_are_one():
    expected = (Message.system("s"), Message.user("u"))
    plain = [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}]
    for prompt in (expected, list(expected), plain, [expected[0], plain[1]], iter(plain)):
        assert Request.of(prompt).prompt == expected
    assert Request.of(expected[1]).prompt == (expected[1],)

"""Labelled system prompts: the labels are right, and a score counts what it says."""

import pytest

from workbench.compression import PromptCompressor
from workbench.errors import InvalidSettings
from workbench.evaluation.prompt_score import SystemPrompt, score_prompts, system_prompts
from workbench.testing.contracts.compressor import count_words

SMALL = SystemPrompt(
    id="small",
    part="tuning",
    text="- Be kind.\n- Be kind, please.\n- Loans last 28 days.\n\nExample 1: one\nExample 2: two",
    rules=(("Be kind.", "Be kind, please."), ("Loans last 28 days.",)),
    examples=(("Example 1: one", "Example 2: two"),),
)


def words(text):
    return len(text.split())


def test_every_label_stands_in_its_prompt():
    prompts = system_prompts()
    assert len(prompts) >= 8
    assert len({one.id for one in prompts}) == len(prompts)
    for one in prompts:
        assert len(one.rules) >= 20
        assert all(said in one.text for group in one.rules + one.examples for said in group)
        assert words(one.text) >= 340
    assert len(system_prompts("tuning")) + len(system_prompts("held out")) == len(prompts)


def test_nothing_done_saves_nothing_and_keeps_all():
    score = score_prompts(lambda text: text, words, [SMALL])
    assert (score.saved.value, score.saved.low) == (0.0, None)
    assert (score.rules.value, score.repeats, score.sorts, score.lost) == (1.0, 0.0, 1.0, ())


def test_everything_gone_loses_every_rule():
    score = score_prompts(lambda _: "", words, [SMALL, SMALL])
    assert (score.saved.value, score.rules.value, score.sorts) == (1.0, 0.0, 0.0)
    assert score.lost == (("small", "Be kind."), ("small", "Loans last 28 days.")) * 2
    assert score.by_prompt == {"small": (words(SMALL.text), 0)}


def test_one_statement_of_a_rule_is_enough():
    score = score_prompts(lambda text: text.replace("- Be kind.\n", ""), words, [SMALL])
    assert (score.rules.value, score.repeats) == (1.0, 1.0)


def test_the_ideal_says_each_rule_once():
    assert SMALL.ideal(1) == "- Be kind.\n- Loans last 28 days.\n\nExample 1: one"
    assert SMALL.ideal(2).endswith("Example 2: two")
    score = score_prompts(lambda text: text, words, [SMALL], examples=1)
    assert score.saved_ideally == 1 - words(SMALL.ideal(1)) / words(SMALL.text)
    for one in system_prompts():
        ideal = {one.text: one.ideal(2)}
        kept = score_prompts(ideal.__getitem__, words, [one])
        assert (kept.lost, kept.repeats, kept.sorts or 1.0) == ((), 1.0, 1.0)


def test_prompts_that_were_held_out_lose_no_rule_either():
    compressor = PromptCompressor(count_words)
    score = score_prompts(lambda text: compressor.merged([text], examples=2)[0], words, system_prompts("held out"))
    assert score.rules.value == 1.0
    assert score.sorts == 1.0
    assert 0.15 < score.saved.value <= score.saved_ideally
    assert score.saved.low < score.saved.value < score.saved.high


def test_bad_requests_name_the_remedy():
    with pytest.raises(InvalidSettings, match="'held out'"):
        system_prompts("test")
    with pytest.raises(InvalidSettings, match="system_prompts"):
        score_prompts(str, words, [])

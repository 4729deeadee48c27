"""What the cache benches count is what happened."""

import itertools

import pytest

from workbench.caching import ExactCache, SemanticCache
from workbench.embedding import HashingEmbedder
from workbench.errors import InvalidSettings, StoreCorrupt, UnknownName
from workbench.evaluation.cache_bench import WORKLOADS, cache_workload, repeated_prompts, run_cached
from workbench.evaluation.cache_score import look_up_paraphrases, score_semantic
from workbench.evaluation.datasets.question_pairs import own_question_pairs, question_pairs
from workbench.testing import ScriptedEngine


def echo():
    return ScriptedEngine(lambda request: f"You asked: {getattr(request.prompt[-1], 'content', None)}")


def test_repeated_prompts_miss_once_each(tmp_path):
    engine = echo()
    seen = repeated_prompts(engine, tmp_path / "answers.sqlite", prompts=3, repeats=10)
    assert len(engine.requests) == 1 + 3, "one to warm up"
    assert seen["hit_rate"] == pytest.approx(0.9)
    assert seen["identical"] == 1
    with pytest.raises(InvalidSettings):
        repeated_prompts(engine, tmp_path / "answers.sqlite", repeats=1)


@pytest.mark.parametrize("name", WORKLOADS)
def test_workloads_are_the_same_for_the_same_seed(name):
    assert cache_workload(name, count=20) == cache_workload(name, count=20)
    assert 15 <= len(cache_workload(name, count=20)) <= 20
    plain = run_cached(echo(), [], cache_workload(name, count=20))
    assert plain["hit_rate"] == 0
    assert plain["hit_ms_p50"] is None
    exact = run_cached(echo(), [ExactCache()], cache_workload(name, count=20))
    assert exact["false_hits"] == 0, "the same words ask for the same"
    assert exact["right_hit_rate"] == exact["hit_rate"]
    assert (exact["right_share"], plain["right_share"]) == (1, 1)
    with pytest.raises(UnknownName, match="repeated"):
        cache_workload("idle")


def test_false_hits_are_counted():
    """A cache that takes everything for the same answers every question but the first with another's answer."""
    asked = cache_workload("paraphrased", count=20)
    careless = SemanticCache(HashingEmbedder(), threshold=-1, guards=False)
    seen = run_cached(echo(), [careless], asked)
    assert seen["hit_rate"] == pytest.approx(0.95)
    assert seen["false_hits"] >= 15
    assert seen["right_hit_rate"] == pytest.approx(0.95 - seen["false_hits"] / 20)
    assert seen["right_share"] == pytest.approx(1 - seen["false_hits"] / 20)
    with pytest.raises(InvalidSettings, match="cache_workload"):
        run_cached(echo(), [careless], [])


def test_free_chats_take_turns_and_go_on_from_where_they_were():
    """Each prompt is an earlier one and what was said since: that is what a prefix cache can keep."""
    asked = [one.messages for one in cache_workload("free chat", count=20)]
    before = {messages[:-2] for messages in asked if len(messages) > 2}
    assert len(before) == 16, "four begin, the others go on"
    assert all(any(messages[:-2] == other for other in asked) for messages in asked if len(messages) > 2)
    assert all(one[:2] != other[:2] for one, other in itertools.pairwise(asked)), "no chat twice in a row"
    assert len({messages[-1] for messages in asked}) == 20


def test_scores_are_of_pairs_the_threshold_was_not_chosen_on():
    cache = SemanticCache(HashingEmbedder(), threshold=0.8)
    scored = score_semantic(cache, own_question_pairs(), budget=0.4)
    assert scored["false_hit_low"] <= scored["false_hit_rate"] <= scored["false_hit_high"]
    assert scored["different"] + scored["same"] == len(own_question_pairs())
    assert cache.threshold == 0.8
    with pytest.raises(InvalidSettings):
        score_semantic(cache, own_question_pairs(), parts=1)


def test_paraphrases_are_looked_up_among_all_originals():
    pairs = [("How do I wash a dog?", "How do you wash a dog?"), ("Where is the station?", "Nothing of the kind")]
    found = look_up_paraphrases(SemanticCache(HashingEmbedder(), threshold=0.6), pairs)
    assert (found["right"], found["wrong"], found["missed"]) == (0.5, 0, 0.5)


def test_a_broken_file_of_pairs_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("WORKBENCH_DATA", str(tmp_path))
    (tmp_path / "semantic_cache").mkdir()
    (tmp_path / "semantic_cache" / "mine.json").write_text('[{"text_a": "a"}]')
    with pytest.raises(StoreCorrupt, match="text_b"):
        question_pairs("mine")

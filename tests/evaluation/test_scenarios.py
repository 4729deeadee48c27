"""Scenarios: the same words whatever is on, and figures that tell the parts apart."""

import time

import pytest

from workbench import EngineSettings
from workbench.errors import InvalidSettings, UnknownName
from workbench.evaluation import scenarios
from workbench.evaluation.scenarios import SCENARIOS, Setup, play
from workbench.testing import Reply, ScriptedEngine

ALL = Setup(memory="hybrid", caches=("exact",), tools="batch", router=True)


@pytest.fixture(autouse=True)
def _quick(monkeypatch, tmp_path):
    """Prepared histories go to a folder of their own, and no model is loaded for vectors."""
    monkeypatch.setattr(scenarios, "cache_dir", lambda: tmp_path / "cache")
    create = scenarios.memories.create
    monkeypatch.setattr(scenarios.memories, "create", lambda name, **options: create(name, dense_weight=0.0, **options))


def engine():
    return ScriptedEngine("The sea is wide.", settings=EngineSettings(n_ctx=4096))


def played(name, tmp_path, setup, **options):
    folder = tmp_path / "played"
    folder.mkdir()
    return play(name, engine, folder, setup=setup, **{"turns": 2, "messages": 60, "max_tokens": 8, **options})


@pytest.mark.parametrize("name", SCENARIOS)
@pytest.mark.parametrize("setup", [Setup(), ALL], ids=["off", "all"])
def test_every_scenario_is_played_with_everything_off_and_on(name, setup, tmp_path):
    seen = played(name, tmp_path, setup)
    figures = seen.figures()
    assert len(seen.turns) == 2
    assert figures["turn_ms"] > 0
    assert figures["prompt_tokens"] > 0
    assert figures["load_ms"] >= 0
    assert figures["first_ttft_ms"] == seen.turns[0].trace.labels["ttft_ms"]
    assert (figures["kept"] is None) == (name in ("cold_start", "warm_cache"))


def test_only_a_memory_knows_what_was_said_first(tmp_path):
    (tmp_path / "a").mkdir(), (tmp_path / "b").mkdir()
    assert played("long_history", tmp_path / "a", Setup()).kept == 0
    assert played("long_history", tmp_path / "b", Setup(memory="hybrid")).kept == 1


def test_the_first_turn_and_loading_stand_beside_the_medians(tmp_path):
    """What only the first turn takes is no part of a median."""

    def slow():
        time.sleep(0.05)
        return ScriptedEngine([Reply("Yes.", delay_s=0.2), *["Yes."] * 4], settings=EngineSettings(n_ctx=4096))

    figures = play("cold_start", slow, tmp_path, turns=5).figures()
    assert figures["load_ms"] >= 50
    assert figures["first_ttft_ms"] >= 200
    assert figures["ttft_ms"] < figures["first_ttft_ms"] / 2


def test_a_prepared_history_is_made_anew_by_another_release_and_for_other_options(tmp_path, monkeypatch):
    facts, hybrid = scenarios.long_chat_texts()[0][:1], scenarios.memories.get("hybrid")

    def other(embedder="another", folder=None, dense_weight=0.5):
        return hybrid(folder=folder, dense_weight=dense_weight)

    first = scenarios._prepared("hybrid", facts, 2)
    assert scenarios._prepared("hybrid", facts, 2) == first
    monkeypatch.setattr(scenarios, "version", lambda name: "0.0.0")
    older = scenarios._prepared("hybrid", facts, 2)
    monkeypatch.setattr(scenarios.memories, "get", lambda name: other)
    assert len({first, older, scenarios._prepared("hybrid", facts, 2)}) == 3


def test_a_long_history_is_made_to_fit(tmp_path):
    seen = played("long_history", tmp_path, Setup())
    assert seen.turns[0].compression is not None
    assert seen.turns[0].compression.tokens_before > 4096 * 0.8


def test_a_warm_response_cache_answers(tmp_path):
    figures = played("warm_cache", tmp_path, Setup(caches=("exact",))).figures()
    assert figures["cache_hits"] == 2
    assert figures.get("prefill_ms") is None, "what the cache answers is not computed"


def test_tools_in_batches_are_fewer_calls_and_the_same_world(tmp_path):
    (tmp_path / "a").mkdir(), (tmp_path / "b").mkdir()
    single = played("tools", tmp_path / "a", Setup())
    batch = played("tools", tmp_path / "b", Setup(tools="batch"))
    assert single.kept == batch.kept == 1
    assert batch.figures()["tool_calls"] < single.figures()["tool_calls"]


def test_what_cannot_be_played_is_refused(tmp_path):
    with pytest.raises(UnknownName, match="long_history"):
        played("long_histori", tmp_path, Setup())
    with pytest.raises(InvalidSettings):
        play("cold_start", engine, tmp_path, turns=0)

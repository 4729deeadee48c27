"""Weights handed from engine to engine of one process: loads are counted where llama.cpp is called."""

import gc
import shutil
from collections import Counter

import pytest

import workbench as wb
from workbench.engine.native import kept
from workbench.engine.native.weights import Weights

SETTINGS = {"n_ctx": 512, "n_threads": 1}


@pytest.fixture
def calls(monkeypatch):
    """How often weights were really loaded and freed."""
    counted = Counter()
    load, free = Weights.load, Weights.free

    def counted_load(self):
        counted["loads"] += 1
        load(self)

    def counted_free(self):
        counted["frees"] += self.loaded
        free(self)

    monkeypatch.setattr(Weights, "load", counted_load)
    monkeypatch.setattr(Weights, "free", counted_free)
    yield counted
    kept.release()
    kept.free_unused()


@pytest.fixture
def keeping(monkeypatch, calls):
    monkeypatch.setenv(kept.VARIABLE, "1")
    return calls


def answer(model, prompt="Once upon a time", **settings):
    """Text, tokens read from a cache, and what the load took."""
    engine = wb.load(str(model), **{**SETTINGS, **settings})
    try:
        done = engine.complete(prompt, max_tokens=12, temperature=0.0)
        return done.text, done.timings.cached_tokens, engine.stats.load_ms
    finally:
        engine.close()


def test_without_the_variable_nothing_is_kept(tiny, calls, monkeypatch):
    monkeypatch.delenv(kept.VARIABLE, raising=False)
    assert answer(tiny)[2] > 0
    assert answer(tiny)[2] > 0
    assert calls == {"loads": 2, "frees": 2}


def test_the_second_load_reads_nothing_and_answers_the_same(tiny, keeping, monkeypatch):
    first = answer(tiny)
    second = answer(tiny)
    assert keeping == {"loads": 1}
    assert first[2] > 0
    assert second[2] is None
    assert second[0] == first[0]
    monkeypatch.delenv(kept.VARIABLE)
    kept.release()
    assert answer(tiny)[0] == first[0]


def test_no_state_of_the_context_goes_over(tiny, keeping):
    prompt = "The same long beginning of a text that a prefix cache would find again at once."
    assert answer(tiny, prompt)[1] == 0
    assert answer(tiny, prompt)[1] == 0
    assert answer(tiny, prompt, n_ctx=1024, n_batch=64)[1] == 0
    assert keeping["loads"] == 1


def test_an_engine_that_nobody_holds_gives_its_weights_on(tiny, keeping):
    engine = wb.load(str(tiny), **SETTINGS)
    del engine
    gc.collect()
    assert answer(tiny)[2] is None


@pytest.mark.parametrize("change", [{"use_mmap": False}, {"repack": False}, {"use_mlock": False, "use_mmap": False}])
def test_another_way_of_loading_frees_what_is_kept_first(tiny, keeping, change):
    answer(tiny)
    engine = wb.load(str(tiny), **SETTINGS, **change)
    assert keeping == {"loads": 2, "frees": 1}
    engine.close()


def test_another_model_frees_what_is_kept_first(tiny, tiny_bytes, keeping):
    answer(tiny)
    engine = wb.load(str(tiny_bytes), **SETTINGS)
    assert keeping == {"loads": 2, "frees": 1}
    engine.close()
    assert answer(tiny_bytes)[2] is None


def test_a_file_that_was_replaced_is_another_model(tiny, tiny_bytes, keeping, tmp_path):
    model = tmp_path / "model.gguf"
    shutil.copy(tiny, model)
    answer(model)
    shutil.copy(tiny_bytes, tmp_path / "new.gguf")
    (tmp_path / "new.gguf").replace(model)
    assert answer(model)[2] > 0
    assert keeping["loads"] == 2


def test_the_plain_engine_and_measurements_have_it_freed(tiny, keeping):
    answer(tiny)
    engine = wb.load(str(tiny), engine="baseline", **SETTINGS)
    assert keeping == {"loads": 1, "frees": 1}
    engine.close()


def test_two_at_once_have_two(tiny, keeping):
    one, other = (wb.load(str(tiny), **SETTINGS) for _ in range(2))
    assert keeping["loads"] == 2
    one.close()
    other.close()
    assert keeping["frees"] == 1
    assert answer(tiny)[2] is None


def test_what_the_last_notebook_did_not_use_is_freed(tiny, keeping):
    answer(tiny)
    kept.free_unused()
    assert keeping["frees"] == 0
    kept.free_unused()
    assert keeping["frees"] == 1
    kept.release()
    assert keeping["frees"] == 1


def test_idle_weights_are_given_back_for_real(tiny, keeping):
    engine = wb.load(str(tiny), **SETTINGS, idle_release_s=0.2, model_release_s=0.2)
    engine.complete("a", max_tokens=1)
    while not keeping["frees"]:
        engine.stats  # noqa: B018 - a look does not wake it
    engine.close()
    assert keeping["frees"] == 1

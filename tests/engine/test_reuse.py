"""Work that is not done twice: kept, shared, parked, restored, carried into a larger context."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from workbench.engine import TunedEngine
from workbench.engine.native.context import Context
from workbench.errors import ContextOverflow, DecodeError, QueueFull
from workbench.interfaces import Completion, Receipt
from workbench.settings import EngineSettings

GREEDY = {"temperature": 0.0, "ignore_eos": True}
# Sums in another order differ in the last bits; half precision would make them differ in the text.
EXACT = {"type_k": "f32", "type_v": "f32"}


def make(path: Path, **settings: object) -> TunedEngine:
    return TunedEngine(path, EngineSettings.from_mapping({"n_threads": 1, **EXACT, **settings}))


def receipt(completion: Completion) -> Receipt:
    assert completion.receipt is not None
    parts = completion.receipt
    assert parts.cached_tokens == completion.timings.cached_tokens
    assert parts.cached_tokens + parts.recomputed_tokens == completion.timings.prompt_tokens
    return parts


def story(letter: str, words: int = 60) -> str:
    return " ".join(f"{letter}{i}" for i in range(words))


LAYOUTS = [{"n_seq_max": 1}, {"n_seq_max": 3, "kv_unified": True}, {"n_seq_max": 3, "kv_unified": False}]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_an_interrupted_conversation_comes_back(tiny: Path, layout: dict[str, object]) -> None:
    with make(tiny, n_ctx=3072, **layout) as engine, make(tiny, prefix_cache=False) as plain:
        first = engine.complete(story("a"), max_tokens=10, **GREEDY)
        for letter in "bcdefghijklm":
            engine.complete(story(letter), max_tokens=4, **GREEDY)
        follow = story("a") + first.text + " and on"
        back = engine.complete(follow, max_tokens=30, **GREEDY)
        assert receipt(back).tier in ("host", "sequence")
        assert receipt(back).cached_tokens >= first.timings.prompt_tokens + 9
        assert back.text == plain.complete(follow, max_tokens=30, **GREEDY).text


@pytest.mark.parametrize("layout", LAYOUTS[1:])
def test_a_trunk_is_computed_once_and_shared(tiny: Path, layout: dict[str, object]) -> None:
    trunk = story("t")
    prompts = [f"{trunk} {branch}" for branch in ("one", "two", "three", "four")]
    with make(tiny, n_ctx=3072, **layout) as engine, make(tiny, prefix_cache=False) as plain:
        answers = engine.complete_many(prompts, max_tokens=20, **GREEDY)
        computed = sum(receipt(answer).recomputed_tokens for answer in answers)
        assert computed < 1.5 * answers[0].timings.prompt_tokens, "each computed its own trunk"
        assert engine.stats.shared_tokens >= 2 * len(trunk)
        for prompt, answer in zip(prompts, answers, strict=True):
            assert answer.text == plain.complete(prompt, max_tokens=20, **GREEDY).text


def test_a_trunk_is_shared_while_its_owner_still_runs(tiny: Path) -> None:
    with make(tiny, n_ctx=4096, n_seq_max=2, kv_unified=True) as engine:
        owner = engine.stream(story("t"), max_tokens=400, **GREEDY)
        next(owner)
        other = engine.complete(story("t") + " branch", max_tokens=5, **GREEDY)
        assert receipt(other).tier == "context"
        assert receipt(other).shared_tokens >= len(story("t"))
        assert sum(len(chunk.tokens) for chunk in owner) == 399


def test_the_answer_that_was_branched_off_is_still_there(tiny: Path) -> None:
    with make(tiny) as engine:
        first = engine.complete(story("a"), max_tokens=60, **GREEDY)
        again = engine.complete(story("a") + "?", max_tokens=4, **GREEDY)
        assert receipt(again).tier == "context", "the tail is worth keeping, so the branch is a copy"
        on = engine.complete(story("a") + first.text + "!", max_tokens=4, **GREEDY)
        assert receipt(on).recomputed_tokens <= 2


def test_without_a_host_tier_the_receipt_says_what_was_lost(tiny: Path) -> None:
    with make(tiny, n_ctx=1024, host_cache_bytes=0) as engine:
        engine.complete(story("a"), max_tokens=4, **GREEDY)
        for letter in "bcdefghij":
            engine.complete(story(letter), max_tokens=4, **GREEDY)
        back = engine.complete(story("a"), max_tokens=4, **GREEDY)
        assert receipt(back).cached_tokens <= 1
        assert "had to leave" in receipt(back).why
        assert engine.stats.host_cache_bytes == 0


def test_reuse_can_be_declined(tiny: Path) -> None:
    with make(tiny) as engine:
        engine.complete(story("a"), max_tokens=4, **GREEDY)
        fresh = receipt(engine.complete(story("a"), max_tokens=4, cache_prompt=False, **GREEDY))
        assert (fresh.cached_tokens, fresh.tier) == (0, "none")
        assert "not asked for" in fresh.why


def test_prefixes_survive_a_restart_on_disk(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKBENCH_HOME", str(tmp_path))
    disk = {"disk_cache_bytes": 2**28}
    with make(tiny, **disk) as engine:
        first = engine.complete(story("a"), max_tokens=40, **GREEDY)
        engine.complete(story("b"), max_tokens=4, **GREEDY)
    with make(tiny, n_seq_max=2, **disk) as engine:
        again = engine.complete(story("a") + first.text + "!", max_tokens=4, **GREEDY)
        assert receipt(again).tier == "disk"
        assert receipt(again).recomputed_tokens <= 2
        assert engine.stats.disk_cache_bytes
    with make(tiny, type_k="f16", **disk) as other:
        assert receipt(other.complete(story("a"), max_tokens=4, **GREEDY)).tier == "none", "other KV bytes"


def test_finished_sequences_are_written_without_waiting_for_the_end(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORKBENCH_HOME", str(tmp_path))
    with make(tiny, disk_cache_bytes=2**28) as engine:
        engine.complete(story("a"), max_tokens=4, **GREEDY)
        deadline = time.monotonic() + 20
        while not engine.stats.disk_cache_bytes and time.monotonic() < deadline:
            time.sleep(0.1)
        assert engine.stats.disk_cache_bytes


def test_a_growing_context_keeps_what_it_holds(tiny: Path) -> None:
    prompt = story("a", 300)
    with make(tiny) as growing, make(tiny, n_ctx=16384) as large:
        tokens = len(growing.tokenize(prompt))
        first = growing.complete(prompt, max_tokens=10, **GREEDY)
        assert growing.stats.n_ctx == 2048
        follow = prompt + first.text + story("b", 900)
        long = growing.complete(follow, max_tokens=50, **GREEDY)
        assert receipt(long).reused_tokens >= tokens
        assert growing.stats.n_ctx == 8192
        assert growing.stats.grown == 1
        assert long.text == large.complete(follow, max_tokens=50, **GREEDY).text


@pytest.mark.parametrize("layout", [{"n_seq_max": 1}, {"n_seq_max": 2, "kv_unified": True}, {"n_seq_max": 2}])
def test_a_context_grows_under_running_requests(tiny: Path, layout: dict[str, object]) -> None:
    prompts = [story("a", 300), story("b", 310)]
    with make(tiny, **layout) as growing, make(tiny, n_ctx=16384) as large:
        streams = [growing.stream(prompt, **GREEDY) for prompt in prompts]
        texts = []
        for stream in streams:
            pieces = [next(stream).text for _ in range(1200)]
            stream.cancel()
            texts.append("".join(pieces))
            assert list(stream)[-1].finish_reason == "cancelled"
        assert growing.stats.grown >= 1
        for prompt, text in zip(prompts, texts, strict=True):
            assert large.complete(prompt, max_tokens=1200, **GREEDY).text == text


def test_separate_buffers_become_one_when_a_prompt_needs_it(tiny: Path) -> None:
    with make(tiny, n_ctx=4096, n_seq_max=4) as engine, make(tiny, n_ctx=4096) as plain:
        running = engine.stream(story("a"), max_tokens=300, **GREEDY)
        first = next(running)
        assert engine.settings.kv_unified is False
        long = engine.complete(story("b", 700), max_tokens=8, **GREEDY)
        assert engine.settings.kv_unified is True
        assert long.text == plain.complete(story("b", 700), max_tokens=8, **GREEDY).text
        text = first.text + "".join(chunk.text for chunk in running)
        assert text == plain.complete(story("a"), max_tokens=300, **GREEDY).text


def test_idle_contexts_go_and_their_conversations_come_back(tiny: Path) -> None:
    with make(tiny, idle_release_s=0.2) as engine:
        first = engine.complete(story("a"), max_tokens=10, **GREEDY)
        deadline = time.monotonic() + 10
        while engine.stats.state != "lazy" and time.monotonic() < deadline:
            time.sleep(0.05)
        stats = engine.stats
        assert (stats.state, stats.n_ctx, stats.released) == ("lazy", None, 1)
        assert stats.host_cache_bytes
        back = engine.complete(story("a") + first.text + " more", max_tokens=10, **GREEDY)
        assert receipt(back).tier == "host"
        assert receipt(back).recomputed_tokens <= 7


def test_idle_weights_go_later_and_are_loaded_again(tiny: Path) -> None:
    with make(tiny, idle_release_s=0.05, model_release_s=0.2) as engine:
        first = engine.complete(story("a"), max_tokens=10, **GREEDY)
        deadline = time.monotonic() + 10
        while engine._core.weights.loaded and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not engine._core.weights.loaded
        assert engine.tokenize("abc")
        back = engine.complete(story("a") + first.text, max_tokens=10, **GREEDY)
        assert receipt(back).tier == "host"


def test_weights_that_cannot_be_loaded_again_fail_the_request_and_not_the_engine(tiny: Path, tmp_path: Path) -> None:
    own = tmp_path / "own.gguf"
    own.write_bytes(tiny.read_bytes())
    with make(own, idle_release_s=0.05, model_release_s=0.1) as engine:
        prompt = engine.tokenize("abc")
        deadline = time.monotonic() + 10
        while engine._core.weights.loaded and time.monotonic() < deadline:
            time.sleep(0.05)
        own.rename(tmp_path / "away.gguf")
        with pytest.raises(Exception, match=r"own\.gguf"):
            engine.complete("abc", max_tokens=2)
        (tmp_path / "away.gguf").rename(own)
        assert len(engine.complete(prompt, max_tokens=2, **GREEDY).tokens) == 2


def test_endless_chats_forget_their_middle(tiny: Path) -> None:
    with make(tiny, n_ctx=256, context_shift=True) as engine:
        answer = engine.complete(story("a", 10), max_tokens=700, **GREEDY)
        assert len(answer.tokens) == 700
        assert receipt(answer).shifted_tokens >= 400
        assert len(engine.complete(story("a", 10), max_tokens=5, **GREEDY).tokens) == 5
    with make(tiny, n_ctx=256) as engine:
        assert engine.complete(story("a", 10), max_tokens=700, **GREEDY).finish_reason == "length"
        with pytest.raises(ContextOverflow):
            engine.complete(story("a", 200), max_tokens=1)


def test_the_queue_is_bounded(tiny: Path) -> None:
    with make(tiny, n_ctx=4096, queue_limit=2) as engine:
        running = engine.stream("x", max_tokens=3000, **GREEDY)
        next(running)
        waiting = [engine.stream("y", max_tokens=2, **GREEDY) for _ in range(2)]
        with pytest.raises(QueueFull, match="queue_limit") as caught:
            engine.complete_many(["z"] * 3, max_tokens=2, **GREEDY)
        assert caught.value.waiting >= 2
        running.cancel()
        assert all(len([c for c in stream if c.tokens]) == 2 for stream in waiting)
        assert len(engine.complete("x", max_tokens=2, **GREEDY).tokens) == 2


def test_a_failing_batch_fails_only_the_request_that_cannot_be_computed(
    tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with make(tiny, n_ctx=4096, n_seq_max=3) as engine, make(tiny, n_ctx=4096) as plain:
        engine.complete("warm", max_tokens=1)
        context = engine._core.scheduler.context
        assert context is not None
        decode, poison = context.decode, bytes(engine.tokenize("####"))

        def failing() -> int:
            size = context.batch.size
            return -1 if poison in bytes(context.batch._token[:size].tolist()) else decode()

        monkeypatch.setattr(context, "decode", failing)
        good = [engine.stream(story(letter), max_tokens=60, **GREEDY) for letter in "ab"]
        first = [next(stream).text for stream in good]
        with pytest.raises(DecodeError):
            engine.complete("bad #### prompt", max_tokens=4)
        for letter, text, stream in zip("ab", first, good, strict=True):
            whole = text + "".join(chunk.text for chunk in stream)
            assert whole == plain.complete(story(letter), max_tokens=60, **GREEDY).text


def test_the_next_context_is_made_while_the_present_one_works(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made_by: list[tuple[int, str]] = []
    create = Context.__init__

    def noting(self: Context, weights: object, settings: object, n_ctx: int, **options: object) -> None:
        made_by.append((n_ctx, threading.current_thread().name))
        create(self, weights, settings, n_ctx, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(Context, "__init__", noting)
    prompt = story("a", 360)
    with make(tiny) as growing, make(tiny, n_ctx=16384) as large:
        growing.complete("warm", max_tokens=2, **GREEDY)
        tokens = len(growing.tokenize(prompt))
        assert 1500 < tokens < 2048
        answer = growing.complete(prompt, max_tokens=2100 - tokens, **GREEDY)
        assert answer.text == large.complete(prompt, max_tokens=2100 - tokens, **GREEDY).text
        assert (growing.stats.n_ctx, growing.stats.grown) == (4096, 1)
    assert (4096, "next-context") in made_by
    assert [size for size, _ in made_by].count(4096) == 1


def test_a_next_context_that_nobody_needed_is_given_back(tiny: Path) -> None:
    with make(tiny) as engine:
        engine.complete("warm", max_tokens=2, **GREEDY)
        stream = engine.stream(story("a", 300), max_tokens=1500, **GREEDY)
        next(stream)
        stream.cancel()
        list(stream)
        assert engine.stats.grown == 0
        engine.complete(story("b", 20), max_tokens=10, **GREEDY)
    assert not [thread for thread in threading.enumerate() if thread.name == "next-context"]


def test_a_nearly_full_context_grows_while_nobody_waits(tiny: Path) -> None:
    with make(tiny) as engine:
        first = engine.complete(story("a", 340), max_tokens=10, **GREEDY)
        assert 0.75 * 2048 < first.timings.prompt_tokens < 2000
        deadline = time.monotonic() + 20
        while engine.stats.n_ctx != 4096 and time.monotonic() < deadline:
            time.sleep(0.1)
        assert (engine.stats.n_ctx, engine.stats.grown, engine.stats.grow_ms) == (4096, 1, 0.0)
        assert receipt(engine.complete(story("a", 340) + first.text, max_tokens=2, **GREEDY)).recomputed_tokens <= 2

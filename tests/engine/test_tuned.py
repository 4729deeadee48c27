"""The tuned engine beyond its contract: contexts, sequences, kept prefixes, time."""

from __future__ import annotations

import gc
import threading
import time
from pathlib import Path

import pytest

from workbench.engine import TunedEngine
from workbench.errors import (
    ContextOverflow,
    EngineClosed,
    InvalidSettings,
    ModelLoadError,
    SettingAdjusted,
    StreamIncomplete,
)
from workbench.interfaces import Message
from workbench.settings import EngineSettings
from workbench.testing.tiny_gguf import make_tiny_gguf

GREEDY = {"temperature": 0.0, "ignore_eos": True}


def make(path: Path, **settings: object) -> TunedEngine:
    # One thread: engines side by side, each with spinning threads for every core, slow each other down a hundredfold.
    return TunedEngine(path, EngineSettings.from_mapping({"n_threads": 1, **settings}))


def test_the_context_is_lazy_and_settings_become_effective(tiny: Path) -> None:
    with make(tiny, n_batch=100) as engine:
        assert (engine.stats.state, engine.stats.n_ctx, engine.stats.kv_bytes) == ("lazy", None, None)
        engine.complete("abc", max_tokens=1)
        assert engine.stats.state == "idle"
        effective = engine.settings
        assert effective.n_ctx == engine.stats.n_ctx == 2048
        assert (effective.n_batch, effective.n_ubatch) == (100, 100)
        assert None not in (
            effective.n_threads,
            effective.n_threads_batch,
            effective.n_gpu_layers,
            effective.flash_attn,
        )
    assert engine.stats.state == "closed"


def test_an_open_context_grows_with_the_request(tiny: Path) -> None:
    with make(tiny) as engine:
        small = engine.complete("abc", max_tokens=3, **GREEDY)
        assert engine.stats.n_ctx == 2048
        engine.complete("x" * 3000, max_tokens=3)
        assert engine.stats.n_ctx == 4096
        assert engine.complete("abc", max_tokens=3, **GREEDY).text == small.text


def test_a_fixed_context_stays_and_is_padded_as_llama_cpp_pads(tiny: Path) -> None:
    with make(tiny, n_ctx=300) as engine:
        engine.complete("abc", max_tokens=1)
        assert engine.settings.n_ctx == 512
        with pytest.raises(ContextOverflow) as caught:
            engine.complete("x" * 5000)
    assert caught.value.need_tokens > caught.value.have_tokens == 300


def test_the_cap_is_exact_and_a_full_context_ends_with_length(tiny: Path) -> None:
    with make(tiny, n_ctx=256) as engine:
        for cap in (1, 2, 7, 64):
            assert len(engine.complete("abc", max_tokens=cap, **GREEDY).tokens) == cap
        prompt = engine.tokenize("abcdef")
        full = engine.complete(prompt, **GREEDY)
        assert full.finish_reason == "length"
        # The last token needs no cell: one more than the context has left.
        assert len(full.tokens) == 256 - len(prompt) + 1
        assert len(engine.complete(prompt, max_tokens=10_000, **GREEDY).tokens) == len(full.tokens)


def test_chunked_prefill_gives_the_same_answer(tiny: Path) -> None:
    prompt = "the quick brown fox jumps over the lazy dog " * 8
    answers = []
    for n_batch in (7, 64, 512):
        with make(tiny, n_ctx=1024, n_batch=n_batch) as engine:
            answers.append(engine.complete(prompt, max_tokens=24, **GREEDY).tokens)
    assert answers[0] == answers[1] == answers[2]


def test_a_kept_prefix_is_reused_and_changes_nothing(tiny: Path) -> None:
    with make(tiny, n_ctx=1024) as engine:
        history = "a long conversation so far " * 10
        first = engine.complete(history, max_tokens=20, **GREEDY)
        follow = history + first.text + "and now"
        reused = engine.complete(follow, max_tokens=20, **GREEDY)
        fresh = engine.complete(follow, max_tokens=20, cache_prompt=False, **GREEDY)
        assert first.timings.cached_tokens == fresh.timings.cached_tokens == 0
        assert reused.timings.cached_tokens >= first.timings.prompt_tokens
        assert reused.text == fresh.text
        same = engine.complete(follow, max_tokens=20, **GREEDY)
        assert same.timings.cached_tokens == same.timings.prompt_tokens - 1, "what came before it is still there"
        again = engine.complete(follow, max_tokens=20, **GREEDY)
        assert again.timings.cached_tokens == again.timings.prompt_tokens - 1, "the last token is always computed"
        assert again.text == fresh.text


def test_prefix_cache_off_computes_everything(tiny: Path) -> None:
    with make(tiny, n_ctx=512, prefix_cache=False) as engine:
        for _ in range(2):
            assert engine.complete("abc abc abc", max_tokens=2).timings.cached_tokens == 0


def test_many_sequences_answer_as_one_by_one(tiny: Path) -> None:
    prompts = [f"prompt number {i} " * (1 + i % 5) for i in range(11)]
    exact = {"flash_attn": False, "type_k": "f32", "type_v": "f32"}
    with make(tiny, n_ctx=4096, n_seq_max=4, **exact) as engine:
        together = engine.complete_many(prompts, max_tokens=30, **GREEDY)
        steps = engine.stats.steps
    with make(tiny, n_ctx=4096, **exact) as engine:
        alone = [engine.complete(prompt, max_tokens=30, **GREEDY) for prompt in prompts]
        assert steps < engine.stats.steps, "several sequences share a step"
    # llama.cpp rounds differently in batches of another size; near-ties may fall the other way later on.
    assert [c.tokens[:12] for c in together] == [c.tokens[:12] for c in alone]


def test_requests_wait_for_cells_instead_of_running_out(tiny: Path) -> None:
    with make(tiny, n_ctx=512, n_seq_max=4) as engine:
        done = engine.complete_many(["x" * 150] * 9, max_tokens=100, **GREEDY)
        assert [len(c.tokens) for c in done] == [100] * 9
        assert len({c.text for c in done}) == 1


def test_priority_decides_among_those_waiting(tiny: Path) -> None:
    with make(tiny, n_ctx=1024) as engine:
        order: list[str] = []
        blocker = engine.stream("abc", max_tokens=400, **GREEDY)
        next(blocker)
        waiting = [
            threading.Thread(
                target=lambda n=name, p=p, m=tokens: (
                    engine.complete("q", max_tokens=m, priority=p, ignore_eos=True),
                    order.append(n),
                )
            )
            for name, p, tokens in (
                ("late", 5, 60),
                ("early", -5, 1),
            )  # the later one ends well after, whoever wakes first
        ]
        for thread in waiting:
            thread.start()
            deadline = time.monotonic() + 30
            while engine.stats.waiting < waiting.index(thread) + 1 and time.monotonic() < deadline:
                time.sleep(0.001)
        for _ in blocker:
            pass
        for thread in waiting:
            thread.join()
    assert order == ["early", "late"]


def test_an_abandoned_stream_frees_its_slot(tiny: Path) -> None:
    with make(tiny, n_ctx=8192) as engine:
        stream = engine.stream("abc", max_tokens=8000, **GREEDY)
        next(stream)
        del stream
        gc.collect()
        assert len(engine.complete("abc", max_tokens=2, **GREEDY).tokens) == 2
        assert engine.stats.output_tokens < 8000


def test_cancelling_what_still_waits(tiny: Path) -> None:
    with make(tiny, n_ctx=8192) as engine:
        running = engine.stream("abc", max_tokens=4000, **GREEDY)
        next(running)
        waiting = engine.stream("def", max_tokens=10, **GREEDY)
        waiting.cancel()
        assert [chunk.finish_reason for chunk in waiting] == ["cancelled"]
        assert waiting.completion.tokens == ()
        running.cancel()
        assert list(running)[-1].finish_reason == "cancelled"
        assert 0 < len(running.completion.tokens) < 4000


def test_closing_in_mid_stream_keeps_the_partial_text(tiny: Path) -> None:
    engine = make(tiny, n_ctx=8192)
    stream = engine.stream("abc", max_tokens=8000, **GREEDY)
    said = next(stream).text + next(stream).text
    engine.close()
    parts = []
    with pytest.raises(StreamIncomplete) as caught:
        parts.extend(chunk.text for chunk in stream)
    assert caught.value.partial.startswith(said)
    assert said
    with pytest.raises(EngineClosed):
        engine.complete("abc")
    with pytest.raises(EngineClosed):
        engine.tokenize("abc")


def test_a_forgotten_engine_ends_its_thread(tiny: Path) -> None:
    engine = make(tiny)
    thread = engine._core._thread
    engine.complete("abc", max_tokens=1)
    del engine
    gc.collect()
    thread.join(10)
    assert not thread.is_alive()


def test_split_kv_gives_each_sequence_its_share(tiny: Path) -> None:
    with make(tiny, n_ctx=1024, n_seq_max=2, kv_unified=False) as engine:
        with pytest.raises(ContextOverflow) as caught:
            engine.complete("x" * 700)
        assert caught.value.have_tokens == 512
        assert len(engine.complete("x" * 400, max_tokens=5, **GREEDY).tokens) == 5


def test_quantised_kv_runs_and_takes_less(tmp_path: Path) -> None:
    wide = make_tiny_gguf(tmp_path / "wide.gguf", n_embd=128)  # blocks of 32 need heads of 32
    sizes = {}
    for kind in ("f16", "q8_0"):
        with make(wide, n_ctx=512, type_k=kind, type_v=kind) as engine:
            engine.complete("abc", max_tokens=3)
            sizes[kind] = engine.stats.kv_bytes
    assert sizes["q8_0"] < sizes["f16"]


def test_flash_attention_falls_back_and_says_so(tiny: Path) -> None:
    # Heads of 16 do not divide into q8_0's blocks of 32, which flash attention needs of the K cache.
    with make(tiny, n_ctx=256, type_k="q8_0", flash_attn=True) as engine:
        with pytest.warns(SettingAdjusted, match=r"flash_attn=False.*block size 32"):
            completion = engine.complete("abc", max_tokens=1)
        assert completion.settings.flash_attn is False


def test_what_llama_cpp_refuses_is_quoted(tiny: Path) -> None:
    with make(tiny, n_ctx=256, type_v="q8_0") as engine, pytest.raises(ModelLoadError, match="block size 32"):
        engine.complete("abc", max_tokens=1)


def test_flash_attention_left_open_is_off_on_the_cpu(tiny: Path) -> None:
    with make(tiny, n_ctx=256) as engine:
        assert engine.complete("abc", max_tokens=1).settings.flash_attn is False


def test_quantised_v_without_flash_attention_is_refused() -> None:
    with pytest.raises(InvalidSettings, match="needs flash attention"):
        EngineSettings(type_v="q8_0", flash_attn=False)


def test_messages_go_through_the_template_without_a_second_bos(tiny: Path) -> None:
    with make(tiny) as engine:
        conversation = [Message.user("hi")]
        text = engine.chat_template.render(conversation)
        tokens = engine.tokenize(text, add_special=True, parse_special=True)
        assert engine.count_tokens(conversation) == len(tokens)
        own = TunedEngine(tiny, chat_template="<s>{{ messages[0].content }}")
        assert own._prompt_tokens(conversation).count(own._core.weights.vocabulary.bos) == 1
        own.close()


def test_timings_add_up(tiny: Path) -> None:
    with make(tiny, n_ctx=512) as engine:
        t = engine.complete("x" * 100, max_tokens=30, **GREEDY).timings
        assert len(t.itl_ms) == 29
        assert sum(t.itl_ms) == pytest.approx(t.decode_ms)
        assert t.queue_ms + t.prefill_ms + t.decode_ms <= t.total_ms
        assert t.ttft_ms is not None
        assert t.queue_ms + t.prefill_ms <= t.ttft_ms <= t.total_ms
        assert t.decode_tps == pytest.approx(29e3 / t.decode_ms)


def test_statistics_count(tiny: Path) -> None:
    with make(tiny, n_ctx=512) as engine:
        for _ in range(3):
            engine.complete("abcdef", max_tokens=4, **GREEDY)
        stats = engine.stats
        prompt = engine.count_tokens("abcdef")
        assert (stats.requests, stats.output_tokens, stats.prompt_tokens) == (3, 12, 3 * prompt)
        assert stats.cached_tokens == 2 * (prompt - 1)
        assert stats.steps == 12
        assert stats.compute_ms > 0 < stats.host_ms


def test_work_per_token_does_not_grow_with_the_text(tiny: Path) -> None:
    """Counted, not timed: characters handled per token stay the same from the 10th token to the 3,000th."""
    from workbench.engine.scheduling.text import TextAssembler

    handled: list[int] = []
    original = TextAssembler._search

    def counting(self: TextAssembler, text: str, *, final: bool = False) -> str:
        handled.append(len(text))
        return original(self, text, final=final)

    with pytest.MonkeyPatch.context() as patch, make(tiny, n_ctx=4096) as engine:
        patch.setattr(TextAssembler, "_search", counting)
        engine.complete("abc", max_tokens=3000, stop="a stop string that never comes", **GREEDY)
    assert max(handled[-100:]) <= max(handled[:100]) + 30

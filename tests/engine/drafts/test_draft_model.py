"""Drafts by a second model: greedy, as sure as asked, the same whether together or alone, found out when wrong."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from workbench.engine.drafts.draft_model import DraftPool, check_same_vocabulary
from workbench.engine.drafts.drafting import Drafter
from workbench.engine.native.context import Context
from workbench.engine.native.library import library
from workbench.engine.native.weights import Weights
from workbench.errors import DecodeError, InvalidSettings, OutOfMemory
from workbench.models import read_model_file
from workbench.settings import EngineSettings
from workbench.testing.tiny_gguf import make_tiny_gguf

EXACT = EngineSettings(n_threads=1, n_seq_max=3, flash_attn=False, type_k="f32", type_v="f32", n_batch=64)
PROMPTS = [list(range(40, 60)), [70, 71, 72, 73], list(range(40, 57))]


@pytest.fixture(scope="module")
def weights(tiny: Path) -> Iterator[Weights]:
    loaded = Weights(read_model_file(tiny), EXACT)
    yield loaded
    loaded.free()


def pool_of(weights: Weights, n_ctx: int = 1024, *, sure: float = 0.0, settings: EngineSettings = EXACT) -> DraftPool:
    return DraftPool(weights, weights.vocabulary, settings, n_ctx, min_probability=sure)


@pytest.fixture
def pool(weights: Weights) -> Iterator[DraftPool]:
    made = pool_of(weights)
    yield made
    made.free()


def greedy(weights: Weights, text: list[int], count: int) -> tuple[list[int], list[float]]:
    """What the model says next and how probable it holds it, computed the plain way: the whole text for every token."""
    context = Context(weights, EXACT.replace(n_batch=512), 512)
    said, probabilities = [], []
    for _ in range(count):
        context.clear()
        context.batch.clear()
        last = context.batch.add_run(text + said, 0, 0, logits="last")
        assert context.decode() == 0
        row = library().llama_get_logits_ith(context.raw, last)[: weights.vocabulary.size]
        logits = np.array(row, np.float64)
        said.append(int(logits.argmax()))
        probabilities.append(float(1 / np.exp(logits - logits.max()).sum()))
    context.free()
    return said, probabilities


def test_a_draft_is_what_the_model_says_next(weights: Weights, pool: DraftPool) -> None:
    for slot, prompt in enumerate(PROMPTS):
        drafter: Drafter = pool.drafter_for(slot)
        assert (drafter.draft(4), drafter.match_length) == ([], 0)
        drafter.extend(prompt)
        assert drafter.draft(6) == greedy(weights, prompt, 6)[0]
        assert drafter.match_length == len(prompt)
        assert drafter.draft(0) == []


def test_together_as_alone(weights: Weights, pool: DraftPool) -> None:
    for slot, prompt in enumerate(PROMPTS):
        pool.drafter_for(slot).extend(prompt)
    drafts = pool.draft({0: 6, 1: 3, 2: 1})
    assert drafts == {slot: greedy(weights, PROMPTS[slot], n)[0] for slot, n in {0: 6, 1: 3, 2: 1}.items()}


@pytest.mark.parametrize("right", [0, 2, 5])
def test_wrong_guesses_are_taken_back(weights: Weights, pool: DraftPool, right: int) -> None:
    drafter = pool.drafter_for(1)
    text = list(PROMPTS[0])
    drafter.extend(text)
    for _ in range(3):
        draft = drafter.draft(5)
        news = [*draft[:right], 99]
        drafter.extend(news)
        text += news
        assert drafter.draft(5) == greedy(weights, text, 5)[0]


def test_a_draft_ends_where_the_model_is_not_sure(weights: Weights) -> None:
    said, probabilities = greedy(weights, PROMPTS[0], 8)
    limit = sorted(probabilities)[2]  # at least two of eight are below it
    unsure = next(i for i, p in enumerate(probabilities) if p < limit)
    pool = pool_of(weights, sure=limit * 0.999)
    drafter = pool.drafter_for(0)
    drafter.extend(PROMPTS[0])
    assert drafter.draft(8) == said[:unsure]
    pool.free()


def test_a_long_prompt_is_caught_up_in_pieces(weights: Weights, pool: DraftPool) -> None:
    long, short = [40 + i % 50 for i in range(150)], PROMPTS[1]
    pool.drafter_for(0).extend(long)
    pool.drafter_for(1).extend(short)
    calls = [pool.draft({0: 2, 1: 2}) for _ in range(3)]
    assert [len(call[0]) for call in calls] == [0, 0, 2], "64 tokens a batch, the short one's among them"
    assert all(call[1] == greedy(weights, short, 2)[0] for call in calls)
    assert calls[2][0] == greedy(weights, long, 2)[0]


def test_the_next_request_in_a_slot_reuses_what_agrees(weights: Weights, pool: DraftPool) -> None:
    first = pool.drafter_for(0)
    first.extend(PROMPTS[0])
    first.draft(3)
    first.free()
    second = pool.drafter_for(0)
    second.extend([*PROMPTS[0][:15], 90, 91])
    second.settle()
    assert second.agreed == 15
    assert second.draft(4) == greedy(weights, [*PROMPTS[0][:15], 90, 91], 4)[0]


LONG = [40 + i % 50 for i in range(180)]


def until_drafted(drafter: Drafter) -> list[int]:
    return next((draft for _ in range(8) if (draft := drafter.draft(2))), [])


def test_the_context_grows_with_the_requests(weights: Weights) -> None:
    pool = pool_of(weights, 256)
    assert pool.n_ctx == 256
    drafters = [pool.drafter_for(slot) for slot in (0, 1)]
    for drafter in drafters:
        drafter.extend(LONG)
        assert until_drafted(drafter) == greedy(weights, LONG, 2)[0]
    assert pool.n_ctx == 512
    pool.free()
    pool.free()


def test_without_memory_to_grow_idle_slots_give_their_room_and_busy_ones_do_not(
    weights: Weights, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = pool_of(weights, 256)

    def full(self: Context, *_: object) -> None:
        raise OutOfMemory("a context", 2, 1, "Use less.")

    monkeypatch.setattr(Context, "__init__", full)
    first, second = pool.drafter_for(0), pool.drafter_for(1)
    first.extend(LONG)
    assert until_drafted(first)
    second.extend(LONG)
    assert until_drafted(second) == [], "no room, no draft, no error"
    first.free()
    drafted = until_drafted(second)
    monkeypatch.undo()
    assert drafted == greedy(weights, LONG, 2)[0]
    pool.free()


def test_slots_may_have_any_number_and_only_so_many_draft_at_once(weights: Weights, pool: DraftPool) -> None:
    drafters = {slot: pool.drafter_for(slot) for slot in (200, 7, 31)}
    for drafter in drafters.values():
        drafter.extend(PROMPTS[0])
    assert list(pool.draft({200: 2, 31: 2}).values()) == [greedy(weights, PROMPTS[0], 2)[0]] * 2
    with pytest.raises(InvalidSettings, match="n_seq_max"):
        pool.drafter_for(1)
    drafters[7].free()
    pool.drafter_for(1).extend(PROMPTS[1])
    assert pool.draft({1: 3})[1] == greedy(weights, PROMPTS[1], 3)[0]


def test_the_time_of_a_guess_leaves_reading_the_prompt_out(
    weights: Weights, pool: DraftPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Context.decode

    def slow(self: Context) -> int:
        time.sleep(0.2 if self.batch.size > 20 else 0.01)
        return real(self)

    monkeypatch.setattr(Context, "decode", slow)
    assert pool.guess_s == 0.0
    drafter = pool.drafter_for(0)
    drafter.extend(list(range(40, 100)))
    drafter.draft(4)
    assert 0.01 <= pool.guess_s < 0.15


def test_beyond_the_trained_context_nothing_is_drafted(tmp_path: Path) -> None:
    short = Weights(read_model_file(make_tiny_gguf(tmp_path / "short.gguf", n_ctx_train=64)), EXACT)
    pool = pool_of(short, 256)
    drafter = pool.drafter_for(0)
    drafter.extend([40] * 60)
    assert len(drafter.draft(2)) == 2
    drafter.extend([41] * 10)
    assert drafter.draft(2) == []
    pool.free()
    short.free()


def test_a_failed_decode_is_told_and_forgotten(
    weights: Weights, pool: DraftPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    drafter = pool.drafter_for(0)
    drafter.extend(PROMPTS[0])
    before = drafter.draft(3)
    drafter.extend([99])
    with monkeypatch.context() as patch:
        patch.setattr(Context, "decode", lambda self: -3)
        with pytest.raises(DecodeError, match="draft model"):
            drafter.draft(3)
    assert drafter.draft(3) == greedy(weights, [*PROMPTS[0], 99], 3)[0]
    assert len(before) == 3


def test_a_model_with_other_tokens_is_refused(tmp_path: Path, tiny: Path, weights: Weights) -> None:
    other = Weights(read_model_file(make_tiny_gguf(tmp_path / "o.gguf", tokenizer="smollm2", n_layer=1)), EXACT)
    with pytest.raises(InvalidSettings, match=r"49,152 tokens.*same family"):
        check_same_vocabulary(weights.vocabulary, other.vocabulary)
    other.free()
    mixed = tmp_path / "mixed.gguf"
    data = tiny.read_bytes()
    assert data.count(b"<|im_end|>") >= 1
    mixed.write_bytes(data.replace(b"<|im_end|>", b"<|im_off|>"))
    odd = Weights(read_model_file(mixed), EXACT)
    with pytest.raises(InvalidSettings, match=r"Token 3 is '<\|im_end\|>' to the model"):
        DraftPool(odd, weights.vocabulary, EXACT, 256)
    odd.free()


def test_another_model_with_the_same_tokens_may_draft(tmp_path: Path, weights: Weights) -> None:
    small = Weights(read_model_file(make_tiny_gguf(tmp_path / "small.gguf", n_layer=1, seed=5, dtype="q8_0")), EXACT)
    pool = DraftPool(small, weights.vocabulary, EXACT, 256, min_probability=0.0)
    drafter = pool.drafter_for(0)
    drafter.extend(PROMPTS[0])
    assert drafter.draft(3) == greedy(small, PROMPTS[0], 3)[0]
    pool.free()
    small.free()


def test_a_probability_that_is_none_is_refused(weights: Weights) -> None:
    with pytest.raises(InvalidSettings, match="min_probability"):
        pool_of(weights, sure=1.5)

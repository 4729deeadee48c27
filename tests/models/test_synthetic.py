"""Random-weight models of any shape: llama.cpp loads and runs them, and nobody takes them for trained ones."""

from __future__ import annotations

import dataclasses
import time
import tracemalloc
from pathlib import Path

import llama_cpp as llama
import numpy as np
import pytest
from gguf import GGMLQuantizationType
from gguf.quants import dequantize

from workbench.errors import InvalidSettings, ModelFileError, StorageFull, UnknownName, UsageError
from workbench.models import SyntheticShape, list_models, make_synthetic, read_model_file
from workbench.models.gguf_header import read_header
from workbench.models.synthetic import SHAPES, _Plan, _tokenizer
from workbench.models.synthetic_pool import QUANTISATIONS, Pool
from workbench.testing.tiny_gguf import make_tiny_gguf

MINI = SyntheticShape(n_layer=2, n_embd=256, n_ff=512, n_head=4, n_head_kv=2, n_ctx_train=2048)


def test_without_weights_there_is_a_header_and_a_hole(tmp_path: Path, bytewise: Path) -> None:
    whole = make_synthetic(tmp_path / "whole.gguf", MINI, tokenizer_from=bytewise)
    hollow = make_synthetic(tmp_path / "hollow.gguf", MINI, tokenizer_from=bytewise, weights=False)
    assert hollow.stat().st_size == whole.stat().st_size
    assert hollow.stat().st_blocks < whole.stat().st_blocks
    assert read_model_file(hollow).tensors == read_model_file(whole).tensors


@pytest.fixture(scope="module")
def bytewise(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with a tokenizer of 261 tokens."""
    return make_tiny_gguf(tmp_path_factory.mktemp("tokenizer") / "bytes.gguf")


def greedy(path: Path, prompt: list[int], count: int) -> list[int]:
    """What llama.cpp generates; every logit on the way is finite."""
    model = llama.llama_model_load_from_file(str(path).encode(), llama.llama_model_default_params())
    assert model, "llama.cpp refused the file"
    params = llama.llama_context_default_params()
    params.n_ctx, params.n_threads, params.n_threads_batch = 256, 1, 1
    context = llama.llama_init_from_model(model, params)
    assert context, "llama.cpp made no context"
    n_vocab, batch, out = llama.llama_vocab_n_tokens(llama.llama_model_get_vocab(model)), prompt, []
    for _ in range(count):
        tokens = (llama.llama_token * len(batch))(*batch)
        assert llama.llama_decode(context, llama.llama_batch_get_one(tokens, len(batch))) == 0
        logits = np.ctypeslib.as_array(llama.llama_get_logits_ith(context, -1), (n_vocab,))
        assert np.isfinite(logits).all()
        assert 1 < logits.max() < 100
        batch = [int(logits.argmax())]
        out += batch
    llama.llama_free(context)
    llama.llama_model_free(model)
    return out


PROMPT = [0, *range(50, 70)]


@pytest.mark.parametrize("quantization", QUANTISATIONS)
def test_every_quantisation_loads_and_generates(tmp_path: Path, bytewise: Path, quantization: str) -> None:
    path = make_synthetic(tmp_path / "m.gguf", MINI, quantization, tokenizer_from=bytewise)
    assert read_model_file(path).quantisation.lower().startswith(quantization)
    assert len(greedy(path, PROMPT, 4)) == 4


@pytest.mark.parametrize("quantization", QUANTISATIONS)
def test_values_have_the_spread_asked_for(quantization: str) -> None:
    kind = GGMLQuantizationType[quantization.upper()]
    blocks = Pool.draw(kind, 0.05, seed=1, most_elements=2**18).blocks
    values = dequantize(blocks, kind)
    assert np.isfinite(values).all()
    assert values.std() == pytest.approx(0.05, rel=0.1)
    assert abs(values.mean()) < 0.005
    assert np.abs(values).max() < 0.6


def test_the_header_says_it_is_synthetic(tmp_path: Path, bytewise: Path) -> None:
    path = make_synthetic(tmp_path / "m.gguf", MINI, "q4_k", tokenizer_from=bytewise, seed=7)
    metadata = read_header(path).metadata
    assert metadata["general.name"] == "synthetic-custom-q4_k"
    assert "random weights (seed 7)" in metadata["general.description"]


def test_the_shape_is_the_one_asked_for_and_the_vocabulary_the_tokenizers(tmp_path: Path, bytewise: Path) -> None:
    shape = dataclasses.replace(MINI, head_dim=128, tied=False, rope_freq_base=5e5)
    path = make_synthetic(tmp_path / "m.gguf", shape, "q8_0", tokenizer_from=bytewise)
    model, source = read_model_file(path), read_model_file(bytewise)
    assert (model.n_layer, model.n_embd, model.n_ctx_train, model.head_dim_k) == (2, 256, 2048, 128)
    assert model.n_vocab == source.n_vocab
    assert (model.tokenizer, model.eos_id, model.chat_template) == (
        source.tokenizer,
        source.eos_id,
        source.chat_template,
    )
    assert {tensor.name for tensor in model.tensors} >= {"output.weight", "blk.1.ffn_down.weight"}


def test_a_vocabulary_is_filled_up_with_tokens_that_do_not_win(tmp_path: Path, bytewise: Path) -> None:
    shape = dataclasses.replace(MINI, n_vocab=5000)
    path = make_synthetic(tmp_path / "m.gguf", shape, "q4_0", tokenizer_from=bytewise)
    assert read_model_file(path).n_vocab == 5000
    assert max(greedy(path, PROMPT, 32)) < 261
    with pytest.raises(UsageError, match="Raise it"):
        make_synthetic(path, dataclasses.replace(MINI, n_vocab=100), tokenizer_from=bytewise)


def test_sliding_windows(tmp_path: Path, bytewise: Path) -> None:
    shape = dataclasses.replace(MINI, n_layer=6, architecture="gemma3", sliding_window=64)
    model = read_model_file(make_synthetic(tmp_path / "m.gguf", shape, tokenizer_from=bytewise))
    assert [layer.sliding for layer in model.layers] == [True] * 5 + [False]
    assert len(greedy(model.path, PROMPT * 5, 4)) == 4


def test_a_row_that_is_no_multiple_of_256_falls_back(tmp_path: Path, bytewise: Path) -> None:
    shape = dataclasses.replace(MINI, n_embd=192, n_head=3, n_head_kv=3)
    model = read_model_file(make_synthetic(tmp_path / "m.gguf", shape, "q6_k", tokenizer_from=bytewise))
    types = {tensor.name: tensor.type for tensor in model.tensors}
    assert types["blk.0.attn_q.weight"] == "Q8_0"
    assert types["blk.0.ffn_down.weight"] == "Q6_K"
    assert types["blk.0.attn_norm.weight"] == "F32"


def test_the_same_seed_gives_the_same_bytes_and_tensors_differ(tmp_path: Path, bytewise: Path) -> None:
    one, same, other = (
        make_synthetic(tmp_path / f"{number}.gguf", MINI, tokenizer_from=bytewise, seed=seed).read_bytes()
        for number, seed in enumerate((3, 3, 4))
    )
    assert one == same != other
    header = read_header(tmp_path / "0.gguf")
    ups = [t for t in header.tensors if t.name.endswith("ffn_up.weight")]
    assert one[ups[0].offset :][: ups[0].n_bytes] != one[ups[1].offset :][: ups[1].n_bytes]


@pytest.mark.model
def test_a_135m_is_quick_and_takes_no_more_memory_than_its_pools(tmp_path: Path, smollm2: str) -> None:
    path = make_synthetic(tmp_path / "m.gguf", "135m", "f16")
    model = read_model_file(path)
    assert model.n_vocab == 49_152
    assert model.parameters == pytest.approx(135e6, rel=0.01)
    plan = _Plan(SHAPES["135m"], "f16", _tokenizer(None, SHAPES["135m"]), 0)
    started = time.perf_counter()
    tracemalloc.start()
    with (tmp_path / "weights").open("wb") as file:
        plan.write_weights(file)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 80 * 2**20 < model.size_bytes / 3
    assert time.perf_counter() - started < 60


def test_the_shapes_are_as_large_as_they_say() -> None:
    def parameters(shape: SyntheticShape) -> int:
        head, kv = shape.n_head * shape.head, shape.n_head_kv * shape.head
        return shape.n_layer * shape.n_embd * (2 * head + 2 * kv + 3 * shape.n_ff)

    blocks = {name: parameters(shape) / 1e9 for name, shape in SHAPES.items()}
    # published totals less the embeddings (49,152 × 576; 128,256 × 2048, × 3072, and twice × 4096)
    expected = {"135m": 0.1345 - 0.0283, "1b": 1.236 - 0.263, "3b": 3.213 - 0.394, "8b": 8.03 - 1.051}
    assert blocks == pytest.approx(expected, rel=0.01)


def test_it_is_found_like_any_file_and_listed_nowhere_else(
    tmp_path: Path, bytewise: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = [model.name for model in list_models()]
    make_synthetic(tmp_path / "elsewhere" / "m.gguf", MINI, tokenizer_from=bytewise)
    assert [model.name for model in list_models()] == before
    monkeypatch.setenv("WORKBENCH_MODELS", str(tmp_path / "elsewhere"))
    assert {model.name for model in list_models()} - set(before) == {"m"}


def test_what_cannot_be_is_refused(tmp_path: Path, bytewise: Path) -> None:
    with pytest.raises(UnknownName, match="Known: 135m, 1b, 3b, 8b"):
        make_synthetic(tmp_path / "m.gguf", "2b")
    with pytest.raises(UnknownName, match=r"quantisation 'q4'.*Did you mean"):
        make_synthetic(tmp_path / "m.gguf", MINI, "q4", tokenizer_from=bytewise)
    with pytest.raises(ModelFileError):
        make_synthetic(tmp_path / "m.gguf", MINI, tokenizer_from=tmp_path / "none.gguf")
    for wrong in ({"n_embd": 250}, {"n_head": 3}, {"n_head_kv": 3}, {"n_layer": 0}, {"n_ff": 100}):
        with pytest.raises(InvalidSettings):
            dataclasses.replace(MINI, **wrong)
    with pytest.raises(UnknownName, match="Known: gemma3, llama"):
        dataclasses.replace(MINI, architecture="mamba")
    assert not [path.name for path in tmp_path.iterdir() if path.name.endswith((".gguf", ".tmp"))]


def test_a_full_disk_leaves_nothing_behind(tmp_path: Path, bytewise: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Pool, "write", full)
    with pytest.raises(StorageFull):
        make_synthetic(tmp_path / "m.gguf", MINI, tokenizer_from=bytewise)
    assert not [path.name for path in tmp_path.iterdir() if path.name.endswith((".gguf", ".tmp"))]

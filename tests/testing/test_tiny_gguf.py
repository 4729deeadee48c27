import ctypes
from collections.abc import Iterator
from pathlib import Path

import llama_cpp as llama
import numpy as np
import pytest

from workbench.errors import UsageError
from workbench.models import read_model_file
from workbench.models.catalogue import bundled
from workbench.testing.tiny_gguf import make_tiny_gguf

TEXTS = (
    "Hello,  world\n\n\ttabs",
    "😀👩‍👩‍👧 Ünïcode 漢字 ▁ \u00a0",
    " leading and trailing ",
    "NUL \x00 and \x7f",
    "\r\n",
    "a" * 300,
)

needs_smollm2 = [
    pytest.mark.model,
    pytest.mark.skipif(not bundled("smollm2-135m").installed, reason="SmolLM2 is not installed"),
]
TOKENIZERS = ["bytes", pytest.param("smollm2", marks=needs_smollm2)]


class Loaded:
    """A model on llama.cpp's low-level bindings."""

    def __init__(self, path: Path, n_ctx: int = 512) -> None:
        self.model = llama.llama_model_load_from_file(str(path).encode(), llama.llama_model_default_params())
        assert self.model, "llama.cpp refused the file"
        self.vocabulary = llama.llama_model_get_vocab(self.model)
        self.n_vocab = llama.llama_vocab_n_tokens(self.vocabulary)
        params = llama.llama_context_default_params()
        params.n_ctx = n_ctx
        self.context = llama.llama_init_from_model(self.model, params)
        assert self.context, "llama.cpp made no context"

    def tokenize(self, text: str, add_special: bool = False) -> list[int]:
        data = text.encode()
        tokens = (llama.llama_token * (len(data) + 8))()
        count = llama.llama_tokenize(self.vocabulary, data, len(data), tokens, len(tokens), add_special, True)
        return list(tokens[:count])

    def detokenize(self, tokens: list[int]) -> bytes:
        given, buffer = (llama.llama_token * len(tokens))(*tokens), ctypes.create_string_buffer(64 * len(tokens) + 64)
        length = llama.llama_detokenize(self.vocabulary, given, len(tokens), buffer, len(buffer), False, True)
        return buffer.raw[:length]

    def greedy(self, prompt: str, count: int) -> list[int]:
        batch, out = self.tokenize(prompt, add_special=True), []
        for _ in range(count):
            tokens = (llama.llama_token * len(batch))(*batch)
            assert llama.llama_decode(self.context, llama.llama_batch_get_one(tokens, len(batch))) == 0
            logits = np.ctypeslib.as_array(llama.llama_get_logits_ith(self.context, -1), (self.n_vocab,))
            assert np.isfinite(logits).all()
            batch = [int(logits.argmax())]
            out += batch
        return out

    def free(self) -> None:
        llama.llama_free(self.context)
        llama.llama_model_free(self.model)


@pytest.fixture(params=TOKENIZERS)
def loaded(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Loaded]:
    model = Loaded(make_tiny_gguf(tmp_path / "tiny.gguf", tokenizer=request.param))
    yield model
    model.free()


@pytest.mark.parametrize("text", TEXTS)
def test_any_text_goes_through_and_back(loaded, text):
    assert loaded.detokenize(loaded.tokenize(text)).decode() == text


def test_special_tokens_are_one_token_each(loaded):
    assert len(loaded.tokenize("<|im_start|><|im_end|>")) == 2


def test_greedy_output_is_varied_and_does_not_end(loaded):
    out = loaded.greedy("Once upon a time", 200)
    assert len(set(out)) > 20
    assert len(set(out[-50:])) > 10, "it went round in a circle"
    assert not any(llama.llama_vocab_is_eog(loaded.vocabulary, token) for token in out)


def test_output_depends_on_the_prompt(loaded):
    first = loaded.greedy("Once upon a time", 20)
    llama.llama_memory_clear(llama.llama_get_memory(loaded.context), True)
    assert loaded.greedy("once upon a time", 20) != first


def test_bytes_one_token_a_byte_and_a_beginning_of_sequence(tmp_path):
    model = Loaded(make_tiny_gguf(tmp_path / "tiny.gguf"))
    assert len(model.tokenize("añ😀")) == len("añ😀".encode())
    assert model.tokenize("x", add_special=True) == [0, *model.tokenize("x")]
    assert model.detokenize(model.greedy("Tell me", 100)).decode("ascii").isprintable()
    model.free()


def test_any_byte_when_asked_for(tmp_path):
    model = Loaded(make_tiny_gguf(tmp_path / "tiny.gguf", ascii_only=False))
    with pytest.raises(UnicodeDecodeError):
        model.detokenize(model.greedy("Tell me", 100)).decode()
    model.free()


@pytest.mark.parametrize("dtype", ["f32", "f16", "bf16", "q8_0", "q4_0", "q4_1", "q5_0", "q5_1"])
def test_every_type_loads_and_decodes(tmp_path, dtype):
    path = make_tiny_gguf(tmp_path / "tiny.gguf", dtype=dtype)
    assert read_model_file(path).quantisation == dtype.upper()
    model = Loaded(path)
    assert len(set(model.greedy("Once upon a time", 60))) > 10
    model.free()


def test_the_same_seed_gives_the_same_bytes(tmp_path):
    one, same, other = (
        make_tiny_gguf(tmp_path / f"{number}.gguf", seed=seed).read_bytes() for number, seed in enumerate((3, 3, 4))
    )
    assert one == same != other


def test_a_long_context_costs_nothing_in_the_file(tmp_path):
    short = make_tiny_gguf(tmp_path / "short.gguf", n_ctx_train=512)
    long = make_tiny_gguf(tmp_path / "long.gguf", n_ctx_train=16_384)
    assert short.stat().st_size == long.stat().st_size < 500_000
    model = Loaded(long, n_ctx=16_384)
    assert llama.llama_n_ctx(model.context) == llama.llama_model_n_ctx_train(model.model) == 16_384
    model.free()


def test_without_a_chat_template(tmp_path):
    assert read_model_file(make_tiny_gguf(tmp_path / "tiny.gguf", chat_template=None)).chat_template is None


@pytest.mark.parametrize(
    "options",
    [
        {"n_embd": 48},
        {"n_ff": 100},
        {"n_head": 3, "n_embd": 96, "n_head_kv": 2},
        {"n_head": 64},
        {"dtype": "q4_k"},
        {"tokenizer": "words"},
    ],
)
def test_impossible_models_are_refused(tmp_path, options):
    with pytest.raises(UsageError):
        make_tiny_gguf(tmp_path / "tiny.gguf", **options)
    assert not (tmp_path / "tiny.gguf").exists()

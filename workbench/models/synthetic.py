"""Language models of any size with random weights, for speed and memory work without a download.

A file is a whole model that llama.cpp loads, tokenises with and runs as fast as a real one of the same shape and
quantisation; what it generates is noise, and its header says so. Values are drawn once per scale, as a pool of
quantisation blocks, and every tensor is cut from that pool at another place: an 8B takes as long as its bytes take to
write, and never more than a few megabytes of memory. Knows nothing about engines.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from workbench.errors import InvalidSettings, UnknownName, UsageError
from workbench.models.gguf_header import read_header
from workbench.models.synthetic_pool import QUANTISATIONS, Pool, stored_type
from workbench.storage import replacing

_LOGIT_STD = 3.0
_GAIN = 2.0  # the blocks add more to the residual stream than the embedding brings: output depends on the whole prompt
_QUIET = 0.01  # scale of output rows that shall never win
_NORMAL, _UNUSED = 1, 5  # gguf.TokenType
_ALIGNMENT = 32
_POST_NORMS = ("post_attention_norm", "post_ffw_norm")
_HEAD_NORMS = ("attn_q_norm", "attn_k_norm")

ARCHITECTURES = ("llama", "qwen2", "qwen3", "gemma3")


@dataclass(frozen=True, slots=True, kw_only=True)
class SyntheticShape:
    """The shape of a model.

    Attributes:
        n_layer: transformer blocks.
        n_embd: width; a multiple of 32.
        n_ff: width of the feed-forward layer; a multiple of 32.
        n_head: attention heads.
        n_head_kv: KV heads; divides ``n_head``.
        head_dim: elements of one head; ``None``: ``n_embd / n_head``.
        n_ctx_train: trained context in tokens.
        n_vocab: tokens; the tokenizer's are filled up with unused ones; ``None``: as many as the tokenizer has.
        tied: the output layer is the token embedding.
        rope_freq_base: RoPE base frequency.
        architecture: "llama", "qwen2" (biases), "qwen3" (norms of Q and K) or "gemma3" (five of six layers slide).
        sliding_window: tokens the sliding layers of "gemma3" look back.
    """

    n_layer: int
    n_embd: int
    n_ff: int
    n_head: int
    n_head_kv: int
    head_dim: int | None = None
    n_ctx_train: int = 8192
    n_vocab: int | None = None
    tied: bool = True
    rope_freq_base: float = 10_000.0
    architecture: str = "llama"
    sliding_window: int = 512

    def __post_init__(self) -> None:
        if self.architecture not in ARCHITECTURES:
            raise UnknownName("architecture of a synthetic model", self.architecture, ARCHITECTURES)
        sizes = (self.n_layer, self.n_embd, self.n_ff, self.n_head, self.n_head_kv, self.n_ctx_train)
        if min(sizes) < 1 or self.n_embd % 32 or self.n_ff % 32 or self.n_head * self.head % 32:
            raise InvalidSettings(f"Widths of {self} must be multiples of 32, the quantisation block. Round them.")
        if self.n_head % self.n_head_kv or self.head % 2 or (self.head_dim is None and self.n_embd % self.n_head):
            raise InvalidSettings(f"n_head of {self} must divide n_embd into even parts, and n_head_kv divide n_head.")

    @property
    def head(self) -> int:
        """Elements of one head."""
        return self.head_dim or self.n_embd // self.n_head


SHAPES: Mapping[str, SyntheticShape] = {
    "135m": SyntheticShape(n_layer=30, n_embd=576, n_ff=1536, n_head=9, n_head_kv=3, rope_freq_base=1e5),
    "1b": SyntheticShape(
        n_layer=16, n_embd=2048, n_ff=8192, n_head=32, n_head_kv=8, n_ctx_train=131_072, rope_freq_base=5e5
    ),
    "3b": SyntheticShape(
        n_layer=28, n_embd=3072, n_ff=8192, n_head=24, n_head_kv=8, n_ctx_train=131_072, rope_freq_base=5e5
    ),
    "8b": SyntheticShape(
        n_layer=32,
        n_embd=4096,
        n_ff=14_336,
        n_head=32,
        n_head_kv=8,
        n_ctx_train=131_072,
        rope_freq_base=5e5,
        tied=False,
    ),
}
"""SmolLM2-135M, Llama-3.2-1B and -3B, and Llama-3.1-8B, as their ``config.json`` state them; the vocabulary differs."""


def make_synthetic(
    path: Path | str,
    shape: str | SyntheticShape = "135m",
    quantization: str = "q4_0",
    *,
    tokenizer_from: Path | str | None = None,
    seed: int = 0,
    weights: bool = True,
) -> Path:
    """Write a model with random weights; the same arguments give the same bytes.

    Matrices have the type asked for. Where a row is no multiple of a k-quant's block of 256, the type llama.cpp's own
    quantiser falls back to stands in (`llama-quant.cpp`: Q4_K → Q5_0, Q6_K → Q8_0 …). Norms are f32.

    Args:
        path: the file to write; its folder is made if need be.
        shape: "135m", "1b", "3b", "8b", or any.
        quantization: ggml's name of a type in lower case, "q4_0", "q4_k", "f16" …
        tokenizer_from: a GGUF whose tokenizer is copied; ``None``: the bundled SmolLM2.
        seed: of the weights.
        weights: False: zeros that take no room on disk, for arithmetic on a header whose model would take gigabytes.

    Returns:
        The path of the file.

    Raises:
        UnknownName: no such shape or quantisation.
        UsageError: the vocabulary asked for is smaller than the tokenizer's.
        MissingExtra: the bundled SmolLM2 is not installed.
        ModelFileError: ``tokenizer_from`` is no GGUF.
        StorageFull: no room; nothing is left behind.
    """
    path, label = Path(path), shape if isinstance(shape, str) else "custom"
    chosen = _shape(shape)
    if quantization.lower() not in QUANTISATIONS:
        raise UnknownName("quantisation", quantization, QUANTISATIONS)
    tokenizer = _tokenizer(tokenizer_from, chosen)
    plan = _Plan(chosen, quantization.lower(), tokenizer, seed)
    with replacing(path) as temporary:
        plan.write_header(temporary, label)
        with temporary.open("ab") as file:
            (plan.write_weights if weights else plan.leave_out_weights)(file)
    return path


def _shape(shape: str | SyntheticShape) -> SyntheticShape:
    if isinstance(shape, SyntheticShape):
        return shape
    if shape.lower() not in SHAPES:
        raise UnknownName("shape", shape, SHAPES)
    return SHAPES[shape.lower()]


def _tokenizer(source: Path | str | None, shape: SyntheticShape) -> dict[str, Any]:
    """``tokenizer.*`` of another model, its vocabulary filled up to the one asked for."""
    if source is None:
        from workbench.models.catalogue import bundled

        source = bundled("smollm2-135m").locate()
    header = read_header(source, arrays=_tokenizer_keys(source))
    copied = {key: value for key, value in header.metadata.items() if key.startswith("tokenizer.")}
    return _filled_up(copied, shape.n_vocab)


def _tokenizer_keys(source: Path | str) -> list[str]:
    return [key for key in read_header(source).metadata if key.startswith("tokenizer.")]


def _filled_up(tokenizer: dict[str, Any], n_vocab: int | None) -> dict[str, Any]:
    tokens = tokenizer.get("tokenizer.ggml.tokens")
    if not isinstance(tokens, tuple):
        raise UsageError("The model named by tokenizer_from has no tokenizer. Name another one.")
    missing = (n_vocab or len(tokens)) - len(tokens)
    if missing < 0:
        raise UsageError(f"n_vocab is {n_vocab:,}, the tokenizer alone has {len(tokens):,} tokens. Raise it.")
    filled = dict(tokenizer)
    filled["tokenizer.ggml.tokens"] = (*tokens, *(f"<|unused_{number}|>" for number in range(missing)))
    types = tokenizer.get("tokenizer.ggml.token_type", (_NORMAL,) * len(tokens))
    filled["tokenizer.ggml.token_type"] = (*types, *(_UNUSED,) * missing)
    if "tokenizer.ggml.scores" in tokenizer:
        filled["tokenizer.ggml.scores"] = (*tokenizer["tokenizer.ggml.scores"], *(0.0,) * missing)
    return filled


class _Plan:
    """Which tensors there are, in file order, and from which pool each is cut."""

    def __init__(self, shape: SyntheticShape, quantization: str, tokenizer: dict[str, Any], seed: int) -> None:
        self.shape, self.quantization, self.tokenizer, self.seed = shape, quantization, tokenizer, seed
        self.types: tuple[int, ...] = tokenizer["tokenizer.ggml.token_type"]
        self.tensors = dict(self._tensors())
        self._pool = functools.cache(self._draw)

    def _tensors(self) -> Iterator[tuple[str, tuple[int, ...]]]:
        """(name, shape); matrices are (outputs, inputs)."""
        shape, n_vocab = self.shape, len(self.types)
        yield "token_embd", (n_vocab, shape.n_embd)
        yield "output_norm", (shape.n_embd,)
        if not shape.tied:
            yield "output", (n_vocab, shape.n_embd)
        for layer in range(shape.n_layer):
            for name, size in self._block().items():
                yield f"blk.{layer}.{name}", size

    def _block(self) -> dict[str, tuple[int, ...]]:
        shape = self.shape
        q, kv = shape.n_head * shape.head, shape.n_head_kv * shape.head
        block: dict[str, tuple[int, ...]] = {
            "attn_norm": (shape.n_embd,),
            "attn_q": (q, shape.n_embd),
            "attn_k": (kv, shape.n_embd),
            "attn_v": (kv, shape.n_embd),
            "attn_output": (shape.n_embd, q),
            "ffn_norm": (shape.n_embd,),
            "ffn_gate": (shape.n_ff, shape.n_embd),
            "ffn_up": (shape.n_ff, shape.n_embd),
            "ffn_down": (shape.n_embd, shape.n_ff),
        }
        if shape.architecture == "gemma3":
            block.update(dict.fromkeys(_POST_NORMS, (shape.n_embd,)))
        if shape.architecture in ("gemma3", "qwen3"):
            block.update(dict.fromkeys(_HEAD_NORMS, (shape.head,)))
        if shape.architecture == "qwen2":
            block.update({"attn_q.bias": (q,), "attn_k.bias": (kv,), "attn_v.bias": (kv,)})
        return block

    def write_header(self, path: Path, label: str) -> None:
        from gguf import GGUFWriter

        writer = GGUFWriter(path, self.shape.architecture)
        self._describe(writer, label)
        for key, value in self.tokenizer.items():
            _add(writer, key, value)
        for name, size in self.tensors.items():
            kind = stored_type(self.quantization, size)
            writer.add_tensor_info(
                name if name.endswith(".bias") else f"{name}.weight",
                size,
                np.dtype(np.float32),
                self._n_bytes(name),
                kind,
            )
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        writer.close()

    def _describe(self, writer: Any, label: str) -> None:
        shape = self.shape
        writer.add_name(f"synthetic-{label}-{self.quantization}")
        writer.add_description(
            f"Synthetic: random weights (seed {self.seed}) made by workbench for speed and memory work. "
            "Not a trained model; what it generates is noise."
        )
        writer.add_file_type(QUANTISATIONS[self.quantization])
        writer.add_context_length(shape.n_ctx_train)
        writer.add_embedding_length(shape.n_embd)
        writer.add_block_count(shape.n_layer)
        writer.add_feed_forward_length(shape.n_ff)
        writer.add_head_count(shape.n_head)
        writer.add_head_count_kv(shape.n_head_kv)
        writer.add_key_length(shape.head)
        writer.add_value_length(shape.head)
        writer.add_rope_dimension_count(shape.head)
        writer.add_rope_freq_base(shape.rope_freq_base)
        writer.add_layer_norm_rms_eps(1e-5)
        writer.add_vocab_size(len(self.types))
        if shape.architecture == "gemma3":
            writer.add_sliding_window(shape.sliding_window)

    def _n_bytes(self, name: str) -> int:
        from gguf import GGML_QUANT_SIZES

        size = self.tensors[name]
        block, block_bytes = GGML_QUANT_SIZES[stored_type(self.quantization, size)]
        return math.prod(size) // int(block) * int(block_bytes)

    def write_weights(self, file: IO[bytes]) -> None:
        _pad(file)
        for name, size in self.tensors.items():
            if len(size) == 1:
                file.write(np.full(size, 0 if name.endswith(".bias") else 1, np.float32).tobytes())
            elif name in ("token_embd", "output"):
                self._write_rows(file, name)
            else:
                pool = self._pool(stored_type(self.quantization, size), _GAIN / size[1] ** 0.5)
                pool.write(file, self._start(name), self._n_bytes(name))
            _pad(file)

    def leave_out_weights(self, file: IO[bytes]) -> None:
        """A hole as long as the weights; reads as zeros."""
        _pad(file)
        file.truncate(file.tell() + sum(-(-self._n_bytes(name) // _ALIGNMENT) * _ALIGNMENT for name in self.tensors))

    def _write_rows(self, file: IO[bytes], name: str) -> None:
        """One row per token; those of control tokens are quiet, so that generation goes on."""
        size = self.tensors[name]
        kind, std = stored_type(self.quantization, size), _LOGIT_STD / size[1] ** 0.5
        row_bytes, start = self._n_bytes(name) // size[0], self._start(name)
        for normal, run in itertools.groupby(self.types, key=lambda token: token == _NORMAL):
            n_bytes = row_bytes * sum(1 for _ in run)
            start = self._pool(kind, std if normal else std * _QUIET).write(file, start, n_bytes)

    def _start(self, name: str) -> int:
        """Where in its pool a tensor begins: another place for each."""
        number = list(self.tensors).index(name)
        return int(np.random.default_rng((self.seed, number)).integers(2**31))

    def _draw(self, kind: Any, std: float) -> Pool:
        return Pool.draw(kind, std, self.seed, most_elements=max(map(math.prod, self.tensors.values())))


def _pad(file: IO[bytes]) -> None:
    file.write(bytes(-file.tell() % _ALIGNMENT))


def _add(writer: Any, key: str, value: object) -> None:
    """One metadata entry under the type llama.cpp expects: token ids are unsigned, lists of numbers signed."""
    from gguf import GGUFValueType

    if isinstance(value, tuple):
        numbers = bytes(value) if key.endswith("precompiled_charsmap") else value
        writer.add_array(key, numbers)
    elif isinstance(value, int) and not isinstance(value, bool):
        writer.add_uint32(key, value)
    else:
        writer.add_key_value(key, value, GGUFValueType.get_type(value))

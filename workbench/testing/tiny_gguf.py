"""A tiny random-weight language model as a GGUF file, so that engine tests need no download and take milliseconds.

The file is a whole llama-architecture model that llama.cpp loads, tokenises with and decodes; what it generates is
noise, but varied noise, the same for the same seed. Knows nothing about engines.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from workbench.errors import UsageError

CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
"""A ChatML chat template, as SmolLM2 and Qwen use it."""

_NORMAL, _CONTROL = 1, 3  # gguf.TokenType
_SPECIAL = ("<s>", "</s>", "<|im_start|>", "<|im_end|>")
_LOGIT_STD = 3.0
_QUIET = 0.01  # scale of output rows that shall never win


@dataclass(frozen=True, slots=True, kw_only=True)
class _Vocabulary:
    """What goes into the tokenizer fields; ``quiet[i]``: token ``i`` is never to be generated."""

    pre: str
    tokens: Sequence[str]
    types: Sequence[int]
    merges: Sequence[str]
    bos: int
    eos: int
    add_bos: bool
    quiet: npt.NDArray[np.bool_] = field(repr=False)


def make_tiny_gguf(
    path: Path | str,
    *,
    n_layer: int = 2,
    n_embd: int = 64,
    n_head: int = 4,
    n_head_kv: int = 2,
    n_ff: int = 128,
    n_ctx_train: int = 512,
    tokenizer: Literal["bytes", "smollm2"] = "bytes",
    chat_template: str | None = CHATML,
    seed: int = 0,
    dtype: str | None = None,
    name: str = "tiny",
    ascii_only: bool = True,
) -> Path:
    """Write a tiny model; the same arguments give the same bytes.

    Args:
        path: the file to write; its folder is made if need be.
        n_layer: transformer blocks.
        n_embd: width; a multiple of 32 and of ``n_head``.
        n_head: attention heads.
        n_head_kv: KV heads; divides ``n_head``.
        n_ff: width of the feed-forward layer; a multiple of 32.
        n_ctx_train: trained context in tokens; costs nothing in the file.
        tokenizer: "bytes": one token per UTF-8 byte and four special tokens, any text goes through and back
            unchanged. "smollm2": the 49,152 tokens of the bundled SmolLM2 (the file then takes 5 MB).
        chat_template: Jinja source; ``None``: the model has none.
        seed: of the weights.
        dtype: "f32", "f16", "bf16", "q8_0", "q4_0", "q4_1", "q5_0" or "q5_1"; ``None``: "f32" with the byte tokenizer,
            "q8_0" with SmolLM2's.
        name: ``general.name``.
        ascii_only: with the byte tokenizer, generate printable ASCII only; otherwise any byte, mostly invalid UTF-8.

    Returns:
        The path of the file.

    Raises:
        UsageError: shapes that do not go together, or an unknown ``dtype`` or ``tokenizer``.
    """
    _check_shapes(n_embd, n_head, n_head_kv, n_ff)
    vocabulary = _vocabulary(tokenizer, ascii_only)
    kind = _tensor_type(dtype or ("q8_0" if tokenizer == "smollm2" else "f32"))
    weights = _weights(vocabulary, n_layer, n_embd, n_head, n_head_kv, n_ff, seed)
    hyper = {
        "context_length": n_ctx_train,
        "embedding_length": n_embd,
        "block_count": n_layer,
        "feed_forward_length": n_ff,
        "head_count": n_head,
        "head_count_kv": n_head_kv,
        "rope_dimension_count": n_embd // n_head,
        "vocab_size": len(vocabulary.tokens),
    }
    return _write(Path(path), name, hyper, vocabulary, chat_template, kind, weights)


def _check_shapes(n_embd: int, n_head: int, n_head_kv: int, n_ff: int) -> None:
    if n_embd % 32 or n_ff % 32:
        raise UsageError(f"n_embd ({n_embd}) and n_ff ({n_ff}) must be multiples of 32, the quantisation block.")
    if n_embd % (2 * n_head) or n_head % n_head_kv:
        raise UsageError(f"n_embd ({n_embd}) / n_head ({n_head}) must be even, n_head_kv ({n_head_kv}) divide n_head.")


def _tensor_type(dtype: str) -> Any:
    from gguf import GGMLQuantizationType

    known = ("f32", "f16", "bf16", "q8_0", "q4_0", "q4_1", "q5_0", "q5_1")
    if dtype not in known:
        raise UsageError(f"Unknown dtype {dtype!r}. Known: {', '.join(known)}.")
    return GGMLQuantizationType[dtype.upper()]


def _vocabulary(tokenizer: str, ascii_only: bool) -> _Vocabulary:
    if tokenizer == "bytes":
        return _byte_vocabulary(ascii_only)
    if tokenizer == "smollm2":
        return _smollm2_vocabulary()
    raise UsageError(f"Unknown tokenizer {tokenizer!r}. Known: bytes, smollm2.")


def _byte_vocabulary(ascii_only: bool) -> _Vocabulary:
    """GPT-2's byte-level tokenizer without its merges.

    llama.cpp refuses a BPE tokenizer that has no merge at all, so there is one: of two bytes 0xFF, which no UTF-8 text
    contains.
    """
    letters = _byte_letters()
    tokens = [*_SPECIAL, *letters, letters[0xFF] * 2]
    types = [_CONTROL] * len(_SPECIAL) + [_NORMAL] * 257
    quiet = np.array(types) != _NORMAL
    quiet[-1] = True
    if ascii_only:
        quiet[len(_SPECIAL) : -1] = [not 32 <= byte < 127 for byte in range(256)]
    merges = [f"{letters[0xFF]} {letters[0xFF]}"]
    return _Vocabulary(pre="gpt-2", tokens=tokens, types=types, merges=merges, bos=0, eos=1, add_bos=True, quiet=quiet)


def _byte_letters() -> list[str]:
    """The visible letter GPT-2 writes for each byte (`bytes_to_unicode` of Radford et al. 2019)."""
    visible = {*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)}
    spare = iter(range(256, 512))
    return [chr(byte) if byte in visible else chr(next(spare)) for byte in range(256)]


def _smollm2_vocabulary() -> _Vocabulary:
    from workbench.models.catalogue import bundled
    from workbench.models.gguf_header import read_header

    keys = {f"tokenizer.ggml.{name}" for name in ("tokens", "token_type", "merges")}
    header = read_header(bundled("smollm2-135m").locate(), arrays=keys)
    types = header.metadata["tokenizer.ggml.token_type"]
    return _Vocabulary(
        pre=header.metadata["tokenizer.ggml.pre"],
        tokens=header.metadata["tokenizer.ggml.tokens"],
        types=types,
        merges=header.metadata["tokenizer.ggml.merges"],
        bos=header.metadata["tokenizer.ggml.bos_token_id"],
        eos=header.metadata["tokenizer.ggml.eos_token_id"],
        add_bos=header.metadata["tokenizer.ggml.add_bos_token"],
        quiet=np.array(types) != _NORMAL,
    )


def _weights(
    vocabulary: _Vocabulary, n_layer: int, n_embd: int, n_head: int, n_head_kv: int, n_ff: int, seed: int
) -> dict[str, npt.NDArray[np.float32]]:
    """Random weights by tensor name; matrices are (outputs, inputs).

    The blocks add more to the residual stream than the (shared) embedding brings, so the next token depends on the
    whole context rather than repeating the last token; control tokens have quiet rows, so generation goes on.
    """
    random = np.random.default_rng(seed)

    def matrix(outputs: int, inputs: int, gain: float = 2.0) -> npt.NDArray[np.float32]:
        return random.standard_normal((outputs, inputs), dtype=np.float32) * np.float32(gain / np.sqrt(inputs))

    n_embd_kv = n_embd // n_head * n_head_kv
    embedding = matrix(len(vocabulary.tokens), n_embd, gain=_LOGIT_STD)
    embedding[vocabulary.quiet] *= np.float32(_QUIET)
    weights = {"token_embd": embedding, "output_norm": np.ones(n_embd, np.float32)}
    for layer in range(n_layer):
        block = {
            "attn_norm": np.ones(n_embd, np.float32),
            "attn_q": matrix(n_embd, n_embd),
            "attn_k": matrix(n_embd_kv, n_embd),
            "attn_v": matrix(n_embd_kv, n_embd),
            "attn_output": matrix(n_embd, n_embd),
            "ffn_norm": np.ones(n_embd, np.float32),
            "ffn_gate": matrix(n_ff, n_embd),
            "ffn_up": matrix(n_ff, n_embd),
            "ffn_down": matrix(n_embd, n_ff),
        }
        weights.update({f"blk.{layer}.{name}": values for name, values in block.items()})
    return weights


def _write(
    path: Path,
    name: str,
    hyper: dict[str, int],
    vocabulary: _Vocabulary,
    chat_template: str | None,
    kind: Any,
    weights: dict[str, npt.NDArray[np.float32]],
) -> Path:
    from gguf import GGMLQuantizationType, GGUFWriter, LlamaFileType
    from gguf.quants import quantize

    path.parent.mkdir(parents=True, exist_ok=True)
    writer = GGUFWriter(path, "llama")
    writer.add_name(name)
    for key, value in hyper.items():
        getattr(writer, f"add_{key}")(value)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_file_type(_file_type(kind, LlamaFileType))
    _add_tokenizer(writer, vocabulary, chat_template)
    for tensor, values in weights.items():
        # llama.cpp wants norms in f32
        stored = kind if values.ndim == 2 else GGMLQuantizationType.F32
        writer.add_tensor(f"{tensor}.weight", quantize(values, stored), raw_dtype=stored)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _file_type(kind: Any, file_types: Any) -> int:
    return int(file_types["ALL_F32" if kind.name == "F32" else f"MOSTLY_{kind.name}"])


def _add_tokenizer(writer: Any, vocabulary: _Vocabulary, chat_template: str | None) -> None:
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(vocabulary.pre)
    writer.add_token_list(vocabulary.tokens)
    writer.add_token_types(vocabulary.types)
    writer.add_token_merges(vocabulary.merges)
    writer.add_bos_token_id(vocabulary.bos)
    writer.add_eos_token_id(vocabulary.eos)
    writer.add_add_bos_token(vocabulary.add_bos)
    writer.add_add_space_prefix(False)
    if chat_template is not None:
        writer.add_chat_template(chat_template)

"""How much memory a model takes under given settings, before anything is allocated.

Weights and KV cache are exact to the byte: tensor sizes from the GGUF, and llama.cpp's own padding and layer rules
(read from llama.cpp 0c1e570, ``llama_context``, ``llama_kv_cache`` and ``llama_kv_cache_iswa``; a test compares with
what it reports). The compute buffer is an approximation. Recurrent states of hybrid models are not counted. Knows no
GPU: pass ``available_bytes`` when memory other than this host's counts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from gguf import GGML_QUANT_SIZES, GGMLQuantizationType

from workbench.errors import InvalidSettings, OutOfMemory
from workbench.models.attention import LayerKV
from workbench.models.gguf_file import ModelFile
from workbench.settings import EngineSettings

CONTEXT_STEP = 256
"""llama.cpp pads every context to a multiple of this."""

MAX_CONTEXT = 2**31 - CONTEXT_STEP
"""Positions are int32 (``llama_pos``)."""

_FLOAT_BYTES, _HALF_BYTES = 4, 2
_DEFAULT_UBATCH = 512
_ACTIVATION_ROWS, _FEED_FORWARD_ROWS = 8, 3
_COMPUTE_OVERHEAD_BYTES = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryEstimate:
    """Bytes a model takes.

    Attributes:
        n_ctx: the context llama.cpp would really make, in tokens.
        weights_bytes: all tensors; mapped from the file or copied, they have to be in memory to be fast.
        kv_bytes: KV cache of all layers.
        output_bytes: logits of one token per sequence, ``n_seq_max × n_vocab × 4``.
        compute_bytes: llama.cpp's scratch buffer, approximately.
    """

    n_ctx: int
    weights_bytes: int
    kv_bytes: int
    output_bytes: int
    compute_bytes: int

    @property
    def context_bytes(self) -> int:
        """What the context adds to the weights."""
        return self.kv_bytes + self.output_bytes + self.compute_bytes

    @property
    def total_bytes(self) -> int:
        """Everything together."""
        return self.weights_bytes + self.context_bytes


def estimate(model: ModelFile, settings: EngineSettings, n_ctx: int) -> MemoryEstimate:
    """What ``model`` takes with a context of ``n_ctx`` tokens, all sequences together.

    Raises:
        InvalidSettings: ``n_ctx`` is below 1.
    """
    if n_ctx < 1:
        raise InvalidSettings(f"n_ctx must be at least 1, not {n_ctx}.")
    return MemoryEstimate(
        n_ctx=padded_context(n_ctx, settings),
        weights_bytes=model.weights_bytes,
        kv_bytes=_kv_bytes(model, settings, n_ctx),
        output_bytes=settings.n_seq_max * model.n_vocab * _FLOAT_BYTES,
        compute_bytes=_compute_bytes(model, settings, n_ctx),
    )


def check_fits(
    model: ModelFile,
    settings: EngineSettings,
    n_ctx: int,
    *,
    available_bytes: int | None = None,
    weights_loaded: bool = False,
) -> None:
    """Refuse what this machine cannot hold, by arithmetic alone.

    Args:
        model: what is to be loaded.
        settings: how.
        n_ctx: context in tokens, all sequences together.
        available_bytes: memory there is; ``None``: this host's free RAM, within the limit of its container.
        weights_loaded: the weights are in memory already, so only the context has to fit.

    Raises:
        OutOfMemory: it does not fit; names need, have, and the largest context that fits.
        InvalidSettings: ``n_ctx`` is below 1 or beyond what llama.cpp can count.
    """
    have = _host_available_bytes() if available_bytes is None else available_bytes
    need = _needed(estimate(model, settings, n_ctx), weights_loaded)
    if need > have:
        what = f"{model.name} with n_ctx={n_ctx:,}"
        raise OutOfMemory(what, need, have, _remedy(model, settings, n_ctx, have, weights_loaded))
    if n_ctx > MAX_CONTEXT:
        raise InvalidSettings(f"n_ctx is {n_ctx:,}; llama.cpp counts to {MAX_CONTEXT:,}. Lower it.")


def largest_context(
    model: ModelFile, settings: EngineSettings, available_bytes: int, *, weights_loaded: bool = False
) -> int | None:
    """The largest context, a multiple of 256 tokens, that fits into ``available_bytes``; ``None``: not even 256."""

    def fits(steps: int) -> bool:
        return _needed(estimate(model, settings, steps * CONTEXT_STEP), weights_loaded) <= available_bytes

    low, high = 0, MAX_CONTEXT // CONTEXT_STEP
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle) else (low, middle - 1)
    return low * CONTEXT_STEP or None


def padded_context(n_ctx: int, settings: EngineSettings) -> int:
    """Tokens llama.cpp makes of ``n_ctx``: a multiple of 256, per sequence unless they share one buffer."""
    cells, streams = _cells(n_ctx, settings)
    return cells * streams


def _cells(n_ctx: int, settings: EngineSettings) -> tuple[int, int]:
    """KV cells of one stream, and streams."""
    total = _pad(n_ctx)
    if settings.unified:
        return total, 1
    return max(_pad(total // settings.n_seq_max), CONTEXT_STEP), settings.n_seq_max


def _kv_bytes(model: ModelFile, settings: EngineSettings, n_ctx: int) -> int:
    cells, streams = _cells(n_ctx, settings)
    sliding_cells = _sliding_cells(model, settings, n_ctx, cells)
    total = 0
    for (layer, v_width), count in _distinct_layers(model, settings):
        row = _row_bytes(layer.k_width, settings.type_k) + _row_bytes(v_width, settings.type_v)
        total += count * row * (sliding_cells if layer.sliding else cells)
    return total * streams


def _distinct_layers(model: ModelFile, settings: EngineSettings) -> Iterator[tuple[tuple[LayerKV, int], int]]:
    """Layers that keep the same, their V width, and how many they are.

    Without flash attention V is stored transposed, and padded to the widest layer.
    """
    widest = max((layer.v_width for layer in model.layers), default=0)
    for layer, count in Counter(model.layers).items():
        padded = settings.flash_attn is False and layer.v_width > 0
        yield (layer, widest if padded else layer.v_width), count


def _sliding_cells(model: ModelFile, settings: EngineSettings, n_ctx: int, cells: int) -> int:
    if settings.swa_full or model.sliding_window is None:
        return cells
    sharing = settings.n_seq_max if settings.unified else 1
    return min(cells, _pad(model.sliding_window * sharing + _n_ubatch(settings, n_ctx)))


def _compute_bytes(model: ModelFile, settings: EngineSettings, n_ctx: int) -> int:
    """The larger of the graph's two peaks, and the activations around it.

    One peak is the logits of a whole micro-batch. The other is a block: the attention mask together with the
    feed-forward layer, or without flash attention the scores of every head; with it, an f32 cache is copied to f16.
    Compared with what llama.cpp 0c1e570's CPU build reports for SmolLM2, Gemma 3 and 12 random shapes, n_ubatch 64 to
    2,048 and n_ctx to 8,192: never below. Mixtures of experts may need more.
    """
    n_ubatch = _n_ubatch(settings, n_ctx)
    cells, _streams = _cells(n_ctx, settings)
    if settings.flash_attn is False:
        mask, scores, copied = _FLOAT_BYTES * cells, _FLOAT_BYTES * cells * max(model.n_head), 0
    else:
        mask, scores, copied = _HALF_BYTES * cells, 0, _copied_kv_bytes(model, settings, cells)
    block = mask + max(scores, _FEED_FORWARD_ROWS * _FLOAT_BYTES * _widest_feed_forward(model))
    peak = max(_FLOAT_BYTES * model.n_vocab, block)
    activations = _ACTIVATION_ROWS * _FLOAT_BYTES * model.n_embd
    return n_ubatch * (peak + activations) + copied + _COMPUTE_OVERHEAD_BYTES


def _copied_kv_bytes(model: ModelFile, settings: EngineSettings, cells: int) -> int:
    """Half-precision copies of one layer's f32 K and V, which the flash attention kernels want."""
    k = max((layer.k_width for layer in model.layers), default=0) if settings.type_k == "f32" else 0
    v = max((layer.v_width for layer in model.layers), default=0) if settings.type_v == "f32" else 0
    return _HALF_BYTES * cells * (k + v)


def _widest_feed_forward(model: ModelFile) -> int:
    """The widest feed-forward layer, by its tensors: metadata state it in several ways."""
    return max((max(tensor.shape) for tensor in model.tensors if ".ffn_" in tensor.name), default=0)


def _n_ubatch(settings: EngineSettings, n_ctx: int) -> int:
    n_batch = min(settings.n_batch, n_ctx)
    return min(settings.n_ubatch or _DEFAULT_UBATCH, n_batch)


def _row_bytes(width: int, type_name: str) -> int:
    """Bytes of one token's K or V in one layer."""
    block, block_bytes = GGML_QUANT_SIZES[GGMLQuantizationType[type_name.upper()]]
    return int(-(-width // block) * block_bytes)


def _pad(tokens: int) -> int:
    return -(-tokens // CONTEXT_STEP) * CONTEXT_STEP


def _needed(estimated: MemoryEstimate, weights_loaded: bool) -> int:
    return estimated.context_bytes if weights_loaded else estimated.total_bytes


def _remedy(model: ModelFile, settings: EngineSettings, n_ctx: int, have: int, weights_loaded: bool) -> str:
    largest = largest_context(model, settings, have, weights_loaded=weights_loaded)
    if largest is None:
        return "Not even a context of 256 fits: free some memory, lower n_batch, or take a smaller quantisation."
    trained = f" (the model was trained for {model.n_ctx_train:,})" if n_ctx > model.n_ctx_train else ""
    return f"The largest n_ctx that fits is {largest:,}{trained}; quantised type_k and type_v make room for more."


def _host_available_bytes() -> int:
    from workbench.hardware import ram

    return ram().available_bytes

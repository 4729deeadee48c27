"""Bytes of a KV cache, exactly as llama.cpp sizes it.

Read from llama.cpp 0c1e570: ``llama_context``, ``llama_kv_cache`` and ``llama_kv_cache_iswa``. Recurrent states of
hybrid models are not counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from gguf import GGML_QUANT_SIZES, GGMLQuantizationType

from workbench.models.attention import LayerKV
from workbench.models.gguf_file import ModelFile
from workbench.settings import UNQUANTISED_KV_TYPES, EngineSettings

CONTEXT_STEP = 256
"""llama.cpp pads every context to a multiple of this."""

_DEFAULT_UBATCH = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Cells:
    """How a KV cache is laid out.

    Attributes:
        n: cells of one stream.
        sliding: the same for layers that look back over a window only.
        streams: buffers, one for all sequences or one each.
    """

    n: int
    sliding: int
    streams: int

    @property
    def n_ctx(self) -> int:
        """The context llama.cpp makes, in tokens."""
        return self.n * self.streams


def kv_cells(model: ModelFile, settings: EngineSettings, n_ctx: int, n_ids: int) -> Cells:
    """Cells for a context of ``n_ctx`` tokens and ``n_ids`` sequence ids."""
    total = pad(n_ctx)
    streams = 1 if settings.unified else n_ids
    n = total if settings.unified else max(pad(total // n_ids), CONTEXT_STEP)
    if settings.swa_full or model.sliding_window is None:
        return Cells(n=n, sliding=n, streams=streams)
    sharing = n_ids if settings.unified else 1
    window = pad(min(n, model.sliding_window * sharing + micro_batch(settings, n_ctx)))
    return Cells(n=n, sliding=window, streams=streams)


def kv_bytes(model: ModelFile, settings: EngineSettings, cells: Cells) -> int:
    """Bytes of all layers' K and V."""
    return sum(count * bytes_ for bytes_, count in _by_layer(model, settings, cells))


def layer_kv_bytes(model: ModelFile, settings: EngineSettings, cells: Cells) -> tuple[int, ...]:
    """(n_layer,) bytes each layer keeps."""
    widest = widest_v(model)
    return tuple(_layer_bytes(layer, widest, settings, cells) for layer in model.layers)


def flash_attention(settings: EngineSettings) -> bool:
    """Whether attention is fused: left open, it is on a GPU, and where a quantised V cache needs it."""
    if settings.flash_attn is not None:
        return settings.flash_attn
    return bool(settings.n_gpu_layers) or settings.type_v not in UNQUANTISED_KV_TYPES


def micro_batch(settings: EngineSettings, n_ctx: int) -> int:
    """Tokens computed at once."""
    return min(settings.n_ubatch or _DEFAULT_UBATCH, settings.n_batch, n_ctx)


def widest_v(model: ModelFile) -> int:
    """Elements of the widest V row: transposed V is padded to it."""
    return max((layer.v_width for layer in model.layers), default=0)


def pad(tokens: int) -> int:
    """Up to the next multiple of :data:`CONTEXT_STEP`."""
    return -(-tokens // CONTEXT_STEP) * CONTEXT_STEP


def _by_layer(model: ModelFile, settings: EngineSettings, cells: Cells) -> Iterator[tuple[int, int]]:
    widest = widest_v(model)
    for layer, count in Counter(model.layers).items():
        yield _layer_bytes(layer, widest, settings, cells), count


def _layer_bytes(layer: LayerKV, widest: int, settings: EngineSettings, cells: Cells) -> int:
    padded = layer.v_width > 0 and not flash_attention(settings)
    row = _row_bytes(layer.k_width, settings.type_k) + _row_bytes(widest if padded else layer.v_width, settings.type_v)
    return row * (cells.sliding if layer.sliding else cells.n) * cells.streams


def _row_bytes(width: int, type_name: str) -> int:
    """Bytes of one token's K or V in one layer."""
    block, block_bytes = GGML_QUANT_SIZES[GGMLQuantizationType[type_name.upper()]]
    return int(-(-width // block) * block_bytes)

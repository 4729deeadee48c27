"""What each layer keeps in the KV cache, as llama.cpp derives it from a GGUF's metadata.

Read from llama.cpp 0c1e570: `llama_hparams`, `load_swa_pattern` and `src/models/*.cpp`. An architecture that is not in
the tables here is taken to keep every layer whole, which overestimates, never underestimates.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gguf import Keys

SLIDING_PATTERNS: Mapping[str, tuple[int, bool]] = {
    "cohere2": (4, False),
    "exaone-moe": (4, False),
    "exaone4": (4, False),
    "gemma-embedding": (6, False),
    "gemma2": (2, False),
    "gemma3": (6, False),
    "gemma3n": (5, False),
    "gpt-oss": (2, False),
    "llama4": (4, False),
    "modern-bert": (3, True),
    "olmo2": (4, False),
    "plamo3": (8, False),
    "smallthinker": (4, True),
}
"""Architecture → (period, whether the whole-context layer comes first in it): every other layer of a period slides."""

KV_FROM_START = {"gemma3n": 20}
"""Architectures whose later layers reuse the KV of earlier ones → the number of layers that have their own."""

RECURRENT_INTERVALS = {"qwen3next": 4, "qwen35": 4, "qwen35moe": 4}
"""Hybrids in which only every n-th layer attends, unless the file says another n."""

_PATTERN_BY_LAYER = "{arch}.attention.sliding_window_pattern"
_SHARED_KV_LAYERS = "{arch}.attention.shared_kv_layers"
_FULL_ATTENTION_INTERVAL = "{arch}.full_attention_interval"


@dataclass(frozen=True, slots=True)
class LayerKV:
    """What one layer keeps for one token.

    Attributes:
        k_width: elements of K, ``n_head_kv × head_dim_k``; 0: the layer keeps none.
        v_width: elements of V; 0 with multi-head latent attention, where V is part of K.
        sliding: it looks back over the sliding window only.
    """

    k_width: int
    v_width: int
    sliding: bool


def layer_kv(
    metadata: Mapping[str, Any], architecture: str, n_head_kv: tuple[int, ...], head_dim_k: int, head_dim_v: int
) -> tuple[LayerKV, ...]:
    """What each layer keeps.

    Args:
        metadata: of the GGUF.
        architecture: ``general.architecture``.
        n_head_kv: (n_layer,) KV heads.
        head_dim_k: of a whole-context layer.
        head_dim_v: of a whole-context layer.
    """
    n_layer = len(n_head_kv)
    sliding = _sliding(metadata, architecture, n_layer)
    k_swa = _number(metadata, Keys.Attention.KEY_LENGTH_SWA.format(arch=architecture), head_dim_k)
    v_swa = _number(metadata, Keys.Attention.VALUE_LENGTH_SWA.format(arch=architecture), head_dim_v)
    latent = Keys.Attention.KEY_LENGTH_MLA.format(arch=architecture) in metadata
    layers = []
    for layer, heads in enumerate(n_head_kv):
        own = heads if _has_own_kv(metadata, architecture, layer, n_layer) else 0
        k, v = (k_swa, v_swa) if sliding[layer] else (head_dim_k, head_dim_v)
        layers.append(LayerKV(own * k, 0 if latent else own * v, sliding[layer]))
    return tuple(layers)


def _sliding(metadata: Mapping[str, Any], architecture: str, n_layer: int) -> tuple[bool, ...]:
    if not _number(metadata, Keys.Attention.SLIDING_WINDOW.format(arch=architecture), 0):
        return (False,) * n_layer
    stated = metadata.get(_PATTERN_BY_LAYER.format(arch=architecture))
    if isinstance(stated, tuple) and len(stated) >= n_layer:
        return tuple(bool(flag) for flag in stated[:n_layer])
    if architecture not in SLIDING_PATTERNS:
        return (False,) * n_layer
    period, whole_first = SLIDING_PATTERNS[architecture]
    if isinstance(stated, int):
        period = stated
    whole = 0 if whole_first else period - 1
    return tuple(period == 0 or layer % period != whole for layer in range(n_layer))


def _has_own_kv(metadata: Mapping[str, Any], architecture: str, layer: int, n_layer: int) -> bool:
    interval = RECURRENT_INTERVALS.get(architecture)
    if interval is not None:
        interval = _number(metadata, _FULL_ATTENTION_INTERVAL.format(arch=architecture), interval)
        return interval < 1 or layer % interval == interval - 1
    shared = _number(metadata, _SHARED_KV_LAYERS.format(arch=architecture), 0)
    return layer < KV_FROM_START.get(architecture, n_layer - shared)


def _number(metadata: Mapping[str, Any], key: str, default: int) -> int:
    value = metadata.get(key, default)
    return value if isinstance(value, int) else default

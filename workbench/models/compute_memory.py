"""Bytes of llama.cpp's compute and output buffers for a model under given settings, from its header alone.

The graph is laid out and allocated as llama.cpp does it (:mod:`workbench.models.graphs`): for architectures in
``graphs.EXACT`` the result is what llama.cpp reports. Others are laid out like a Llama of the same widths, with
:data:`MARGIN` on top.
"""

from __future__ import annotations

import functools
from typing import Any

from workbench.models.gguf_file import ModelFile
from workbench.models.graphs import EXACT, GraphShape, LayerShape, compute_bytes
from workbench.models.kv_memory import Cells, flash_attention, micro_batch, widest_v
from workbench.settings import UNQUANTISED_KV_TYPES, EngineSettings

MARGIN = 1.15
"""On the compute buffer of an architecture whose graph is only approximated: mixtures of experts, hybrids, others."""

_FEW, _SOME = 3, 8
_SCORE_BYTES = 32 * 2**20
_BIASED = {"attn_q": "q", "attn_k": "k", "attn_v": "v", "attn_output": "o", "ffn_up": "up", "ffn_down": "down"}
_SMALLEST_ROTATION = 64


def output_rows(n_vocab: int, settings: EngineSettings, n_ctx: int, n_ids: int) -> int:
    """Rows of logits that a context may ask for at once: its ``n_outputs_max``.

    One for each sequence and its draft, and as many as scoring takes with 32 MiB. The default of llama.cpp reserves a
    whole batch of them: 100 MB for 512 tokens of a 49k vocabulary.
    """
    drafts = settings.n_seq_max * (1 + (settings.draft_max if settings.speculation != "off" else 0))
    return max(n_ids, min(max(scored_rows(n_vocab), drafts), settings.n_batch, n_ctx))


def scored_rows(n_vocab: int) -> int:
    """Tokens that scoring computes at once: their logits take 32 MiB, whatever the vocabulary."""
    return max(16, _SCORE_BYTES // (4 * n_vocab))


def output_bytes(model: ModelFile, n_ids: int) -> int:
    """Logits of one token per sequence id; made with the context, and larger only once more rows are asked for."""
    return 4 * n_ids * model.n_vocab


@functools.lru_cache(maxsize=32)
def is_exact(model: ModelFile) -> bool:
    """Whether this model's graph is known node by node."""
    names = {tensor.name.split(".", 2)[-1] for tensor in model.tensors}
    return model.architecture in EXACT and not names & {"ffn_gate_inp.weight", "attn_qkv.weight"}


def compute_buffer_bytes(
    model: ModelFile, settings: EngineSettings, cells: Cells, n_ctx: int, n_ids: int, n_outputs: int
) -> int:
    """The larger of the two graphs llama.cpp reserves: a whole micro-batch, and one token of each sequence."""
    n_tokens = min(cells.n_ctx, micro_batch(settings, n_ctx))
    whole = -(-n_tokens // n_ids) * n_ids  # llama.cpp deals the tokens out evenly
    needed = compute_bytes(_graph_shape(model, settings, cells, whole, min(n_tokens, n_outputs)))
    if n_ids > 1:  # its blocks may fit less well than those of the larger graph
        needed = max(needed, compute_bytes(_graph_shape(model, settings, cells, n_ids, n_ids)))
    return needed if is_exact(model) else int(MARGIN * needed)


def _graph_shape(model: ModelFile, settings: EngineSettings, cells: Cells, n_tokens: int, n_outputs: int) -> GraphShape:
    traits = _traits(model)
    return GraphShape(
        **traits,
        n_tokens=n_tokens,
        n_outputs=n_outputs,
        cells=cells.n,
        sliding_cells=cells.sliding if any(layer.sliding for layer in traits["layers"]) else None,
        streams=cells.streams,
        flash_attn=flash_attention(settings),
        wide_k=settings.type_k == "f32",
        wide_v=settings.type_v == "f32",
        rotated_k=_rotation(model.head_dim_k, settings.type_k, widest=True),
        rotated_v=_rotation(model.head_dim_v, settings.type_v, widest=False),
    )


@functools.lru_cache(maxsize=32)
def _traits(model: ModelFile) -> dict[str, Any]:
    """What of a graph's shape the model alone decides."""
    names = {tensor.name for tensor in model.tensors}
    return {
        "layers": _layers(model),
        "n_embd": model.n_embd,
        "n_vocab": model.n_vocab,
        "head_norm": "blk.0.attn_q_norm.weight" in names,
        "post_norm": "blk.0.post_ffw_norm.weight" in names,
        "scaled": model.architecture.startswith("gemma"),
        "soft_cap": f"{model.architecture}.final_logit_softcapping" in model.metadata,
        "biases": frozenset(short for long, short in _BIASED.items() if f"blk.0.{long}.bias" in names),
        "v_width_most": widest_v(model),
    }


def _layers(model: ModelFile) -> tuple[LayerShape, ...]:
    """The first and the last few stand for all: what repeats in between reaches no higher peak."""
    widths = _feed_forward_widths(model)
    shapes = [
        LayerShape(
            n_head=max(1, model.n_head[number]),
            n_head_kv=max(1, model.n_head_kv[number]),
            head_dim_k=model.layers[number].k_width // max(1, model.n_head_kv[number]) or model.head_dim_k,
            head_dim_v=model.layers[number].v_width // max(1, model.n_head_kv[number]) or model.head_dim_v,
            n_ff=widths[number],
            sliding=model.layers[number].sliding,
        )
        for number in range(len(model.layers))
    ]
    for count in (_FEW, _SOME):
        short = shapes[:count] + shapes[count:][-1:]
        if set(short) == set(shapes):
            return tuple(short)
    return tuple(shapes)


def _feed_forward_widths(model: ModelFile) -> list[int]:
    """(n_layer,) widths by the tensors, for metadata state them in several ways; of all experts used at once."""
    widths = [0] * model.n_layer
    used = model.metadata.get(f"{model.architecture}.expert_used_count", 1)
    for tensor in model.tensors:
        if ".ffn_up" in tensor.name and tensor.name.startswith("blk.") and len(tensor.shape) > 1:
            number, experts = int(tensor.name.split(".")[1]), used if len(tensor.shape) > 2 else 1
            widths[number] = max(widths[number], tensor.shape[1] * int(experts))
    return widths


def _rotation(head_dim: int, type_name: str, *, widest: bool) -> int:
    """Width of the Hadamard matrix a quantised cache is rotated by (`llama_kv_cache::build_input_k_rot`); 0: none."""
    if type_name in UNQUANTISED_KV_TYPES or head_dim < 1 or head_dim % _SMALLEST_ROTATION:
        return 0
    width = _SMALLEST_ROTATION
    while widest and head_dim % (2 * width) == 0:
        width *= 2
    return width

"""How much memory a model takes under given settings, before anything is allocated.

Weights, KV cache and output buffer are exact to the byte; so is the compute buffer for the architectures of
``workbench.models.graphs.EXACT``, whose graph is laid out and allocated as llama.cpp does it (a test compares with what
llama.cpp reports). Others get a margin. What a CPU kernel borrows while it runs is not in llama.cpp's buffers and not
here. Knows no GPU: pass ``available_bytes`` when memory other than this host's counts.
"""

from __future__ import annotations

from dataclasses import dataclass

from workbench.errors import InvalidSettings, OutOfMemory
from workbench.models.compute_memory import compute_buffer_bytes, is_exact, output_bytes, output_rows
from workbench.models.gguf_file import ModelFile
from workbench.models.kv_memory import CONTEXT_STEP, kv_bytes, kv_cells
from workbench.models.weight_memory import weight_memory
from workbench.settings import EngineSettings

MAX_CONTEXT = 2**31 - CONTEXT_STEP
"""Positions are int32 (``llama_pos``)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryEstimate:
    """Bytes a model takes.

    Attributes:
        n_ctx: the context llama.cpp would really make, in tokens.
        weights_bytes: all tensors, and a second copy where llama.cpp makes one; they have to be in memory to be fast.
        repacked_bytes: the part of the weights that is copied into another layout for this CPU.
        mapped_bytes: of the file that are mapped rather than read; the kernel may drop and read them again.
        kv_bytes: KV cache of all layers.
        output_bytes: logits of one token per sequence id, ``n_ids × n_vocab × 4``.
        compute_bytes: llama.cpp's scratch buffer.
        exact: the compute buffer is computed node by node, not approximated.
    """

    n_ctx: int
    weights_bytes: int
    repacked_bytes: int
    mapped_bytes: int
    kv_bytes: int
    output_bytes: int
    compute_bytes: int
    exact: bool

    @property
    def context_bytes(self) -> int:
        """What the context adds to the weights."""
        return self.kv_bytes + self.output_bytes + self.compute_bytes

    @property
    def total_bytes(self) -> int:
        """Everything together."""
        return self.weights_bytes + self.context_bytes


def estimate(
    model: ModelFile,
    settings: EngineSettings,
    n_ctx: int,
    *,
    n_ids: int | None = None,
    n_outputs: int | None = None,
) -> MemoryEstimate:
    """What ``model`` takes with a context of ``n_ctx`` tokens, all sequences together.

    Args:
        model: what is to be loaded.
        settings: how. Flash attention left open is what the engine makes of it without a GPU.
        n_ctx: context in tokens.
        n_ids: sequence ids of the context (its ``n_seq_max``); ``None``: ``settings.n_seq_max``. Each costs a row of
            logits, twice.
        n_outputs: rows of logits that may be asked for at once; ``None``: as the engine asks.

    Raises:
        InvalidSettings: ``n_ctx`` is below 1.
    """
    if n_ctx < 1:
        raise InvalidSettings(f"n_ctx must be at least 1, not {n_ctx}.")
    ids = n_ids or settings.n_seq_max
    cells = kv_cells(model, settings, n_ctx, ids)
    weights = weight_memory(model, use_mmap=settings.use_mmap, repack=settings.repack)
    rows = n_outputs or output_rows(model.n_vocab, settings, n_ctx, ids)
    return MemoryEstimate(
        n_ctx=cells.n_ctx,
        weights_bytes=weights.resident_bytes,
        repacked_bytes=weights.repacked_bytes,
        mapped_bytes=weights.mapped_bytes,
        kv_bytes=kv_bytes(model, settings, cells),
        output_bytes=output_bytes(model, ids),
        compute_bytes=compute_buffer_bytes(model, settings, cells, n_ctx, ids, rows),
        exact=is_exact(model),
    )


def check_fits(
    model: ModelFile,
    settings: EngineSettings,
    n_ctx: int,
    *,
    available_bytes: int | None = None,
    weights_loaded: bool = False,
    n_ids: int | None = None,
) -> None:
    """Refuse what this machine cannot hold, by arithmetic alone.

    Args:
        model: what is to be loaded.
        settings: how.
        n_ctx: context in tokens, all sequences together.
        available_bytes: memory there is; ``None``: this host's free RAM, within the limit of its container, and the
            estimate times what the ledger has learned here.
        weights_loaded: the weights are in memory already, so only the context has to fit.
        n_ids: sequence ids of the context; ``None``: ``settings.n_seq_max``.

    Raises:
        OutOfMemory: it does not fit; names need, have, and the largest context that fits.
        InvalidSettings: ``n_ctx`` is below 1 or beyond what llama.cpp can count.
    """
    estimated = estimate(model, settings, n_ctx, n_ids=n_ids)
    have = _host_available_bytes(estimated.exact) if available_bytes is None else available_bytes
    need = _needed(estimated, weights_loaded)
    if need > have:
        what = f"{model.name} with n_ctx={n_ctx:,}"
        raise OutOfMemory(what, need, have, _remedy(model, settings, n_ctx, have, weights_loaded))
    if n_ctx > MAX_CONTEXT:
        raise InvalidSettings(f"n_ctx is {n_ctx:,}; llama.cpp counts to {MAX_CONTEXT:,}. Lower it.")


def largest_context(
    model: ModelFile, settings: EngineSettings, available_bytes: int, *, weights_loaded: bool = False
) -> int | None:
    """The largest context, a multiple of 256 tokens, that fits into ``available_bytes``; ``None``: not even 256."""

    def needed(steps: int) -> int:
        return _needed(estimate(model, settings, steps * CONTEXT_STEP), weights_loaded)

    low, high, most = 0, MAX_CONTEXT // CONTEXT_STEP, MAX_CONTEXT // CONTEXT_STEP
    if needed(high) <= available_bytes:
        return high * CONTEXT_STEP
    while high - low > 1:  # nearly linear in the context, so two points say nearly where the limit is
        span = max(1, needed(high) - needed(max(low, 1)))
        guess = low + (available_bytes - needed(max(low, 1))) * (high - low) // span
        guess = min(max(guess, low + 1), high - 1)
        if needed(guess) > available_bytes:
            high = guess
            continue
        low, beyond = guess, min(guess + 1 + (high - guess) // 64, most)
        if beyond < high and needed(beyond) > available_bytes:
            high = beyond
    return low * CONTEXT_STEP or None


def _needed(estimated: MemoryEstimate, weights_loaded: bool) -> int:
    return estimated.context_bytes if weights_loaded else estimated.total_bytes


def _remedy(model: ModelFile, settings: EngineSettings, n_ctx: int, have: int, weights_loaded: bool) -> str:
    largest = largest_context(model, settings, have, weights_loaded=weights_loaded)
    if largest is None:
        return "Not even a context of 256 fits: free some memory, lower n_batch, or take a smaller quantisation."
    trained = f" (the model was trained for {model.n_ctx_train:,})" if n_ctx > model.n_ctx_train else ""
    return f"The largest n_ctx that fits is {largest:,}{trained}; quantised type_k and type_v make room for more."


def _host_available_bytes(exact: bool) -> int:
    """Free memory, less what estimates have proved to miss on this machine."""
    from workbench.hardware import ram
    from workbench.models.memory_ledger import margin

    return int(ram().available_bytes / margin(exact=exact, default=1.0))

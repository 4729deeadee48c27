"""A llama.cpp context: KV cache, compute buffers, decode. One thread owns it, from creation to free."""

from __future__ import annotations

import ctypes
import time
import warnings
from typing import Any

import numpy as np
import numpy.typing as npt

from workbench.engine.budget import default_threads, memory_for
from workbench.engine.native.batch import Batch
from workbench.engine.native.library import GGML_TYPES, library, log_tail
from workbench.engine.native.weights import Weights, quote
from workbench.errors import ModelLoadError, SettingAdjusted
from workbench.models import check_fits, estimate
from workbench.models.compute_memory import output_rows, scored_rows
from workbench.settings import UNQUANTISED_KV_TYPES, EngineSettings

_AUTO, _OFF, _ON = -1, 0, 1
"""``enum llama_flash_attn_type``."""
State = npt.NDArray[np.uint8]
"""What llama.cpp writes of a sequence, or of a whole context."""


class Context:
    """``llama_context *`` with its batch.

    Args:
        weights: the model; must outlive the context.
        settings: as asked for.
        n_ctx: tokens it must hold; llama.cpp rounds up, :attr:`n_ctx` says to what.
        n_ids: sequence ids; more than ``n_seq_max`` of them let idle sequences stay beside the running ones.

    Raises:
        OutOfMemory: refused by arithmetic, before allocating.
        ModelLoadError: llama.cpp refused; quotes what it said.
    """

    def __init__(self, weights: Weights, settings: EngineSettings, n_ctx: int, *, n_ids: int | None = None) -> None:
        self.n_ids = n_ids or settings.n_seq_max
        available = memory_for(settings)
        check_fits(weights.file, settings, n_ctx, available_bytes=available, weights_loaded=True, n_ids=self.n_ids)
        self._lib = library()
        started = time.perf_counter()
        self.score_tokens = scored_rows(weights.vocabulary.size)
        self.raw, flash_attn = self._create(weights, settings, n_ctx)
        try:
            self._read_back(weights, settings, flash_attn)
        except BaseException:
            self._lib.llama_free(self.raw)
            raise
        self.create_ms = 1e3 * (time.perf_counter() - started)

    def _read_back(self, weights: Weights, settings: EngineSettings, flash_attn: bool) -> None:
        """What llama.cpp made of the settings: it rounds."""
        self._memory = self._lib.llama_get_memory(self.raw)
        self._window = int(self._lib.llama_model_n_swa(weights.raw))
        self.can_shift = bool(self._lib.llama_memory_can_shift(self._memory))
        self.unified = settings.unified
        self.n_ctx = int(self._lib.llama_n_ctx(self.raw))
        self.n_ctx_seq = int(self._lib.llama_n_ctx_seq(self.raw))
        self.settings = settings.replace(
            n_ctx=self.n_ctx,
            n_batch=int(self._lib.llama_n_batch(self.raw)),
            n_ubatch=int(self._lib.llama_n_ubatch(self.raw)),
            n_threads=int(self._lib.llama_n_threads(self.raw)),
            n_threads_batch=int(self._lib.llama_n_threads_batch(self.raw)),
            n_gpu_layers=weights.n_gpu_layers,
            flash_attn=flash_attn,
            kv_unified=self.unified,
        )
        self.score_tokens = min(self.score_tokens, self.settings.n_batch)
        self.kv_bytes = estimate(weights.file, self.settings, self.n_ctx).kv_bytes
        self.batch = Batch(self.settings.n_batch)

    def decode(self) -> int:
        """Compute the batch; returns ``llama_decode``'s code (0: fine). Releases the GIL."""
        return int(self._lib.llama_decode(self.raw, self.batch.sealed()))

    def wait(self) -> None:
        """Return once the last decode is done; on a CPU it is."""
        self._lib.llama_synchronize(self.raw)

    def keep_prefix(self, sequence: int, tokens: int) -> bool:
        """Drop what a sequence holds beyond its first ``tokens``; False: not possible, so nothing of it is left."""
        if self._lib.llama_memory_seq_rm(self._memory, sequence, tokens, -1):
            return True
        # Recurrent and hybrid models cannot go back to a middle state.
        self._lib.llama_memory_seq_rm(self._memory, sequence, -1, -1)
        return False

    def continues_at(self, sequence: int, tokens: int) -> bool:
        """Whether token ``tokens`` can follow what the sequence holds: a sliding window may have lost its beginning."""
        first = int(self._lib.llama_memory_seq_pos_min(self._memory, sequence))
        last = int(self._lib.llama_memory_seq_pos_max(self._memory, sequence))
        # position p attends to positions above p - window
        return last == tokens - 1 and (first == 0 or (self._window > 0 and first <= tokens + 1 - self._window))

    def drop(self, sequence: int) -> None:
        """Forget a sequence."""
        self._lib.llama_memory_seq_rm(self._memory, sequence, -1, -1)

    def copy(self, source: int, target: int, tokens: int) -> bool:
        """Let ``target`` hold the first ``tokens`` tokens of ``source`` too; False: not possible, ``target`` is empty.

        In one buffer that is bookkeeping; between buffers it is a copy, which llama.cpp can only do as a whole.
        """
        self.drop(target)
        if self.unified:
            self._lib.llama_memory_seq_cp(self._memory, source, target, 0, tokens)
            return True
        if self.settings.n_gpu_layers and self.settings.offload_kqv:
            self._lib.llama_memory_seq_cp(self._memory, source, target, -1, -1)
        elif not self.restore(target, self.save(source)):  # moves the used cells only, not the whole buffer
            return False
        return self.keep_prefix(target, tokens)

    def save(self, sequence: int) -> State:
        """The KV of a sequence, to :meth:`restore` later."""
        size = self._lib.llama_state_seq_get_size_ext(self.raw, sequence, 0)
        state = np.empty(size, np.uint8)
        written = self._lib.llama_state_seq_get_data_ext(self.raw, _bytes_at(state), size, sequence, 0)
        return state[:written]

    def restore(self, sequence: int, state: State) -> bool:
        """Give a sequence what was saved; False: llama.cpp refused (no cells, or another layout): it is empty."""
        ok = bool(self._lib.llama_state_seq_set_data_ext(self.raw, _bytes_at(state), state.size, sequence, 0))
        if not ok:
            self.drop(sequence)
        return ok

    def save_all(self, buffer: State | None = None) -> State:
        """The KV of all sequences, shared cells once, for a larger context of the same layout.

        Args:
            buffer: where to, if it is large enough: fresh memory costs several times what the copy does.
        """
        size = int(self._lib.llama_state_get_size(self.raw))
        state = buffer[:size] if buffer is not None and buffer.size >= size else np.empty(size, np.uint8)
        written = self._lib.llama_state_get_data(self.raw, _bytes_at(state), state.size)
        return state[:written]

    def restore_all(self, state: State) -> bool:
        """Give all sequences what :meth:`save_all` saved; the cells are packed from the beginning."""
        return bool(self._lib.llama_state_set_data(self.raw, _bytes_at(state), state.size))

    def shift(self, sequence: int, keep: int, discard: int) -> bool:
        """Forget ``discard`` tokens after the first ``keep`` and move the rest up; False: nothing was changed."""
        if not self.can_shift or not self._lib.llama_memory_seq_rm(self._memory, sequence, keep, keep + discard):
            return False
        self._lib.llama_memory_seq_add(self._memory, sequence, keep + discard, -1, -discard)
        return True

    def clear(self) -> None:
        """Forget every sequence."""
        self._lib.llama_memory_clear(self._memory, True)

    def free(self) -> None:
        """Give the memory back. Idempotent."""
        if self.raw:
            self._lib.llama_free(self.raw)
            self.raw = None

    def _create(self, weights: Weights, settings: EngineSettings, n_ctx: int) -> tuple[Any, bool]:
        """The raw context and whether it has flash attention; without it where the model cannot."""
        raw, said = self._try(weights, settings, n_ctx)
        if not raw and settings.flash_attn and settings.type_v in UNQUANTISED_KV_TYPES:
            warnings.warn(
                f"flash_attn=True is not possible for this model; it runs with flash_attn=False. {quote(said, 1)}",
                SettingAdjusted,
                stacklevel=2,
            )
            settings = settings.replace(flash_attn=False)
            raw, said = self._try(weights, settings, n_ctx)
        if not raw:
            raise ModelLoadError(f"llama.cpp could not create a context of {n_ctx} tokens. {quote(said)}")
        switched_off = any("Flash Attention not supported" in line for line in said)
        return raw, _flash_attn_type(weights, settings) != _OFF and not switched_off

    def _try(self, weights: Weights, settings: EngineSettings, n_ctx: int) -> tuple[Any, list[str]]:
        with log_tail.capture() as said:
            raw = self._lib.llama_init_from_model(weights.raw, self._params(weights, settings, n_ctx))
        self.said = said
        return raw, said

    def _params(self, weights: Weights, settings: EngineSettings, n_ctx: int) -> Any:
        params = self._lib.llama_context_default_params()
        params.n_ctx = n_ctx
        params.n_batch = min(settings.n_batch, n_ctx)
        params.n_ubatch = min(settings.n_ubatch or 512, params.n_batch)
        params.n_seq_max = self.n_ids
        params.n_outputs_max = output_rows(weights.vocabulary.size, settings, n_ctx, self.n_ids)
        params.n_threads = settings.n_threads or default_threads()
        params.n_threads_batch = settings.n_threads_batch or params.n_threads
        params.flash_attn_type = _flash_attn_type(weights, settings)
        params.type_k, params.type_v = GGML_TYPES[settings.type_k], GGML_TYPES[settings.type_v]
        params.offload_kqv, params.kv_unified = settings.offload_kqv, settings.unified
        params.swa_full = settings.swa_full
        params.rope_freq_base = settings.rope_freq_base or 0.0
        params.rope_freq_scale = settings.rope_freq_scale or 0.0
        params.no_perf = True
        return params


def _bytes_at(state: State) -> Any:
    """The array's memory as llama.cpp wants it."""
    return ctypes.cast(state.ctypes.data, ctypes.POINTER(ctypes.c_uint8))


def _flash_attn_type(weights: Weights, settings: EngineSettings) -> int:
    """Left open, flash attention is off on the CPU: its kernel there runs one token on too few threads and sums in f16.

    Measured with SmolLM2 on 2 cores (docs/LOG.md): half the speed over 1,500 tokens, perplexity 1 % higher.
    """
    if settings.flash_attn is not None:
        return _ON if settings.flash_attn else _OFF
    if settings.type_v not in UNQUANTISED_KV_TYPES:
        return _ON
    return _AUTO if weights.n_gpu_layers else _OFF

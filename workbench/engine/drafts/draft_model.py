"""Guesses of what a model will say next, made by a smaller model with the same vocabulary.

Speculative decoding after Leviathan et al. 2023 (arXiv 2211.17192), the drafts greedy and cut where the small model is
no longer sure, as llama.cpp's ``p_min`` does. All sequences draft together, one decode of the small model a guess.
Knows the small model only: whether a draft pays is the gate's to say, whether it is right the large model's.
"""

from __future__ import annotations

import ctypes
import time
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from workbench.engine.native.context import Context
from workbench.engine.native.library import library
from workbench.engine.native.logits import logits_view
from workbench.engine.native.vocabulary import Vocabulary
from workbench.engine.native.weights import Weights
from workbench.errors import DecodeError, InvalidSettings, OutOfMemory
from workbench.settings import EngineSettings

MIN_PROBABILITY = 0.75
"""llama.cpp's default for ``--draft-p-min`` when this was read (`common/common.h`)."""

_PADDING = 128
"""Tokens two vocabularies may differ by: sizes are padded (SPEC_VOCAB_MAX_SIZE_DIFFERENCE in llama.cpp)."""

_SAMPLE = 1024
"""Tokens whose texts are compared."""

_FEW = 12
"""Tokens a request has usually said since its last draft; reading more is catching up, not guessing."""

_WINDOW = 31
"""Times of guesses that count."""


def check_same_vocabulary(target: Vocabulary, draft: Vocabulary) -> None:
    """Refuse a draft model whose tokens mean something else.

    Sizes, the beginning of the text and the spelling of a thousand tokens across the vocabulary are compared.

    Raises:
        InvalidSettings: names the first difference.
    """
    remedy = "Choose a draft model of the same family."
    if abs(target.size - draft.size) > _PADDING:
        raise InvalidSettings(
            f"The draft model has {draft.size:,} tokens, the model {target.size:,}: they do not speak alike. {remedy}"
        )
    if (target.adds_bos, target.bos) != (draft.adds_bos, draft.bos):
        raise InvalidSettings(f"The draft model begins a text with another token than the model. {remedy}")
    shared = min(target.size, draft.size)
    for token in sorted({*range(0, shared, max(1, shared // _SAMPLE)), shared - 1}):
        ours, theirs = target.text_of(token), draft.text_of(token)
        if ours != theirs:
            raise InvalidSettings(f"Token {token} is {ours!r} to the model and {theirs!r} to the draft model. {remedy}")


class ModelDrafter:
    """Drafts for one request. Implements :class:`workbench.engine.drafts.drafting.Drafter`; made by :class:`DraftPool`.

    Attributes:
        slot: what its engine calls the request's place.
        sequence: its sequence id in the pool's context.
        history: what is certain.
        cells: tokens whose KV the pool's context holds; guesses that were wrong are found out at the next draft.
        agreed: leading tokens that ``cells`` and ``history`` are known to share.
        idle: nobody drafts here any more; the cells stay until their room is needed.
    """

    def __init__(self, pool: DraftPool, slot: int, sequence: int, cells: list[int]) -> None:
        self._pool, self.slot, self.sequence, self.cells = pool, slot, sequence, cells
        self.history: list[int] = []
        self.agreed = 0
        self.idle = False

    @property
    def match_length(self) -> int:
        """A model's guess rests on all it has been told."""
        return len(self.history)

    def extend(self, tokens: Sequence[int]) -> None:
        """Take tokens that are certain now; they are computed with the next draft."""
        self.history.extend(tokens)

    def draft(self, most: int) -> list[int]:
        """Guesses for this request alone; several at once are cheaper through :meth:`DraftPool.draft`."""
        return self._pool.draft({self.slot: most})[self.slot]

    def free(self) -> None:
        """Draft no more. The KV stays for a request that goes on from here."""
        self.idle = True

    def settle(self) -> None:
        """Count how far ``cells`` and ``history`` agree. The last certain token is always left to compute."""
        limit = min(len(self.cells), len(self.history) - 1)
        while self.agreed < limit and self.cells[self.agreed] == self.history[self.agreed]:
            self.agreed += 1

    def forget(self) -> None:
        """Nothing of it is in the context any more."""
        self.cells, self.agreed = [], 0


class DraftPool:
    """The draft model's context, one sequence a slot. Engine thread only.

    Args:
        weights: the draft model; must outlive the pool.
        target: vocabulary of the model that decides.
        settings: of the engine; batch, threads, devices and ``n_seq_max``, the requests that draft at the same time.
        n_ctx: tokens it can hold at first, all sequences together; it grows with the need as far as there is memory.
        min_probability: a guess the draft model gives less than this is not made, and the draft ends before it.

    Raises:
        InvalidSettings: the vocabularies differ, or ``min_probability`` is no probability.
        OutOfMemory: the draft model's context does not fit.
    """

    def __init__(
        self,
        weights: Weights,
        target: Vocabulary,
        settings: EngineSettings,
        n_ctx: int,
        *,
        min_probability: float = MIN_PROBABILITY,
    ) -> None:
        if not 0.0 <= min_probability <= 1.0:
            raise InvalidSettings(f"min_probability must lie between 0 and 1, not {min_probability!r}.")
        check_same_vocabulary(target, weights.vocabulary)
        self.weights, self.min_probability = weights, min_probability
        self._lib = library()
        self._n_target = target.size
        self._row: Any = ctypes.c_float * weights.vocabulary.size
        self._drafters: dict[int, ModelDrafter] = {}
        self._guess_times: deque[float] = deque(maxlen=_WINDOW)
        self._may_grow = True
        # One buffer for all: a slot that does not draft leaves its room to the others.
        self._settings = settings.replace(speculation="off", draft_model=None, kv_unified=True, n_ctx=None)
        self._context = Context(weights, self._settings, n_ctx)

    @property
    def n_ctx(self) -> int:
        """Tokens the context holds."""
        return self._context.n_ctx

    @property
    def guess_s(self) -> float:
        """Seconds one guess takes, the median of the last; 0 before the first. Reading a prompt is no part of it."""
        times = sorted(self._guess_times)
        return times[(len(times) - 1) // 2] if times else 0.0

    def drafter_for(self, slot: int) -> ModelDrafter:
        """A drafter for a new request in ``slot``; what the slot held before is reused as far as the text agrees.

        Raises:
            InvalidSettings: ``n_seq_max`` requests are drafting already.
        """
        before = self._drafters.pop(slot, None)
        sequence = self._free_sequence() if before is None else before.sequence
        drafter = ModelDrafter(self, slot, sequence, before.cells if before else [])
        self._drafters[slot] = drafter
        return drafter

    def draft(self, wanted: Mapping[int, int]) -> dict[int, list[int]]:
        """Guesses for several slots at once.

        At most ``n_batch`` tokens of catching up are computed in a call; a slot that is still behind after them gets no
        guesses this time.

        Args:
            wanted: slot → most guesses.

        Returns:
            slot → guesses, for every slot asked.

        Raises:
            DecodeError: llama.cpp failed; the pool has forgotten its KV and can go on.
        """
        drafts: dict[int, list[int]] = {slot: [] for slot in wanted}
        self._see_to_room(wanted)
        ready = self._catch_up({slot: most for slot, most in wanted.items() if most > 0})
        while ready:
            ready = self._guess(ready, wanted, drafts)
        return drafts

    def free(self) -> None:
        """Give the context back. Idempotent."""
        self._context.free()
        self._drafters = {}

    # -- room ----------------------------------------------------------------------------------------------------

    def _free_sequence(self) -> int:
        """A sequence id nobody has; else that of the request that ended first."""
        taken = {drafter.sequence for drafter in self._drafters.values()}
        for sequence in range(self._settings.n_seq_max):
            if sequence not in taken:
                return sequence
        for slot, drafter in self._drafters.items():
            if drafter.idle:
                self._context.drop(drafter.sequence)
                del self._drafters[slot]
                return drafter.sequence
        raise InvalidSettings(f"{len(taken)} requests draft at once already. Raise n_seq_max.")

    def _see_to_room(self, wanted: Mapping[int, int]) -> None:
        """Grow if the requests that draft need it; what the context held is computed again as it is needed."""
        busy = [drafter for drafter in self._drafters.values() if not drafter.idle]
        need = sum(len(drafter.history) + wanted.get(drafter.slot, 0) for drafter in busy)
        if need <= self._context.n_ctx or not self._may_grow:
            return
        try:
            larger = Context(self.weights, self._settings, 1 << need.bit_length())
        except OutOfMemory:
            self._may_grow = False  # who does not fit goes without drafts
            return
        self._context.free()
        self._context = larger
        for drafter in self._drafters.values():
            drafter.forget()

    # -- catching up ---------------------------------------------------------------------------------------------

    def _catch_up(self, wanted: Mapping[int, int]) -> dict[int, int]:
        """Compute what is certain and unseen, least first; returns slot → batch index for those with logits now."""
        batch = self._context.batch
        batch.clear()
        ready: dict[int, int] = {}
        drafters = [self._drafters[slot] for slot in wanted]
        for drafter in drafters:
            self._rewind(drafter)
        for drafter in sorted(drafters, key=lambda d: len(d.history) - d.agreed):
            if batch.room and self._fits(drafter, wanted):
                last = self._feed(drafter, batch.room)
                if last is not None:
                    ready[drafter.slot] = last
        self._decode(len(ready) if batch.size <= _FEW * max(1, len(ready)) else 0)
        return ready

    def _rewind(self, drafter: ModelDrafter) -> None:
        """Drop cells that turned out wrong."""
        drafter.settle()
        if len(drafter.cells) > drafter.agreed:
            if not self._context.keep_prefix(drafter.sequence, drafter.agreed):
                drafter.agreed = 0  # recurrent models cannot go back
            del drafter.cells[drafter.agreed :]

    def _fits(self, drafter: ModelDrafter, wanted: Mapping[int, int]) -> bool:
        """Whether there are cells, once idle slots have given theirs, for all this one may need."""
        need = len(drafter.history) + wanted[drafter.slot]
        if not drafter.history or need > self.weights.n_ctx_train:
            return False
        others = [other for other in self._drafters.values() if other is not drafter]
        # Guesses of the others lie on top of what they have read.
        used = sum(len(other.cells) + wanted.get(other.slot, 0) for other in others)
        for other in others:
            if used + need <= self._context.n_ctx:
                return True
            if other.idle and other.cells:
                used -= len(other.cells)
                self._context.drop(other.sequence)
                other.forget()
        return used + need <= self._context.n_ctx

    def _feed(self, drafter: ModelDrafter, room: int) -> int | None:
        """Put unseen tokens into the batch; the index of the last certain one, if it is among them."""
        begin = drafter.agreed
        piece = drafter.history[begin : begin + room]
        complete = begin + len(piece) == len(drafter.history)
        last = self._context.batch.add_run(piece, begin, drafter.sequence, logits="last" if complete else "none")
        drafter.cells.extend(piece)
        return last if complete else None

    # -- guessing ------------------------------------------------------------------------------------------------

    def _guess(
        self, ready: Mapping[int, int], wanted: Mapping[int, int], drafts: dict[int, list[int]]
    ) -> dict[int, int]:
        """One more guess for every slot that is sure of it; returns slot → batch index for those that go on."""
        batch = self._context.batch
        batch.clear()
        going: dict[int, int] = {}
        for slot, index in ready.items():
            token = self._likeliest(index)
            if token is None:
                continue
            drafts[slot].append(token)
            if len(drafts[slot]) < wanted[slot]:
                drafter = self._drafters[slot]
                going[slot] = batch.add_token(token, len(drafter.cells), drafter.sequence)
                drafter.cells.append(token)
        self._decode(len(going))
        return going

    def _likeliest(self, index: int) -> int | None:
        """The draft model's next token; ``None``: it is not sure, or it would end the text."""
        logits = logits_view(self._lib.llama_get_logits_ith(self._context.raw, index), self._row)
        token = int(logits.argmax())
        if token >= self._n_target or self.weights.vocabulary.ends_generation(token):
            return None
        probability = 1.0 / float(np.exp(logits - logits[token]).sum())
        return token if probability >= self.min_probability else None

    def _decode(self, guesses: int) -> None:
        """Compute the batch; ``guesses``: how many it is for, 0 where its time says nothing about one."""
        if not self._context.batch.size:
            return
        started = time.perf_counter()
        code = self._context.decode()
        self._lib.llama_synchronize(self._context.raw)  # on a GPU a decode returns before it is done
        if guesses:
            self._guess_times.append((time.perf_counter() - started) / guesses)
        if code:
            self._context.clear()
            for drafter in self._drafters.values():
                drafter.forget()
            raise DecodeError(code, "The draft model failed; what it held is forgotten.")

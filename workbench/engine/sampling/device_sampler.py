"""Drawing where the logits are: llama.cpp's samplers as part of the graph, on the device of the output layer.

Then one token a sequence comes to the host instead of a row of logits (``llama_set_sampler`` in `include/llama.h`). It
works on the CPU as well, where nothing is gained. Knows no scheduler: whoever owns the context attaches and frees.
"""

from __future__ import annotations

from typing import Any

from workbench.engine.native.vocabulary import Vocabulary
from workbench.engine.sampling.grammar import Constraint
from workbench.engine.sampling.sampler import Sampler
from workbench.interfaces import Sampling

_NO_TOKEN = -1
"""LLAMA_TOKEN_NULL."""


def can_offload(sampling: Sampling, constraint: Constraint | None = None) -> bool:
    """Whether every sampler asked for has a form for the device: a grammar, DRY, XTC, typical, top-n-sigma have none.

    llama.cpp would take the links before the first that has none and draw on the host; but then the logits come to the
    host after all, and nothing is gained.
    """
    host_only = sampling.dry_multiplier or sampling.xtc_probability or sampling.typical_p < 1
    return constraint is None and not host_only and sampling.top_n_sigma <= 0


class DeviceSampler(Sampler):
    """A :class:`Sampler` whose chain runs in the context's graph once it is attached.

    While it is attached the sequence may have one token with logits in a batch, and its logits must not be read: they
    stay on the device. Draws equal the host's as far as sums of floats in another order allow; greedy draws are equal.

    Args:
        sampling: how to draw; :func:`can_offload` says whether it can be drawn here.
        vocabulary: of the model.
        n_ctx_train: trained context.

    Attributes:
        on_device: whether the device drew; ``None``: nothing was drawn yet. A device that lacks an operation leaves the
            rest of the chain, or all of it, to the host.
    """

    def __init__(self, sampling: Sampling, vocabulary: Vocabulary, n_ctx_train: int) -> None:
        super().__init__(sampling, vocabulary, n_ctx_train)
        if self._chain is None:  # the host finds the largest logit without a chain
            self._chain = self._build(sampling, vocabulary, n_ctx_train)
        self._at: tuple[Any, int] | None = None
        self.on_device: bool | None = None

    def attach(self, context: Any, sequence: int) -> bool:
        """Make the chain part of the graph, for one sequence; False: it cannot be, so it draws on the host.

        Before the decode whose logits are to be drawn from; after the context was made anew, again. The next decode
        takes longer: llama.cpp plans its graph anew.

        Args:
            context: ``llama_context *``.
            sequence: the sequence id the request has there.
        """
        self.detach()
        if self._lib.llama_set_sampler(context, sequence, self._chain):
            self._at, self.on_device = (context, sequence), None
        else:
            self.on_device = False
        return self._at is not None

    def detach(self, *, context_gone: bool = False) -> None:
        """Take the chain out of the graph, before the sequence id gets another request. Idempotent.

        Args:
            context_gone: the context was freed, so that there is nothing to take it out of.
        """
        if self._at is None:
            return
        if not context_gone:
            self._lib.llama_set_sampler(*self._at, None)
        # A chain belongs to one graph for good (a second one aborts the process); a copy of it, random state and all,
        # belongs to none.
        used, self._chain = self._chain, self._lib.llama_sampler_clone(self._chain)
        self._lib.llama_sampler_free(used)
        self._at = None

    def draw(self, context: Any, index: int) -> int:
        """The token drawn at batch position ``index`` of the last decode; drawn here if the device did not."""
        if self.on_device is None:
            self.on_device = self._lib.llama_get_sampled_token_ith(context, index) != _NO_TOKEN
        return int(self._lib.llama_sampler_sample(self._chain, context, index))

    def free(self) -> None:
        """Detach and give the chain back. Idempotent; the context, unless detached from, must still be there."""
        if self._chain is not None:
            self.detach()
        super().free()

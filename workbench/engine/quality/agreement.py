"""How well two distributions over the next token agree, row by row: logits in, numbers out. Knows no model.

The measures of llama.cpp's ``llama-perplexity --kl-divergence`` (`tools/perplexity/perplexity.cpp`), without its 16-bit
rounding of the reference: everything is computed in float64 over the full vocabulary.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from workbench.interfaces import FloatArray

DoubleArray = npt.NDArray[np.float64]
IndexArray = npt.NDArray[np.int64]
FlagArray = npt.NDArray[np.bool_]

_ELEMENTS_AT_ONCE = 2**20
"""Of rows × vocabulary; some temporaries of 8 MiB each, whatever the piece."""


class Agreement:
    """Collects, token by token, how a candidate's distribution q differs from the reference's p.

    With natural logarithms, t the token that really came next::

        kl                KL(p ‖ q) = Σ_v p(v) · (ln p(v) - ln q(v))     (Kullback & Leibler 1951)
        same_top          argmax p = argmax q
        reference_nll     -ln p(t)
        candidate_nll     -ln q(t)
    """

    def __init__(self) -> None:
        self._kl: list[DoubleArray] = []
        self._same_top: list[FlagArray] = []
        self._reference_nll: list[DoubleArray] = []
        self._candidate_nll: list[DoubleArray] = []

    def add(self, reference: FloatArray, candidate: FloatArray, targets: IndexArray) -> None:
        """Compare some positions.

        Args:
            reference: (n, n_vocab) float32 logits.
            candidate: (n, n_vocab) float32 logits.
            targets: (n,) the token that really came next.
        """
        rows = max(1, _ELEMENTS_AT_ONCE // reference.shape[1])
        for at in range(0, len(targets), rows):
            some = slice(at, at + rows)
            self._add_rows(reference[some], candidate[some], targets[some])

    def _add_rows(self, reference: FloatArray, candidate: FloatArray, targets: IndexArray) -> None:
        log_p, log_q = log_softmax(reference), log_softmax(candidate)
        self._kl.append(kl_rows(log_p, log_q))
        self._same_top.append(reference.argmax(axis=1) == candidate.argmax(axis=1))
        index = np.arange(len(targets))
        self._reference_nll.append(-log_p[index, targets])
        self._candidate_nll.append(-log_q[index, targets])

    @property
    def kl(self) -> DoubleArray:
        """(tokens,) nats."""
        return _joined(self._kl)

    @property
    def same_top(self) -> FlagArray:
        """(tokens,) whether both would choose the same token."""
        return np.concatenate(self._same_top) if self._same_top else np.empty(0, np.bool_)

    @property
    def reference_nll(self) -> DoubleArray:
        """(tokens,) nats."""
        return _joined(self._reference_nll)

    @property
    def candidate_nll(self) -> DoubleArray:
        """(tokens,) nats."""
        return _joined(self._candidate_nll)


def log_softmax(logits: FloatArray) -> DoubleArray:
    """(n, n_vocab) float64 log-probabilities; the largest logit is subtracted first, so nothing overflows."""
    shifted = logits.astype(np.float64)
    shifted -= shifted.max(axis=1, keepdims=True)
    shifted -= np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return shifted


def kl_rows(log_p: DoubleArray, log_q: DoubleArray) -> DoubleArray:
    """(n,) KL(p ‖ q) of each row, in nats. Not symmetric.

    Tokens that p rules out add nothing (0 · ln 0 = 0). It cannot be negative; what rounding leaves below 0 is cut off.
    """
    p = np.exp(log_p)
    with np.errstate(invalid="ignore"):  # -inf - -inf, where p is 0
        terms = np.where(p > 0, p * (log_p - log_q), 0.0)
    kl: DoubleArray = np.maximum(terms.sum(axis=1), 0.0)
    return kl


def mean_and_stderr(values: DoubleArray) -> tuple[float, float]:
    """The mean and sd/√n, as if the tokens were independent; the error of one value alone is NaN."""
    if not len(values):
        return math.nan, math.nan
    mean = float(values.mean())
    return mean, float(values.std(ddof=1) / math.sqrt(len(values))) if len(values) > 1 else math.nan


def wilson_interval(hits: int, trials: int, level: float = 0.95) -> tuple[float, float]:
    """Interval of a rate (Wilson 1927): stays within 0 and 1, and has a width even when every trial hits."""
    from scipy.stats import binomtest

    interval = binomtest(hits, trials).proportion_ci(level, method="wilson")
    return float(interval.low), float(interval.high)


def _joined(parts: list[DoubleArray]) -> DoubleArray:
    return np.concatenate(parts) if parts else np.empty(0, np.float64)

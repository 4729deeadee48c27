"""What a candidate costs in quality, and how much of that is allowed.

Measured against the untouched file under default settings (f16 KV), on a text: mean Kullback-Leibler divergence of the
next-token distributions and the rate at which both prefer the same token
(:func:`workbench.engine.quality.divergence.compare`).
"""

from __future__ import annotations

from dataclasses import dataclass

from workbench.errors import InvalidSettings

DEFAULT_MAX_KL = 0.3
"""Nats, in the mean. Deliberately wide: requantising the bundled 4-bit model of 135 million weights to another 4-bit
type costs 0.19 (IQ4_NL) to 0.26 (Q4_0), to Q8_0 0.005 (docs/LOG.md). It stops broken conversions and types of fewer
bits. What was paid is stated with every result, and what a tighter limit would bring stands in the same table."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality:
    """How far a candidate's predictions are from the untouched model's.

    Attributes:
        kl: mean KL(untouched ‖ candidate), nats a token.
        kl_stderr: its standard error; ``None`` where it has none.
        same_top: share of tokens where both have the same most probable token.
        same_top_low: lower end of its 95 % interval.
        same_top_high: upper end.
        perplexity_ratio: candidate / untouched; above 1 is worse.
        tokens: scored tokens.
    """

    kl: float
    kl_stderr: float | None
    same_top: float
    same_top_low: float
    same_top_high: float
    perplexity_ratio: float
    tokens: int

    def __str__(self) -> str:
        return (
            f"KL {self.kl:.4f} nats, same top token {self.same_top:.1%} "
            f"[{self.same_top_low:.1%}, {self.same_top_high:.1%}], perplexity × {self.perplexity_ratio:.3f} "
            f"({self.tokens:,} tokens)"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class QualityLimit:
    """What a candidate may cost. Both are held against the estimates, not against their intervals.

    Attributes:
        max_kl: highest mean KL divergence in nats; ``None``: any.
        min_same_top: lowest same-top rate, 0 to 1; ``None``: any. A small model has many near ties: SmolLM2-135M agrees
            with itself on 96 % of the tokens when only flash attention is switched on.
    """

    max_kl: float | None = DEFAULT_MAX_KL
    min_same_top: float | None = None

    def __post_init__(self) -> None:
        if self.max_kl is not None and not self.max_kl >= 0:
            raise InvalidSettings(f"max_kl must be 0 or more, not {self.max_kl!r}.")
        if self.min_same_top is not None and not 0 <= self.min_same_top <= 1:
            raise InvalidSettings(f"min_same_top must lie between 0 and 1 (0.99 is 99 %), not {self.min_same_top!r}.")

    def __str__(self) -> str:
        parts = [f"mean KL ≤ {self.max_kl:g} nats"] if self.max_kl is not None else []
        parts += [f"same top token ≥ {self.min_same_top:.1%}"] if self.min_same_top is not None else []
        return " and ".join(parts) or "none"

    def refusal(self, quality: Quality) -> str:
        """Why a candidate is refused; empty: it is not."""
        if self.max_kl is not None and not quality.kl <= self.max_kl:
            return f"mean KL {quality.kl:.4f} nats exceeds the limit of {self.max_kl:g}"
        if self.min_same_top is not None and not quality.same_top >= self.min_same_top:
            return f"same top token {quality.same_top:.1%} is below the limit of {self.min_same_top:.1%}"
        return ""


def limit_of(max_kl: float | None, min_same_top: float | None) -> QualityLimit:
    """The limit somebody means who gave one of the two figures, both, or neither.

    A same-top rate that was asked for stands alone: the default limit on KL is not added to it.
    """
    if max_kl is None and min_same_top is None:
        return QualityLimit()
    return QualityLimit(max_kl=max_kl, min_same_top=min_same_top)

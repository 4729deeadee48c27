"""What the KV guard found: caches, the rule that judges them, the smallest that passes. Measures nothing."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from workbench.engine.quality.divergence import Divergence
from workbench.settings import UNQUANTISED_KV_TYPES, EngineSettings

if TYPE_CHECKING:
    import pandas as pd

Verdict = Literal["reference", "floor", "pass", "refused", "not possible"]

FLOOR: tuple[Verdict, str] = ("floor", "a finer cache than the reference: what it changes is rounding, not loss")

_Z = 1.959964
"""Standard normal quantile of the 95 % interval."""

_COLUMNS = (
    "K/V",
    "flash",
    "same-top",
    "95 %",
    "KL mean",
    "KL p99",
    "perplexity",
    "type alone",
    "bytes/token",
    "saved",
    "",
)


@dataclass(frozen=True, slots=True)
class Rule:
    """When a cache passes.

    Attributes:
        min_same_top: least same-top rate.
        certain: asked of the lower end of its 95 % Wilson interval, not of the rate itself.
    """

    min_same_top: float
    certain: bool

    def judge(self, total: Divergence, own: Divergence) -> tuple[Verdict, str]:
        """The verdict on a cache and the reason in words.

        Args:
            total: against the reference.
            own: against f16/f16 with the same flash attention.
        """
        if not math.isfinite(total.kl_mean):
            return "refused", "the model's predictions are not finite numbers with it"
        if self.passes(total):
            return (
                "pass",
                f"same-top {_percent(total.same_top)}, lower end of its interval {_percent(total.same_top_low)}",
            )
        return "refused", self._why(total) + self._whose(total, own)

    def passes(self, found: Divergence) -> bool:
        """Whether the limit is met."""
        return (found.same_top_low if self.certain else found.same_top) >= self.min_same_top

    def _why(self, found: Divergence) -> str:
        limit = _percent(self.min_same_top)
        if found.same_top < self.min_same_top:
            return f"same-top {_percent(found.same_top)} is below {limit}"
        needed = self._tokens_needed(found.same_top)
        remedy = f"; at this rate {needed:,} scored tokens would show it" if needed else ""
        return (
            f"same-top {_percent(found.same_top)}, but on {found.tokens:,} scored tokens only "
            f"{_percent(found.same_top_low)} is certain, below {limit}{remedy}"
        )

    def _tokens_needed(self, rate: float) -> int | None:
        """Trials at which Wilson's lower end reaches the limit: z² L(1 - L) / (rate - L)²."""
        above, limit = rate - self.min_same_top, self.min_same_top
        return math.ceil(_Z**2 * limit * (1 - limit) / above**2) if above > 0 else None

    def _whose(self, total: Divergence, own: Divergence) -> str:
        if own is total or not self.passes(own):
            return ""
        return f" (of which flash attention has its part: against f16/f16 with it the rate is {_percent(own.same_top)})"


@dataclass(frozen=True, slots=True, kw_only=True)
class KvOption:
    """One cache that was tried.

    Attributes:
        type_k: type of K.
        type_v: type of V.
        flash_attn: whether it ran with flash attention; ``None``: it could not run.
        bytes_per_token: size of the whole model's K and V for one token.
        saved: share of the reference's bytes it saves, 0 to 1; negative for a larger cache.
        divergence: from the reference, flash attention included where it needs it; ``None``: there is none.
        own: from f16/f16 with the same flash attention: what the types alone do.
        verdict: "reference", "floor" (f32/f32, the noise floor), "pass", "refused" or "not possible".
        reason: why, in words.
    """

    type_k: str
    type_v: str
    flash_attn: bool | None
    bytes_per_token: float
    saved: float
    divergence: Divergence | None
    own: Divergence | None
    verdict: Verdict
    reason: str

    @property
    def label(self) -> str:
        """Types of K and V: "q8_0/f16"."""
        return f"{self.type_k}/{self.type_v}"

    def to_dict(self) -> dict[str, Any]:
        """As plain data, for JSON."""
        plain = {name: getattr(self, name) for name in ("type_k", "type_v", "flash_attn", "bytes_per_token", "saved")}
        found = {name: one and one.to_dict() for name, one in (("divergence", self.divergence), ("own", self.own))}
        return {**plain, **found, "verdict": self.verdict, "reason": self.reason}


@dataclass(frozen=True, slots=True, kw_only=True)
class KvGuard:
    """What the guard found for one model and one text.

    Attributes:
        model: its name.
        tokens: scored tokens.
        window: tokens computed together.
        options: the reference first, then what was tried.
        rule: when a cache passes.
        base: the settings all of them ran with, f16/f16.
    """

    model: str
    tokens: int
    window: int
    options: tuple[KvOption, ...]
    rule: Rule
    base: EngineSettings

    @property
    def reference(self) -> KvOption:
        """f16/f16 under the base settings."""
        return self.options[0]

    @property
    def floor(self) -> Divergence | None:
        """What f32/f32 changes: a cache that changes no more is not told apart from rounding by this text."""
        return next((one.divergence for one in self.options if one.verdict == "floor"), None)

    @property
    def recommendation(self) -> KvOption:
        """The smallest cache that passes, the most faithful of equally small ones; the reference if none is smaller."""
        passed = [one for one in self.options if one.verdict == "pass" and one.saved > 0]
        return min(passed, key=_size_then_divergence, default=self.reference)

    def settings(self, base: EngineSettings | None = None) -> EngineSettings:
        """Settings with the recommended cache; ``base``: what else they say, as measured if ``None``."""
        chosen = self.recommendation
        settings = (base or self.base).replace(type_k="f16", type_v="f16")
        if chosen.type_v not in UNQUANTISED_KV_TYPES:
            settings = settings.replace(flash_attn=True)
        return settings.replace(type_k=chosen.type_k, type_v=chosen.type_v)

    def table(self) -> pd.DataFrame:
        """One row a cache: its sizes, its divergence, the verdict."""
        import pandas as pd

        return pd.DataFrame([_flat(one) for one in self.options])

    @property
    def text(self) -> str:
        """The findings for a terminal."""
        rows = [_COLUMNS, *(_cells(one) for one in self.options)]
        widths = [max(len(row[i]) for row in rows) for i in range(len(_COLUMNS))]
        lines = ["  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows]
        asked = "at least" if not self.rule.certain else "with 95 % certainty at least"
        head = (
            f"{self.model}: {self.tokens:,} scored tokens in windows of {self.window}; same-top rate against "
            f"{self.reference.label} {asked} {_percent(self.rule.min_same_top)}"
        )
        reasons = [
            f"  {_name(one)}: {one.reason}" for one in self.options if one.verdict in ("refused", "not possible")
        ]
        return "\n".join([head, "", *lines, "", *reasons, *self._floor_note(), self._advice()])

    def _floor_note(self) -> list[str]:
        if self.floor is None or self.rule.passes(self.floor):
            return []
        return [
            f"Noise floor: f32/f32, a finer cache, keeps only {_percent(self.floor.same_top)} of the choices (KL "
            f"{self.floor.kl_mean:.5f}), so here the limit asks for more than the model's own rounding allows.",
        ]

    def _advice(self) -> str:
        chosen = self.recommendation
        if chosen is self.reference:
            return f"Recommended: {chosen.label}. No smaller cache passed."
        flash = ", flash_attn=True" if chosen.flash_attn else ""
        return (
            f"Recommended: type_k={chosen.type_k!r}, type_v={chosen.type_v!r}{flash}: "
            f"{_percent(chosen.saved, 0)} smaller than {self.reference.label}."
        )

    def to_dict(self) -> dict[str, Any]:
        """As plain data, for JSON."""
        return {
            "model": self.model,
            "tokens": self.tokens,
            "window": self.window,
            "min_same_top": self.rule.min_same_top,
            "certain": self.rule.certain,
            "options": [one.to_dict() for one in self.options],
            "recommendation": {"type_k": self.recommendation.type_k, "type_v": self.recommendation.type_v},
            "settings": self.settings().to_dict(),
        }

    def __str__(self) -> str:
        return self.text


def _size_then_divergence(option: KvOption) -> tuple[float, float]:
    return option.bytes_per_token, option.divergence.kl_mean if option.divergence else math.inf


def _name(option: KvOption) -> str:
    """What tells it from the reference: its types, or flash attention where that is all."""
    alone = option.type_k == option.type_v == "f16" and option.verdict != "reference"
    return f"{option.label}, flash attention alone" if alone else option.label


def _flat(option: KvOption) -> dict[str, Any]:
    total, own = option.divergence, option.own
    figures = (
        "same_top",
        "same_top_low",
        "same_top_high",
        "kl_mean",
        "kl_stderr",
        "kl_p99",
        "kl_max",
        "perplexity_ratio",
    )
    return {
        "type_k": option.type_k,
        "type_v": option.type_v,
        "flash_attn": option.flash_attn,
        **{name: getattr(total, name) if total else None for name in figures},
        "own_same_top": own.same_top if own else None,
        "own_kl_mean": own.kl_mean if own else None,
        "bytes_per_token": option.bytes_per_token,
        "saved": option.saved,
        "verdict": option.verdict,
        "reason": option.reason,
    }


def _cells(option: KvOption) -> tuple[str, ...]:
    flash = {True: "on", False: "off", None: "-"}[option.flash_attn]
    return (
        option.label,
        flash,
        *_figures(option.divergence),
        _percent(option.own.same_top) if option.own else "-",
        f"{option.bytes_per_token:,.0f}",
        _percent(option.saved, 0),
        option.verdict,
    )


def _figures(found: Divergence | None) -> tuple[str, ...]:
    if found is None:
        return ("-",) * 5
    return (
        _percent(found.same_top),
        f"{100 * found.same_top_low:.1f}-{100 * found.same_top_high:.1f}",
        f"{found.kl_mean:.5f}",
        f"{found.kl_p99:.5f}",
        f"× {found.perplexity_ratio:.4f}",
    )


def _percent(share: float, digits: int = 2) -> str:
    return f"{100 * share:.{digits}f} %"

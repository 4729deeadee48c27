"""What an engine did for one request besides computing it: work not done twice, and why some was."""

from __future__ import annotations

from dataclasses import dataclass

from workbench.showing import Shown


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt(Shown):
    """Where the KV of one request's prompt came from, and what speculation gave.

    ``reused + shared + restored + recomputed`` is the prompt's length; the first three are ``timings.cached_tokens``.

    Attributes:
        reused_tokens: their KV lay in the very sequence that went on.
        shared_tokens: taken from another sequence of the context.
        restored_tokens: brought back from host memory or disk, or not needed because the whole answer was kept.
        recomputed_tokens: prompt tokens that were computed.
        tier: where the cached ones came from: "none", "sequence", "context", "host" or "disk"; "response-exact" or
            "response-semantic": nothing was computed, the whole answer came from a cache.
        why: why the rest had to be computed, in a sentence.
        restore_ms: time it took to share or bring them back.
        drafted_tokens: tokens that speculation guessed.
        accepted_tokens: guesses that were right: decodes saved.
        decodes: decodes the answer took part in; without speculation one a token.
        shifted_tokens: tokens a context shift has forgotten.
        speculation: what the gate decided, in a sentence; empty when speculation is off.
    """

    reused_tokens: int = 0
    shared_tokens: int = 0
    restored_tokens: int = 0
    recomputed_tokens: int = 0
    tier: str = "none"
    why: str = ""
    restore_ms: float = 0.0
    drafted_tokens: int = 0
    accepted_tokens: int = 0
    decodes: int = 0
    shifted_tokens: int = 0
    speculation: str = ""

    @property
    def cached_tokens(self) -> int:
        """Prompt tokens that were not computed again."""
        return self.reused_tokens + self.shared_tokens + self.restored_tokens

    @property
    def acceptance(self) -> float | None:
        """Share of the guesses that were right; ``None`` without guesses."""
        return self.accepted_tokens / self.drafted_tokens if self.drafted_tokens else None

"""What an engine has done so far."""

from __future__ import annotations

from workbench.interfaces import Completion


class Totals:
    """Sums over finished requests. Written on the client's loop only; read anywhere."""

    def __init__(self) -> None:
        self._sums = dict.fromkeys(("requests", "prompt_tokens", "cached_tokens", "output_tokens"), 0)

    def add(self, whole: Completion) -> None:
        """One more."""
        self._sums["requests"] += 1
        for name in ("prompt_tokens", "cached_tokens", "output_tokens"):
            self._sums[name] += getattr(whole.timings, name)

    def read(self) -> dict[str, int]:
        """As they are."""
        return dict(self._sums)

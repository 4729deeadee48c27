"""What an engine has done so far. Written by the engine's thread, read by any."""

from __future__ import annotations

from typing import Any

from workbench.engine.scheduling.sequence import Sequence


class Tally:
    """Plain sums.

    Attributes:
        started: requests that got their slot.
        requests: finished requests, cancelled and failed ones included.
        steps: decodes.
        compute_s: seconds in llama.cpp.
        host_s: seconds of the steps outside llama.cpp.
        making_s: seconds spent making contexts, no part of either.
    """

    def __init__(self) -> None:
        self.requests = self.steps = self.started = 0
        self.compute_s = self.host_s = self.making_s = 0.0
        self._prompt = self._shared = self._restored = self._reused = 0
        self._output = self._drafted = self._accepted = 0

    def admitted(self, sequence: Sequence) -> None:
        """A request got its slot."""
        self.started += 1
        receipt = sequence.receipt
        self._reused += receipt.reused_tokens
        self._shared += receipt.shared_tokens
        self._restored += receipt.restored_tokens

    def finished(self, sequence: Sequence) -> None:
        """A request is over, one way or another."""
        self.requests += 1
        self._prompt += min(sequence.done, len(sequence.ticket.prompt))
        self._output += sequence.said
        self._drafted += sequence.drafts
        self._accepted += sequence.accepted

    def as_stats(self) -> dict[str, Any]:
        """Fields of :class:`workbench.interfaces.EngineStats`."""
        return {
            "requests": self.requests,
            "prompt_tokens": self._prompt,
            "cached_tokens": self._reused + self._shared + self._restored,
            "shared_tokens": self._shared,
            "restored_tokens": self._restored,
            "output_tokens": self._output,
            "drafted_tokens": self._drafted,
            "accepted_tokens": self._accepted,
            "steps": self.steps,
            "compute_ms": 1e3 * self.compute_s,
            "host_ms": 1e3 * self.host_s,
        }

"""The real laboratory: each candidate in a process of its own, one measurement at a time.

Processes stay open as far as memory allows, so that a candidate and the default can take turns without loading anew;
the one unused for longest has to go first. Knows processes and files, not which candidate is good.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from pathlib import Path
from typing import Any

from workbench.engine.quantize import requantised, requantised_path
from workbench.errors import WorkbenchError
from workbench.evaluation import sample_text
from workbench.hardware import ram
from workbench.models import ModelFile, estimate, verify
from workbench.models.requantised import provenance_file
from workbench.tuning.candidate import DEFAULT, Candidate
from workbench.tuning.lab import Shot
from workbench.tuning.process import Child
from workbench.tuning.quality import Quality
from workbench.tuning.workload import Workload

_MOST_OPEN = 6
_MEMORY_SHARE = 0.7
"""Of the free memory that open processes may take together; weights are counted whole although files are shared."""
_FIRST_TIMEOUT_S = 600.0
_LEAST_TIMEOUT_S = 60.0
_PATIENCE = 20.0
"""A candidate may take this many times as long as the default did."""


class ProcessLab:
    """Implements :class:`workbench.tuning.lab.Lab` with real processes.

    Args:
        file: the untouched model.
        room: the longest turn there will be; each process has room for it, so that shorter ones need no other.
        text: what quality is measured on; ``None``: the text that comes with the package.
        through_engine: measure whole turns through the engine on real text, not llama.cpp alone. Speculation needs it.
    """

    def __init__(
        self,
        file: ModelFile,
        room: Workload | None = None,
        *,
        text: str | None = None,
        through_engine: bool = False,
    ) -> None:
        self.file = file
        self._room = room or Workload()
        self._text = sample_text() if text is None else text
        self._through_engine = through_engine
        self._open: OrderedDict[Candidate, Child] = OrderedDict()
        self._made: dict[str, Path] = {}
        self._default_s: float | None = None

    def prepare(self, candidate: Candidate) -> ModelFile:
        """The file of a candidate, made if it has to be."""
        if candidate.quantisation is None:
            return self.file
        path = requantised_path(self.file, verify(self.file), candidate.quantisation)
        if not path.exists():
            self._made[candidate.quantisation] = path
        return requantised(self.file, candidate.quantisation)

    def measure(self, candidate: Candidate, workload: Workload) -> Shot:
        """One turn; the first of a process comes after a warm-up."""
        child = self._open.get(candidate) or self._start(candidate)
        self._open.move_to_end(candidate)
        started = time.monotonic()
        turn = {"prompt_tokens": workload.prompt_tokens, "decode_tokens": workload.decode_tokens}
        answer = self._ask(candidate, child, {"operation": "measure", **turn})
        if candidate == DEFAULT:
            self._default_s = time.monotonic() - started
        return Shot(answer["prefill_tps"], answer["decode_tps"])

    def quality(self, candidate: Candidate, limit_tokens: int) -> Quality:
        """Divergence from the untouched file under default settings."""
        self.close()  # two models are loaded in there; nothing else needs to be
        child = Child()
        request = {
            "operation": "compare",
            "reference": self._side(DEFAULT),
            "candidate": self._side(candidate),
            "text": self._text,
            "limit_tokens": limit_tokens,
        }
        try:
            return _quality(child.ask(request, _FIRST_TIMEOUT_S))
        finally:
            child.close()

    def tidy(self, kept: Candidate | None) -> None:
        """Delete the files made here for candidates other than ``kept``; files that were there before stay."""
        for quantisation, path in self._made.items():
            if kept is None or kept.quantisation != quantisation:
                path.unlink(missing_ok=True)
                provenance_file(path).unlink(missing_ok=True)

    def close(self) -> None:
        """End every process. Idempotent."""
        while self._open:
            self._open.popitem()[1].close()

    def _start(self, candidate: Candidate) -> Child:
        file = self.prepare(candidate)
        while len(self._open) >= self._slots(candidate, file):
            self._open.popitem(last=False)[1].close()
        child = self._open[candidate] = Child()
        request = {
            "operation": "open",
            **self._side(candidate),
            "prompt_tokens": self._room.prompt_tokens,
            "decode_tokens": self._room.decode_tokens,
            "through_engine": self._through_engine,
            "text": self._text if self._through_engine else "",
        }
        self._ask(candidate, child, request)
        return child

    def _ask(self, candidate: Candidate, child: Child, request: dict[str, Any]) -> dict[str, Any]:
        try:
            return child.ask(request, self._timeout_s(request["operation"]))
        except BaseException:  # whatever it was: this process is not to be asked again
            self._open.pop(candidate, None)
            child.close()
            raise

    def _timeout_s(self, operation: str) -> float:
        if self._default_s is None or operation == "open":
            return _FIRST_TIMEOUT_S
        return max(_LEAST_TIMEOUT_S, _PATIENCE * self._default_s)

    def _side(self, candidate: Candidate) -> dict[str, Any]:
        return {"model": str(self.prepare(candidate).path), "settings": dict(candidate.settings)}

    def _slots(self, candidate: Candidate, file: ModelFile) -> int:
        """Processes that may be open at once, the new one included, at least it alone."""
        n_ctx = self._room.prompt_tokens + self._room.decode_tokens
        need = estimate(file, candidate.engine_settings(), n_ctx).total_bytes
        free = int(_MEMORY_SHARE * ram().available_bytes) // max(need, 1)
        return max(1, min(_MOST_OPEN, len(self._open) + free))


def _quality(found: dict[str, Any]) -> Quality:
    if found["kl_mean"] is None:
        raise WorkbenchError("the divergence is not a number: the candidate computes nonsense")
    return Quality(
        kl=found["kl_mean"],
        kl_stderr=found["kl_stderr"],
        same_top=found["same_top"],
        same_top_low=found["same_top_low"],
        same_top_high=found["same_top_high"],
        perplexity_ratio=found["perplexity_ratio"],
        tokens=found["tokens"],
    )

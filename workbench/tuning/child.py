"""The process that measures: JSON lines in, JSON lines out. One candidate a process, so that a crash is that one's.

Whatever changes a setting on its own (no flash attention for this model, no GPU) is an error here: what is measured has
to be what was asked for.
"""

from __future__ import annotations

import json
import os
import sys
import warnings
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from workbench.errors import WorkbenchError, WorkbenchWarning
from workbench.models import read_model_file
from workbench.settings import EngineSettings
from workbench.sweep.execution.processes import die_with_parent

_WARM_PROMPT, _WARM_DECODE = 32, 4
"""What llama-bench's warm-ups amount to: enough to fault the weights in and start the threads."""


class Turn(Protocol):
    """Something that runs turns and says how fast: prefill and decode, tokens per second."""

    def run(self, prompt_tokens: int, decode_tokens: int) -> tuple[float, float]:
        """One turn."""
        ...


def main() -> None:
    """Serve until standard input ends."""
    die_with_parent()
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is no reply
    warnings.simplefilter("error", WorkbenchWarning)
    server = _Server()
    for line in sys.stdin:
        replies.write(json.dumps(server.serve(json.loads(line))) + "\n")
        replies.flush()


class _Server:
    def __init__(self) -> None:
        self._turn: Turn | None = None
        self._operations: dict[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
            "open": self._open,
            "measure": self._measure,
            "compare": self._compare,
        }

    def serve(self, request: Mapping[str, Any]) -> dict[str, Any]:
        try:
            return self._operations[request["operation"]](request)
        except (WorkbenchError, WorkbenchWarning, MemoryError) as error:
            return {"error": f"{type(error).__name__}: {error}"}

    def _open(self, request: Mapping[str, Any]) -> dict[str, Any]:
        make = EngineTurn if request["through_engine"] else LimitTurn
        self._turn = make(request)
        self._turn.run(min(_WARM_PROMPT, request["prompt_tokens"]), min(_WARM_DECODE, request["decode_tokens"]))
        return {}

    def _measure(self, request: Mapping[str, Any]) -> dict[str, Any]:
        assert self._turn is not None  # noqa: S101 - the parent opens first
        prefill_tps, decode_tps = self._turn.run(request["prompt_tokens"], request["decode_tokens"])
        return {"prefill_tps": prefill_tps, "decode_tps": decode_tps}

    def _compare(self, request: Mapping[str, Any]) -> dict[str, Any]:
        from workbench.engine.quality.divergence import Side, compare

        reference, candidate = (
            Side(read_model_file(side["model"]), EngineSettings.from_mapping(side["settings"]))
            for side in (request["reference"], request["candidate"])
        )
        return compare(reference, candidate, request["text"], limit_tokens=request["limit_tokens"]).to_dict()


class LimitTurn:
    """The turn as llama-bench would run it: no sampling, no text."""

    def __init__(self, request: Mapping[str, Any]) -> None:
        from workbench.engine.limits import Meter

        settings = EngineSettings.from_mapping(request["settings"])
        most = request["prompt_tokens"] + request["decode_tokens"]
        self._meter = Meter(read_model_file(request["model"]), settings, most)

    def run(self, prompt_tokens: int, decode_tokens: int) -> tuple[float, float]:
        """One turn."""
        return self._meter.turn_tps(prompt_tokens, decode_tokens)


class EngineTurn:
    """The turn through the engine, on real text: what speculation needs to be measured."""

    def __init__(self, request: Mapping[str, Any]) -> None:
        from workbench.engine.tuned import TunedEngine

        settings = EngineSettings.from_mapping(request["settings"])
        self._engine = TunedEngine(read_model_file(request["model"]), settings)
        tokens = self._engine.tokenize(request["text"])
        self._prompt = tokens * (request["prompt_tokens"] // len(tokens) + 1)

    def run(self, prompt_tokens: int, decode_tokens: int) -> tuple[float, float]:
        """One greedy turn that reads the whole prompt and goes on to the cap.

        Raises:
            WorkbenchError: the engine failed, or gave no figures.
        """
        timings = self._engine.complete(
            self._prompt[:prompt_tokens],
            max_tokens=decode_tokens,
            temperature=0.0,
            ignore_eos=True,
            cache_prompt=False,
        ).timings
        if not timings.prefill_tps or not timings.decode_tps:
            raise WorkbenchError("the engine gave no speeds for this turn")
        return timings.prefill_tps, timings.decode_tps


if __name__ == "__main__":
    main()

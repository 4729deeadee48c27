"""What goes to llama-server's native ``/completion`` endpoint and what comes back (`tools/server/README.md`)."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator
from typing import Any

from workbench.errors import EngineError, InvalidSettings
from workbench.interfaces import FinishReason, Request, Sampling

_WANTED = ["content", "tokens", "stop", "stop_type", "tokens_predicted", "tokens_evaluated", "timings"]
"""Fields of the last event that are read; the others (the whole prompt as text) would only cost the server time."""


def payload(request: Request, prompt: list[int], *, streaming: bool, n_ctx: int, prefix_cache: bool) -> dict[str, Any]:
    """The request as JSON values.

    Raises:
        InvalidSettings: something this peer is not asked to do.
    """
    if request.grammar is not None or request.json_schema is not None or request.priority:
        raise InvalidSettings("The llama-server peer takes no grammar, json_schema or priority; use engine='tuned'.")
    return {
        "prompt": prompt,
        "n_predict": -1 if request.max_tokens is None else request.max_tokens,
        "stream": streaming,
        "return_tokens": True,
        "response_fields": _WANTED,
        "cache_prompt": request.cache_prompt and prefix_cache,
        "stop": list(request.stop),
        **_sampling(request.sampling, n_ctx),
    }


def _sampling(s: Sampling, n_ctx: int) -> dict[str, Any]:
    biases = [[token, False if bias == -math.inf else bias] for token, bias in s.logit_bias.items()]
    values: dict[str, Any] = {
        name: getattr(s, name)
        for name in (
            *("temperature", "top_k", "top_p", "min_p", "typical_p", "top_n_sigma"),
            *("repeat_penalty", "frequency_penalty", "presence_penalty"),
            *("dry_multiplier", "dry_base", "dry_allowed_length", "xtc_probability", "xtc_threshold", "ignore_eos"),
        )
    }
    values |= {"repeat_last_n": n_ctx if s.repeat_last_n < 0 else s.repeat_last_n, "logit_bias": biases}
    if s.greedy:
        values["top_k"] = 1  # the same token, and the server does not sort a vocabulary for it
    if s.seed is not None:
        values["seed"] = s.seed
    return values


def events(lines: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    """The JSON of each server-sent event (WHATWG HTML, section 9.2: lines that begin with "data:").

    Raises:
        EngineError: the server reports an error.
    """
    for line in lines:
        if line.startswith(b"data:"):
            yield checked(json.loads(line[5:]))
        elif line.startswith(b"error:"):
            checked({"error": json.loads(line[6:])})


def checked(answer: dict[str, Any]) -> dict[str, Any]:
    """The answer, unless it is an error.

    Raises:
        EngineError: with the server's words.
    """
    if "error" in answer:
        error = answer["error"]
        raise EngineError(f"llama-server refused: {error.get('message', error) if isinstance(error, dict) else error}")
    return answer


def finish_reason(last: dict[str, Any]) -> FinishReason:
    """Why the server stopped, in our words."""
    return "length" if last.get("stop_type") == "limit" else "stop"

"""Log-probabilities of a given text, from servers that echo a prompt with them (OpenAI's ``/completions``; vLLM)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from workbench.errors import EndpointError
from workbench.interfaces import Scores


def echo_body(tokens: Sequence[int], model: str) -> dict[str, Any]:
    """What to ask: the prompt back, nothing new."""
    return {"model": model, "prompt": list(tokens), "echo": True, "logprobs": 1, "max_tokens": 0, "temperature": 0}


def scores_of(answer: Any, tokens: Sequence[int], before: int) -> Scores:
    """The scores of ``tokens[before:]``; NaN for a token with nothing before it.

    Raises:
        EndpointError: the answer has not one log-probability a token.
    """
    try:
        values = answer["choices"][0]["logprobs"]["token_logprobs"]
    except (KeyError, IndexError, TypeError):
        values = None
    if not isinstance(values, list) or len(values) < len(tokens):
        raise EndpointError("The server echoed no log-probability for each token. Use engine='tuned' to score.")
    wanted = values[before : len(tokens)]
    floats = np.array([np.nan if value is None else value for value in wanted], np.float32)
    return Scores(tuple(tokens[before:]), floats)

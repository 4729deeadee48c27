"""What makes two requests the same: one hash over everything that can change the answer.

Knows requests and engines, no cache. Nothing of a prompt can be read back from a key.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from workbench.engine.reuse.fingerprint import model_identity
from workbench.interfaces import Engine, Message, Prompt, Request, Sampling
from workbench.models import ModelFile
from workbench.settings import EngineSettings

_VERSION = 1  # of what is hashed: raise it when an old key may not stand for a new request

_ANSWERING = ("type_k", "type_v", "rope_freq_base", "rope_freq_scale", "context_shift", "n_keep")
"""Settings that change what a model says. Flash attention, threads, batches and GPU layers change rounding at most; the
size of the context decides only where an answer is cut off, and an answer cut off by it is not kept."""

_GREEDY_IGNORES = ("top_k", "top_p", "min_p", "typical_p", "top_n_sigma", "xtc_probability", "xtc_threshold", "seed")
"""Fields of :class:`Sampling` that cannot change the likeliest token."""


def request_key(engine: Engine, request: Request, scope: str = "", *, identity: str | None = None) -> str:
    """SHA-256, hex, of what decides the answer: model, settings, sampling, limits, constraint and prompt.

    Args:
        engine: who would answer.
        request: what it is asked.
        scope: whose cache it is; entries of one scope are not found in another.
        identity: :func:`engine_identity`, where it is known already.
    """
    return _hash(_facts(engine, request, scope, identity), prompt=_plain(request.prompt))


def context_key(engine: Engine, request: Request, scope: str = "", *, identity: str | None = None) -> str:
    """As :func:`request_key`, but without the words of the last message, which a semantic cache compares itself.

    For requests that have a question (:func:`question_of`).
    """
    *before, last = _plain(request.prompt)
    return _hash(_facts(engine, request, scope, identity), before=before, last={**last, "content": ""})


def question_of(request: Request) -> str | None:
    """The user's last message; ``None``: the prompt is text or tokens, or ends with somebody else's words."""
    last = request.prompt[-1]
    return last.content if isinstance(last, Message) and last.role == "user" else None


def is_deterministic(request: Request) -> bool:
    """Whether the same request is meant to give the same answer: greedy, or with a seed."""
    return request.sampling.greedy or request.sampling.seed is not None


def engine_identity(engine: Engine) -> str:
    """Which model answers: the hash of a local model's file and its chat template, or an endpoint's address and model.

    Any other engine is known by its class and its name; one that can tell more has an attribute ``identity``.

    Raises:
        OSError: the model's file is gone.
    """
    own = getattr(engine, "identity", None)
    if isinstance(own, str):
        return own
    file = getattr(engine, "model_file", None)
    template = getattr(getattr(engine, "chat_template", None), "source", "")
    if isinstance(file, ModelFile):
        return f"{model_identity(file)}/{hashlib.sha256(str(template).encode()).hexdigest()}"
    return f"{type(engine).__module__}.{type(engine).__qualname__}/{getattr(engine, 'base_url', '')}/{engine.name}"


def _facts(engine: Engine, request: Request, scope: str, identity: str | None) -> dict[str, Any]:
    return {
        "version": _VERSION,
        "scope": scope,
        "model": engine_identity(engine) if identity is None else identity,
        "settings": _answering(engine.settings),
        "sampling": _effective(request.sampling),
        "max_tokens": request.max_tokens,
        "stop": sorted(request.stop),  # whichever comes first in the text ends it
        "grammar": request.grammar,
        # as text: the order of its properties is the order in which they are written
        "schema": None if request.json_schema is None else json.dumps(request.json_schema),
    }


def _answering(settings: EngineSettings) -> dict[str, Any]:
    return {name: getattr(settings, name) for name in _ANSWERING}


def _effective(sampling: Sampling) -> dict[str, Any]:
    """The fields that count for this temperature."""
    counting = [name for name in sampling.__slots__ if not (sampling.greedy and name in _GREEDY_IGNORES)]
    return {name: getattr(sampling, name) for name in counting} | {"logit_bias": sorted(sampling.logit_bias.items())}


def _plain(prompt: Prompt) -> Any:
    """A prompt in JSON values; text, messages and tokens stay three different things."""
    if isinstance(prompt, str):
        return prompt
    return [part.to_dict() if isinstance(part, Message) else part for part in prompt]


def _hash(facts: Mapping[str, Any], **prompt: Any) -> str:
    # as ASCII: a lone surrogate, which UTF-8 cannot hold, is escaped
    return hashlib.sha256(json.dumps({**facts, **prompt}, sort_keys=True, default=str).encode("ascii")).hexdigest()

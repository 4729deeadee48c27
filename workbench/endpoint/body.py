"""A request as the JSON body a provider takes. Decides what is refused and what is left out.

What may come out is a promise: ``grammar``, ``json_schema``, ``logit_bias``, ``ignore_eos`` and token prompts that a
provider does not take are refused. What only tunes the draw (``top_k``, ``min_p``, …, a ``seed``) is left out: silently
where it has its default value, with one :class:`~workbench.errors.SettingAdjusted` where somebody asked for it. Either
way :func:`left_out` names it, for the record.
"""

from __future__ import annotations

import json
import math
from typing import Any

from workbench.endpoint.providers import Provider
from workbench.errors import UsageError
from workbench.interfaces import Message, Request, Sampling

_PROMISES = ("logit_bias", "ignore_eos")
_DEFAULTS = Sampling()
_NEUTRAL: dict[str, Any] = {"top_k": 0, "min_p": 0.0, "repeat_last_n": _DEFAULTS.repeat_last_n}


def chat_of(request: Request, provider: Provider) -> bool:
    """Whether it goes to ``/chat/completions``; else ``/completions`` takes the prompt as it is."""
    prompt = request.prompt
    if isinstance(prompt, str):
        return not provider.completions
    return isinstance(prompt[0], Message)


def body_of(request: Request, model: str, provider: Provider) -> dict[str, Any]:
    """The body, always of a stream.

    Raises:
        UsageError: the request has what this provider cannot promise; names the remedy.
    """
    _check(request, provider)
    body: dict[str, Any] = {"model": model, "stream": True, **_prompt(request, provider)}
    if provider.usage_option:
        body["stream_options"] = {"include_usage": True}
    if request.max_tokens is not None:
        body[provider.max_tokens] = request.max_tokens
    elif "prompt" in body and provider.name != "llama-server":
        body[provider.max_tokens] = _COMPLETION_TOKENS
    if request.stop:
        body["stop"] = list(request.stop)
    if request.json_schema is not None:
        body |= _schema(request.json_schema, "response_format" if "messages" in body else provider.text_schema)
    if request.grammar is not None:
        body["grammar"] = request.grammar
    if provider.cache_prompt:
        body["cache_prompt"] = request.cache_prompt
    if provider.token_ids:
        body["return_token_ids"] = True
    return body | _sampling(request.sampling, provider)


_COMPLETION_TOKENS = 1024
"""``/completions`` caps at 16 tokens where nobody says (OpenAI's reference); local engines leave room for 1,024."""


def left_out(sampling: Sampling, provider: Provider) -> dict[str, Any]:
    """Fields that the provider does not understand, by the value they would have had; those that are off are none."""
    return {
        name: getattr(sampling, name)
        for name in Sampling.__slots__
        if name not in provider.sampling and not _is_off(sampling, name)
    }


def _is_off(sampling: Sampling, name: str) -> bool:
    """Whether leaving the field out changes nothing: it does not filter, or (greedy) nothing is drawn at all."""
    value = getattr(sampling, name)
    if sampling.greedy and name in ("top_k", "top_p", "min_p", "typical_p", "top_n_sigma", "seed"):
        return True
    if name in ("repeat_last_n", "dry_base", "dry_allowed_length", "xtc_threshold"):  # parts of others
        return True
    return bool(value == _NEUTRAL.get(name, getattr(_DEFAULTS, name)))


def asked_for(sampling: Sampling, name: str) -> bool:
    """Whether somebody chose this value: it is not the default."""
    return bool(getattr(sampling, name) != getattr(_DEFAULTS, name))


def _check(request: Request, provider: Provider) -> None:
    for name, able in (("grammar", provider.grammar), ("json_schema", provider.json_schema)):
        if getattr(request, name) is not None and not able:
            raise UsageError(f"{provider.name} takes no {name}. Leave it out, or use {_able(name)}.")
    if request.json_schema is not None and provider.text_schema is None and not chat_of(request, provider):
        raise UsageError(f"{provider.name} takes a json_schema with messages only. Give [Message.user('…')].")
    for name in _PROMISES:
        if asked_for(request.sampling, name) and name not in provider.sampling:
            raise UsageError(f"{provider.name} takes no {name}. Leave it out, or use {_able(name)}.")
    if provider.max_stops is not None and len(request.stop) > provider.max_stops:
        raise UsageError(f"{provider.name} takes {provider.max_stops} stop strings at most; {len(request.stop)} given.")
    if request.priority:
        raise UsageError("An endpoint takes no priority: requests are sent in the order they come. Leave it out.")


def _schema(schema: dict[str, Any], field: str | None) -> dict[str, Any]:
    """A schema in the field that is read: llama-server's completions leave ``response_format`` unread."""
    if field == "json_schema":
        return {field: schema}
    named = {"name": "answer", "schema": schema, "strict": True}
    return {"response_format": {"type": "json_schema", "json_schema": named}}


def _able(name: str) -> str:
    """Who could, for the remedy."""
    table = {"grammar": "llama-server", "json_schema": "vllm, llama-server or openai", "logit_bias": "openai or vllm"}
    return f"provider {table.get(name, 'vllm or llama-server')}, or engine='tuned'"


def _prompt(request: Request, provider: Provider) -> dict[str, Any]:
    prompt = request.prompt
    if isinstance(prompt, str):
        if provider.completions:
            return {"prompt": prompt}
        return {"messages": [{"role": "user", "content": prompt}]}
    if isinstance(prompt[0], Message):
        return {"messages": messages_of([part for part in prompt if isinstance(part, Message)])}
    if not provider.token_prompts:
        raise UsageError(f"{provider.name} takes no token ids. Give text or messages.")
    return {"prompt": list(prompt)}


def messages_of(messages: list[Message]) -> list[dict[str, Any]]:
    """Messages as OpenAI has them."""
    return [message.to_dict() | {"content": message.content} for message in messages]


def _sampling(sampling: Sampling, provider: Provider) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, theirs in provider.sampling.items():
        value = getattr(sampling, name)
        if name == "logit_bias":
            if value:
                values[theirs] = {str(token): max(-100.0, min(100.0, bias)) for token, bias in value.items()}
        elif name == "top_k" and provider.name == "vllm" and value == 0:
            values[theirs] = -1
        elif value is not None and (name in ("temperature", "top_p", "top_k", "min_p") or asked_for(sampling, name)):
            values[theirs] = value
    return values


def encoded(body: dict[str, Any]) -> bytes:
    """As bytes; a lone surrogate, which UTF-8 has no place for, becomes a question mark."""
    if not all(math.isfinite(value) for value in body.values() if isinstance(value, float)):
        raise UsageError("A sampling value is not finite.")
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")

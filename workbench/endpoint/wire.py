"""What comes back over OpenAI's protocol, streamed or whole, in our words. Knows no sockets."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from workbench.interfaces import FinishReason

_ENDS = frozenset(("stop", "complete", "eos", "eos_token", "end_turn", "stop_sequence", "tool_calls", "function_call"))
_CAPS = frozenset(("length", "max_tokens", "model_length"))
"""Of OpenAI, vLLM, llama-server, Ollama, Text Generation Inference, Mistral and gateways to Anthropic."""


class BadEvent(ValueError):
    """What came is no event of this protocol. The message ends with the whole of it: cut it before it is shown."""


class ServerError(Exception):
    """The server reports an error in the middle of a stream.

    Attributes:
        status: the HTTP status it means, as far as it says one.
    """

    def __init__(self, message: str, status: int | None) -> None:
        self.status = status
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens as the server counts them.

    Attributes:
        prompt: of the prompt.
        cached: of them not computed again.
        output: generated.
    """

    prompt: int
    cached: int
    output: int


@dataclass(slots=True)
class Delta:
    """What one event adds.

    Attributes:
        text: new text.
        tokens: ids of its tokens, where the server tells.
        generated: a model has said something: text, a thought or a call of a tool.
        reason: why it ended, in the server's word.
        usage: the tokens so far.
    """

    text: str = ""
    tokens: tuple[int, ...] = ()
    generated: bool = False
    reason: str | None = None
    usage: Usage | None = None


def read_event(data: bytes) -> Delta:
    """One event of a stream, or one whole answer.

    Raises:
        BadEvent: no JSON, or not of this protocol.
        ServerError: the event is an error.
    """
    try:
        event = json.loads(data)
    except ValueError:
        raise BadEvent(f"an event is no JSON: {_shown(data)}") from None
    if not isinstance(event, dict):
        raise BadEvent(f"an event is no JSON object: {_shown(data)}")
    if event.get("error") or (event.keys() >= {"message", "code"} and "choices" not in event):
        raise ServerError(error_text(event), error_status(event))
    usage = read_usage(event)
    choices = event.get("choices")
    if not choices:
        return Delta(usage=usage)
    try:
        return _read_choice(choices[0], usage)
    except (TypeError, AttributeError, KeyError, ValueError) as error:
        raise BadEvent(f"an event is not of OpenAI's protocol ({error}): {_shown(data)}") from None


def _shown(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def _read_choice(choice: dict[str, Any], usage: Usage | None) -> Delta:
    said = choice.get("delta") or choice.get("message") or {}
    text = said.get("content") or choice.get("text") or ""
    if not isinstance(text, str):  # a list of parts
        text = "".join(part.get("text", "") for part in text)
    tokens = choice.get("token_ids")
    reason = None if choice.get("finish_reason") is None else str(choice["finish_reason"])
    thought = said.get("reasoning_content") or said.get("reasoning") or said.get("tool_calls")
    return Delta(text, tuple(tokens) if tokens else (), bool(text or thought), reason, usage)


def read_usage(event: dict[str, Any]) -> Usage | None:
    """OpenAI's ``usage``; llama-server's ``timings`` tell of cached tokens where that does not."""
    usage = event.get("usage")
    if not isinstance(usage, dict):
        return None
    details = usage.get("prompt_tokens_details") or {}
    cached = details.get("cached_tokens")
    if cached is None:
        cached = (event.get("timings") or {}).get("cache_n", 0)
    prompt, output = usage.get("prompt_tokens") or 0, usage.get("completion_tokens") or 0
    return Usage(int(prompt), min(int(cached), int(prompt)), int(output))


def finish_reason(theirs: str) -> FinishReason | None:
    """In our words; ``None``: no natural end that anybody has heard of (a filter, an abort, an error)."""
    theirs = theirs.lower()
    return "stop" if theirs in _ENDS else "length" if theirs in _CAPS else None


def error_text(body: Any) -> str:
    """The server's own words, from the shapes that servers use. Whole: a key in them can still be found."""
    if isinstance(body, list) and body:  # Gemini
        body = body[0]
    if isinstance(body, dict):
        for name in ("error", "message", "detail"):
            if body.get(name):
                return error_text(body[name])
    return str(body)


def error_status(body: dict[str, Any]) -> int | None:
    """The status an error object names."""
    error = body.get("error")
    code = (error if isinstance(error, dict) else body).get("code")
    return int(code) if isinstance(code, int | str) and str(code).isdigit() else None

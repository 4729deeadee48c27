"""An answer in the shapes of the OpenAI API: one body, or the events of a stream.

Knows the JSON of chat and plain completions (with vLLM's ``token_ids`` and llama-server's ``timings``), no sockets.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from workbench.testing.endpoint.answers import Said

JsonObject = dict[str, Any]


class Payloads:
    """The bodies of one answer.

    Args:
        said: the answer.
        request: the request's body.
        chat: a chat completion; else a plain one.
        number: of the request.
        model: name of the model that says it.
    """

    def __init__(self, said: Said, request: Mapping[str, Any], *, chat: bool, number: int, model: str) -> None:
        self._said, self._request, self._chat = said, request, chat
        kind = "chat.completion" if chat else "text_completion"
        prefix = "chatcmpl" if chat else "cmpl"
        self._head: JsonObject = {"id": f"{prefix}-mock-{number}", "object": kind, "created": 0, "model": model}

    def whole(self, *, finished: bool = True) -> JsonObject:
        """The body of an answer in one piece; not ``finished``: without a reason for its end."""
        said = self._said
        choice: JsonObject = {"index": 0, "finish_reason": said.finish_reason if finished else None}
        if self._chat:
            message: JsonObject = {"role": "assistant", "content": said.text}
            if said.answer.reasoning:
                message["reasoning_content"] = said.answer.reasoning
            if said.answer.tool_calls:
                message["tool_calls"] = [self._call(place) for place in range(len(said.answer.tool_calls))]
            choice["message"] = message
        else:
            choice["text"] = said.text
        choice |= self._extras(0, len(said.pieces))
        return {**self._head, "choices": [choice], "usage": self._usage()}

    def events(self, *, finished: bool = True) -> Iterator[JsonObject]:
        """The events of a stream, in order, without the closing ``[DONE]``."""
        said = self._said
        if self._chat:
            yield self._event({"role": "assistant", "content": ""})
        if said.answer.reasoning:
            yield self._event({"reasoning_content": said.answer.reasoning})
        for place, piece in enumerate(said.pieces):
            yield self._event({"content": piece}, extras=self._extras(place, place + 1))
        for place in range(len(said.answer.tool_calls)):
            yield from self._call_events(place)
        if finished:
            yield self._event({}, reason=said.finish_reason)
        if self._request.get("stream_options", {}).get("include_usage"):
            yield {**self._head, "object": self._chunk_kind(), "choices": [], "usage": self._usage()}

    def _event(self, delta: JsonObject, *, reason: str | None = None, extras: JsonObject | None = None) -> JsonObject:
        choice: JsonObject = {"index": 0, "finish_reason": reason, **(extras or {})}
        choice |= {"delta": delta} if self._chat else {"text": delta.get("content", "")}
        return {**self._head, "object": self._chunk_kind(), "choices": [choice]}

    def _chunk_kind(self) -> str:
        return "chat.completion.chunk" if self._chat else "text_completion"

    def _call(self, place: int) -> JsonObject:
        name, arguments = self._said.answer.tool_calls[place]
        function = {"name": name, "arguments": json.dumps(arguments)}
        return {"id": f"call_{place}", "type": "function", "function": function}

    def _call_events(self, place: int) -> Iterator[JsonObject]:
        """First the name, then the arguments in two halves, as servers send them."""
        call = self._call(place)
        arguments = call["function"]["arguments"]
        head = {**call, "index": place, "function": {"name": call["function"]["name"], "arguments": ""}}
        yield self._event({"tool_calls": [head]})
        for part in (arguments[: len(arguments) // 2], arguments[len(arguments) // 2 :]):
            yield self._event({"tool_calls": [{"index": place, "function": {"arguments": part}}]})

    def _usage(self) -> JsonObject:
        prompt, answer = self._said.prompt_tokens, len(self._said.tokens)
        return {
            "prompt_tokens": prompt,
            "completion_tokens": answer,
            "total_tokens": prompt + answer,
            "prompt_tokens_details": {"cached_tokens": 0},
        }

    def _extras(self, start: int, end: int) -> JsonObject:
        """Log-probabilities and ids of some tokens, where they were asked for."""
        extras: JsonObject = {}
        if self._request.get("return_token_ids") or self._request.get("return_tokens"):
            extras["token_ids"] = list(self._said.tokens[start:end])
        wanted = self._request.get("logprobs")
        if wanted or (wanted == 0 and wanted is not False):
            pieces = self._said.pieces[start:end]
            if self._chat:
                extras["logprobs"] = {"content": [chat_logprob(piece) for piece in pieces]}
            else:
                extras["logprobs"] = plain_logprobs(pieces)
        return extras


def logprob(piece: str) -> float:
    """The pretended log-probability of a token: the longer, the unlikelier."""
    return -float(len(piece) + 1)


def chat_logprob(piece: str) -> JsonObject:
    """As chat completions tell it."""
    own = {"token": piece, "logprob": logprob(piece), "bytes": list(piece.encode())}
    return {**own, "top_logprobs": [own]}


def plain_logprobs(pieces: tuple[str, ...], *, first_unknown: bool = False) -> JsonObject:
    """As plain completions tell them; ``first_unknown``: the first of an echoed prompt has none."""
    values: list[float | None] = [logprob(piece) for piece in pieces]
    if first_unknown and values:
        values[0] = None
    offsets = [sum(map(len, pieces[:place])) for place in range(len(pieces))]
    return {"tokens": list(pieces), "token_logprobs": values, "top_logprobs": None, "text_offset": offsets}


def refusal(status: int, message: str, **more: Any) -> JsonObject:
    """The body of an error."""
    kinds = {400: "invalid_request_error", 401: "authentication_error", 404: "not_found_error", 429: "rate_limit_error"}
    return {"error": {"message": message, "type": kinds.get(status, "server_error"), "code": status, **more}}

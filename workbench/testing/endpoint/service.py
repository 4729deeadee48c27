"""The mock endpoint behind its connections: routes, what was asked, and what is running.

Knows the paths of OpenAI's API, and those of llama-server and vLLM that a client may use besides. Lives on one event
loop; its records may be read from any thread.
"""

from __future__ import annotations

import asyncio
import collections
import json
import time
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

from workbench.testing.endpoint.answers import Script, Speaker, templated
from workbench.testing.endpoint.connection import Connection
from workbench.testing.endpoint.faults import Fault, FaultPlan, Met
from workbench.testing.endpoint.payloads import JsonObject, Payloads, plain_logprobs, refusal
from workbench.testing.endpoint.sending import Reply


@dataclass(frozen=True, slots=True)
class Asked:
    """One request, as it came in.

    Attributes:
        method: "GET" or "POST".
        path: with its query.
        headers: by name in lower case; not in the repr, since a key may be among them.
        body: parsed JSON; ``None``: none, or no JSON.
        at_s: seconds on the endpoint's monotonic clock.
        faults: kinds of faults it met.
    """

    method: str
    path: str
    headers: dict[str, str] = field(repr=False)
    body: Any
    at_s: float
    faults: tuple[str, ...]


@dataclass(slots=True)
class Stats:
    """What an endpoint has seen. Every ``peak_`` is the most at one time.

    Attributes:
        connections: opened so far.
        open_connections: open now.
        peak_connections: open at one time.
        requests: come in so far.
        running: being answered now.
        peak_running: being answered at one time.
        whole: answers sent to their end.
        broken: answers that ended early, by a fault or because the client went.
        faults: how often each kind was met.
        bytes_in: of requests' bodies.
        bytes_out: handed to the sockets, heads and framing included.
    """

    connections: int = 0
    open_connections: int = 0
    peak_connections: int = 0
    requests: int = 0
    running: int = 0
    peak_running: int = 0
    whole: int = 0
    broken: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    faults: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Manner:
    """How an endpoint answers.

    Attributes:
        model: its model's name.
        latency_s: time before the first token.
        tokens_per_s: of a stream; ``None``: as fast as they can be sent.
        seed: of answers and faults.
        n_ctx: longest prompt, in tokens.
        api_key: the key it wants; ``None``: none.
        tokenizer: whether it offers /tokenize and its like (llama-server, vLLM), or OpenAI's paths only.
        keep_requests: how many of the last requests it keeps.
    """

    model: str = "mock"
    latency_s: float = 0.0
    tokens_per_s: float | None = None
    seed: int = 0
    n_ctx: int = 4096
    api_key: str | None = field(default=None, repr=False)
    tokenizer: bool = True
    keep_requests: int = 10_000


class MockService:
    """Implements :class:`~workbench.testing.endpoint.connection.Service`."""

    def __init__(self, script: Script, manner: Manner, faults: Iterable[Fault]) -> None:
        self.manner = manner
        self.stats = Stats()
        self.requests: collections.deque[Asked] = collections.deque(maxlen=manner.keep_requests)
        self.connections: set[Connection] = set()
        self.on_refuse: Callable[[float], None] | None = None
        self._speaker = Speaker(script, manner.seed)
        self.plan = FaultPlan(faults, manner.seed)

    # -- what connections tell ----------------------------------------------------------------------------------------

    def opened(self, connection: Connection) -> None:
        """A client has connected."""
        self.connections.add(connection)
        self.stats.connections += 1
        self.stats.open_connections += 1
        self.stats.peak_connections = max(self.stats.peak_connections, self.stats.open_connections)

    def closed(self, connection: Connection) -> None:
        """It has gone."""
        self.connections.discard(connection)
        self.stats.open_connections -= 1

    def asked(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Met:
        """Note a request; gives the faults it meets."""
        met = self.plan.meet(path)
        self.stats.bytes_in += len(body)
        self.requests.append(Asked(method, path, headers, _parsed(body), time.monotonic(), tuple(met)))
        self.stats.requests += 1
        self.stats.running += 1
        self.stats.peak_running = max(self.stats.peak_running, self.stats.running)
        for kind in met:
            self.stats.faults[kind] = self.stats.faults.get(kind, 0) + 1
        return met

    def answered(self, *, whole: bool, sent_bytes: int) -> None:
        """An answer is out, or was broken off."""
        self.stats.running -= 1
        self.stats.bytes_out += sent_bytes
        self.stats.whole += whole
        self.stats.broken += not whole

    def refuse(self, seconds: float) -> None:
        """Refuse new connections for a while."""
        if self.on_refuse is not None:
            self.on_refuse(seconds)

    # -- routes -------------------------------------------------------------------------------------------------------

    async def reply(self, method: str, path: str, headers: dict[str, str], body: bytes, met: Met) -> Reply:
        """The answer to a request."""
        path = path.partition("?")[0].removeprefix("/v1")
        if path != "/health" and not self._allowed(headers):
            return Reply(401, refusal(401, "Incorrect API key provided."))
        if method == "GET":
            found = self._get(path)
            return Reply(404, refusal(404, f"No {path} here.")) if found is None else Reply(200, found)
        parsed = _parsed(body)
        if not isinstance(parsed, dict):
            return Reply(400, refusal(400, "The body is no JSON object."))
        if path in ("/chat/completions", "/completions"):
            return await self._complete(path, parsed, met)
        return self._words(path, parsed)

    def _allowed(self, headers: dict[str, str]) -> bool:
        return self.manner.api_key is None or headers.get("authorization") == f"Bearer {self.manner.api_key}"

    def _get(self, path: str) -> JsonObject | None:
        model, n_ctx = self.manner.model, self.manner.n_ctx
        if path == "/health":
            return {"status": "ok"}
        if path == "/models":
            entry = {"id": model, "object": "model", "created": 0, "owned_by": "mock"}
            more = {"max_model_len": n_ctx, "meta": {"n_ctx": n_ctx, "n_ctx_train": n_ctx}}
            return {"object": "list", "data": [{**entry, **(more if self.manner.tokenizer else {})}]}
        if path == "/props" and self.manner.tokenizer:
            return {"default_generation_settings": {"n_ctx": n_ctx}, "total_slots": 1, "model_path": model}
        return None

    def _words(self, path: str, body: JsonObject) -> Reply:
        """llama-server's /tokenize (``content``), vLLM's (``prompt`` or ``messages``), /detokenize, /apply-template."""
        if not self.manner.tokenizer or path not in ("/tokenize", "/detokenize", "/apply-template"):
            return Reply(404, refusal(404, f"No {path} here."))
        words = self._speaker.words
        if path == "/detokenize":
            text = words.detokenize(body["tokens"])
            return Reply(body={"content": text, "prompt": text})
        if path == "/apply-template":
            return Reply(body={"prompt": templated(body["messages"])})
        if "content" not in body:
            tokens = self._speaker.prompt_tokens(body)
            return Reply(body={"tokens": tokens, "count": len(tokens), "max_model_len": self.manner.n_ctx})
        special = bool(body.get("add_special", False)), bool(body.get("parse_special", True))
        return Reply(body={"tokens": words.tokenize(body["content"], add_special=special[0], parse_special=special[1])})

    async def _complete(self, path: str, body: JsonObject, met: Met) -> Reply:
        need = len(self._speaker.prompt_tokens(body))
        if need > self.manner.n_ctx:
            words = f"This model's maximum context length is {self.manner.n_ctx} tokens; the prompt has {need}."
            sizes = {"n_prompt_tokens": need, "n_ctx": self.manner.n_ctx}
            return Reply(400, refusal(400, words, **sizes) | {"code": "context_length_exceeded"})
        if body.get("echo"):
            return Reply(200, self._echo(body))
        said = self._speaker.answer(body, need)
        chat = path.startswith("/chat")
        payloads = Payloads(said, body, chat=chat, number=self.stats.requests, model=self.manner.model)
        finished = "no_finish" not in met
        if body.get("stream"):
            return Reply(events=self._paced(payloads, finished=finished))
        tokens_s = len(said.pieces) / self.manner.tokens_per_s if self.manner.tokens_per_s else 0.0
        await _pause(self.manner.latency_s + tokens_s)
        return Reply(200, payloads.whole(finished=finished))

    async def _paced(self, payloads: Payloads, *, finished: bool) -> AsyncIterator[JsonObject]:
        """The events, each when it is due: a sleep that came late is made up for by the next ones."""
        gap = 1 / self.manner.tokens_per_s if self.manner.tokens_per_s else 0.0
        due = time.monotonic() + self.manner.latency_s
        for event in payloads.events(finished=finished):
            await _pause(due - time.monotonic())
            due += gap
            yield event

    def _echo(self, body: JsonObject) -> JsonObject:
        """A prompt given back with the log-probabilities of its tokens (``echo`` with ``max_tokens`` 0)."""
        tokens = self._speaker.prompt_tokens(body)
        pieces = tuple(self._speaker.words.piece(token) for token in tokens)
        choice = {"index": 0, "text": "".join(pieces), "finish_reason": "length"}
        choice["logprobs"] = plain_logprobs(pieces, first_unknown=True)
        usage = {"prompt_tokens": len(tokens), "completion_tokens": 0, "total_tokens": len(tokens)}
        return {"id": "cmpl-echo", "object": "text_completion", "created": 0, "choices": [choice], "usage": usage}

    def snapshot(self) -> JsonObject:
        """Stats as plain values."""
        return asdict(self.stats)


async def _pause(seconds: float) -> None:
    """Wait; if there is nothing to wait for, let the other streams have their turn."""
    await asyncio.sleep(max(0.0, seconds))


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return None

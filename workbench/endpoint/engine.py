"""A model behind an OpenAI-compatible server, as an engine like the local ones.

What a provider does not understand of a request is refused or left out as :mod:`workbench.endpoint.body` says; what was
left out, and all else that holds, stands in :attr:`EndpointEngine.effective`.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import json
import warnings
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Self

import httpx

from workbench.endpoint import options as given
from workbench.endpoint.asking import Manner, ask
from workbench.endpoint.balancing import Instance, InstanceHealth
from workbench.endpoint.body import asked_for, body_of, chat_of, encoded, left_out
from workbench.endpoint.breaker import BreakerSettings
from workbench.endpoint.call import Call, Listener
from workbench.endpoint.client import Client, client
from workbench.endpoint.exchange import Parcel
from workbench.endpoint.limits import Limits
from workbench.endpoint.providers import Provider
from workbench.endpoint.retrying import RetryPolicy
from workbench.endpoint.runner import Runner, Terms
from workbench.endpoint.scoring import echo_body, scores_of
from workbench.endpoint.stream import EndpointStream, stream_async
from workbench.endpoint.tokens import EstimatedTokens, HandedTokens, ServerTokens, Tokens
from workbench.endpoint.totals import Totals
from workbench.errors import ContextOverflow, EngineClosed, QueueFull, SettingAdjusted, UsageError
from workbench.interfaces import Chunk, Completion, Engine, EngineStats, Prompt, Request, Scores
from workbench.interfaces.presets import presets
from workbench.interfaces.schema import read_json
from workbench.settings import EngineSettings

_END_DEADLINE_S = 2.0


class EndpointEngine:
    """A model on a server elsewhere. Implements :class:`workbench.interfaces.Engine`.

    >>> engine = EndpointEngine("qwen3-8b", provider="vllm", base_url="http://gpu-box:8000/v1")  # doctest: +SKIP

    All engines of a process share one pool of connections, and those with the same address share its breaker. Nothing
    is sent before the first request. Keys come from the environment only.

    Args:
        model: its name on the server.
        settings: ``n_ctx`` and ``queue_limit`` may be set; the rest is the server's affair.
        provider: a name of :data:`workbench.endpoint.PROVIDERS`, or one of your own; by default "openai", and
            "compatible" where an address is given.
        base_url: where the API begins, most often ending in ``/v1``; ``None``: the provider's usual place.
        api_key_env: name of the environment variable with the key; by default the provider's at its usual place, and
            none anywhere else, so that no key goes where it does not belong.
        instances: addresses of further servers with the same model; the least loaded is asked.
        limits: what the provider is asked at most, over all engines that share it.
        retries: how often and how long apart a failed request is sent again; never after its first token.
        breaker: when a failing server is left alone.
        deadline_s: from a request to its end; ``None``: none.
        connect_s: for a connection.
        read_s: of silence, the wait for the first token included; a question besides completions ends after it.
        fallback: engines (or options of further endpoints) that are asked in this order when nothing was said yet;
            never for a wrong key, model or address (401, 403, 404), which would stay hidden.
        tokenizer: a local engine, model name or GGUF of the same model, for exact counts where the server has none.

    Attributes:
        name: the model.

    Raises:
        UnknownName: no such provider.
        UsageError: a key as an argument or in an address; a setting that is the server's.
        InvalidSettings: a value out of its range.
    """

    remote: ClassVar[bool] = True
    """The model is a name on a server, not a file: :func:`workbench.load` hands it on as it is."""

    def __init__(
        self,
        model: str,
        settings: EngineSettings | None = None,
        *,
        provider: str | Provider | None = None,
        base_url: str | None = None,
        api_key_env: str | None = None,
        instances: Sequence[str] = (),
        limits: Limits | Mapping[str, Any] | None = None,
        retries: RetryPolicy | Mapping[str, Any] | None = None,
        breaker: BreakerSettings | Mapping[str, Any] | None = None,
        deadline_s: float | None = 600.0,
        connect_s: float = 15.0,
        read_s: float = 120.0,
        fallback: Sequence[Engine | Mapping[str, Any]] = (),
        tokenizer: Engine | str | Path | None = None,
        **unknown: Any,
    ) -> None:
        place = given.place(provider, base_url, api_key_env, instances, unknown)
        self.name = given.model_name(model)
        self.provider = place.provider
        self._place = place
        self._limits = given.made(Limits, limits, "limits")
        self._policy = given.made(RetryPolicy, retries, "retries")
        self._breaker = given.made(BreakerSettings, breaker, "breaker")
        given.check_seconds(deadline_s=deadline_s, connect_s=connect_s, read_s=read_s)
        self._timeout = httpx.Timeout(read_s, connect=connect_s, pool=None)
        self._question_s = read_s if deadline_s is None else min(read_s, deadline_s)
        self._settings = given.checked_settings(settings)
        others = tuple(EndpointEngine(**dict(one)) if isinstance(one, Mapping) else one for one in fallback)
        self._terms = Terms(
            name=self.name, settings=self._settings, deadline_s=deadline_s, policy=self._policy, fallback=others
        )
        self._own: list[Engine] = [one for one, was in zip(others, fallback, strict=True) if isinstance(was, Mapping)]
        self._tokens = self._tokens_by(tokenizer)
        self._calls: dict[Call, None] = {}
        self._totals = Totals()
        self._left_out: dict[str, Any] = {}
        self._closed = False

    # -- what there is ------------------------------------------------------------------------------------------------

    @property
    def settings(self) -> EngineSettings:
        """Effective settings; those of the server are unknown."""
        return self._settings

    @property
    def identity(self) -> str:
        """Who answers, for caches: provider, addresses (which hold no secrets) and model."""
        return json.dumps([self.provider.name, sorted(self._place.urls), self.name], ensure_ascii=False)

    @property
    def effective(self) -> dict[str, Any]:
        """What holds beside the settings, for the record: no secrets, JSON values."""
        return {
            "provider": self.provider.name,
            "instances": list(self._place.urls),
            "api_key_env": self._place.key.variable,
            "limits": given.plain(self._limits),
            "retries": given.plain(self._policy),
            "breaker": given.plain(self._breaker),
            "deadline_s": self._terms.deadline_s,
            "connect_s": self._timeout.connect,
            "read_s": self._timeout.read,
            "fallback": [engine.name for engine in self._terms.fallback],
            "counts_exact": self.counts_exact,
            "sampling_left_out": dict(self._left_out),
        }

    @property
    def counts_exact(self) -> bool:
        """Whether :meth:`count_tokens` is exact; else it is an estimate."""
        return self._tokens.exact

    @property
    def counts_remotely(self) -> bool:
        """Whether each :meth:`count_tokens` is a request to the server."""
        return self._tokens.remote

    @property
    def stats(self) -> EngineStats:
        """A snapshot; what only the server could tell is ``None``."""
        calls = list(self._calls)
        return EngineStats(
            state="closed" if self._closed else "busy" if calls else "idle",
            n_ctx=self._settings.n_ctx,
            kv_used_tokens=None,
            kv_bytes=None,
            weights_bytes=None,
            load_ms=None,
            context_ms=None,
            waiting=sum(call.sent_at is None for call in calls),
            **self._totals.read(),
        )

    def health(self) -> list[InstanceHealth]:
        """Look at every server now."""
        self._check_open()
        shared = client()
        instances = self._instances(shared)

        async def look() -> None:
            await asyncio.gather(*(one.look(shared.http) for one in instances))

        shared.wait(look())
        return [one.report() for one in instances]

    def models(self) -> list[str]:
        """Names of the models the server has."""
        answer = self._ask("models")
        return [str(entry["id"]) for entry in answer.get("data", ())]

    # -- generating ---------------------------------------------------------------------------------------------------

    def complete(self, prompt: Prompt | Request, **options: Any) -> Completion:
        """Generate and return the whole; an interrupt (Ctrl-C) cancels the request."""
        call = self._submit(self._request(prompt, options))
        try:
            return call.future.result()
        except KeyboardInterrupt:
            call.cancel()
            raise

    def complete_json(self, prompt: Prompt | Request, schema: Any, **options: Any) -> Any:
        """Generate a value that meets a JSON schema; an instance, if that is a pydantic model class."""
        return read_json(self.complete(prompt, json_schema=schema, **options).text, schema)

    def stream(self, prompt: Prompt | Request, **options: Any) -> EndpointStream:
        """Generate chunk by chunk."""
        request = self._request(prompt, options)
        return EndpointStream(lambda listener: self._submit(request, listener))

    async def acomplete(self, prompt: Prompt | Request, **options: Any) -> Completion:
        """As :meth:`complete`, without blocking the event loop."""
        call = self._submit(self._request(prompt, options))
        try:
            return await asyncio.wrap_future(call.future)
        except asyncio.CancelledError:
            call.cancel()
            raise

    def astream(self, prompt: Prompt | Request, **options: Any) -> AsyncIterator[Chunk]:
        """As :meth:`stream`, without blocking the event loop."""
        request = self._request(prompt, options)
        return stream_async(lambda listener: self._submit(request, listener))

    def complete_many(self, prompts: Sequence[Prompt | Request], **options: Any) -> list[Completion]:
        """Complete several, as many at once as limits allow; answers in the order of the prompts."""
        self._check_open()
        requests = [self._request(prompt, options) for prompt in prompts]
        calls: list[Call] = []
        try:
            for request in requests:
                calls.append(self._submit(request, patient=True))  # noqa: PERF401 - those made are cancelled on an error
            futures = [call.future for call in calls]
            done, _ = concurrent.futures.wait(futures, return_when=concurrent.futures.FIRST_EXCEPTION)
            failed = [future for future in futures if future in done and future.exception() is not None]
            return [future.result() for future in failed or futures]
        except BaseException:
            for call in calls:
                call.cancel()
            raise

    # -- tokens -------------------------------------------------------------------------------------------------------

    def tokenize(self, text: str, *, add_special: bool = False, parse_special: bool = False) -> list[int]:
        """Text → token ids.

        Raises:
            UsageError: nobody here knows the tokenizer.
        """
        self._check_open()
        return self._tokens.tokenize(text, add_special=add_special, parse_special=parse_special)

    def detokenize(self, tokens: Sequence[int]) -> str:
        """Token ids → text.

        Raises:
            UsageError: nobody here knows the tokenizer.
        """
        self._check_open()
        return self._tokens.detokenize(tokens)

    def count_tokens(self, prompt: Prompt) -> int:
        """Tokens the prompt takes; :attr:`counts_exact` says whether this is an estimate."""
        self._check_open()
        return self._tokens.count(Request.of(prompt).prompt)

    def score(self, text: str | Sequence[int], *, context: str | Sequence[int] = "") -> Scores:
        """Log-probabilities of the tokens of ``text`` after ``context``, where the server echoes a prompt with them.

        Raises:
            UsageError: it does not.
        """
        self._check_open()
        if not self.provider.echo:
            raise UsageError(
                f"{self.provider.name} gives no log-probabilities of a given text. Use provider='vllm', or "
                "engine='tuned' to score with a local model."
            )
        before = self.tokenize(context, add_special=True) if isinstance(context, str) else [int(t) for t in context]
        tokens = self.tokenize(text) if isinstance(text, str) else [int(token) for token in text]
        if not tokens:
            return scores_of({"choices": [{"logprobs": {"token_logprobs": []}}]}, (), 0)
        whole = [*before, *tokens]
        return scores_of(self._ask("completions", echo_body(whole, self.name)), whole, len(before))

    # -- its life -----------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Running requests break off; the pool stays for other engines. Idempotent."""
        if self._closed:
            return
        self._closed = True
        calls = list(self._calls)
        for call in calls:
            call.break_off("the engine was closed.")
        concurrent.futures.wait([call.future for call in calls], _END_DEADLINE_S)
        for engine in self._own:
            engine.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"EndpointEngine({self.name!r}, provider={self.provider.name!r}, instances={list(self._place.urls)!r})"

    # -- inside -------------------------------------------------------------------------------------------------------

    def _request(self, prompt: Prompt | Request, options: dict[str, Any]) -> Request:
        return Request.of(prompt, presets=presets, **options)

    def _submit(self, request: Request, listener: Listener | None = None, *, patient: bool = False) -> Call:
        self._check_open()
        self._check_room(request, patient=patient)
        body = body_of(request, self.name, self.provider)
        self._tell_left_out(request)
        parcel = Parcel(self.name, chat_of(request, self.provider), encoded(body), self._timeout)
        call = Call(request, lambda: self._tokens_estimate(request), listener)
        shared = client()
        runner = self._runner(shared)
        self._calls[call] = None
        shared.spawn(
            lambda: runner.run(call, parcel, lambda whole: self._ended(call, whole)),
            lambda task: call.on_its_way(shared.loop, task),
        )
        return call

    def _runner(self, shared: Client) -> Runner:
        account = (*sorted(self._place.urls), self._place.key.variable)
        gate, budget = shared.gate(self.provider, account, self._limits, self._policy)
        return Runner(shared, self._terms, self._instances(shared), gate, budget)

    def _instances(self, shared: Client) -> list[Instance]:
        place = self._place
        return [shared.instance(Instance(url, place.provider, place.key, self._breaker)) for url in place.urls]

    def _ended(self, call: Call, whole: Completion | None) -> None:
        """On the client's loop, before whoever waits is told."""
        self._calls.pop(call, None)
        if whole is not None:
            self._totals.add(whole)
            if isinstance(self._tokens, EstimatedTokens) and self._tokens.learning and call.usage is not None:
                self._tokens.learn(call.request.prompt, call.usage.prompt)

    def _check_room(self, request: Request, *, patient: bool) -> None:
        prompt, n_ctx = request.prompt, self._settings.n_ctx
        if n_ctx is not None and not isinstance(prompt, str) and isinstance(prompt[0], int) and len(prompt) >= n_ctx:
            raise ContextOverflow(len(prompt) + 1, n_ctx)
        at_once = min(self._limits.concurrency or self.provider.connections, self.provider.connections)
        waiting = len(self._calls) - at_once
        if not patient and waiting >= self._settings.queue_limit:
            raise QueueFull(waiting)

    def _tell_left_out(self, request: Request) -> None:
        """Warn, once a field, of what somebody asked for and the provider does not understand."""
        for name, value in left_out(request.sampling, self.provider).items():
            if asked_for(request.sampling, name) and name not in self._left_out:
                warnings.warn(
                    f"{self.provider.name} does not understand {name}: {value!r} is left out.",
                    SettingAdjusted,
                    stacklevel=4,
                )
            self._left_out[name] = value

    def _tokens_by(self, tokenizer: Engine | str | Path | None) -> Tokens:
        if tokenizer is not None:
            engine, made_here = given.tokenizer_engine(tokenizer)
            if made_here:
                self._own.append(engine)
            return HandedTokens(engine)
        if self.provider.tokenizer != "none":
            return ServerTokens(self._ask, self.provider.tokenizer, self.name)
        return EstimatedTokens()

    def _tokens_estimate(self, request: Request) -> int:
        """Without asking anybody: it is called on the client's loop."""
        tokens = self._tokens if isinstance(self._tokens, EstimatedTokens) else EstimatedTokens()
        return tokens.count(request.prompt)

    def _ask(self, path: str, *body: Any) -> Any:
        self._check_open()
        shared = client()
        manner = Manner(self._timeout, self._question_s, self.name)
        return shared.wait(ask(shared.http, self._instances(shared), path, *body, manner=manner))

    def _check_open(self) -> None:
        if self._closed:
            raise EngineClosed

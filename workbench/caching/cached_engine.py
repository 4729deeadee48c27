"""An engine that looks before it computes: any engine behind response caches.

Knows engines and caches by their contracts, no conversation.
"""

from __future__ import annotations

import asyncio
import threading
import warnings
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from workbench.caching.answer import Answer, is_whole
from workbench.caching.answer_stream import AnswerStream, Asked, Boarding, Origin
from workbench.caching.flight import Flight
from workbench.caching.keys import context_key, engine_identity, is_deterministic, question_of, request_key
from workbench.caching.memo import CountingMemo, TtlValue
from workbench.caching.semantic import SemanticCache
from workbench.errors import EngineClosed, NotSaved
from workbench.interfaces import Cache, Chunk, Completion, Engine, EngineStats, Prompt, Request, Scores, Stream
from workbench.interfaces.presets import presets
from workbench.settings import EngineSettings
from workbench.telemetry.trace import count, span

_IDENTITY_TTL_S = 60.0  # a model's file is looked at that often
_REPEATED = "The same request was answered before."
_FOLLOWED = Origin("response-exact", "The same request was being answered already.")


@dataclass(frozen=True, slots=True)
class _Query:
    """A request and what it is looked up by, told once: effective settings may change while it is answered.

    Attributes:
        request: what is asked.
        key: of all of it.
        question: the user's last message; ``None``: it asks nothing that has a meaning to compare.
        context: of everything but the question.
    """

    request: Request
    key: str
    question: str | None
    context: str


class CachedEngine:
    """An engine and the caches in front of it. Implements :class:`workbench.interfaces.Engine`.

    A request is looked up in each cache in turn, then computed; of many that ask the same at once one computes, and the
    others follow its stream. A hit is a stream like any other: the pieces it came in, its ``finish_reason``, and a
    receipt that says which cache and why. What was cut off by an error, by :meth:`Stream.cancel` or by a full context
    is never kept, and the followers of an answer that fails compute it themselves.

    Not looked up and not kept: a request with a temperature and no seed (unless ``only_deterministic=False``), and one
    with ``cache_prompt=False``, which wants the work done.

    Args:
        engine: who answers; closed with this one.
        caches: asked in this order; they belong to whoever made them. A :class:`SemanticCache` is asked with the user's
            last message where everything else about the request is the same, any other one with a hash of all of it.
        scope: whose answers they are: what was kept for one scope is not found in another.
        only_deterministic: leave alone requests whose answer is meant to differ each time.
    """

    def __init__(
        self, engine: Engine, caches: Sequence[Cache], *, scope: str = "default", only_deterministic: bool = True
    ) -> None:
        self.engine, self.caches, self.scope, self.only_deterministic = engine, tuple(caches), scope, only_deterministic
        self._by_meaning = any(isinstance(cache, SemanticCache) for cache in self.caches)
        self._counts = CountingMemo(engine.count_tokens)
        self._identity = TtlValue(lambda: engine_identity(engine), _IDENTITY_TTL_S)
        self._flights: dict[str, Flight] = {}
        self._lock = threading.Lock()

    def for_scope(self, scope: str) -> Self:
        """The same engine and the same caches for another session; what it computes is shared with nobody else."""
        other = type(self)(self.engine, self.caches, scope=scope, only_deterministic=self.only_deterministic)
        other._counts, other._identity = self._counts, self._identity
        return other

    @property
    def name(self) -> str:
        """The engine's."""
        return self.engine.name

    @property
    def settings(self) -> EngineSettings:
        """The engine's effective settings."""
        return self.engine.settings

    @property
    def stats(self) -> EngineStats:
        """What the engine has done; hits are in the ``stats`` of the caches."""
        return self.engine.stats

    # -- generating ----------------------------------------------------------------------------------------------

    def complete(self, prompt: Prompt | Request, **options: Any) -> Completion:
        """The whole, from a cache or from the engine; an interrupt (Ctrl-C) cancels the request."""
        request = Request.of(prompt, presets=presets, **options)
        if not self._cacheable(request):
            return self.engine.complete(request)
        stream = self._open(request)
        try:
            for _ in stream:
                pass
        except KeyboardInterrupt:
            stream.cancel()
            raise
        return stream.completion

    def stream(self, prompt: Prompt | Request, **options: Any) -> Stream:
        """Chunk by chunk, from a cache or from the engine."""
        request = Request.of(prompt, presets=presets, **options)
        return self._open(request) if self._cacheable(request) else self.engine.stream(request)

    async def acomplete(self, prompt: Prompt | Request, **options: Any) -> Completion:
        """As :meth:`complete`, without blocking the event loop."""
        request = Request.of(prompt, presets=presets, **options)
        if not self._cacheable(request):
            return await self.engine.acomplete(request)
        stream = await asyncio.to_thread(self._open, request)
        async for _ in stream.asynchronously():
            pass
        return stream.completion

    async def astream(self, prompt: Prompt | Request, **options: Any) -> AsyncIterator[Chunk]:
        """As :meth:`stream`, without blocking the event loop."""
        request = Request.of(prompt, presets=presets, **options)
        if self._cacheable(request):
            stream = await asyncio.to_thread(self._open, request)
            chunks = stream.asynchronously()
        else:
            chunks = self.engine.astream(request)
        async for chunk in chunks:
            yield chunk

    def complete_many(self, prompts: Sequence[Prompt | Request], **options: Any) -> list[Completion]:
        """Complete several; those nobody knows go to the engine together, the same request once."""
        requests = [Request.of(prompt, presets=presets, **options) for prompt in prompts]
        alone = [request for request in requests if not self._cacheable(request)]
        mine: list[tuple[_Query, Flight]] = []
        try:
            streams = [self._board_one(request, mine) if self._cacheable(request) else None for request in requests]
            answers = self.engine.complete_many([*alone, *(query.request for query, _ in mine)])
            for (query, flight), whole in zip(mine, answers[len(alone) :], strict=True):
                self._keep(query, Answer.whole(whole), whole)
                self._land(query, flight)
                last = Chunk(whole.text, whole.tokens, whole.timings.total_ms, whole.finish_reason)
                flight.finish([last], whole.timings.output_tokens, whole)
        except BaseException as error:  # an interrupt too: who follows one of them must not wait for ever
            for query, flight in mine:
                self._fail(query, flight, error)
            raise
        others = iter(answers)
        return [next(others) if stream is None else _drained(stream) for stream in streams]

    def _board_one(self, request: Request, mine: list[tuple[_Query, Flight]]) -> AnswerStream:
        """The stream of one of several requests; a flight that is its own to get going comes to ``mine``."""
        query = self._query(request)
        flight, origin = self._board(query)
        if origin is None:
            mine.append((query, flight))
        return self._reading(query, flight, origin)

    # -- everything else is the engine's -------------------------------------------------------------------------

    def tokenize(self, text: str, *, add_special: bool = False, parse_special: bool = False) -> list[int]:
        """Text → token ids."""
        return self.engine.tokenize(text, add_special=add_special, parse_special=parse_special)

    def detokenize(self, tokens: Sequence[int]) -> str:
        """Token ids → text."""
        return self.engine.detokenize(tokens)

    def count_tokens(self, prompt: Prompt) -> int:
        """Tokens the prompt takes in the context; each prompt is counted once, but where counts are estimates."""
        self._check_open()
        return self._count(prompt)

    def score(self, text: str | Sequence[int], *, context: str | Sequence[int] = "") -> Scores:
        """Log-probabilities of the tokens of ``text`` after ``context``."""
        return self.engine.score(text, context=context)

    def close(self) -> None:
        """Close the engine; the caches stay open. Idempotent."""
        self.engine.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # -- one request ---------------------------------------------------------------------------------------------

    def _check_open(self) -> None:
        """Raise :class:`EngineClosed` where the engine would, had it been asked."""
        if self.engine.stats.state == "closed":
            raise EngineClosed

    def _cacheable(self, request: Request) -> bool:
        return request.cache_prompt and (is_deterministic(request) or not self.only_deterministic)

    def _count(self, prompt: Prompt) -> int:
        exact = getattr(self.engine, "counts_exact", True)  # an estimate becomes better with what is learned
        return self._counts(prompt) if exact else self.engine.count_tokens(prompt)

    def _query(self, request: Request) -> _Query:
        self._check_open()
        identity = self._identity()
        key = request_key(self.engine, request, self.scope, identity=identity)
        question = question_of(request) if self._by_meaning else None
        context = "" if question is None else context_key(self.engine, request, self.scope, identity=identity)
        return _Query(request, key, question, context)

    def _open(self, request: Request) -> AnswerStream:
        query = self._query(request)
        return self._reading(query, *self._take_off(query))

    def _reading(self, query: _Query, flight: Flight, origin: Origin | None) -> AnswerStream:
        engine = self.engine
        asked = Asked(
            model=engine.name,
            settings=lambda: engine.settings,
            prompt_tokens=lambda: self._count(query.request.prompt),
        )
        return AnswerStream(flight, origin, asked, lambda: self._take_off(query))

    def _take_off(self, query: _Query) -> Boarding:
        """A flight with a seat for this request: one that has landed, one that is under way, or a new one."""
        flight, origin = self._board(query)
        if origin is None:
            try:
                flight.drive(
                    self.engine.stream(query.request),
                    lambda chunks, whole: self._keep(query, Answer.of(chunks, whole), whole),
                    lambda: self._land(query, flight),
                )
            except BaseException as error:
                self._fail(query, flight, error)
                raise
        return flight, origin

    def _board(self, query: _Query) -> Boarding:
        """A flight that is under way or has landed; without an origin it is this request's to get going.

        Whoever comes first looks into the caches, and the others wait for what it finds: between the look and the
        flight there is no gap for a second computation.
        """
        with self._lock:
            running = self._flights.get(query.key)
            if running is not None and running.join():
                count("cache_hits")
                return running, _FOLLOWED
            flight = self._flights[query.key] = Flight()
        try:
            found = self._look_up(query)
        except BaseException as error:
            self._fail(query, flight, error)
            raise
        if found is None:
            return flight, None
        answer, origin = found
        self._land(query, flight)
        flight.finish(answer.chunks(), answer.output_tokens)
        return flight, origin

    def _land(self, query: _Query, flight: Flight) -> None:
        """Nobody may join any more."""
        with self._lock:
            if self._flights.get(query.key) is flight:
                del self._flights[query.key]

    def _fail(self, query: _Query, flight: Flight, error: BaseException) -> None:
        self._land(query, flight)
        flight.fail(error)

    # -- caches --------------------------------------------------------------------------------------------------

    def _look_up(self, query: _Query) -> tuple[Answer, Origin] | None:
        with span("cache"):
            for cache in self.caches:
                found = self._look_into(cache, query)
                if found is not None:
                    count("cache_hits")
                    return found
        count("cache_misses")
        return None

    def _look_into(self, cache: Cache, query: _Query) -> tuple[Answer, Origin] | None:
        """What one cache has for a request; a value that is no answer is a miss."""
        if not isinstance(cache, SemanticCache):
            kept = cache.get(query.key)
            answer = None if kept is None else Answer.from_json(kept)
            return None if answer is None else (answer, Origin("response-exact", _REPEATED, answer.prompt_tokens))
        found = None if query.question is None else cache.look_up(query.question, query.context)
        answer = None if found is None else Answer.from_json(found.value)
        if found is None or answer is None:
            return None
        # a server that would have to count them may be away; the prompts differ in the words of the question only
        remote = getattr(self.engine, "remote", False)
        return answer, Origin("response-semantic", found.why, answer.prompt_tokens if remote else None)

    def _keep(self, query: _Query, answer: Answer, completion: Completion) -> None:
        """Keep a whole answer of this very engine, not one of another that an endpoint fell back on."""
        if completion.model != self.engine.name or not is_whole(completion, query.request):
            return
        value = answer.to_json()
        for cache in self.caches:
            try:
                if not isinstance(cache, SemanticCache):
                    cache.put(query.key, value)
                elif query.question is not None:
                    cache.keep(query.question, value, query.context)
            except Exception as error:  # a cache anybody wrote; the answer is there all the same
                warnings.warn(f"An answer was not kept: {error}", NotSaved, stacklevel=2)


def _drained(stream: AnswerStream) -> Completion:
    for _ in stream:
        pass
    return stream.completion

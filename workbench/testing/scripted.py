"""An engine that says what it is told to: for testing whatever is built on engines, without a model.

It keeps the whole contract (:class:`workbench.testing.EngineContract`): stop strings, exact caps, cancellation,
timings. Knows nothing of llama.cpp.
"""

from __future__ import annotations

import asyncio
import itertools
import threading
import weakref
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from types import TracebackType
from typing import Any, Literal, Self

import numpy as np

from workbench.engine import presets
from workbench.errors import ContextOverflow, EngineClosed, UsageError
from workbench.interfaces import Chunk, Completion, EngineStats, Message, Prompt, Request, Scores
from workbench.settings import EngineSettings
from workbench.testing.script_run import Reply, Run, ScriptedStream, Telling
from workbench.testing.words import BOS, EOS, WordTokenizer

Line = str | Reply | BaseException
Cue = Line | Callable[[Request], Line]

DEFAULT_N_CTX = 4096

__all__ = ["Reply", "ScriptedEngine"]


class ScriptedEngine:
    """Answers each request with the next line of its script. Implements :class:`workbench.interfaces.Engine`.

    >>> engine = ScriptedEngine(["Hello!", Reply("I will break", dies_after=2), TimeoutError("no answer")])
    >>> engine.complete("Hi").text
    'Hello!'
    >>> engine.requests[0].prompt
    'Hi'

    Args:
        script: lines to be said one after the other, or a single line said to everybody. A line is a text, a
            :class:`Reply` (delays, breaking off), an exception to raise, or a function of the request giving one.
        name: name of the pretended model.
        settings: its settings; ``n_ctx`` is the longest prompt plus answer.
        delay_s: time before each token of lines that are plain text.
        logprob: natural log-probability of a token's text, for :meth:`score`; by default the longer the unlikelier.

    Attributes:
        requests: what was asked, in order of arrival.
    """

    def __init__(
        self,
        script: Cue
        | Iterable[Cue] = "Once upon a time there was an engine that told everybody one and the same story.",
        *,
        name: str = "scripted",
        settings: EngineSettings | None = None,
        delay_s: float = 0.0,
        logprob: Callable[[str], float] = lambda piece: -float(len(piece) + 1),
    ) -> None:
        self.name = name
        self.requests: list[Request] = []
        settings = settings or EngineSettings()
        self._n_ctx = settings.n_ctx or DEFAULT_N_CTX
        self._settings = settings.replace(n_ctx=self._n_ctx)
        self._script = _cues(script)
        self._delay_s, self._logprob = delay_s, logprob
        self._words = WordTokenizer()
        self._lock = threading.RLock()  # a stream may be collected, and counted, while this thread holds it
        self._closed = threading.Event()
        self._running: weakref.WeakSet[Telling] = weakref.WeakSet()
        self._totals = {"requests": 0, "prompt_tokens": 0, "output_tokens": 0}

    @property
    def settings(self) -> EngineSettings:
        """Effective settings."""
        return self._settings

    @property
    def stats(self) -> EngineStats:
        """A snapshot. There are no weights and no KV cache to report."""
        with self._lock:
            return EngineStats(
                state=self._state(),
                n_ctx=self._n_ctx,
                kv_used_tokens=None,
                kv_bytes=None,
                weights_bytes=None,
                load_ms=None,
                context_ms=None,
                waiting=0,
                cached_tokens=0,
                **self._totals,
            )

    def complete(self, prompt: Prompt | Request, **options: Any) -> Completion:
        """Say the next line."""
        stream = self.stream(prompt, **options)
        for _ in stream:
            pass
        return stream.completion

    def stream(self, prompt: Prompt | Request, **options: Any) -> ScriptedStream:
        """Say the next line token by token."""
        request = Request.of(prompt, presets=presets, **options)
        tokens = self._prompt_tokens(request.prompt)
        self._check_room(len(tokens))
        return self._say(request, len(tokens), self._next_line(request))

    async def acomplete(self, prompt: Prompt | Request, **options: Any) -> Completion:
        """As :meth:`complete`, without blocking the event loop."""
        stream = self.stream(prompt, **options)
        async for _ in _asynchronous(stream):
            pass
        return stream.completion

    def astream(self, prompt: Prompt | Request, **options: Any) -> AsyncIterator[Chunk]:
        """As :meth:`stream`, without blocking the event loop."""
        return _asynchronous(self.stream(prompt, **options))

    def complete_many(self, prompts: Sequence[Prompt | Request], **options: Any) -> list[Completion]:
        """Say one line to each, in the order of the prompts."""
        self._check_open()
        return [self.complete(prompt, **options) for prompt in prompts]

    def tokenize(self, text: str, *, add_special: bool = False, parse_special: bool = False) -> list[int]:
        """Text → ids of words."""
        self._check_open()
        return self._words.tokenize(text, add_special=add_special, parse_special=parse_special)

    def detokenize(self, tokens: Sequence[int]) -> str:
        """Ids of words → text."""
        self._check_open()
        return self._words.detokenize(tokens)

    def count_tokens(self, prompt: Prompt) -> int:
        """Tokens of the prompt; a message takes its role, a colon and an end besides its words."""
        return len(self._prompt_tokens(Request.of(prompt).prompt))

    def score(self, text: str | Sequence[int], *, context: str | Sequence[int] = "") -> Scores:
        """``logprob`` of each token; NaN for a first token without any context."""
        self._check_open()
        tokens = tuple(self._ids(text, add_special=False))
        before = self._ids(context, add_special=True)
        self._check_room(len(before) + len(tokens))
        values = np.array([self._logprob(self._words.piece(token)) for token in tokens], np.float32)
        if len(tokens) and not before:
            values[0] = np.nan
        return Scores(tokens, values)

    def close(self) -> None:
        """Streams that run break off. Idempotent."""
        with self._lock:
            self._closed.set()
            for telling in self._running:
                telling.wake.set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _next_line(self, request: Request) -> Reply:
        with self._lock:
            cue = next(self._script, None)
            if cue is None:
                raise UsageError(f"The script is over after {len(self.requests)} lines. Give more, or a function.")
            self.requests.append(request)
        line = cue(request) if callable(cue) else cue
        if isinstance(line, BaseException):
            return Reply("", dies_after=0, error=line)
        return Reply(line, delay_s=self._delay_s) if isinstance(line, str) else line

    def _say(self, request: Request, prompt_tokens: int, reply: Reply) -> ScriptedStream:
        run = Run(
            request=request,
            prompt_tokens=prompt_tokens,
            reply=reply,
            words=self._words,
            model=self.name,
            settings=self._settings,
            closed=self._closed,
            ended=lambda output_tokens: self._count(prompt_tokens, output_tokens),
        )
        telling = Telling(run)
        with self._lock:
            self._running.add(telling)
        return ScriptedStream(telling)

    def _count(self, prompt_tokens: int, output_tokens: int) -> None:
        with self._lock:
            self._totals["requests"] += 1
            self._totals["prompt_tokens"] += prompt_tokens
            self._totals["output_tokens"] += output_tokens

    def _state(self) -> Literal["idle", "busy", "closed"]:
        if self._closed.is_set():
            return "closed"
        return "busy" if any(telling.running for telling in self._running) else "idle"

    def _prompt_tokens(self, prompt: Prompt) -> list[int]:
        self._check_open()
        if isinstance(prompt, str):
            return self._words.tokenize(prompt, add_special=True)
        tokens = [BOS]
        for part in prompt:
            if not isinstance(part, Message):
                return [token for token in prompt if isinstance(token, int)]
            tokens += [*self._words.tokenize(f"{part.role}: {part.content}"), EOS]
        return tokens

    def _ids(self, text: str | Sequence[int], *, add_special: bool) -> list[int]:
        return self._words.tokenize(text, add_special=add_special) if isinstance(text, str) else list(text)

    def _check_open(self) -> None:
        if self._closed.is_set():
            raise EngineClosed

    def _check_room(self, tokens: int) -> None:
        if tokens > self._n_ctx:
            raise ContextOverflow(tokens, self._n_ctx)


def _cues(script: Cue | Iterable[Cue]) -> Iterator[Cue]:
    """One cue for ever, or several one after the other."""
    if isinstance(script, str | Reply | BaseException) or callable(script):
        return itertools.repeat(script)
    return iter(script)


async def _asynchronous(stream: ScriptedStream) -> AsyncIterator[Chunk]:
    """The chunks, each awaited in a thread. Leaving early cancels the request."""
    try:
        while (chunk := await asyncio.to_thread(next, stream, None)) is not None:
            yield chunk
    finally:
        stream.cancel()

"""One line of a scripted engine being said: tokens, stop strings, delays and breaks to order."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from workbench.engine.scheduling.text import TextAssembler
from workbench.errors import StreamIncomplete
from workbench.interfaces import Chunk, Completion, FinishReason, Request, Timings
from workbench.settings import EngineSettings
from workbench.testing.words import EOS, WordTokenizer


@dataclass(frozen=True, slots=True)
class Reply:
    """A line with stage directions.

    Attributes:
        text: what is said.
        delay_s: time before each token.
        first_delay_s: time before the first token, in place of ``delay_s``.
        dies_after: break off after that many tokens.
        error: what is raised then; ``None``: :class:`~workbench.errors.StreamIncomplete` with the text so far.
    """

    text: str
    delay_s: float = 0.0
    first_delay_s: float | None = None
    dies_after: int | None = None
    error: BaseException | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What a stream needs of its engine.

    Attributes:
        request: what was asked.
        prompt_tokens: tokens of the prompt.
        reply: what to say.
        words: the engine's tokenizer.
        model: the engine's name.
        settings: its settings, ``n_ctx`` set.
        closed: set when the engine is closed.
        ended: called once with the number of tokens, however the stream ends.
    """

    request: Request
    prompt_tokens: int
    reply: Reply
    words: WordTokenizer
    model: str
    settings: EngineSettings
    closed: threading.Event
    ended: Callable[[int], None]


class ScriptedStream(Iterator[Chunk]):
    """Implements :class:`workbench.interfaces.Stream`. Time passes only while somebody asks for the next chunk."""

    def __init__(self, telling: Telling) -> None:
        self._telling = telling
        self._chunks = telling.say()  # refers to the telling only, so that a forgotten stream ends at once

    def __next__(self) -> Chunk:
        return next(self._chunks)

    def cancel(self) -> None:
        """Ask for the end; the stream then ends with ``finish_reason="cancelled"``."""
        self._telling.cancelled = True
        self._telling.wake.set()

    @property
    def completion(self) -> Completion:
        """The whole, once the stream is exhausted."""
        return self._telling.completion


class Telling:
    """A line in the course of being said.

    Attributes:
        running: the first chunk was asked for, and the last was not.
        cancelled: the next token is not said any more.
        wake: ends the present delay.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self._made_at = time.perf_counter()
        self._started_at = self._made_at
        self.running = self.cancelled = False
        self.wake = threading.Event()
        self._assembler = TextAssembler(run.request.stop)
        self._texts: list[str] = []
        self._tokens: list[int] = []
        self._drawn_at: list[float] = []
        self._first_text_at: float | None = None
        self._completion: Completion | None = None

    @property
    def completion(self) -> Completion:
        """The whole, once the stream is exhausted."""
        if self._completion is None:
            raise StreamIncomplete("".join(self._texts), "it was not read to its end.")
        return self._completion

    def say(self) -> Iterator[Chunk]:
        """The chunks, each when it is asked for."""
        self._started_at, self.running = time.perf_counter(), True
        try:
            reason: FinishReason = "length"
            for token in itertools.islice(self._script(), self._room()):
                if self.cancelled:
                    break
                yield self._draw(token)
                if token == EOS or self._assembler.stopped:
                    reason = "stop"
                    break
            yield self._finish("cancelled" if self.cancelled and reason != "stop" else reason)
        finally:
            self.running = False
            self._run.ended(len(self._tokens))

    def _script(self) -> Iterator[int]:
        """Tokens to come, each after its delay; raises where the script breaks off."""
        reply = self._run.reply
        ids = self._run.words.tokenize(reply.text)
        endless = self._run.request.sampling.ignore_eos and ids
        for place, token in enumerate(itertools.cycle(ids) if endless else [*ids, EOS]):
            if place == reply.dies_after:
                raise reply.error or self._incomplete("the script says so.")
            first = place == 0 and reply.first_delay_s is not None
            self.wake.wait(reply.first_delay_s if first else reply.delay_s)
            if self._run.closed.is_set():
                raise self._incomplete("the engine was closed.")
            yield token

    def _room(self) -> int:
        """Tokens that may be said: the request's cap, or what the context has left."""
        left = (self._run.settings.n_ctx or 0) - self._run.prompt_tokens
        cap = self._run.request.max_tokens
        return left if cap is None else min(cap, left)

    def _draw(self, token: int) -> Chunk:
        self._tokens.append(token)
        self._drawn_at.append(time.perf_counter())
        return self._chunk(self._assembler.feed(self._run.words.piece(token).encode()), (token,))

    def _finish(self, reason: FinishReason) -> Chunk:
        last = self._chunk(self._assembler.finish(), (), reason)
        self._completion = Completion(
            text="".join(self._texts),
            tokens=tuple(self._tokens),
            finish_reason=reason,
            timings=self._timings(),
            model=self._run.model,
            settings=self._run.settings,
        )
        return last

    def _chunk(self, text: str, tokens: tuple[int, ...], reason: FinishReason | None = None) -> Chunk:
        at_ms = 1e3 * (time.perf_counter() - self._made_at)
        if text and self._first_text_at is None:
            self._first_text_at = at_ms
        self._texts.append(text)
        return Chunk(text, tokens, at_ms, reason)

    def _timings(self) -> Timings:
        now, drawn = time.perf_counter(), self._drawn_at
        first = drawn[0] if drawn else now
        return Timings(
            queue_ms=1e3 * (self._started_at - self._made_at),
            prefill_ms=1e3 * (first - self._started_at),
            ttft_ms=self._first_text_at,
            decode_ms=1e3 * (drawn[-1] - first) if drawn else 0.0,
            total_ms=1e3 * (now - self._made_at),
            prompt_tokens=self._run.prompt_tokens,
            cached_tokens=0,
            output_tokens=len(drawn),
            itl_ms=tuple(1e3 * (after - before) for before, after in itertools.pairwise(drawn)),
            started_s=self._made_at,
        )

    def _incomplete(self, reason: str) -> StreamIncomplete:
        return StreamIncomplete("".join(self._texts), reason)

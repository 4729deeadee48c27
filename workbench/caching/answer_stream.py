"""The stream one reader gets of an answer: the engine's own, one that is followed, or one that was kept.

Knows flights, no cache and no engine.
"""

from __future__ import annotations

import asyncio
import time
import weakref
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field

from workbench.caching.flight import Flight
from workbench.errors import StreamIncomplete
from workbench.interfaces import Chunk, Completion, FinishReason, Receipt, Timings
from workbench.settings import EngineSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a stream has to know of its request.

    Attributes:
        model: the engine's name.
        settings: its effective settings.
        prompt_tokens: of the prompt; called where nobody has counted them: the answer was not read to its end, or was
            given to other words.
        at: when it was asked, by ``time.perf_counter``.
    """

    model: str
    settings: Callable[[], EngineSettings]
    prompt_tokens: Callable[[], int]
    at: float = field(default_factory=time.perf_counter)


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an answer comes from that is not computed for its reader.

    Attributes:
        tier: "response-exact" or "response-semantic".
        why: in a sentence.
        prompt_tokens: of the prompt, where the answer that was kept says it.
    """

    tier: str
    why: str
    prompt_tokens: int | None = None


@dataclass(slots=True)
class Seat:
    """A reader's place in a flight; given up once."""

    flight: Flight | None

    def give_up(self) -> None:
        """Leave the flight. Idempotent."""
        flight, self.flight = self.flight, None
        if flight is not None:
            flight.leave()


Boarding = tuple[Flight, Origin | None]


class AnswerStream(Iterator[Chunk]):
    """Implements :class:`workbench.interfaces.Stream`. Abandoning it gives up its place.

    Args:
        flight: joined already.
        origin: ``None``: the answer is computed for this reader.
        asked: what was asked.
        again: gives another flight, should this one fail those who follow.
    """

    def __init__(
        self, flight: Flight, origin: Origin | None, asked: Asked, again: Callable[[], Boarding] | None = None
    ) -> None:
        self._flight, self._origin, self._asked, self._again = flight, origin, asked, again
        self._seat = Seat(flight)
        self._place = 0
        self._handed: list[Chunk] = []
        self._completion: Completion | None = None
        self._cancelled = self._ended = False
        weakref.finalize(self, self._seat.give_up)

    def __next__(self) -> Chunk:
        if self._ended:
            raise StopIteration
        try:
            chunk = self._taken()
        except Exception:
            self._end()
            raise
        self._place += 1
        self._handed.append(chunk)
        return chunk

    def cancel(self) -> None:
        """Ask for the end; where others read the same answer, it goes on for them."""
        if not self._ended and not self._flight.stop_if_alone():
            self._cancelled = True
            self._flight.wake()

    @property
    def completion(self) -> Completion:
        """The whole, once the stream is exhausted."""
        if self._completion is None:
            raise StreamIncomplete(self._text, "it was not read to its end.")
        return self._completion

    async def asynchronously(self) -> AsyncIterator[Chunk]:
        """The chunks without blocking the event loop; leaving early gives up the place."""
        loop, news = asyncio.get_running_loop(), asyncio.Event()

        def tell() -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(news.set)

        heard: Flight | None = None
        try:
            while not self._ended:
                if self._flight is not heard:
                    heard = self._flight
                    heard.listen(tell)
                while not (self._cancelled or self._flight.ready(self._place)):
                    await news.wait()
                    news.clear()
                # the last waits until it is kept, and behind an error another flight begins: that is for a thread
                easy = not self._cancelled and self._flight.on_its_way(self._place)
                yield next(self) if easy else await asyncio.to_thread(next, self)
        finally:
            self._seat.give_up()

    # -- one chunk after the other -------------------------------------------------------------------------------

    def _taken(self) -> Chunk:
        """The next chunk; the last one has a reason."""
        chunk = None
        while chunk is None:
            if self._cancelled:
                return self._last("", (), "cancelled")
            try:
                chunk = self._flight.chunk(self._place, lambda: self._cancelled)
            except Exception as error:
                self._change(error)
                continue
            if chunk is None and not self._cancelled:
                raise StreamIncomplete(self._text, "it ended without saying why.")
        if chunk.finish_reason is None:
            return chunk if self._origin is None else Chunk(chunk.text, chunk.tokens, self._now_ms())
        return self._last(chunk.text, chunk.tokens, chunk.finish_reason, chunk.at_ms)

    def _last(self, text: str, tokens: tuple[int, ...], reason: FinishReason, at_ms: float | None = None) -> Chunk:
        last = Chunk(text, tokens, self._now_ms() if self._origin or at_ms is None else at_ms, reason)
        whole = None if self._cancelled else self._flight.landed()
        own = whole if self._origin is None else None
        self._completion = own or self._made_completion([*self._handed, last], reason, whole)
        self._end()
        return last

    def _end(self) -> None:
        self._ended = True
        self._seat.give_up()

    def _change(self, error: Exception) -> None:
        """Another flight in place of one that failed; its first reader gets the error, the others ask themselves.

        Raises:
            Exception: ``error``, where there is no other flight, or it tells another text than the first.
        """
        flight = None
        if self._origin is not None and self._again is not None:
            try:
                flight, self._origin = self._again()
            except Exception as second:
                raise error from second
        self._seat.give_up()
        if flight is None:
            raise error
        self._flight = self._seat.flight = flight
        self._place = 0 if not self._text else self._place_behind(self._text, error)

    def _place_behind(self, handed: str, error: Exception) -> int:
        """The place in the new flight behind what was handed out already."""
        text, place = "", 0
        while len(text) < len(handed):
            chunk = self._flight.chunk(place, lambda: self._cancelled)
            if chunk is None or chunk.finish_reason is not None:
                break
            text, place = text + chunk.text, place + 1
        if text != handed:
            raise error
        return place

    # -- forms ---------------------------------------------------------------------------------------------------

    @property
    def _text(self) -> str:
        return "".join(chunk.text for chunk in self._handed)

    def _now_ms(self) -> float:
        return 1e3 * (time.perf_counter() - self._asked.at)

    def _made_completion(self, chunks: Sequence[Chunk], reason: FinishReason, whole: Completion | None) -> Completion:
        """The whole for a reader for whom nothing was computed, or who left while others stayed.

        Args:
            chunks: what it was handed.
            reason: how it ended.
            whole: of whoever it was computed for, where it was followed to its end.
        """
        asked, origin = self._asked, self._origin
        tokens = tuple(token for chunk in chunks for token in chunk.tokens)
        output = len(tokens) if tokens or self._cancelled else self._flight.output_tokens
        known = whole.timings.prompt_tokens if whole else origin.prompt_tokens if origin else None
        prompt, total_ms = asked.prompt_tokens() if known is None else known, self._now_ms()
        saved = prompt if origin else 0
        return Completion(
            text="".join(chunk.text for chunk in chunks),
            tokens=tokens,
            finish_reason=reason,
            timings=Timings(
                queue_ms=0.0,
                prefill_ms=0.0,
                ttft_ms=next((chunk.at_ms for chunk in chunks if chunk.text), None),
                decode_ms=0.0,
                total_ms=total_ms,
                prompt_tokens=prompt,
                cached_tokens=saved,
                output_tokens=output,
                itl_ms=(0.0,) * max(0, output - 1),
                started_s=asked.at,
            ),
            model=whole.model if whole else asked.model,
            settings=asked.settings(),
            receipt=Receipt(restored_tokens=saved, tier=origin.tier, why=origin.why, restore_ms=total_ms)
            if origin
            else None,
        )

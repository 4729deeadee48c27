"""Chunks of one call, for a thread and for an event loop."""

from __future__ import annotations

import asyncio
import collections
import queue
from collections.abc import AsyncIterator, Callable, Iterator

from workbench.endpoint.call import Call, Event, Listener
from workbench.interfaces import Chunk, Completion

Submit = Callable[[Listener], Call]


class EndpointStream(Iterator[Chunk]):
    """For a consumer on any one thread. Implements :class:`workbench.interfaces.Stream`.

    Args:
        submit: takes a listener, sends the request and returns its call.
    """

    def __init__(self, submit: Submit) -> None:
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._over = False
        self._call = submit(self._events.put)

    def __next__(self) -> Chunk:
        if self._over:
            raise StopIteration
        event = self._events.get()
        if isinstance(event, Chunk):
            return event
        self._over = True
        return _last(event)

    def cancel(self) -> None:
        """Ask for the end; the stream then ends with ``finish_reason="cancelled"``."""
        self._call.cancel()

    @property
    def completion(self) -> Completion:
        """The whole, once the stream is exhausted."""
        return self._call.completion

    def __del__(self) -> None:
        # An abandoned stream must not keep a server busy; __init__ may have failed before the call was made.
        call = getattr(self, "_call", None)
        if call is not None and not call.future.done():
            call.cancel()


class _Mailbox:
    """Events from the client's thread for a consumer on another loop, who is woken once for all that came meanwhile.

    Waking another loop is a system call; one an event made a fast stream half as fast again.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._events: collections.deque[Event] = collections.deque()
        self._came = asyncio.Event()
        self._called = self._left = False

    def put(self, event: Event) -> None:
        """On the client's thread."""
        if self._left:
            return
        self._events.append(event)
        if not self._called:
            self._called = True
            self._loop.call_soon_threadsafe(self._came.set)

    async def get(self) -> Event:
        """On the consumer's loop."""
        while not self._events:
            self._came.clear()
            self._called = False
            if not self._events:  # else it came just now, and nobody was called
                await self._came.wait()
        return self._events.popleft()

    def leave(self) -> None:
        """Nobody reads any more; the loop may be closed."""
        self._left = True


async def stream_async(submit: Submit) -> AsyncIterator[Chunk]:
    """For an event loop. Leaving early cancels the request."""
    events = _Mailbox()
    call = submit(events.put)
    try:
        while isinstance(event := await events.get(), Chunk):
            yield event
        yield _last(event)
    finally:
        events.leave()
        if not call.future.done():
            call.cancel()


def _last(event: Completion | BaseException) -> Chunk:
    """The chunk that ends a stream.

    Raises:
        whatever the request failed with.
    """
    if not isinstance(event, Completion):
        raise event
    return Chunk("", (), event.timings.total_ms, event.finish_reason)

"""One answer on its way and everybody who reads it: the first who asked, and those who asked the same meanwhile.

A thread of its own takes the chunks from the engine, so that a reader who pauses holds up nobody. Knows chunks, not
where they come from nor where they are kept.
"""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable, Sequence

from workbench.errors import StreamIncomplete
from workbench.interfaces import Chunk, Completion, Stream

Listener = Callable[[], None]


class Flight:
    """Chunks so far, and how it ended. Threads: any.

    A reader joins once and leaves once. When the last has left before the end, the engine is asked to stop.

    Attributes:
        output_tokens: generated tokens, once it is whole.
    """

    def __init__(self) -> None:
        self._chunks: list[Chunk] = []
        self._completion: Completion | None = None
        self._error: Exception | None = None
        self._over = self._stopping = False
        self._readers = 1
        self.output_tokens = 0
        self._stream: Stream | None = None
        self._changed = threading.Condition()
        self._listeners: list[Listener] = []

    # -- whoever makes the answer --------------------------------------------------------------------------------

    def drive(
        self, stream: Stream, keep: Callable[[list[Chunk], Completion], None], landed: Callable[[], None]
    ) -> None:
        """Read a stream to its end in a thread.

        Args:
            stream: to read.
            keep: called with the whole before its readers are told that it is whole.
            landed: called when nobody may join any more.
        """
        with self._changed:
            self._stream = stream
        # the thread counts for the trace of whoever asked first
        context = contextvars.copy_context()
        threading.Thread(
            target=context.run, args=(self._pump, stream, keep, landed), name="cached-answer", daemon=True
        ).start()

    def finish(self, chunks: Sequence[Chunk], output_tokens: int, completion: Completion | None = None) -> None:
        """It is whole. ``completion``: the engine's, where it was computed now."""
        with self._changed:
            self._chunks += chunks
            self._completion, self.output_tokens, self._over = completion, output_tokens, True
            self._tell()

    def fail(self, error: BaseException) -> None:
        """It broke off; one that is over already stays as it is.

        An interrupt is for the thread it came to: who follows is told that nothing more will come.
        """
        with self._changed:
            if self._over:
                return
            if isinstance(error, Exception):
                self._error = error
            else:
                self._error = StreamIncomplete("".join(chunk.text for chunk in self._chunks), f"{error!r} came.")
                self._error.__cause__ = error
            self._over = True
            self._tell()

    def _pump(
        self, stream: Stream, keep: Callable[[list[Chunk], Completion], None], landed: Callable[[], None]
    ) -> None:
        try:
            for chunk in stream:
                with self._changed:
                    self._chunks.append(chunk)
                    self._tell()
            completion = stream.completion
        except BaseException as error:
            landed()
            self.fail(error)
            return
        try:
            keep(self._chunks, completion)
        finally:  # kept or not, it is whole
            landed()
            self.finish((), completion.timings.output_tokens, completion)

    def _tell(self) -> None:
        self._changed.notify_all()
        for listener in self._listeners:
            listener()

    # -- whoever reads it ----------------------------------------------------------------------------------------

    def landed(self) -> Completion | None:
        """The engine's own completion, waited for; ``None``: it broke off, or was kept."""
        with self._changed:
            self._changed.wait_for(lambda: self._over)
            return self._completion

    def join(self) -> bool:
        """One reader more; ``False``: it is being stopped, or has failed."""
        with self._changed:
            if self._stopping or self._error is not None:
                return False
            self._readers += 1
            return True

    def leave(self) -> None:
        """One reader less; without any it is stopped."""
        with self._changed:
            self._readers -= 1
            self._stopping = self._stopping or (self._readers == 0 and not self._over)
            stream = self._stream if self._stopping else None
        if stream is not None:
            stream.cancel()

    def stop_if_alone(self) -> bool:
        """Stop it for its only reader; ``False``: others read it too, and it goes on for them."""
        with self._changed:
            if self._readers > 1 or self._over:
                return self._over
            self._stopping = True
            stream = self._stream
        if stream is not None:
            stream.cancel()
        return True

    def ready(self, place: int) -> bool:
        """Whether :meth:`chunk` would return at once."""
        with self._changed:
            return self._over or place < len(self._chunks)

    def on_its_way(self, place: int) -> bool:
        """Whether the chunk at ``place`` is there and not the last: to take it waits for nothing."""
        return place < len(self._chunks) and self._chunks[place].finish_reason is None

    def chunk(self, place: int, given_up: Callable[[], bool]) -> Chunk | None:
        """The chunk at ``place``, waited for; ``None``: there is none, it is over, or the reader has given up.

        Raises:
            Exception: what it failed with, behind its last chunk.
        """
        if place < len(self._chunks):  # they only ever become more
            return self._chunks[place]
        with self._changed:
            self._changed.wait_for(lambda: self._over or place < len(self._chunks) or given_up())
            if place < len(self._chunks):
                return self._chunks[place]
            if self._error is not None:
                raise self._error
            return None

    def wake(self) -> None:
        """Let those who wait look again whether they have given up."""
        with self._changed:
            self._tell()

    def listen(self, listener: Listener) -> None:
        """Call ``listener``, in whichever thread, whenever there is something new; it must return at once."""
        with self._changed:
            self._listeners.append(listener)

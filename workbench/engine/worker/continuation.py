"""The rest of an answer whose beginning another process generated.

The engine is asked to go on from the prompt and the tokens so far. Stop strings and characters may begin in the old
part and end in the new one, so text is assembled here, from the bytes of all of them; the engine's own is not used.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from workbench.engine.scheduling.text import TextAssembler
from workbench.engine.scheduling.ticket import Listener
from workbench.interfaces import Chunk, Completion, FinishReason, Request


class Continuation:
    """Stands between the engine and the listener of one request.

    Args:
        request: as it was made, its prompt as tokens.
        already: tokens generated before; their text has been handed out as far as it was certain.
        piece: token → its bytes; ``None`` for one that ends generation.
        listener: gets new text only.
    """

    def __init__(
        self, request: Request, already: list[int], piece: Callable[[int], bytes | None], listener: Listener
    ) -> None:
        self._piece, self._listener = piece, listener
        self._assembler = TextAssembler(request.stop)
        self._ended = False
        for token in already:
            self._feed(token)
        asked = request.max_tokens
        self.left = None if asked is None else asked - len(already)
        self.request = request
        self.cancel: Callable[[], None] = lambda: None
        self._already = already

    @property
    def over(self) -> FinishReason | None:
        """Why nothing is left to generate, if so: the process died between the last token and its last word."""
        if self._assembler.stopped or (self._ended and not self.request.sampling.ignore_eos):
            return "stop"
        return "length" if self.left is not None and self.left <= 0 else None

    def rest(self) -> Request:
        """What to ask the engine for."""
        prompt = [*self.request.prompt, *self._already]
        return dataclasses.replace(self.request, prompt=prompt, max_tokens=self.left, stop=())

    def close(self) -> str:
        """Text held back that is certain now that the end is known."""
        return self._assembler.finish()

    def listen(self, event: Chunk | Completion | BaseException) -> None:
        """The engine's events, with the text this answer has."""
        if isinstance(event, Chunk):
            self._chunk(event)
        elif isinstance(event, Completion):
            self._end(event)
        else:
            self._listener(event)

    def _chunk(self, chunk: Chunk) -> None:
        for token in chunk.tokens:
            if self._assembler.stopped:
                return  # drawn before the cancellation took effect
            text = self._feed(token)
            self._listener(Chunk(text, (token,), chunk.at_ms))
            self._cancel_at_stop()

    def _cancel_at_stop(self) -> None:
        if self._assembler.stopped:
            self.cancel()

    def _end(self, completion: Completion) -> None:
        stopped = self._assembler.stopped
        if held_back := self.close():
            self._listener(Chunk(held_back, (), completion.timings.total_ms))
        reason: FinishReason = "stop" if stopped or self._assembler.stopped else completion.finish_reason
        self._listener(dataclasses.replace(completion, finish_reason=reason))

    def _feed(self, token: int) -> str:
        piece = self._piece(token)
        self._ended = piece is None
        return "" if piece is None else self._assembler.feed(piece)

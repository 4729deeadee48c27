"""A whole answer as it is kept: text and tokens in the pieces in which they came, and how it ended.

Knows JSON and completions, no cache and no engine.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Self, cast

from workbench.interfaces import Chunk, Completion, FinishReason, Request

Piece = tuple[str, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer.

    Attributes:
        pieces: text and tokens of each chunk, empty ones left out; joined, the text and the tokens.
        finish_reason: "stop" or "length"; a cancelled answer is not whole and is never kept.
        prompt_tokens: of the prompt it was given to.
        output_tokens: generated tokens.
    """

    pieces: tuple[Piece, ...]
    finish_reason: FinishReason
    prompt_tokens: int
    output_tokens: int

    @classmethod
    def of(cls, chunks: Iterable[Chunk], completion: Completion) -> Self:
        """What came, chunk by chunk."""
        return cls(
            pieces=tuple((chunk.text, chunk.tokens) for chunk in chunks if chunk.text or chunk.tokens),
            finish_reason=completion.finish_reason,
            prompt_tokens=completion.timings.prompt_tokens,
            output_tokens=completion.timings.output_tokens,
        )

    @classmethod
    def whole(cls, completion: Completion) -> Self:
        """An answer that came in one piece."""
        return cls.of([Chunk(completion.text, completion.tokens, 0.0)], completion)

    def chunks(self) -> list[Chunk]:
        """The pieces as they came; the last one has the reason."""
        *first, (text, tokens) = self.pieces or (("", ()),)
        return [*(Chunk(said, ids, 0.0) for said, ids in first), Chunk(text, tokens, 0.0, self.finish_reason)]

    def to_json(self) -> str:
        """As text."""
        return json.dumps([self.pieces, self.finish_reason, self.prompt_tokens, self.output_tokens])

    @classmethod
    def from_json(cls, text: str) -> Self | None:
        """The inverse of :meth:`to_json`; ``None`` for a text of another kind: whoever finds it has found nothing."""
        try:
            pieces, reason, prompt_tokens, output_tokens = json.loads(text)
            made = tuple((str(said), tuple(int(token) for token in tokens)) for said, tokens in cast("Any", pieces))
            if reason not in ("stop", "length"):
                return None
            return cls(made, reason, int(prompt_tokens), int(output_tokens))
        except (ValueError, TypeError):
            return None


def is_whole(completion: Completion, request: Request) -> bool:
    """Whether an answer ended by itself, or by the very limit that was asked for.

    Not when it was cancelled, nor when the context was full: another context would have held more of it.
    """
    if completion.finish_reason == "stop":
        return True
    tokens = len(completion.tokens) or completion.timings.output_tokens
    return completion.finish_reason == "length" and request.max_tokens is not None and tokens >= request.max_tokens

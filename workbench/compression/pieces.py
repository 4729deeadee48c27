"""What may go of a conversation, in pieces as large as a message or as small as a word, and what is left without it."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from workbench.compression.base import Kept
from workbench.compression.budget import TokenCounter, most_within
from workbench.compression.units import protected, units
from workbench.interfaces import Message

Split = Callable[[str], Sequence[tuple[int, int]]]
"""A text → where its pieces are: (start, end) each, in order, not overlapping; what lies between them is space."""

_TITLES = ("Mr", "Dr", "Ms", "St", "vs", "Mrs", "Prof", "e.g", "i.e")  # a full stop behind them ends no sentence
_STOP = "".join(rf"(?<!\b{re.escape(title)}\.)" for title in _TITLES)
# a full stop of Chinese or Japanese ends a sentence without a space behind it
SENTENCE_END = rf"[.!?\u2026]{_STOP}[\"'\u201d\u2019)\]*]*(?=\s)|[\u3002\uff01\uff1f]"
_SENTENCE = re.compile(rf"\S.*?(?:{SENTENCE_END}|$)", re.MULTILINE)
_WORD = re.compile(r"\S+")
_LOOK_AHEAD = 12
_WELL_USED = 0.005  # of the budget may be left without looking further


@dataclass(frozen=True, slots=True)
class Piece:
    """Some of what may go: whole messages (a tool call with its answers), or a stretch of one message's text.

    Attributes:
        places: indices of the messages; one, if it is a stretch.
        span: (start, end) in the text; ``None``: all of it.
    """

    places: tuple[int, ...]
    span: tuple[int, int] | None = None

    def text(self, messages: Sequence[Message]) -> str:
        """What it says."""
        whole = "\n".join(messages[place].content for place in self.places)
        return whole if self.span is None else whole[slice(*self.span)]


def sentences(text: str) -> list[tuple[int, int]]:
    """Where the sentences of a text are, without the space around them; none goes beyond its line."""
    return [(match.start(), match.start() + len(match[0].rstrip())) for match in _SENTENCE.finditer(text)]


def words(text: str) -> list[tuple[int, int]]:
    """Where the words of a text are: what stands between spaces."""
    return [match.span() for match in _WORD.finditer(text)]


def pieces(messages: Sequence[Message], split: Split | None = None) -> list[Piece]:
    """All that may go, in order.

    Args:
        messages: the conversation.
        split: how a message's text is divided; ``None``: not at all. Tool calls, their answers and empty texts are
            never divided.
    """
    found: list[Piece] = []
    for places in units(messages):
        first = messages[places[0]]
        plain = len(places) == 1 and not first.tool_calls and first.tool_call_id is None
        spans = split(first.content) if split is not None and plain else ()
        found += [Piece(places, span) for span in spans] if len(spans) > 1 else [Piece(places)]
    return found


def rebuild(messages: Sequence[Message], kept: Iterable[Piece]) -> list[Kept]:
    """The conversation with what is protected and the pieces that are kept, in its own order.

    Stretches that followed one another keep what stood between them; where something went there is one space, or one
    line break if there was any. A message that is kept whole is the very object given.
    """
    spans: dict[int, list[tuple[int, int]]] = {}
    whole = protected(messages)
    for piece in kept:
        if piece.span is None:
            whole.update(piece.places)
        else:
            spans.setdefault(piece.places[0], []).append(piece.span)
    return [
        Kept(place, message if place in whole else _cut(message, sorted(spans[place])))
        for place, message in enumerate(messages)
        if place in whole or place in spans
    ]


def keep_best(
    messages: Sequence[Message], ordered: Sequence[Piece], budget_tokens: int, counter: TokenCounter
) -> list[Kept]:
    """The conversation with what :func:`best_pieces` finds; arguments as there."""
    return rebuild(messages, best_pieces(messages, ordered, budget_tokens, counter))


def best_pieces(
    messages: Sequence[Message], ordered: Sequence[Piece], budget_tokens: int, counter: TokenCounter
) -> list[Piece]:
    """As many pieces as fit, the best first; where one does not fit, some of the next are tried.

    Args:
        messages: the conversation; what is protected fits.
        ordered: pieces, the most valuable first.
        budget_tokens: tokens of the whole, by ``counter``.
        counter: counts exactly; a handful of times, however many pieces there are.
    """

    def tokens_of(chosen: Sequence[Piece]) -> int:
        return counter([one.message for one in rebuild(messages, chosen)])

    guess = _guess(messages, ordered, budget_tokens, counter)
    count = most_within(len(ordered), lambda count: tokens_of(ordered[:count]), budget_tokens, guess)
    kept = list(ordered[:count])
    left = budget_tokens - tokens_of(kept)
    for piece in ordered[count + 1 : count + 1 + _LOOK_AHEAD]:
        if left <= budget_tokens * _WELL_USED:
            break
        needed = tokens_of([*kept, piece])
        if needed <= budget_tokens:
            kept.append(piece)
            left = budget_tokens - needed
    return kept


def _guess(messages: Sequence[Message], ordered: Sequence[Piece], budget_tokens: int, counter: TokenCounter) -> int:
    """How many pieces may fit, by their lengths in characters."""
    characters = sum(len(message.content) + 8 for message in messages)
    rate = counter(messages) / max(1, characters)
    left = budget_tokens - rate * sum(len(messages[place].content) + 8 for place in protected(messages))
    for count, piece in enumerate(ordered):
        left -= rate * (len(piece.text(messages)) + 8 * (piece.span is None) + 1)
        if left < 0:
            return max(1, count)
    return max(1, len(ordered))


def _cut(message: Message, spans: Sequence[tuple[int, int]]) -> Message:
    """The message with these stretches of its text only."""
    text, end = message.content[slice(*spans[0])], spans[0][1]
    for start, stop in spans[1:]:
        between = message.content[end:start]
        text += (between if not between.strip() else "\n" if "\n" in between else " ") + message.content[start:stop]
        end = stop
    return message if text == message.content.strip() else dataclasses.replace(message, content=text)

"""What of a conversation the model is shown, and how many tokens there are for it.

After a compression the shorter conversation is what every prompt begins with until the next one is due, so that the
beginning stays the same and its KV can be used again. Knows engines by their token counts.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from workbench.conversation.log import View
from workbench.conversation.settings import ConversationSettings
from workbench.conversation.turn import Turn, messages_of
from workbench.errors import ContextOverflow
from workbench.interfaces import Compression, Compressor, Engine, Message

UNKNOWN_CONTEXT = 4096
MOST_ANSWER, LEAST_ANSWER = 512, 16
_PER_MESSAGE, _PER_PROMPT = 8, 64  # more than a chat template writes around a message, and around all of them
_CHARACTERS_PER_TOKEN = 8  # more than any text has; bounds what is looked at of a long conversation
_BYTES_PER_TOKEN = 3  # about; English has more, most other scripts have less
_ENDS = 2  # tokens at most that a tokenizer sets around a text by itself: BOS and EOS

_REMEDY = "Say it in shorter messages, shorten the system message, or raise n_ctx."


class Tokens:
    """Tokens of texts and conversations as an engine counts them: exactly, or at most. Threads: any.

    Of an engine that has to ask a server for each count (``counts_remotely``), texts are bounded by their bytes, and
    only a prompt that may be too long is counted. The bound of one that estimates (``counts_exact`` is false) is an
    estimate as well.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._exact = bool(getattr(engine, "counts_exact", True))
        self._remote = bool(getattr(engine, "counts_remotely", False))
        count: Callable[[str], int] = engine.count_tokens
        self._counted = functools.lru_cache(maxsize=8192)(count) if self._exact else count  # estimates get better
        self._known: tuple[tuple[Message, ...], int] = ((), _PER_PROMPT)

    def learn(self, messages: Sequence[Message], tokens: int) -> None:
        """A prompt's count is known: what begins like it can be told more closely.

        Some servers report 0, or leave out what they had in a cache: nothing is learnt from 0, nor less than its own
        estimate from an engine that estimates.
        """
        if tokens > 0:
            least = 0 if self._exact else self._engine.count_tokens(messages)
            self._known = tuple(messages), max(tokens, least)

    def exactly(self, messages: Sequence[Message]) -> int:
        """What the prompt takes, as well as the engine knows; in proportion to its length."""
        tokens = self._engine.count_tokens(messages)
        self._known = tuple(messages), tokens
        return tokens

    def at_most(self, messages: Sequence[Message]) -> int:
        """Not less than the prompt takes, and not much more; a text met before costs nothing."""
        known, tokens = self._known
        pairs = zip(known, messages, strict=False)
        same = next((place for place, (old, new) in enumerate(pairs) if old != new), min(len(known), len(messages)))
        gone = known[same:]
        # a template may have left out some of an earlier answer (its reasoning): how much it took is not known
        if gone and (self._remote or any(message.role == "assistant" for message in gone)):
            return self.exactly(messages)
        left_out = sum(max(0, self.of_text(message.content.strip()) - _ENDS) for message in gone)
        return tokens - left_out + sum(self.of_message(message) for message in messages[same:])

    def within(self, messages: Sequence[Message], limit: int) -> bool:
        """Whether the prompt takes at most ``limit``; counted exactly only where that is in doubt."""
        return self.at_most(messages) <= limit or self.exactly(messages) <= limit

    def of_message(self, message: Message) -> int:
        """What it adds to a prompt, at most."""
        around = f"{message.name or ''}{message.tool_calls or ''}"
        return self.of_text(message.content) + (self.of_text(around) if around else 0) + _PER_MESSAGE

    def of_text(self, text: str) -> int:
        """What a text takes, at most."""
        if self._remote:
            return _bytes(text)
        return self._counted(text) if text.strip() else len(text)

    def about(self, text: str) -> int:
        """What a text takes, without asking a server."""
        return -(-_bytes(text) // _BYTES_PER_TOKEN) if self._remote else self.of_text(text)


def _bytes(text: str) -> int:
    return len(text.encode("utf-8", "replace"))


@dataclass(frozen=True, slots=True)
class Budget:
    """Tokens a prompt may take.

    Attributes:
        hard: never more: what is left is the shortest answer.
        room: beside the answer's room.
        high: above it the conversation is compressed.
        low: to this.
    """

    hard: int
    room: int
    high: int
    low: int

    @classmethod
    def of(cls, n_ctx: int, settings: ConversationSettings, max_tokens: int | None) -> Budget:
        """For a context and an answer of ``max_tokens``; ``None``: by the settings.

        Raises:
            ContextOverflow: the answer alone takes the context.
        """
        answer = max_tokens or settings.answer_tokens or min(MOST_ANSWER, n_ctx // 4)
        room = n_ctx - answer
        if room < 1:
            raise ContextOverflow(answer, n_ctx, "Ask for a shorter answer (max_tokens), or raise n_ctx.")
        hard = max(room, n_ctx - min(LEAST_ANSWER, answer))
        return cls(hard, room, int(settings.compress_at * room), int(settings.compress_to * room))


class Context:
    """The beginning of the next prompt: the opening, the compressed past, the turns since.

    Args:
        opening: messages the conversation opens with.
        tokens: counts them.
        compressor: makes the past shorter.
    """

    def __init__(self, opening: Sequence[Message], tokens: Tokens, compressor: Compressor) -> None:
        self.opening, self.tokens, self.compressor = tuple(opening), tokens, compressor
        self.view: View | None = None
        self._recent: list[Message] = []
        self._before: tuple[View | None, list[Message]] = (None, [])

    @property
    def messages(self) -> tuple[Message, ...]:
        """What the next prompt begins with."""
        return (*(self.opening if self.view is None else self.view.messages), *self._recent)

    def restore(self, turns: Sequence[Turn], view: View | None, n_ctx: int) -> None:
        """Take up a conversation: its last view, or as many of the last turns as may ever fit."""
        self.view = view if view is not None and view.opening == self.opening else None
        floor = self.view.turns if self.view is not None else 0
        left, start = _CHARACTERS_PER_TOKEN * n_ctx, len(turns)
        while start > floor and left > 0:
            start -= 1
            left -= len(turns[start].user) + len(turns[start].text)
        if start > floor:
            self.view = None  # it does not reach up to what is looked at
        self._recent = messages_of(turns[start:])

    def begin(self) -> None:
        """A turn is under way: remember what there was before it."""
        self._before = self.view, self._recent

    def undo(self) -> None:
        """The turn has come to nothing: the conversation is as it was, a compression for that turn included."""
        self.view, self._recent = self._before

    def add(self, turn: Turn) -> None:
        """A turn has ended."""
        self._recent += turn.messages

    def fit(self, asked: Message, budget: Budget, turns: int, *, extra: Sequence[Message] = ()) -> Compression | None:
        """Compress if the prompt is above the budget's ``high``, or does not fit with ``extra``.

        Args:
            asked: the user's message.
            budget: for the prompt.
            turns: so many have been so far.
            extra: what else the prompt holds; not compressed.

        Raises:
            ContextOverflow: what may not be left out does not fit.
        """
        around = sum(self.tokens.of_message(message) for message in extra)
        prompt = (*self.messages, asked)
        if self.tokens.within(prompt, min(budget.high, budget.hard - around)):
            return None
        done = self._compressed(prompt, budget, around)
        self.view = View(done.messages[:-1], turns, self.opening)
        self._recent = []
        return done

    def _compressed(self, prompt: Sequence[Message], budget: Budget, around: int) -> Compression:
        hard, query = budget.hard - around, prompt[-1].content
        try:
            done = self.compressor.compress(prompt, min(budget.low, hard), query)
        except ContextOverflow as error:
            need = error.need_tokens
            if need > hard:
                raise ContextOverflow(need + around, budget.hard, _REMEDY) from error
            # half of what is left beside what has to stay: the next turns need room, too
            done = self.compressor.compress(prompt, min(hard, max(need, (need + budget.room) // 2)), query)
        if not self.tokens.within(done.messages, hard):  # a compressor that counts otherwise than the engine
            raise ContextOverflow(self.tokens.exactly(done.messages) + around, budget.hard, _REMEDY)
        return done

"""The tokens of a conversation, continued instead of made again.

A model's answer is kept as the tokens it generated, for the same text tokenised again may come out as others, and the
KV cache is of the ones generated. Only what is new is tokenised: the chat template renders the whole conversation, and
what stands behind the last answer is new. Knows an engine's tokenizer and template; never what is generated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from workbench.engine.sessions.turn import Turn, messages_of, rendered_of
from workbench.errors import EngineError, InvalidSettings
from workbench.interfaces import Engine, Message

_ANCHOR = "\n"


class Template(Protocol):
    """A model's chat template; see :class:`workbench.engine.template.ChatTemplate`."""

    def render(self, messages: Sequence[Message]) -> str:
        """The prompt text, up to where the next answer begins."""
        ...


@dataclass(frozen=True, slots=True)
class Part:
    """What a turn adds to the context; see :class:`Turn`. ``note``: why everything had to be tokenised again."""

    rendered: str
    tokens: tuple[int, ...]
    whole: bool
    note: str = ""


class TokenWriter:
    """Writes the prompts of one conversation's turns.

    Args:
        engine: whose tokenizer it is.
        template: its chat template.
    """

    def __init__(self, engine: Engine, template: Template) -> None:
        self._engine, self._template = engine, template

    def next_part(self, last: Turn | None, asked: Sequence[Message]) -> Part:
        """What ``asked`` adds behind ``last``.

        Raises:
            ChatTemplateError: the template refuses the conversation.
            EngineClosed: the engine is closed.
        """
        text = self._template.render([*messages_of(last), *asked])
        if last is None:
            return Part(text, self._whole(text), whole=True)
        if last.output is None:
            return Part(text, self._whole(text), True, "an earlier answer is known as text only")
        before = rendered_of(last)
        tail = _tail(text, before, last.answer.content)
        tokens = self._following(tail) if tail else ()
        if not tokens:
            return Part(text, self._whole(text), True, "the chat template wrote earlier text differently this time")
        return Part(text[len(before) :], tokens, whole=False)

    def said(self, text: str, generated: Sequence[int], *, stopped: bool, after: int) -> tuple[int, ...] | None:
        """The tokens that stand for an answer in the context.

        They are those generated, less an end-of-generation token (the template writes the end of a turn itself) and
        less what belongs to a stop string. Where that begins inside a token, the rest of the text is tokenised.

        Args:
            text: the answer.
            generated: its tokens as far as the engine told them.
            stopped: whether the model or a stop string ended it.
            after: the last token before the answer.

        Returns:
            ``None``: the engine cannot be asked any more.
        """
        if generated and not stopped:
            return tuple(generated)
        try:
            return self._without_end(text, list(generated), after)
        except EngineError:
            return None

    def _without_end(self, text: str, generated: list[int], after: int) -> tuple[int, ...]:
        for count in (len(generated) - 1, len(generated)):
            if count >= 0 and self._text(generated[:count], after) == text:
                return tuple(generated[:count])
        count = self._leading(text, generated, after)
        rest = text[len(self._text(generated[:count], after)) :]
        return (*generated[:count], *self._following(rest))

    def _leading(self, text: str, generated: list[int], after: int) -> int:
        """How many of the tokens are sure to be a beginning of ``text``."""
        low, high = 0, len(generated)
        while low < high:
            middle = (low + high + 1) // 2
            if text.startswith(self._text(generated[:middle], after)):
                low = middle
            else:
                high = middle - 1
        return low

    def _text(self, tokens: list[int], after: int) -> str:
        """The text of tokens behind another: some tokenizers write the first of all differently."""
        return self._engine.detokenize([after, *tokens])[len(self._engine.detokenize([after])) :]

    def _whole(self, text: str) -> tuple[int, ...]:
        """All of a rendered conversation: with the model's BOS, unless the template wrote it."""
        plain = self._engine.tokenize(text, parse_special=True)
        full = self._engine.tokenize(text, add_special=True, parse_special=True)
        if not full:
            raise InvalidSettings("The conversation comes to no tokens at all. Say something, or change the template.")
        doubled = len(full) > len(plain) > 0 and full[0] == plain[0] == full[1]
        return tuple(plain if doubled else full)

    def _following(self, text: str) -> tuple[int, ...]:
        """Tokens of a text that other text comes before: no space is put in front of it (SentencePiece does)."""
        anchor = self._engine.tokenize(_ANCHOR, parse_special=True)
        tokens = self._engine.tokenize(_ANCHOR + text, parse_special=True)
        if tokens[: len(anchor)] == anchor:
            return tuple(tokens[len(anchor) :])
        return tuple(self._engine.tokenize(text, parse_special=True))


def _tail(text: str, before: str, answer: str) -> str | None:
    """What a rendered conversation has behind the last answer; ``None``: it does not go on from ``before``.

    Templates that trim the spaces of an answer are followed: in the context it stays as it was generated.
    """
    if not text.startswith(before):
        return None
    for written in (answer, answer.rstrip(), answer.lstrip(), answer.strip()):
        if text.startswith(written, len(before)):
            return text[len(before) + len(written) :]
    return None

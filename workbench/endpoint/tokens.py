"""How many tokens a text takes: exactly where somebody knows the tokenizer, else by an estimate that says it is one."""

from __future__ import annotations

import abc
import re
from collections.abc import Callable, Sequence
from typing import Any

from workbench.endpoint.body import messages_of
from workbench.endpoint.providers import TokenizerStyle
from workbench.errors import UsageError
from workbench.interfaces import Engine, Message, Prompt

Ask = Callable[[str, Any], Any]
"""Path from the server's root and body → its answer."""

_PIECES = re.compile(r"[A-Za-z]+|\d|[^\W\d_A-Za-z]|_+|[^\w\s]+|\n+")
_LETTERS_A_TOKEN = 6
_SIGNS_A_TOKEN = 3
_TOKENS_A_MESSAGE = 4
_LEARNING_SAMPLES = 32
_PRIOR_TOKENS = 50.0


class Tokens(abc.ABC):
    """Counts tokens.

    Attributes:
        exact: a count is what the server will count, not an estimate.
        remote: each count asks the server.
    """

    exact: bool
    remote: bool = False

    @abc.abstractmethod
    def tokenize(self, text: str, *, add_special: bool, parse_special: bool) -> list[int]:
        """Text → ids.

        Raises:
            UsageError: the tokenizer is unknown.
        """

    @abc.abstractmethod
    def detokenize(self, tokens: Sequence[int]) -> str:
        """Ids → text.

        Raises:
            UsageError: the tokenizer is unknown.
        """

    @abc.abstractmethod
    def count(self, prompt: Prompt) -> int:
        """Tokens of a prompt, as :meth:`workbench.interfaces.Engine.count_tokens`."""


class ServerTokens(Tokens):
    """The server's own tokenizer: llama-server's calls, or vLLM's.

    Args:
        ask: puts a question to the server.
        style: whose calls they are.
        model: its name there.
    """

    exact, remote = True, True

    def __init__(self, ask: Ask, style: TokenizerStyle, model: str) -> None:
        self._ask, self._vllm, self._model = ask, style == "vllm", model

    def tokenize(self, text: str, *, add_special: bool, parse_special: bool) -> list[int]:
        """Text → ids. vLLM reads special tokens in a text always."""
        text = text.encode("utf-8", "replace").decode()
        if not text and not add_special:
            return []
        if self._vllm:
            body = {"model": self._model, "prompt": text, "add_special_tokens": add_special}
        else:
            body = {"content": text, "add_special": add_special, "parse_special": parse_special}
        return [int(token) for token in self._ask("/tokenize", body)["tokens"]]

    def detokenize(self, tokens: Sequence[int]) -> str:
        """Ids → text."""
        if not tokens:
            return ""
        answer = self._ask("/detokenize", {"model": self._model, "tokens": list(tokens)})
        return str(answer["prompt" if self._vllm else "content"])

    def count(self, prompt: Prompt) -> int:
        """A conversation goes through the server's chat template."""
        if isinstance(prompt, str):
            return len(self.tokenize(prompt, add_special=True, parse_special=False))
        messages = [part for part in prompt if isinstance(part, Message)]
        if not messages:
            return len(prompt)
        plain = messages_of(messages)
        if self._vllm:
            return int(self._ask("/tokenize", {"model": self._model, "messages": plain})["count"])
        text = self._ask("/apply-template", {"messages": plain})["prompt"]
        return len(self.tokenize(text, add_special=True, parse_special=True))


class HandedTokens(Tokens):
    """A local engine with the same model stands in for the server's tokenizer and chat template."""

    exact = True

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def tokenize(self, text: str, *, add_special: bool, parse_special: bool) -> list[int]:
        """Text → ids."""
        return self._engine.tokenize(text, add_special=add_special, parse_special=parse_special)

    def detokenize(self, tokens: Sequence[int]) -> str:
        """Ids → text."""
        return self._engine.detokenize(tokens)

    def count(self, prompt: Prompt) -> int:
        """As the local engine counts."""
        return self._engine.count_tokens(prompt)


class EstimatedTokens(Tokens):
    """Nobody knows the tokenizer. Words, digits and signs are counted, and the counts the server gives correct that.

    Measured on SmolLM2's tokenizer before any correction: English prose +3 %, Markdown +1 %, Python -5 %, digits -11 %,
    German -42 %, Chinese -49 % (a small vocabulary with little of either).
    """

    exact = False

    def __init__(self) -> None:
        self._counted = self._estimated = _PRIOR_TOKENS
        self._samples = 0

    @property
    def learning(self) -> bool:
        """Whether another comparison is of use."""
        return self._samples < _LEARNING_SAMPLES

    def learn(self, prompt: Prompt, counted: int) -> None:
        """The server has counted a prompt."""
        if counted > 0 and self.learning:
            self._samples += 1
            self._counted += counted
            self._estimated += _raw(prompt)

    def tokenize(self, text: str, *, add_special: bool, parse_special: bool) -> list[int]:  # noqa: ARG002
        """Not possible.

        Raises:
            UsageError: always.
        """
        raise UsageError(
            "Nobody here knows this model's tokenizer. Name a local GGUF of the same family with tokenizer='…', or use "
            "count_tokens for an estimate."
        )

    def detokenize(self, tokens: Sequence[int]) -> str:
        """Not possible; no tokens have no text.

        Raises:
            UsageError: for any token.
        """
        return "" if not tokens else str(self.tokenize("", add_special=False, parse_special=False))

    def count(self, prompt: Prompt) -> int:
        """The estimate; token ids are counted exactly."""
        if prompt and not isinstance(prompt, str) and isinstance(prompt[0], int):
            return len(prompt)
        return max(1, round(_raw(prompt) * self._counted / self._estimated))


def _raw(prompt: Prompt) -> float:
    """The estimate before what was learned."""
    if isinstance(prompt, str):
        return float(_pieces(prompt))
    messages = [part for part in prompt if isinstance(part, Message)]
    return float(sum(_TOKENS_A_MESSAGE + _pieces(message.content) for message in messages)) or float(len(prompt))


def _pieces(text: str) -> int:
    total = 0
    for match in _PIECES.finditer(text):
        piece = match[0]
        if len(piece) == 1:
            total += 1
        else:
            total += -(-len(piece) // (_LETTERS_A_TOKEN if piece[0].isalpha() else _SIGNS_A_TOKEN))
    return total

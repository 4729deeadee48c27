"""The newest messages that fit into a number of tokens: what a chat does that has no memory but its context.

The sliding window of every chat front end (LangChain's ``trim_messages`` with ``strategy="last"``, llama.cpp's context
shift); unlike a buffer of N messages it costs the prompt the same whether messages are short or long. Knows tokens only
as what a given function counts.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path

from workbench.errors import InvalidSettings
from workbench.interfaces import Message, Recollection
from workbench.memory.base import LoggedMemory, Query
from workbench.memory.transcript import Transcript

CountTokens = Callable[[Sequence[Message]], int]

BYTES_PER_TOKEN = 3.5
TOKENS_PER_MESSAGE = 5


def estimate_tokens(messages: Sequence[Message]) -> int:
    r"""Tokens that messages roughly take, for want of a tokenizer.

    UTF-8 bytes / 3.5, and 5 a message for the template (``<|im_start|>role\n…<|im_end|>\n`` is five). Byte-pair
    tokenizers take 4 to 4.5 bytes of English prose a token and 2 to 3.5 of code, names, numbers and other scripts, so
    it errs on the safe side for prose only; what must fit exactly has to be counted with the engine's own tokenizer.
    """
    size = sum(
        len(part.encode("utf-8", "surrogatepass"))
        for message in messages
        for part in (message.content, message.name or "", *(str(call) for call in message.tool_calls))
    )
    return math.ceil(size / BYTES_PER_TOKEN) + TOKENS_PER_MESSAGE * len(messages)


class WindowMemory(LoggedMemory[Transcript]):
    """Recalls the newest messages of a session that fit the budget together. The query has no influence.

    They follow one another: a message that does not fit any more ends the window, also where an older, shorter one
    would. A newest message longer than the budget leaves the window empty. ``k``, ``since`` and ``until`` choose first,
    then the budget does. Counts O(log n) times a recall, never much more than twice the budget.

    Args:
        budget_tokens: tokens the recalled messages take at most, as counted by ``count_tokens``.
        count_tokens: tokens a list of messages takes, such as ``engine.count_tokens``; more messages must not take
            fewer. ``None``: :func:`estimate_tokens`, and the budget then holds for the estimate only.
        folder: as for :class:`LoggedMemory`.

    Raises:
        InvalidSettings: ``budget_tokens`` is below 1.
    """

    name = "window"

    def __init__(
        self,
        budget_tokens: int = 1024,
        *,
        count_tokens: CountTokens | None = None,
        folder: Path | str | None = None,
    ) -> None:
        if budget_tokens < 1:
            raise InvalidSettings(f"budget_tokens must be at least 1 token, not {budget_tokens}.")
        super().__init__(folder)
        self.budget_tokens = budget_tokens
        self._count_tokens = count_tokens or estimate_tokens

    def count(self, session: str = "default") -> int:
        """Messages in the window now."""
        if not super().count(session):
            return 0
        with self._session(session) as snapshot:
            return self._newest(snapshot.messages)

    def _snapshot(self, session: str, epoch: int) -> Transcript:
        return Transcript(session, epoch)

    def _rank(self, snapshot: Transcript, query: Query) -> list[Recollection]:
        indices = snapshot.within(query.since, query.until)[-query.k :]
        fitting = self._newest([snapshot.messages[index] for index in indices])
        return [snapshot.recollection(index, float(index), "recent") for index in indices[len(indices) - fitting :]]

    def _newest(self, messages: Sequence[Message]) -> int:
        """How many of the last ``messages`` fit together."""

        def fits(count: int) -> bool:
            return self._count_tokens(messages[len(messages) - count :]) <= self.budget_tokens

        low, high = 0, 1
        while high <= len(messages) and fits(high):  # doubling first: a long past is not counted to its beginning
            low, high = high, 2 * high
        high = min(high, len(messages) + 1)
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if fits(middle) else (low, middle)
        return low

"""The contract of an engine."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from types import TracebackType
from typing import Any, Protocol, Self, runtime_checkable

from workbench.interfaces.generation import Chunk, Completion, EngineStats, Request, Scores
from workbench.interfaces.messages import Prompt
from workbench.settings import EngineSettings


class Stream(Iterator[Chunk], Protocol):
    """Chunks as they come, for one consumer.

    Joined, their texts are :attr:`completion` ``.text`` and their tokens ``.tokens`` (or none, where an engine cannot
    tell which token came when); only the last one has a ``finish_reason``.
    """

    def cancel(self) -> None:
        """Ask for the end; the stream then ends with ``finish_reason="cancelled"`` and has its :attr:`completion`.

        Any thread; idempotent. A stream that came to its own end first keeps its reason.
        """
        ...

    @property
    def completion(self) -> Completion:
        """The whole, once generation has ended: at the latest when the stream is exhausted.

        Raises:
            StreamIncomplete: it is not (yet) whole; carries the partial text.
        """
        ...


@runtime_checkable
class Engine(Protocol):
    """Something that completes prompts.

    Threads: every method may be called from any thread; calls do not disturb each other. Ownership: the engine owns
    its model and context until :meth:`close`; it is a context manager. ``options`` are fields of :class:`Request`
    and of :class:`Sampling`, and ``preset`` (a name of :data:`workbench.engine.presets`); :meth:`Request.of` sorts
    them. The same request with temperature 0 or a seed, and ``cache_prompt=False``, gives the same text; where KV is
    reused a prompt is computed in other pieces, and rounding may tip a near tie.

    Raises (every method but :meth:`close`): EngineClosed after :meth:`close`; ContextOverflow for a prompt longer than
    the context; UnknownName for an option nobody knows; InvalidSettings for a value out of its range. An asynchronous
    method raises when it is awaited or first iterated, at the latest.
    """

    name: str

    @property
    def settings(self) -> EngineSettings:
        """Effective settings."""
        ...

    @property
    def stats(self) -> EngineStats:
        """A snapshot; never blocks on a running request. Can be read after :meth:`close`: state "closed"."""
        ...

    def complete(self, prompt: Prompt | Request, **options: Any) -> Completion:
        """Generate and return the whole."""
        ...

    def stream(self, prompt: Prompt | Request, **options: Any) -> Stream:
        """Generate chunk by chunk. Abandoning the iterator cancels the request.

        Raises:
            StreamIncomplete: while iterating: the engine went away (closed, killed); carries the text handed out.
        """
        ...

    async def acomplete(self, prompt: Prompt | Request, **options: Any) -> Completion:
        """As :meth:`complete`, without blocking the event loop. Cancelling the task cancels the request."""
        ...

    def astream(self, prompt: Prompt | Request, **options: Any) -> AsyncIterator[Chunk]:
        """As :meth:`stream`, without blocking the event loop."""
        ...

    def complete_many(self, prompts: Sequence[Prompt | Request], **options: Any) -> list[Completion]:
        """Complete several, as many at once as the engine can; answers in the order of the prompts.

        The first that fails raises and cancels the others. ``options`` go to each.
        """
        ...

    def tokenize(self, text: str, *, add_special: bool = False, parse_special: bool = False) -> list[int]:
        """Text → token ids. ``add_special``: BOS and EOS as the model wants; ``parse_special``: "<|eot|>" is one."""
        ...

    def detokenize(self, tokens: Sequence[int]) -> str:
        """Token ids → text, the inverse of :meth:`tokenize` without special tokens; invalid bytes become U+FFFD."""
        ...

    def count_tokens(self, prompt: Prompt) -> int:
        """Tokens the prompt takes in the context, chat template and special tokens included.

        It is what ``timings.prompt_tokens`` of its completion will say.
        """
        ...

    def score(self, text: str | Sequence[int], *, context: str | Sequence[int] = "") -> Scores:
        """Log-probabilities of the tokens of ``text`` after ``context``.

        A ``context`` given as text begins with BOS where the model wants it, the empty one too; tokens are taken as
        they are. Whatever came before in other calls has no influence.
        """
        ...

    def close(self) -> None:
        """Free everything; running streams break off. Idempotent."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

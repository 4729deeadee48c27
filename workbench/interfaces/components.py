"""The contracts of what surrounds an engine: embedders, memories, compressors, caches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from workbench.interfaces.generation import FloatArray
from workbench.interfaces.messages import Message
from workbench.showing import Shown, Table, View, fact


@runtime_checkable
class Embedder(Protocol):
    """Text → vectors of length 1, the empty text's too. Threads: any.

    A text's vector depends on nothing but the text: not on its neighbours in the batch (up to rounding, 1e-4), nor on
    what was embedded before.
    """

    name: str
    dimensions: int
    max_tokens: int | None
    """Tokens that count; what is longer is cut, and :meth:`truncated` says so. ``None``: no limit."""

    @property
    def fingerprint(self) -> str:
        """Changes whenever the same text could give another vector; the key of persistent caches.

        Equal for two embedders made alike, in this process or another.
        """
        ...

    def embed(self, texts: Sequence[str]) -> FloatArray:
        """Vectors of passages: (len(texts), dimensions) float32, each of L2 norm 1; (0, dimensions) for none."""
        ...

    def embed_query(self, text: str) -> FloatArray:
        """Vector of a query: (dimensions,) float32. Differs from :meth:`embed` where the model has a query prefix."""
        ...

    def truncated(self, texts: Sequence[str]) -> list[bool]:
        """Which texts are longer than ``max_tokens``."""
        ...

    def close(self) -> None:
        """Free the model. Idempotent."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Recollection(Shown):
    """A remembered message and why it came back, or a note the memory made.

    Attributes:
        message: what was said; a note is a system message.
        index: its 0-based place in the session; ``None``: a note the memory made (a summary, relationships).
        score: higher is better; comparable within one recall only.
        reason: for the reader: "recent", "similar to the query", …
        at: when it was said, in seconds since 1970; ``None`` for a note.
    """

    message: Message
    index: int | None
    score: float
    reason: str
    at: float | None = None


class Recollections(list[Recollection], Shown):
    """What a recall found: a list that shows itself as a table."""

    __slots__ = ()

    def _view(self) -> View:
        rows = [(fact(one.index), one.message.role, one.message.content, fact(one.score), one.reason) for one in self]
        count = f"{len(self)} recollection{'' if len(self) == 1 else 's'}"
        return View(heading=count, tables=[Table(columns=("index", "who", "message", "score", "reason"), rows=rows)])


@runtime_checkable
class Memory(Protocol):
    """What a conversation remembers. Sessions never see each other.

    Threads: any. Order: within a session, messages keep the order in which they were added; ``recall`` returns them
    in that order, notes first. An index is given out once and stays, even when a memory with a limit lets older
    messages go. Session names are any text; two that differ in one character are two sessions. Durability: what
    :meth:`add` acknowledged is recalled after a crash if the memory was given a folder.
    """

    def add(self, message: Message, *, session: str = "default", at: float | None = None) -> int:
        """Remember one message; returns its index in the session.

        Args:
            message: what was said.
            session: in which conversation.
            at: when, in seconds since 1970; ``None``: now.
        """
        ...

    def add_many(
        self, messages: Sequence[Message], *, session: str = "default", at: Sequence[float] | None = None
    ) -> range:
        """Remember several at once, the normal path; returns their indices.

        Raises:
            InvalidSettings: ``at`` has not one time per message.
        """
        ...

    def recall(
        self,
        query: str,
        *,
        session: str = "default",
        k: int = 10,
        since: float | None = None,
        until: float | None = None,
        include_relationships: bool = False,
    ) -> list[Recollection]:
        """At most ``k`` messages that help to answer ``query``, oldest first, none twice, after at most two notes.

        A session nobody has added to is empty, not an error.

        Args:
            query: what is to be answered.
            session: in which conversation.
            k: how many messages at most.
            since: only what was said at or after this moment, in seconds since 1970.
            until: only what was said before it.
            include_relationships: begin with a note on how those whom the query names stand to others, if this memory
                knows of relationships.

        Raises:
            InvalidSettings: ``k`` is below 1.
        """
        ...

    def feedback(self, index: int, value: float, *, session: str = "default") -> None:
        """Say how much a recalled message helped. A memory that does not learn keeps it for one that does.

        Args:
            index: of the message.
            value: from -1 (misled) to 1 (helped).
            session: in which conversation.

        Raises:
            InvalidSettings: there is no such message, or ``value`` is out of its range.
        """
        ...

    def count(self, session: str = "default") -> int:
        """Messages remembered in a session: those a recall with a large enough ``k`` can find."""
        ...

    def sessions(self) -> tuple[str, ...]:
        """Names of the sessions, sorted."""
        ...

    def forget(self, session: str) -> None:
        """Delete a session and free what it took; the next message added has index 0. Unknown is no error."""
        ...

    def flush(self) -> None:
        """Return once background work is done.

        Raises:
            WorkbenchError: some of it failed; what it was about is still in the event log.
        """
        ...

    def close(self) -> None:
        """Flush and free. Idempotent."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Compression(Shown):
    """What a compressor made of a conversation.

    Attributes:
        messages: the shorter conversation.
        tokens_before: tokens of the conversation given.
        tokens_after: tokens of ``messages``; never above the budget.
        kept_prefix: leading messages that are unchanged (their KV stays usable).
        elapsed_ms: time it took.
        invalidated_tokens: tokens of the given conversation after the kept prefix: KV that cannot be used again.
        dropped: indices of the given messages that are gone altogether.
        changed: indices of those that are there with another text.
    """

    messages: tuple[Message, ...]
    tokens_before: int
    tokens_after: int
    kept_prefix: int
    elapsed_ms: float
    invalidated_tokens: int = 0
    dropped: tuple[int, ...] = ()
    changed: tuple[int, ...] = ()


@runtime_checkable
class Compressor(Protocol):
    """Makes a conversation fit. Threads: any; keeps no state between calls; the same input gives the same output.

    Never broken: system messages, the last turn (the last user's message and what follows; without one, the last
    message), a tool call and its answers (all or none). What is kept keeps its order.
    """

    def fits(self, messages: Sequence[Message], budget_tokens: int) -> bool:
        """Whether ``messages`` need no compression. The predicate before the command."""
        ...

    def compress(self, messages: Sequence[Message], budget_tokens: int, query: str | None = None) -> Compression:
        """At most ``budget_tokens``; unchanged if they fit already.

        Raises:
            ContextOverflow: what may not be broken is longer than the budget.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheStats(Shown):
    """Hits and misses so far, entries and bytes held now."""

    hits: int
    misses: int
    entries: int
    bytes: int

    @property
    def hit_rate(self) -> float | None:
        """Hits per look-up; ``None`` before the first."""
        looked = self.hits + self.misses
        return self.hits / looked if looked else None


@runtime_checkable
class Cache(Protocol):
    """Text under text keys. Threads: any; :meth:`get_or_compute` computes a key once however many ask at once."""

    @property
    def stats(self) -> CacheStats:
        """Counters so far."""
        ...

    def get(self, key: str) -> str | None:
        """The value, or ``None``: a miss. Expired and damaged entries are misses."""
        ...

    def put(self, key: str, value: str) -> None:
        """Keep a value in place of any before; the least recently used go when the budget is spent.

        A value larger than the whole budget is not kept; that is no error.
        """
        ...

    def get_or_compute(self, key: str, compute: Callable[[], str]) -> str:
        """The value, computed and kept if missing. A failing ``compute`` raises for all who wait; nothing is kept.

        Other keys do not wait. One call is one look-up: a hit, or a miss for whoever computes and whoever waits.
        """
        ...

    def clear(self) -> None:
        """Drop every entry; the counters stay."""
        ...

    def close(self) -> None:
        """Free it. Idempotent."""
        ...

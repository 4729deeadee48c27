"""Memories made of other memories: one event log, and the parts are strategies that read it.

A part brings its snapshot and its ranking; what was said is kept once on disk, by the whole. A part that works in the
background (an archive, a summary) does so on the whole's journal, with a snapshot of its own, so its events are
replayed with all others. Knows no strategy by name; how rankings become one is the business of whoever has the parts.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, TypeVar

from workbench.errors import InvalidSettings
from workbench.interfaces import Embedder
from workbench.memory.base import LoggedMemory
from workbench.memory.journal import Journal
from workbench.memory.transcript import Transcript
from workbench.memory.vectors import embedder_for
from workbench.registry import memories
from workbench.storage import Event

PartSpec = LoggedMemory[Any] | str | Sequence[Any]
"""A memory that nobody has added to, a registered name, or (name, options)."""


class PartsTranscript(Transcript):
    """A transcript beside those of the parts, all of the same events.

    Args:
        session: its name.
        epoch: of the journal.
        parts: the parts' own snapshots.
    """

    def __init__(self, session: str, epoch: int, parts: Sequence[Transcript]) -> None:
        super().__init__(session, epoch)
        self.parts = tuple(parts)

    def update(self, events: Sequence[Event]) -> None:
        """Take events that follow the last one taken."""
        super().update(events)
        for part in self.parts:
            part.update(events)

    def close(self) -> None:
        """Drop it and the parts' snapshots."""
        super().close()
        for part in self.parts:
            part.close()


P = TypeVar("P", bound=PartsTranscript)


class PartsMemory(LoggedMemory[P]):
    """What all memories with parts share. A subclass says how it ranks.

    Forgetting locks the parts before the whole, a recall the whole before what it asks of the parts: so a part's
    ``_rank`` works on the snapshot it is given and never opens a session of its own.

    Args:
        parts: what it is made of.
        folder: of the whole; a part made by name gets one in it.
        embedder: given to every part made by name that takes one, so that they share its model and its cache;
            ``None``: each has its own.

    Raises:
        InvalidSettings: a part that cannot share a log, or is in use.
        UnknownName: a part nobody has registered.
    """

    def __init__(
        self, parts: Sequence[PartSpec], folder: Path | str | None, *, embedder: Embedder | str | None = None
    ) -> None:
        super().__init__(folder)
        self.parts: list[LoggedMemory[Any]] = []
        self._embedder = None
        try:
            self._embedder = None if embedder is None else embedder_for(embedder, folder)
            for spec in parts:
                part = spec if isinstance(spec, LoggedMemory) else self._made(spec, folder)
                self.parts.append(part)
                part.share(self.journal)
        except BaseException:
            self.close()
            raise

    def share(self, journal: Journal) -> None:
        """Live on another memory's journal from now on, with all parts."""
        super().share(journal)
        for part in self.parts:
            part.share(journal)

    def count(self, session: str = "default") -> int:
        """Messages that one part at least can recall: parts keep the newest, or all."""
        return max(part.count(session) for part in self.parts)

    def flush(self) -> None:
        """Return once the background work of every part is done.

        Raises:
            WorkbenchError: the first that failed; the others are waited for all the same.
        """
        with ExitStack() as all_of_them:
            for part in self.parts:
                all_of_them.callback(part.flush)
        super().flush()

    def close(self) -> None:
        """Flush and free, the parts too. Idempotent."""
        with ExitStack() as all_of_them:
            all_of_them.callback(super().close)
            if self._embedder is not None:
                all_of_them.callback(self._embedder.close)
            for part in self.parts:
                all_of_them.callback(part.close)

    def _snapshots(self, session: str, epoch: int) -> list[Transcript]:
        return [part._snapshot(session, epoch) for part in self.parts]

    def _added(self, session: str, indices: range) -> None:
        for part in self.parts:
            part._added(session, indices)

    def _forgotten(self, session: str) -> None:
        for part in self.parts:
            part._forgotten(session)

    @contextmanager
    def _closed(self, session: str) -> Iterator[None]:
        # what a part has open for its background work is of the old events as well
        with ExitStack() as parts:
            for part in self.parts:
                parts.enter_context(part._closed(session))
            with super()._closed(session):
                yield

    def _made(self, spec: Any, folder: Path | str | None) -> LoggedMemory[Any]:
        name, options = _named(spec)
        factory = memories.get(name)
        if self._embedder is not None and "embedder" in inspect.signature(factory).parameters:
            options = {"embedder": self._embedder, **options}
        if folder is not None:
            options = {"folder": Path(folder) / "parts" / self._folder_name(name), **options}
        part = factory(**options)
        if not isinstance(part, LoggedMemory):
            part.close()
            raise InvalidSettings(
                f"The memory {name!r} keeps a log of its own and cannot be a part of another. "
                "Derive it from workbench.memory.LoggedMemory."
            )
        return part

    def _folder_name(self, name: str) -> str:
        alike = sum(part.name == name for part in self.parts)
        return f"{name}-{alike + 1}" if alike else name


def _named(spec: Any) -> tuple[str, dict[str, Any]]:
    """Name and options of a part that is to be made."""
    if isinstance(spec, str):
        return spec, {}
    pair = tuple(spec) if isinstance(spec, Sequence) else ()
    if len(pair) != 2 or not isinstance(pair[0], str) or not isinstance(pair[1], Mapping):
        raise InvalidSettings(
            f"A part is a name, a pair (name, options) or a memory that shares its log; not {spec!r}."
        )
    return pair[0], dict(pair[1])

"""The last messages, as they were said: the baseline every other memory has to beat."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from workbench.errors import InvalidSettings
from workbench.interfaces import Message, Recollection


@dataclass(slots=True)
class _Session:
    """The tail of a session and how many messages it ever had."""

    tail: deque[Message]
    added: int = 0


class BufferMemory:
    """Remembers the last ``size`` messages of each session, in memory only. The query has no influence.

    Implements :class:`workbench.interfaces.Memory`.

    Args:
        size: messages kept per session.

    Raises:
        InvalidSettings: ``size`` is below 1.
    """

    def __init__(self, size: int = 20) -> None:
        if size < 1:
            raise InvalidSettings(f"size must be at least 1 message, not {size}.")
        self.size = size
        self._sessions: dict[str, _Session] = {}
        self._lock = threading.Lock()

    def add(self, message: Message, *, session: str = "default") -> int:
        """Remember one message; returns its index in the session."""
        return self.add_many([message], session=session).start

    def add_many(self, messages: Sequence[Message], *, session: str = "default") -> range:
        """Remember several at once; returns their indices."""
        with self._lock:
            kept = self._sessions.get(session) or _Session(deque(maxlen=self.size))
            if messages:
                self._sessions[session] = kept
            first = kept.added
            kept.tail.extend(messages)
            kept.added += len(messages)
            return range(first, kept.added)

    def recall(self, query: str, *, session: str = "default", k: int = 10) -> list[Recollection]:  # noqa: ARG002
        """The last ``k`` messages, oldest first; a later one scores higher."""
        if k < 1:
            raise InvalidSettings(f"k must be at least 1 message, not {k}.")
        with self._lock:
            kept = self._sessions.get(session)
            if kept is None:
                return []
            first = kept.added - len(kept.tail)
            found = list(enumerate(kept.tail, start=first))[-k:]
        return [Recollection(message=said, index=at, score=float(at), reason="recent") for at, said in found]

    def count(self, session: str = "default") -> int:
        """Messages remembered in a session."""
        with self._lock:
            kept = self._sessions.get(session)
            return len(kept.tail) if kept else 0

    def sessions(self) -> tuple[str, ...]:
        """Names of the sessions, sorted."""
        with self._lock:
            return tuple(sorted(self._sessions))

    def forget(self, session: str) -> None:
        """Delete a session."""
        with self._lock:
            self._sessions.pop(session, None)

    def flush(self) -> None:
        """Return: there is no background work."""

    def close(self) -> None:
        """Forget everything. Idempotent."""
        with self._lock:
            self._sessions.clear()

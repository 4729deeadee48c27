"""What a memory must have so that its sessions can be carried: a log that is read and made anew."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from workbench.errors import InvalidSettings, UnknownName
from workbench.interfaces import Memory
from workbench.storage import Entry, Event


@runtime_checkable
class Logged(Protocol):
    """A memory whose truth is its event log; see :class:`workbench.memory.base.LoggedMemory`."""

    def sessions(self) -> tuple[str, ...]:
        """Names of the sessions."""
        ...

    def events(self, session: str) -> list[Event]:
        """All that has happened in a session, oldest first."""
        ...

    def restore(self, session: str, entries: Sequence[Entry], *, replace: bool = False) -> None:
        """Make a session of such events: all of them, or nothing is changed."""
        ...


def logged(memory: Memory) -> Logged:
    """The memory, if it has an event log.

    Raises:
        InvalidSettings: it has none.
    """
    if isinstance(memory, Logged):
        return memory
    raise InvalidSettings(
        f"{type(memory).__name__} keeps no event log, so there is nothing to export or import. Use a memory that has "
        "events() and restore(), as those of workbench.memory do."
    )


def some(events: list[Event], session: str, memory: Memory) -> list[Event]:
    """The events of a session that exists.

    Raises:
        UnknownName: there is none of that name.
    """
    if not events:
        raise UnknownName("session", session, memory.sessions())
    return events

"""Requests that wait: by priority, then by arrival, and not too many. Engine thread only, but for the count."""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Iterator

from workbench.engine.scheduling.ticket import Ticket


class WaitingLine:
    """Tickets in the order they are to be served."""

    def __init__(self) -> None:
        self._entries: list[tuple[int, int, Ticket]] = []
        self._arrivals = itertools.count()

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Ticket]:
        return iter([ticket for _, _, ticket in self._entries])

    def add(self, ticket: Ticket) -> None:
        """Queue a ticket behind those of its priority."""
        bisect.insort(self._entries, (ticket.request.priority, next(self._arrivals), ticket))

    def remove(self, ticket: Ticket) -> None:
        """Take a ticket out."""
        self._entries = [entry for entry in self._entries if entry[2] is not ticket]

    def take_cancelled(self) -> list[Ticket]:
        """Take out those that were cancelled."""
        gone = [ticket for _, _, ticket in self._entries if ticket.cancelled]
        if gone:
            self._entries = [entry for entry in self._entries if not entry[2].cancelled]
        return gone

    def take_all(self) -> list[Ticket]:
        """Empty the line."""
        tickets = [ticket for _, _, ticket in self._entries]
        self._entries = []
        return tickets

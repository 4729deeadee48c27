"""The next, larger context, made on a thread of its own while the present one works.

Most of the pause in which a context grows is the kernel handing out fresh pages: llama.cpp zeroes the new cache, and
what the old one holds is copied through a buffer. Both are made ready here, and the old context is given back here, so
that of the pause only two copies are left. Knows how to make a context, nothing of what goes into it. CPU only: a GPU's
cache is cleared in no time, and allocating beside a running stream has rules of its own there.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from workbench.engine.native.context import Context, State
from workbench.engine.scheduling.room import Room
from workbench.errors import WorkbenchError

_PAGE_BYTES = 4096

log = logging.getLogger("workbench.engine")


class Prepared(NamedTuple):
    """A context and a buffer, every page of which is there already, for what goes into it."""

    context: Context
    buffer: State


class Successor:
    """At most one context in the making. All methods on the engine's thread.

    Args:
        make: makes a context for a room; called on another thread.
    """

    def __init__(self, make: Callable[[Room], Context]) -> None:
        self._make = make
        self._room: Room | None = None
        self._thread: threading.Thread | None = None
        self._retiring: threading.Thread | None = None
        self._made: Prepared | None = None

    def prepare(self, room: Room, buffer_bytes: int) -> None:
        """Begin to make a context for ``room``, unless that has begun already."""
        if room == self._room:
            return
        self.discard()
        self._room = room
        self._thread = threading.Thread(target=self._run, args=(room, buffer_bytes), name="next-context", daemon=True)
        self._thread.start()

    def take(self, room: Room) -> Prepared | None:
        """The context for ``room``, once it is ready; ``None``: none was begun, or it could not be made."""
        if room != self._room:
            self.discard()
            return None
        made = self._wait()
        self._made = None
        return made

    def retire(self, context: Context) -> None:
        """Give a context back that nobody uses any more, without waiting for it."""
        self._retiring = threading.Thread(target=context.free, name="last-context", daemon=True)
        self._retiring.start()

    def discard(self) -> None:
        """Give back what was made, and wait for what is being given back. Idempotent."""
        made = self._wait()
        self._made = None
        if made is not None:
            made.context.free()
        if self._retiring is not None:
            self._retiring.join()
            self._retiring = None

    def _wait(self) -> Prepared | None:
        thread, self._thread, self._room = self._thread, None, None
        if thread is not None:
            thread.join()
        return self._made

    def _run(self, room: Room, buffer_bytes: int) -> None:
        try:
            context = self._make(room)
        except WorkbenchError as error:  # whoever needs it makes it then, and meets the error there
            log.info("the next context was not made ahead: %s", error)
            return
        buffer = np.empty(buffer_bytes, np.uint8)
        buffer[::_PAGE_BYTES] = 0
        self._made = Prepared(context, buffer)

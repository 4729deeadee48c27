"""The next, larger context, made on a thread of its own while the present one works.

Most of the pause in which a context grows is llama.cpp zeroing the new cache; nobody has to wait for that. Knows how to
make a context, nothing of what goes into it. CPU only: a GPU's cache is cleared in no time, and allocating beside a
running stream has rules of its own there.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from workbench.engine.native.context import Context
from workbench.engine.scheduling.room import Room
from workbench.errors import WorkbenchError

log = logging.getLogger("workbench.engine")


class Successor:
    """At most one context in the making. All methods on the engine's thread.

    Args:
        make: makes a context for a room; called on another thread.
    """

    def __init__(self, make: Callable[[Room], Context]) -> None:
        self._make = make
        self._room: Room | None = None
        self._thread: threading.Thread | None = None
        self._made: Context | None = None

    def prepare(self, room: Room) -> None:
        """Begin to make a context for ``room``, unless that has begun already."""
        if room == self._room:
            return
        self.discard()
        self._room = room
        self._thread = threading.Thread(target=self._run, args=(room,), name="next-context", daemon=True)
        self._thread.start()

    def take(self, room: Room) -> Context | None:
        """The context for ``room``, once it is ready; ``None``: none was begun, or it could not be made."""
        if room != self._room:
            self.discard()
            return None
        made = self._wait()
        self._made = None
        return made

    def discard(self) -> None:
        """Give back what was made. Idempotent."""
        made = self._wait()
        self._made = None
        if made is not None:
            made.free()

    def _wait(self) -> Context | None:
        thread, self._thread, self._room = self._thread, None, None
        if thread is not None:
            thread.join()
        return self._made

    def _run(self, room: Room) -> None:
        try:
            self._made = self._make(room)
        except WorkbenchError as error:  # whoever needs it makes it then, and meets the error there
            log.info("the next context was not made ahead: %s", error)

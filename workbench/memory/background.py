"""Work that nobody waits for: one thread that is woken for a session and does what has gathered there.

Waking twice before the work is done is waking once, so a burst of messages becomes one batch and no queue grows.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

_LOG = logging.getLogger(__name__)


class Background:
    """Calls ``work(session)`` on a thread of its own for each session it was woken for, in order. Thread-safe.

    The thread starts with the first call. An error ends that call only: it is logged, and raised by :meth:`flush`; one
    that would end a thread or the process (``SystemExit``, a panic in Rust) as a ``RuntimeError``.

    Args:
        work: does what there is to do for a session, all of it.
        name: of the thread.
    """

    def __init__(self, work: Callable[[str], None], name: str) -> None:
        self._work, self._name = work, name
        self._changed = threading.Condition()
        self._waiting: dict[str, None] = {}
        self._busy = False
        self._closing = False
        self._errors: dict[str, Exception] = {}  # what flush() has not told yet
        self._failed: dict[str, None] = {}  # whose last call ended in an error
        self._thread: threading.Thread | None = None

    def wake(self, session: str) -> None:
        """There is something to do. Returns at once; after :meth:`close` it is ignored."""
        with self._changed:
            if self._closing:
                return
            self._waiting[session] = None
            if self._thread is None or not self._thread.is_alive():  # a fork has no threads
                self._busy = False
                self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def cancel(self, session: str) -> None:
        """Nothing is to be done for a session any more; waits for what is being done."""
        with self._changed:
            self._waiting.pop(session, None)
            self._changed.wait_for(lambda: not self._busy)
            self._errors.pop(session, None)
            self._failed.pop(session, None)

    def flush(self) -> None:
        """Return when nothing waits.

        Raises:
            Exception: the first that ``work`` raised since the last flush and that no later success made good.
        """
        with self._changed:
            self._changed.wait_for(lambda: not self._waiting and not self._busy)
            errors, self._errors = list(self._errors.values()), {}
        if errors:
            raise errors[0]

    def retry(self) -> None:
        """Wake the sessions whose last call failed."""
        with self._changed:
            failed = list(self._failed)
        for session in failed:
            self.wake(session)

    def close(self) -> None:
        """Finish what waits and end the thread. Idempotent."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
            thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def _run(self) -> None:
        while (session := self._next()) is not None:
            failure: Exception | None = None
            try:
                self._work(session)
            except BaseException as error:  # the thread serves other sessions still; flush() tells
                failure = error if isinstance(error, Exception) else _told(error)
                _LOG.exception("%s: background work failed", self._name)
            finally:
                self._done(session, failure)

    def _done(self, session: str, failure: Exception | None) -> None:
        with self._changed:
            self._busy = False
            if failure is None:
                self._errors.pop(session, None)
                self._failed.pop(session, None)
            else:
                self._errors.setdefault(session, failure)
                self._failed[session] = None
            self._changed.notify_all()

    def _next(self) -> str | None:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closing)
            if not self._waiting:
                return None
            session = next(iter(self._waiting))
            del self._waiting[session]
            self._busy = True
            return session


def _told(error: BaseException) -> RuntimeError:
    """What ended the work, as something that whoever flushes may catch."""
    told = RuntimeError(f"background work ended with {error!r}")
    told.__cause__ = error
    return told

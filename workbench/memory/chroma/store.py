"""The archives of all sessions, as a memory sees them: by session, with errors, without a process.

The process is started with the first request that needs one, and anew when it has died: every request may be asked
twice.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from workbench.errors import InvalidSettings, StorageError, StorageFull, StoreCorrupt
from workbench.interfaces import FloatArray
from workbench.memory.chroma.process import ArchiveProcess, ArchiveProcessDied
from workbench.storage import safe_name


class ChromaStore:
    """One archive a session. Thread-safe; one at a time on a folder: whoever makes it holds a lock.

    Args:
        folder: where the sessions' folders lie; ``None``: a temporary one, gone when closed.
        sessions: names of those there are. When the store is first used, archives of others are deleted: they are what
            a crash in the middle of a deletion left behind.
        most_open: archives open at once; each takes about ten file handles and six threads, in the other process.
        deadline_s: after so long without an answer the process is given up.

    Raises:
        InvalidSettings: ``most_open`` is below 1.
        StorageFull, StoreCorrupt, StorageError (every method): as the name says, and the process died twice.
    """

    def __init__(
        self,
        folder: Path | None,
        *,
        sessions: Callable[[], Iterable[str]],
        most_open: int = 8,
        deadline_s: float = 120.0,
    ) -> None:
        if most_open < 1:
            raise InvalidSettings(f"At least 1 archive must be open at once, not {most_open}.")
        self._folder, self._temporary = folder, folder is None
        self._sessions, self._most_open, self._deadline_s = sessions, most_open, deadline_s
        self._lock = threading.Lock()
        self._process: ArchiveProcess | None = None
        self._clean = self._closed = False

    @property
    def pid(self) -> int | None:
        """Of the process that holds Chroma; ``None``: nothing has needed it yet."""
        process = self._process
        return None if process is None else process.pid

    def folder_of(self, session: str) -> Path | None:
        """Where a session's archive lies, if it has one; ``None``: nothing is on disk yet."""
        return None if self._folder is None else self._folder / folder_name(session)

    def write(self, session: str, fingerprint: str, first: int, vectors: FloatArray) -> int:
        """Archive messages from index ``first`` on: vectors (n, dimensions); returns how many are archived then.

        Less than ``first``: some before it are missing, and nothing was written.
        """
        values = {"name": folder_name(session), "fingerprint": fingerprint, "first": first}
        return int(self._ask("write", values, vectors))

    def similar(
        self,
        session: str,
        fingerprint: str,
        vector: FloatArray,
        k: int,
        *,
        archived: int,
        among: Sequence[int] | None = None,
    ) -> dict[int, float] | None:
        """Index → cosine similarity of about the ``k`` nearest messages.

        ``None``: the archive has less than the ``archived`` messages it should have.

        Args:
            session: whose.
            fingerprint: of the embedder.
            vector: of the query: (dimensions,).
            k: how many at most.
            archived: only messages below this index.
            among: only these, all of them below ``archived``; ``None``: all.
        """
        folder = self.folder_of(session)
        if folder is None or not folder.exists():
            return None
        values = {
            "name": folder.name,
            "fingerprint": fingerprint,
            "k": k,
            "archived": archived,
            "among": None if among is None else list(among),
        }
        found = self._ask("similar", values, vector[None])
        return None if found is None else {int(index): float(score) for index, score in found}

    def delete(self, session: str) -> None:
        """Delete a session's archive and give its room back. Unknown is no error."""
        folder = self.folder_of(session)
        if folder is not None and folder.exists():
            self._ask("delete", {"name": folder.name})

    def close(self) -> None:
        """End the process; waits for what is being done. Idempotent."""
        with self._lock:
            self._closed = True
            if self._process is not None:
                self._process.close()
                self._process = None
            if self._temporary and self._folder is not None:
                shutil.rmtree(self._folder, ignore_errors=True)
                self._folder = None

    def _ask(self, operation: str, values: dict[str, Any], vectors: FloatArray | None = None) -> Any:
        request: dict[str, Any] = {"op": operation, "values": values}
        body = b""
        if vectors is not None:
            request["dimensions"], body = vectors.shape[1], np.ascontiguousarray(vectors, "<f4").tobytes()
        with self._lock:
            try:
                answer = self._started().ask(request, body)
            except ArchiveProcessDied:
                self._process = None
                answer = self._started().ask(request, body)
        return self._checked(answer)

    def _started(self) -> ArchiveProcess:
        if self._closed:
            raise StorageError("The archives are closed. Open the memory anew.")
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="workbench-archive-"))
        if self._process is None:
            self._process = ArchiveProcess(self._folder, most_open=self._most_open, deadline_s=self._deadline_s)
        if not self._clean:
            known = [folder_name(session) for session in self._sessions()]
            self._checked(self._process.ask({"op": "clean", "values": {"known": known}}))
            self._clean = True
        return self._process

    def _checked(self, answer: dict[str, Any]) -> Any:
        folder = self._folder or Path("(temporary)")
        error = answer.get("error")
        if error is None:
            return answer["answer"]
        if error == "full":
            raise StorageFull(folder)
        if error == "corrupt":
            raise StoreCorrupt(folder, f"{answer['text']}. It can be made anew from the event log.")
        raise StorageError(f"{folder}: {answer['text']}")


def folder_name(session: str) -> str:
    """A file name for any text; the whole SHA-256 is in it, so that no two texts share one."""
    digest = hashlib.sha256(session.encode("utf-8", "surrogatepass")).hexdigest()
    stem = safe_name(session).rpartition("-")[0]
    return f"{stem}-{digest}"

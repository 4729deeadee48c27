"""Sequence states on disk: prefixes that survive the process.

One file a sequence (:mod:`workbench.engine.reuse.state_file`) in a folder that engines and processes share
(:mod:`workbench.engine.reuse.state_folder`). What cannot be read is a miss and what cannot be written is not kept: no
request ever fails over this tier. Knows tokens and opaque bytes; never llama.cpp.
"""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from workbench.engine.reuse.backlog import Backlog
from workbench.engine.reuse.host_tier import State, as_view
from workbench.engine.reuse.prefix_index import TOKEN_BYTES, PrefixIndex, pack, unpack
from workbench.engine.reuse.state_file import VERSION, file_bytes, read_state, read_tokens, write_state
from workbench.engine.reuse.state_folder import SUFFIX, StateFolder
from workbench.errors import StorageFull, StoreCorrupt
from workbench.settings import cache_dir

log = logging.getLogger("workbench.engine.disk")

QUEUE_BYTES = 2**28
"""What may wait in memory to be written: 256 MiB, the states of some long conversations."""


def default_folder() -> Path:
    """Where states are kept unless said otherwise."""
    return cache_dir() / "kv"


@dataclass(frozen=True, slots=True, eq=False)
class DiskEntry:
    """A sequence on disk.

    Attributes:
        packed: the tokens whose KV it is, as the file has them: as Python's integers they take nine times as much.
        size: bytes of its state.
        name: of its file.
    """

    packed: bytes = field(repr=False)
    size: int
    name: str

    @property
    def tokens(self) -> tuple[int, ...]:
        """The tokens whose KV it is."""
        return unpack(self.packed)

    @property
    def n_tokens(self) -> int:
        """How many."""
        return len(self.packed) // TOKEN_BYTES


class DiskTier:
    """States under a byte budget that all users of the folder share; the least recently used go first.

    Files are written on a thread of the tier and read on the caller's. Threads: any. Another process's files are found
    when the folder has changed; one that vanishes is a miss; one that is damaged is a miss, removed and logged.

    Args:
        folder: where the files lie; see :func:`default_folder`.
        fingerprint: files of another are not seen, but count against the budget.
        budget_bytes: of all state files in the folder; 0 keeps nothing.
        divisible: whether a state can be cut down to a shorter prefix; see :class:`HostTier`.
        queue_bytes: states that may wait in memory to be written.
    """

    def __init__(
        self,
        folder: Path | str,
        fingerprint: str,
        budget_bytes: int,
        *,
        divisible: bool = True,
        queue_bytes: int = QUEUE_BYTES,
    ) -> None:
        self.fingerprint = fingerprint
        self._folder = StateFolder(Path(folder), budget_bytes)
        # The version is part of the name: another workbench's files are left alone, as another model's are.
        self._prefix = hashlib.sha256(f"{VERSION}\0{fingerprint}".encode()).hexdigest()[:16] + "-"
        self._divisible = divisible
        self._lock = threading.RLock()
        self._index: PrefixIndex[DiskEntry] = PrefixIndex()
        self._by_name: dict[str, DiskEntry] = {}
        self._complaints: set[type] = set()
        self._backlog: Backlog[tuple[tuple[int, ...], State]] = Backlog(self._write, queue_bytes, "kv-writer")

    @property
    def budget_bytes(self) -> int:
        """Most bytes of all state files in the folder."""
        return self._folder.budget_bytes

    @property
    def used_bytes(self) -> int:
        """Bytes of all state files in the folder when it was last looked at; nothing is read for the answer."""
        return self._folder.used_bytes

    def __len__(self) -> int:
        with self._lock:
            self._refresh()
            return len(self._by_name)

    def covers(self, tokens: Sequence[int]) -> bool:
        """Whether :meth:`put` needs no state for these tokens: an entry stands for them already."""
        return self._covering(tokens) is not None

    def put(self, tokens: Sequence[int], state: State, *, wait: bool = False) -> bool:
        """Queue a state to be written. It is referred to, not copied: nobody may change it any more.

        Args:
            tokens: the tokens it is of.
            state: the bytes.
            wait: wait for room in the queue instead of refusing.

        Returns:
            Whether the tokens are on disk already or queued; False: empty, over the budget, or no room in the queue.
        """
        size = as_view(state).nbytes
        if not tokens or not size or file_bytes(self.fingerprint, len(tokens), size) > self.budget_bytes:
            return False
        covering = self._covering(tokens)
        if covering is not None:
            self._folder.touch(covering.name)
            return True
        return self._backlog.add((tuple(tokens), state), size, wait=wait)

    def longest(self, tokens: Sequence[int]) -> tuple[int, DiskEntry | None]:
        """Tokens of the longest usable prefix, and the entry that has it; ``(0, None)`` if there is none.

        What is still queued is not found.
        """
        with self._lock:
            self._refresh()
            return self._find(tokens)

    def read(self, entry: DiskEntry) -> bytearray | None:
        """The state of an entry, checked; ``None``: it is gone or damaged, and no entry any more."""
        try:
            state = read_state(self._folder.path / entry.name, self.fingerprint, entry.packed)
        except FileNotFoundError:
            self._forget(entry)
            return None
        except StoreCorrupt as error:
            self._discard(entry.name, error)
            self._forget(entry)
            return None
        except OSError as error:
            self._complain(error)
            self._forget(entry)
            return None
        self._folder.touch(entry.name)
        return state

    def flush(self) -> None:
        """Return once everything queued is written."""
        self._backlog.flush()

    def close(self) -> None:
        """Write what is queued and end the thread; nothing is queued any more after that. Idempotent."""
        self._backlog.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # -- on the writer's thread ------------------------------------------------------------------------------------

    def _write(self, job: tuple[tuple[int, ...], State]) -> None:
        tokens, state = job
        if self._covering(tokens) is not None:
            return
        packed, size = pack(tokens), as_view(state).nbytes
        name = self._prefix + hashlib.sha256(packed).hexdigest()[:32] + SUFFIX
        try:
            self._folder.make()
            self._make_room(file_bytes(self.fingerprint, len(tokens), size))
            write_state(self._folder.path / name, self.fingerprint, packed, state)
        except (StorageFull, OSError) as error:
            self._complain(error)
            return
        self._replace_shorter(DiskEntry(packed, size, name))
        self._make_room(0)  # another process may have written meanwhile

    def _replace_shorter(self, entry: DiskEntry) -> None:
        """Take up a new entry; those that are prefixes of it are not needed any more."""
        with self._lock:
            shorter = self._index.wholes(entry.tokens) if self._divisible else []
            self._add(entry)
        for old in shorter:
            if old.name != entry.name and self._folder.remove(old.name):
                self._forget(old)

    def _make_room(self, need_bytes: int) -> None:
        removed = self._folder.make_room(need_bytes)
        with self._lock:
            for name in removed:
                self._forget(self._by_name.get(name))

    # -- the index -------------------------------------------------------------------------------------------------

    def _find(self, tokens: Sequence[int]) -> tuple[int, DiskEntry | None]:
        if self._divisible:
            return self._index.longest(tokens)
        wholes = self._index.wholes(tokens)
        return (wholes[-1].n_tokens, wholes[-1]) if wholes else (0, None)

    def _covering(self, tokens: Sequence[int]) -> DiskEntry | None:
        shared, entry = self.longest(tokens)
        return entry if shared == len(tokens) else None

    def _refresh(self) -> None:
        """Bring the index up to what lies in the folder, reading only the fronts of files not known yet."""
        try:
            if not self._folder.changed():
                return
            names = self._folder.names(self._prefix)
        except OSError as error:
            self._complain(error)
            return
        for name in self._by_name.keys() - names:
            self._forget(self._by_name[name])
        for name in names - self._by_name.keys():
            self._adopt(name)

    def _adopt(self, name: str) -> None:
        try:
            header, packed = read_tokens(self._folder.path / name, self.fingerprint)
        except FileNotFoundError:
            return
        except StoreCorrupt as error:
            self._discard(name, error)
        except OSError as error:
            self._complain(error)
        else:
            self._add(DiskEntry(packed, header.state_bytes, name))

    def _add(self, entry: DiskEntry) -> None:
        self._by_name[entry.name] = entry
        self._index.put(entry.tokens, entry)

    def _forget(self, entry: DiskEntry | None) -> None:
        with self._lock:
            if entry is not None and self._by_name.get(entry.name) is entry:
                del self._by_name[entry.name]
                self._index.remove(entry.tokens)

    def _discard(self, name: str, error: StoreCorrupt) -> None:
        log.warning("%s; it is removed and its prompt computed again", error)
        self._folder.remove(name)

    def _complain(self, error: Exception) -> None:
        """Say once for each kind of trouble that this tier does not help at the moment; then go on without it."""
        if type(error) not in self._complaints:
            self._complaints.add(type(error))
            log.warning("sequences are not kept on disk for now: %s", error)

"""Long-term memory in ChromaDB, embedded: one folder a session, in a process of its own.

Knows indices and vectors; never what was said: the text is in the event log alone. Chroma's own embedding functions
and its client for a server are not used, so nothing here ever reaches for the network.

A process of its own, because Chroma's native code holds Python's global lock while it writes (50 to 500 ms for 50
vectors): in the same process no message could be added and no token streamed meanwhile.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.lazy import lazy_names

if TYPE_CHECKING:
    from workbench.memory.chroma.migration import migrate_shared_collection
    from workbench.memory.chroma.store import ChromaStore

_HOME = {"ChromaStore": "store", "migrate_shared_collection": "migration"}

__all__ = ["ChromaStore", "migrate_shared_collection"]

__getattr__, __dir__ = lazy_names(__name__, _HOME)

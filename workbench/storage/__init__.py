"""What is kept on disk: atomic files, safe names, locks, the ledger of runs and the log of events.

Knows bytes, paths and processes; never models, prompts or what a record means.
"""

from workbench.storage.atomic import read_json, replace_file, replacing, write_bytes, write_json, write_text
from workbench.storage.database import Database, FileKind
from workbench.storage.events import Entry, Event, EventLog
from workbench.storage.locks import FolderLock
from workbench.storage.meter import Meter, metering
from workbench.storage.names import safe_name

__all__ = [
    "Database",
    "Entry",
    "Event",
    "EventLog",
    "FileKind",
    "FolderLock",
    "Meter",
    "metering",
    "read_json",
    "replace_file",
    "replacing",
    "safe_name",
    "write_bytes",
    "write_json",
    "write_text",
]

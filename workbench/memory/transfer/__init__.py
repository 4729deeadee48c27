"""Conversations and whole sessions as JSON files: to keep, to read, to carry from one memory to another.

A *conversation* is what was said and when. A *session* is everything that has happened: messages, feedback, relations,
summaries, recalls; since all a memory knows follows from that, any strategy goes on with it where another was. Both
have a versioned schema that is checked before anything is changed. Knows events, never what a strategy makes of them,
and no file name is ever made of a session's name: the name is data inside the file.
"""

from workbench.memory.transfer.conversation import Conversation, load_conversation, save_conversation
from workbench.memory.transfer.schema import json_schema, write_schema
from workbench.memory.transfer.session import export_session, import_session

__all__ = [
    "Conversation",
    "export_session",
    "import_session",
    "json_schema",
    "load_conversation",
    "save_conversation",
    "write_schema",
]

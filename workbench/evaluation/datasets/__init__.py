"""Labelled data: conversations with questions, sentence pairs, documents with queries.

``small()`` comes with the package; the others are read from ``WORKBENCH_DATA``, never downloaded and never shipped.
Knows files; never a memory, an embedder or a figure.
"""

from workbench.evaluation.datasets.abstracts import cranfield
from workbench.evaluation.datasets.history import lengthened
from workbench.evaluation.datasets.long_conversations import locomo
from workbench.evaluation.datasets.meetings import qmsum
from workbench.evaluation.datasets.notes import relation_notes
from workbench.evaluation.datasets.own import SmallSet, read_conversations, small
from workbench.evaluation.datasets.records import CATEGORIES, Collection, Conversation, Note, Pair, Question, Turn
from workbench.evaluation.datasets.sentence_pairs import stsb

__all__ = [
    "CATEGORIES",
    "Collection",
    "Conversation",
    "Note",
    "Pair",
    "Question",
    "SmallSet",
    "Turn",
    "cranfield",
    "lengthened",
    "locomo",
    "qmsum",
    "read_conversations",
    "relation_notes",
    "small",
    "stsb",
]

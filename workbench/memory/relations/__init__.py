"""Reading typed relations out of a note without a language model: rules over clauses, nothing learnt or loaded.

Knows nothing of sessions, stores or graphs.
"""

from workbench.memory.relations.extraction import extract_relations
from workbench.memory.relations.records import SENTIMENT, SYMMETRIC, Relation

__all__ = ["SENTIMENT", "SYMMETRIC", "Relation", "extract_relations"]

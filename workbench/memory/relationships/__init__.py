"""Who stands how to whom: a graph of typed, directed edges with evidence and validity in time.

Built from statements, which an extractor (:mod:`workbench.memory.relations`) or an engine reads out of messages. Knows
nothing of how messages are recalled.
"""

from workbench.memory.relationships.enrichment import EngineEnricher, Enricher
from workbench.memory.relationships.queries import Slice
from workbench.memory.relationships.statements import TYPES, Edge, Statement
from workbench.memory.relationships.store import RelationshipGraph
from workbench.memory.relationships.validity import EXCLUDES

__all__ = ["EXCLUDES", "TYPES", "Edge", "EngineEnricher", "Enricher", "RelationshipGraph", "Slice", "Statement"]

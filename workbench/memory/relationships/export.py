"""A relationship graph for other programs: networkx and JSON.

networkx (https://networkx.org) is loaded on first use.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from workbench.errors import InvalidSettings
from workbench.memory.relationships.statements import Edge, Statement

if TYPE_CHECKING:
    import networkx

    from workbench.memory.relationships.store import RelationshipGraph

FORMAT, VERSION = "workbench relationships", 1


def to_networkx(graph: RelationshipGraph, *, at: float | None = None, history: bool = False) -> networkx.MultiDiGraph:
    """Entities as nodes, edges with all their values as attributes, keyed by type.

    Args:
        graph: what to export.
        at: what holds at this moment.
        history: every edge there ever was instead; keys then are numbers.
    """
    import networkx

    made = networkx.MultiDiGraph()
    with graph.lock:
        made.add_nodes_from(graph.entities)
        edges = graph.history() if history else graph.edges(at=at)
    for edge in edges:
        made.add_edge(edge.source, edge.target, key=None if history else edge.type, **_attributes(edge))
    return made


def communities(graph: RelationshipGraph, at: float | None = None) -> list[set[str]]:
    """Louvain's communities (Blondel et al. 2008, arXiv 0803.0476) over what binds: edges of positive sentiment.

    Weighted by strength times sentiment, directions added up, a fixed seed; those tied to nobody are left out. Largest
    first.
    """
    import networkx

    bonds = networkx.Graph()
    for edge in graph.edges(at=at):
        if edge.sentiment > 0:
            present = bonds.get_edge_data(edge.source, edge.target, {"weight": 0.0})["weight"]
            bonds.add_edge(edge.source, edge.target, weight=present + edge.strength * edge.sentiment)
    found = networkx.community.louvain_communities(bonds, weight="weight", seed=0)
    return sorted((set(group) for group in found), key=lambda group: (-len(group), min(group)))


def to_json(graph: RelationshipGraph) -> dict[str, Any]:
    """All statements, and what they are."""
    statements = [statement.to_dict() for statement in graph.statements()]
    return {"format": FORMAT, "version": VERSION, "statements": statements}


def statements_from_json(values: Mapping[str, Any]) -> list[Statement]:
    """The statements of :func:`to_json`.

    Raises:
        InvalidSettings: another format or version, or a statement that is none.
    """
    if not isinstance(values, Mapping) or values.get("format") != FORMAT or values.get("version") != VERSION:
        raise InvalidSettings(f"This is no {FORMAT!r} of version {VERSION}. Give what to_json() made.")
    listed = values.get("statements")
    if not isinstance(listed, list) or not all(isinstance(one, Mapping) for one in listed):
        raise InvalidSettings("statements must be a list of objects.")
    return [Statement.from_mapping(one) for one in listed]


def _attributes(edge: Edge) -> dict[str, Any]:
    statement = edge.statement
    return {
        "type": edge.type,
        "sentiment": edge.sentiment,
        "strength": edge.strength,
        "valid_from": edge.valid_from,
        "valid_until": edge.valid_until,
        "since": edge.since,
        "times": edge.times,
        "index": edge.index,
        "evidence": statement.evidence,
        "origin": statement.origin,
    }

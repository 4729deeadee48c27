"""Paths and slices: against networkx, and against the size of the graph."""

import itertools
import math
import random
import statistics
import time

import networkx
import pytest

from workbench.errors import InvalidSettings
from workbench.memory.relationships import RelationshipGraph, Statement
from workbench.memory.relationships.queries import MOST_TIES

KINDS = ("trust", "fear", "debt", "respect")


def random_graph(nodes, edges_per_node, seed=0):
    draw = random.Random(seed)
    return RelationshipGraph(
        Statement.of(f"n{source}", f"n{target}", draw.choice(KINDS), at=float(number), strength=draw.uniform(0.1, 1))
        for number, (source, target) in enumerate(
            (node, draw.randrange(nodes)) for node in range(nodes) for _ in range(edges_per_node)
        )
        if source != target
    )


def weighted(graph, weight):
    made = networkx.Graph()
    for edge in graph.edges():
        present = made.get_edge_data(edge.source, edge.target, {"weight": math.inf})["weight"]
        made.add_edge(edge.source, edge.target, weight=min(present, weight(edge)))
    return made


@pytest.mark.parametrize("seed", range(4))
def test_paths_are_as_good_as_networkx_finds(seed):
    graph = random_graph(30, 2, seed)
    hops, doubts = weighted(graph, lambda edge: 1.0), weighted(graph, lambda edge: -math.log(edge.strength))
    for start, end in itertools.islice(itertools.combinations(graph.entities, 2), 0, None, 17):
        shortest, strongest = graph.path(start, end), graph.path(start, end, by="strongest")
        if not networkx.has_path(hops, start, end):
            assert shortest is None
            assert strongest is None
            continue
        assert len(shortest) == networkx.shortest_path_length(hops, start, end)
        best = networkx.dijkstra_path_length(doubts, start, end)
        assert sum(-math.log(edge.strength) for edge in strongest) == pytest.approx(best)
        for found in (shortest, strongest):
            assert leads(found, start, end)


def leads(path, start, end):
    for edge in path:
        assert start in (edge.source, edge.target)
        start = edge.other(start)
    return start == end


def test_shortest_and_strongest_differ():
    graph = RelationshipGraph()
    graph.state("A", "C", "fear", strength=0.1)
    graph.state("A", "B", "trust", strength=0.9)
    graph.state("B", "C", "trust", strength=0.9)
    assert [edge.type for edge in graph.path("A", "C")] == ["fear"]
    assert [edge.other("B") for edge in graph.path("A", "C", by="strongest")] == ["A", "C"]


def test_a_path_keeps_to_direction_type_and_time():
    graph = RelationshipGraph()
    graph.state("A", "B", "trust", at=1.0)
    graph.state("C", "B", "debt", at=1.0)
    graph.state("A", "B", "distrust", at=5.0)
    assert graph.path("A", "C", directed=True) is None
    assert graph.path("A", "C", types=["trust", "debt"]) is None
    assert [edge.type for edge in graph.path("A", "C", types=["trust", "debt"], at=2.0)] == ["trust", "debt"]
    assert graph.path("A", "C", at=0.5) is None


def test_a_path_to_oneself_and_to_strangers():
    graph = RelationshipGraph([Statement.of("A", "B", "trust")])
    assert graph.path("A", "A") == []
    assert graph.path("A", "Z") is None
    assert graph.path("Z", "Z") is None
    with pytest.raises(InvalidSettings, match="shortest or strongest"):
        graph.path("A", "B", by="cheapest")


def chain(length):
    return RelationshipGraph(Statement.of(f"{step}", f"{step + 1}", "trust") for step in range(length))


def test_a_slice_reaches_as_far_as_its_radius():
    graph = chain(10)
    assert graph.slice("5", radius=0).entities == ("5",)
    assert graph.slice("5", radius=0).edges == ()
    part = graph.slice("5", radius=2)
    assert set(part.entities) == {"3", "4", "5", "6", "7"}
    assert {(edge.source, edge.target) for edge in part.edges} == {("3", "4"), ("4", "5"), ("5", "6"), ("6", "7")}


def test_a_slice_takes_the_strongest_when_there_is_no_room():
    graph = RelationshipGraph()
    for number in range(9):
        graph.state("hub", f"{number}", "trust", strength=(number + 1) / 10)
    part = graph.slice("hub", limit=4)
    assert part.entities == ("hub", "8", "7", "6")
    assert [edge.target for edge in part.edges] == ["8", "7", "6"]


def test_a_slice_around_several_and_strangers():
    graph = chain(10)
    assert set(graph.slice(["0", "9", "nobody"]).entities) == {"0", "1", "8", "9", "10"}
    assert graph.slice("nobody").entities == ()


def test_a_slice_as_of_a_moment():
    graph = RelationshipGraph([Statement.of("A", "B", "trust", at=1.0), Statement.of("A", "C", "trust", at=5.0)])
    assert graph.slice("A", at=2.0).entities == ("A", "B")


@pytest.mark.parametrize("wrong", [{"radius": -1}, {"limit": 0}])
def test_an_impossible_slice_is_refused(wrong):
    with pytest.raises(InvalidSettings, match="radius"):
        chain(2).slice("0", **wrong)


def test_ties_between_chosen_ones_are_found_however_many_a_hub_has():
    graph = RelationshipGraph([Statement.of("hub", "old friend", "trust", at=0.0)])
    for number in range(2 * MOST_TIES):
        graph.state("hub", f"{number}", "debt", at=1.0)
    part = graph.slice(["hub", "old friend"], limit=5)
    assert "trust" in {edge.type for edge in part.edges}


def test_near_ones_are_found_without_looking_at_the_rest():
    graph = Counting(random_graph(3_000, 3).statements())
    [start] = {edge.source for edge in graph.neighbours("n7", direction="out")}
    for by in ("shortest", "strongest"):
        graph.looked_at = 0
        assert graph.path(start, graph.neighbours(start)[0].other(start), by=by)
        assert graph.looked_at < 3_000  # of about 18,000 seen from either end


class Counting(RelationshipGraph):
    """Counts the pairs that are looked at."""

    looked_at = 0

    def ties(self, *arguments, **options):
        for one in super().ties(*arguments, **options):
            self.looked_at += 1
            yield one


def test_a_hub_costs_no_more_than_its_bound():
    graph = Counting(Statement.of("hub", f"{number}", "trust", at=float(number)) for number in range(20 * MOST_TIES))
    graph.slice("hub")
    assert graph.looked_at <= MOST_TIES


def slice_seconds(graph, nodes):
    names = [f"n{random.Random(seed).randrange(nodes)}" for seed in range(80)]
    took = []
    for name in names:
        started = time.perf_counter()
        graph.slice(name, radius=2, limit=50)
        took.append(time.perf_counter() - started)
    return statistics.median(took)


def test_a_graph_four_times_as_large_slices_about_as_fast():
    small, large = 9_400, 37_710
    graphs = {size: random_graph(size, 2) for size in (small, large)}
    best = {size: min(slice_seconds(graph, size) for _ in range(3)) for size, graph in graphs.items()}
    assert best[large] < 2 * best[small]

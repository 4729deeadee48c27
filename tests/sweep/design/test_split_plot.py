"""Split plots: whole plots in random order within the block, arms in random order within their whole plot."""

import itertools
from collections import Counter

import pytest

from workbench.sweep.design.order import whole_plot
from workbench.sweep.design.planning import cells_of_block, configurations, plan

GRID = {"model": ["m1", "m2", "m3"], "a": [1, 2, 3]}


@pytest.fixture
def spec(spec_of):
    return lambda **changes: spec_of(**{"parameters": GRID, "slow": ["model"], "twin": True, "blocks": 12, **changes})


def plots(spec, cells):
    """Per block: the runs of neighbours of one whole plot, as (slow part, is twin) and labels."""
    for _, block in itertools.groupby(cells, lambda cell: cell.block):
        yield [
            (key, [cell.configuration.label for cell in part])
            for key, part in itertools.groupby(block, lambda cell: whole_plot(cell.configuration, spec.slow))
        ]


def test_cells_of_a_whole_plot_are_neighbours_and_all_of_them_are_there(spec):
    one = spec()
    cells = plan(one)
    assert len(cells) == 12 * 10 == len({cell.id for cell in cells})
    for block in plots(one, cells):
        assert len(block) == 4, "three models and the twin, none of them twice"
        assert sorted(len(labels) for _, labels in block) == [1, 3, 3, 3]


def test_the_twin_is_a_whole_plot_of_its_own(spec):
    one = spec()
    for block in plots(one, plan(one)):
        ((_, labels),) = [(key, labels) for key, labels in block if key[1]]
        assert labels == ["twin"]


def test_whole_plots_and_the_cells_within_them_are_shuffled_anew_in_each_block(spec):
    one = spec(blocks=40)
    found = list(plots(one, plan(one)))
    assert len({tuple(key for key, _ in block) for block in found}) > 12, "of 24 orders of whole plots"
    inside = [tuple(labels) for block in found for key, labels in block if "m1" in key[0] and not key[1]]
    assert len(set(inside)) == 6, "every order of three cells"
    together = Counter((block[0][0], tuple(labels)) for block in found for key, labels in block if "m2" in key[0])
    assert max(together.values()) < 20, "the order within does not follow from the order of whole plots"


def test_the_order_is_repeatable_and_more_blocks_only_append(spec):
    few, many = plan(spec(blocks=3)), plan(spec(blocks=9))
    assert [cell.id for cell in many[: len(few)]] == [cell.id for cell in few]
    assert [cell.id for cell in plan(spec(blocks=3, seed=7))] != [cell.id for cell in few]


def test_slow_changes_the_order_not_the_cells(spec):
    assert {cell.id for cell in plan(spec())} == {cell.id for cell in plan(spec(slow=[]))}


def test_two_whole_plots_and_two_arms_alternate_abba(spec):
    one = spec(parameters={"model": ["m1", "m2"], "a": [1, 2]}, twin=False, blocks=20)
    found = list(plots(one, plan(one)))
    for even, odd in zip(found[::2], found[1::2], strict=True):
        assert [key for key, _ in even] == [key for key, _ in odd][::-1]
        assert {key: labels[::-1] for key, labels in even} == dict(odd)


def test_arms_that_leave_a_slow_parameter_open_share_a_whole_plot(spec):
    one = spec(when={"model": "a > 1"}, twin=False)
    (alone,) = [arm for arm in configurations(one) if arm.value("a") == 1]
    assert whole_plot(alone, one.slow)[0] == '{"model":null}'


def test_further_blocks_have_ids_and_an_order_of_their_own(spec):
    one = spec()
    labels = ["model=m1, a=1", "model=m1, a=2", "model=m2, a=1", "twin", "gone"]
    more, confirm = (cells_of_block(one, labels, phase, 0) for phase in ("more", "confirm"))
    assert {cell.configuration.label for cell in more} == set(labels) - {"gone"}
    assert [cell.label for cell in more if cell.configuration.arm == "twin"] == ["twin · further block 1"]
    assert [cell.label for cell in confirm if cell.configuration.arm == "twin"] == ["twin · confirmation 1"]
    ids = [{cell.id for cell in cells} for cells in (plan(one), more, confirm)]
    assert all(a.isdisjoint(b) for a, b in itertools.combinations(ids, 2))
    (block,) = plots(one, more)
    assert len(block) == 3
    assert [cell.id for cell in cells_of_block(spec(blocks=99), labels, "more", 0)] == [cell.id for cell in more]


def test_the_floor_contains_what_sets_whole_plots_apart(spec_of, simulated):
    """A whole-plot error of 5 % and none else: without a plot of its own the twin would show nothing of it."""
    import random

    def measure(one):
        luck = random.Random(3)
        shift: dict[tuple, float] = {}

        def of(parameters, arm, block, order):
            plot = (block, parameters["model"], arm == "twin")
            return {"speed": 100 * shift.setdefault(plot, luck.uniform(0.95, 1.05)) * (1 + parameters["a"] / 1000)}

        return simulated(one, of)

    analysis = measure(spec_of(parameters=GRID, slow=["model"], twin=True, blocks=10))
    assert analysis.floors["speed"].width > 0.01
    within = next(c for c in analysis.comparisons if c.label == "model=m1, a=2")
    across = next(c for c in analysis.comparisons if c.label == "model=m2, a=1")
    assert within.effect.high - within.effect.low < 1e-6 < across.effect.high - across.effect.low

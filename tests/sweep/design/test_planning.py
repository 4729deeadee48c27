from collections import Counter

import pytest

from workbench.errors import SpecError
from workbench.sweep.design.planning import configurations, label_of, plan, reference


def order(cells, block):
    return [cell.configuration.label for cell in cells if cell.block == block]


def test_the_grid_is_full_and_in_the_order_of_the_file(spec_of):
    arms = configurations(spec_of(parameters={"a": [1, 2], "b": [True, False]}, fixed={"n_batch": 8}))
    assert [arm.label for arm in arms] == ["a=1, b=on", "a=1, b=off", "a=2, b=on", "a=2, b=off"]
    assert arms[3].parameters == {"n_batch": 8, "a": 2, "b": False}


def test_the_baseline_overrides_fixed_and_first_levels(spec_of):
    spec = spec_of(parameters={"a": [1, 2]}, fixed={"engine": "tuned", "n_batch": 8}, baseline={"engine": "baseline"})
    base = reference(configurations(spec))
    assert (base.label, base.arm) == ("baseline", "baseline")
    assert base.parameters == {"engine": "baseline", "n_batch": 8, "a": 1}


def test_the_twin_copies_the_reference(spec_of):
    with_baseline = configurations(spec_of(baseline={"engine": "baseline"}, twin=True))
    assert [arm.arm for arm in with_baseline] == ["grid", "grid", "baseline", "twin"]
    assert with_baseline[3].parameters == with_baseline[2].parameters
    without = configurations(spec_of(twin=True))
    assert without[2].parameters == without[0].parameters
    assert reference(without) is without[0]


@pytest.mark.parametrize(("parameters", "labels"), [({}, ["as fixed"]), ({"a": [5]}, ["a=5"])])
def test_grids_of_no_and_one_level(spec_of, parameters, labels):
    spec = spec_of(parameters=parameters, blocks=2)
    assert [arm.label for arm in configurations(spec)] == labels
    assert len(plan(spec)) == 2


def test_equal_levels_are_refused_whatever_their_spelling(spec_of):
    with pytest.raises(SpecError, match="twice"):
        configurations(spec_of(parameters={"a": [[1, 2], [1, 2]]}))
    with pytest.raises(SpecError, match="twice"):
        configurations(spec_of(parameters={"a": [1, "1"]}))


def test_every_block_holds_every_configuration_once(spec_of):
    spec = spec_of(parameters={"a": [1, 2, 3]}, baseline={"engine": "baseline"}, twin=True, blocks=7)
    cells = plan(spec)
    assert Counter((cell.block, cell.configuration.label) for cell in cells).most_common(1)[0][1] == 1
    assert [cell.block for cell in cells] == sorted(cell.block for cell in cells)
    assert len(cells) == 7 * 5
    assert len({cell.id for cell in cells}) == 35


def test_the_order_is_random_between_blocks_and_repeatable(spec_of):
    spec = spec_of(parameters={"a": list(range(6))})
    cells = plan(spec)
    assert [cell.id for cell in plan(spec)] == [cell.id for cell in cells]
    orders = {tuple(order(cells, block)) for block in range(10)}
    assert len(orders) > 5
    other = plan(spec_of(parameters={"a": list(range(6))}, seed=2))
    assert {cell.id for cell in other} == {cell.id for cell in cells}
    assert [cell.id for cell in other] != [cell.id for cell in cells]


def test_no_place_in_the_order_belongs_to_anyone(spec_of):
    cells = plan(spec_of(parameters={"a": [0, 1, 2]}, blocks=300))
    first = Counter(order(cells, block)[0] for block in range(300))
    assert min(first.values()) > 60  # 100 expected; 60 is five standard deviations away


def test_two_arms_alternate_abba(spec_of):
    cells = plan(spec_of(blocks=40))
    for block in range(0, 40, 2):
        assert order(cells, block) == order(cells, block + 1)[::-1]
    assert len({tuple(order(cells, block)) for block in range(0, 40, 2)}) == 2


def test_more_blocks_only_append(spec_of):
    few, many = plan(spec_of(blocks=3, twin=True)), plan(spec_of(blocks=9, twin=True))
    assert [cell.id for cell in many[: len(few)]] == [cell.id for cell in few]


def test_more_levels_keep_the_cells_there_were(spec_of):
    small, large = plan(spec_of()), plan(spec_of(parameters={"a": [1, 2, 3]}))
    assert {cell.id for cell in small} < {cell.id for cell in large}


def test_a_cell_is_another_one_when_what_runs_changes(spec_of, notebook):
    ids = {cell.id for cell in plan(spec_of())}
    assert ids.isdisjoint(cell.id for cell in plan(spec_of(fixed={"n_batch": 1})))
    notebook("a = 1", "changed = True")
    assert ids.isdisjoint(cell.id for cell in plan(spec_of()))


def test_labels_are_for_people():
    assert label_of({"n_ctx": None, "flash_attn": False, "x": "y"}) == "n_ctx=auto, flash_attn=off, x=y"

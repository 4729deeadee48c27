import pytest

from workbench.sweep.findings.looks import Looks


@pytest.mark.parametrize(
    ("blocks", "more", "ends"),
    [
        (10, 0, (10,)),
        (3, 0, (3,)),
        (10, 2, (10, 12)),
        (10, 5, (10, 15)),
        (10, 10, (10, 15, 20)),
        (6, 14, (10, 15, 20)),
        (6, 3, (9,)),
        (10, 40, (10, 18, 30, 50)),
        (10, 990, (10, 47, 216, 1000)),
    ],
)
def test_looks_are_fixed_by_the_numbers_of_blocks_alone(spec_of, blocks, more, ends):
    assert Looks.of(spec_of(blocks=blocks, more_blocks=more)).ends == ends


@pytest.mark.parametrize("more", [0, 1, 10, 90, 1000])
def test_the_shares_are_alpha_divided_and_the_last_keeps_most(spec_of, more):
    looks = Looks.of(spec_of(blocks=10, more_blocks=more))
    assert sum(looks.shares) == pytest.approx(1)
    assert list(looks.shares) == sorted(looks.shares)
    assert looks.shares[-1] >= 0.5


def test_a_comparison_has_the_level_of_the_look_its_last_block_belongs_to(spec_of):
    looks = Looks.of(spec_of(blocks=10, more_blocks=10))

    def keys(further):
        return [("host", "grid", block) for block in range(10)] + [("host", "more", block) for block in range(further)]

    assert [round(looks.share(keys(further)) * 7) for further in (0, 1, 5, 6, 10, 12)] == [1, 2, 2, 4, 4, 4]
    assert looks.level(keys(0)) == pytest.approx(1 - 0.05 / 7)
    assert [looks.last_look(reached) for reached in (9, 10, 14, 15, 20)] == [None, 10, 10, 15, 20]


def test_without_further_blocks_nothing_changes(spec_of):
    assert Looks.of(spec_of()).level([("host", "grid", 3)]) == pytest.approx(0.95)

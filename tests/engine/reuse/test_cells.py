"""The ledger against the plain truth: every cell a set of the sequences that hold it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from workbench.engine.reuse.cells import CellLedger

SEQUENCES = 5


class Naive:
    """Cells as llama.cpp keeps them: each knows its position and its sequences."""

    def __init__(self) -> None:
        self.cells: list[tuple[int, set[int]]] = []

    def length(self, sequence: int) -> int:
        return sum(sequence in holders for _, holders in self.cells)

    def own(self, sequence: int) -> int:
        return sum(holders == {sequence} for _, holders in self.cells)

    @property
    def used(self) -> int:
        return len(self.cells)

    def extend(self, sequence: int, cells: int) -> None:
        start = self.length(sequence)
        self.cells += [(start + i, {sequence}) for i in range(cells)]

    def share(self, source: int, target: int, cells: int) -> None:
        for position, holders in self.cells:
            if source in holders and position < cells:
                holders.add(target)

    def truncate(self, sequence: int, cells: int) -> None:
        for position, holders in self.cells:
            if position >= cells:
                holders.discard(sequence)
        self.cells = [(position, holders) for position, holders in self.cells if holders]


operations = st.lists(
    st.tuples(
        st.sampled_from(["extend", "share", "truncate", "drop"]),
        st.integers(0, SEQUENCES - 1),
        st.integers(0, SEQUENCES - 1),
        st.integers(0, 12),
    ),
    max_size=60,
)


@given(operations)
def test_the_ledger_counts_what_is_there(steps: list[tuple[str, int, int, int]]) -> None:
    ledger, naive = CellLedger(), Naive()
    for name, one, other, amount in steps:
        if name == "extend":
            ledger.extend(one, amount)
            naive.extend(one, amount)
        elif name == "share":
            cells = min(amount, naive.length(one))
            if one != other and cells and not naive.length(other):
                ledger.share(one, other, cells)
                naive.share(one, other, cells)
        else:
            keep = 0 if name == "drop" else amount
            ledger.truncate(one, keep)
            naive.truncate(one, keep)
        assert ledger.used == naive.used
        assert [ledger.length(i) for i in range(SEQUENCES)] == [naive.length(i) for i in range(SEQUENCES)]
        assert [ledger.own(i) for i in range(SEQUENCES)] == [naive.own(i) for i in range(SEQUENCES)]


def test_a_shared_prefix_is_free_when_its_last_holder_goes() -> None:
    ledger = CellLedger()
    ledger.extend(0, 10)
    ledger.share(0, 1, 6)
    ledger.extend(1, 2)
    assert ledger.used == 12
    ledger.drop(0)
    assert ledger.used == 8
    ledger.drop(1)
    assert ledger.used == 0

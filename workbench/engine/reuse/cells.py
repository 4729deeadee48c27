"""How many KV cells are in use when sequences share some: a tree of runs, exact without asking llama.cpp.

llama.cpp does not say how many cells are free, and a batch that finds none fails as a whole. So the cells are counted
here: a sequence is a path of runs from the root, a shared prefix is a run with several holders, and its cells are free
when the last holder lets go. Knows lengths, not tokens.
"""

from __future__ import annotations


class _Run:
    """Consecutive cells that the same sequences hold.

    Attributes:
        parent: the run before it; ``None`` at position 0.
        length: cells.
        holders: sequences that end here, and runs that go on from here.
    """

    __slots__ = ("holders", "length", "parent")

    def __init__(self, parent: _Run | None, length: int, holders: int) -> None:
        self.parent, self.length, self.holders = parent, length, holders


class CellLedger:
    """Cells that sequences hold together. Attribute ``used``: distinct cells in use."""

    def __init__(self) -> None:
        self.used = 0
        self._last: dict[int, _Run] = {}
        self._length: dict[int, int] = {}

    def length(self, sequence: int) -> int:
        """Cells of one sequence."""
        return self._length.get(sequence, 0)

    def own(self, sequence: int) -> int:
        """Cells that would be free without this sequence."""
        cells, run = 0, self._last.get(sequence)
        while run is not None and run.holders == 1:
            cells, run = cells + run.length, run.parent
        return cells

    def extend(self, sequence: int, cells: int) -> None:
        """A sequence gets ``cells`` new cells."""
        if cells <= 0:
            return
        last = self._last.get(sequence)
        if last is not None and last.holders == 1:
            last.length += cells
        else:
            # The sequence's hold on `last` becomes the new run's hold.
            self._last[sequence] = _Run(last, cells, 1)
        self._length[sequence] = self.length(sequence) + cells
        self.used += cells

    def share(self, source: int, target: int, cells: int) -> None:
        """``target``, which is empty, also holds the first ``cells`` cells of ``source``."""
        run, start = self._last[source], self._length[source]
        start -= run.length
        while start >= cells:
            assert run.parent is not None  # noqa: S101 - runs cover the sequence from 0
            run = run.parent
            start -= run.length
        upper = run if start + run.length == cells else self._split(run, cells - start)
        upper.holders += 1
        self._last[target], self._length[target] = upper, cells

    def truncate(self, sequence: int, cells: int) -> None:
        """A sequence keeps its first ``cells`` cells only."""
        excess = self.length(sequence) - cells
        while excess > 0:
            run = self._last[sequence]
            cut = min(excess, run.length)
            if cut < run.length and run.holders > 1:
                upper = self._split(run, run.length - cut)
                upper.holders += 1
                run.holders -= 1
                self._last[sequence] = upper
            elif cut < run.length:
                run.length -= cut
                self.used -= cut
            else:
                self._let_go(sequence, run)
            excess -= cut
            self._length[sequence] -= cut
        if not self._length.get(sequence):
            self._length.pop(sequence, None)

    def drop(self, sequence: int) -> None:
        """A sequence keeps nothing."""
        self.truncate(sequence, 0)

    def clear(self) -> None:
        """Nobody keeps anything."""
        self.__init__()  # type: ignore[misc]

    def _split(self, run: _Run, head: int) -> _Run:
        """Cut a run in two; returns the first part, which only the second holds so far."""
        upper = _Run(run.parent, head, 1)
        run.parent, run.length = upper, run.length - head
        return upper

    def _let_go(self, sequence: int, run: _Run) -> None:
        """``sequence`` no longer ends at ``run`` but at the run before it."""
        run.holders -= 1
        if run.holders == 0:
            self.used -= run.length  # its hold on the parent passes to the sequence
        elif run.parent is not None:
            run.parent.holders += 1
        if run.parent is None:
            del self._last[sequence]
        else:
            self._last[sequence] = run.parent

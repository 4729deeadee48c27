"""Progress bars of a running sweep, on standard error: all of it, and the block in progress."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Self

from tqdm import tqdm

from workbench.sweep.design.planning import PHASES, Cell, Phase

_Block = tuple[Phase, int]


class Progress:
    """Two bars; a context manager.

    Args:
        shown: False: no bars, failures are still reported.
    """

    def __init__(self, *, shown: bool) -> None:
        self._known: set[str] = set()
        self._sizes: Counter[_Block] = Counter()
        self._ended: Counter[_Block] = Counter()
        self._block: _Block | None = None
        self._all = tqdm(total=0, desc="sweep", unit="run", file=sys.stderr, disable=not shown)
        self._current = tqdm(total=0, unit="run", file=sys.stderr, disable=not shown, leave=False)

    def expect(self, cells: Iterable[Cell], has_ended: Callable[[Cell], bool]) -> None:
        """Cells are planned, some of which may have ended already; known ones change nothing."""
        fresh = [cell for cell in cells if cell.id not in self._known]
        ended = [cell for cell in fresh if has_ended(cell)]
        self._known |= {cell.id for cell in fresh}
        self._sizes.update(map(_block, fresh))
        self._ended.update(map(_block, ended))
        self._all.total = len(self._known)
        if not self._all.disable:
            self._all.initial += len(ended)  # not done in this call: they say nothing about its speed
        self._all.update(len(ended))

    def begin(self, cell: Cell) -> None:
        """A cell starts."""
        self._turn_to(_block(cell))
        self._current.set_postfix_str(cell.configuration.label)

    def end(self, cell: Cell, message: str | None = None) -> None:
        """A cell ended for good."""
        if message is not None:
            tqdm.write(message, file=sys.stderr)
        self._turn_to(_block(cell))
        self._ended[_block(cell)] += 1
        self._all.update()
        self._current.update()

    def _turn_to(self, block: _Block) -> None:
        if block != self._block:
            self._block = block
            self._current.reset(total=self._sizes[block])
            self._current.update(self._ended[block])
            self._current.set_description(f"{PHASES[block[0]]} {block[1] + 1}", refresh=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._current.close()
        self._all.close()


def _block(cell: Cell) -> _Block:
    return cell.phase, cell.block

"""Progress bars of a running sweep, on standard error: all of it, and the block in progress."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from tqdm import tqdm

from workbench.sweep.design.planning import Cell


class Progress:
    """Two bars; a context manager.

    Args:
        plan: every cell of the sweep.
        finished: ids of cells that need no run.
        shown: False: no bars, failures are still reported.
    """

    def __init__(self, plan: Sequence[Cell], finished: set[str], *, shown: bool) -> None:
        self._sizes = Counter(cell.block for cell in plan)
        self._before = Counter(cell.block for cell in plan if cell.id in finished)
        self._block: int | None = None
        self._all = tqdm(
            total=len(plan), initial=len(finished), desc="sweep", unit="run", file=sys.stderr, disable=not shown
        )
        self._current = tqdm(total=0, unit="run", file=sys.stderr, disable=not shown, leave=False)

    def begin(self, cell: Cell) -> None:
        """A cell starts."""
        if cell.block != self._block:
            self._block = cell.block
            self._current.reset(total=self._sizes[cell.block])
            self._current.update(self._before[cell.block])
            self._current.set_description(f"block {cell.block + 1}", refresh=False)
        self._current.set_postfix_str(cell.configuration.label)

    def end(self, error: str | None = None) -> None:
        """A cell ended for good."""
        if error is not None:
            tqdm.write(f"failed: {error}", file=sys.stderr)
        self._all.update()
        self._current.update()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._current.close()
        self._all.close()

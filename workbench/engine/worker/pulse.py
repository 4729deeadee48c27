"""Whether a worker still works, from its signs of life. Pure: it is told the time.

A step has no end that could be known beforehand: the first one may read the whole model from a slow disk, and a batch
of prompt tokens takes minutes on a slow machine. So three things are told apart: no message at all, not even the beat
that a thread of its own sends (stopped, or its interpreter is stuck); beats without any effort, that is without
processor time and without pages read (a deadlock); and effort without a step (an endless loop, or a very large step).
"""

from __future__ import annotations

from workbench.engine.worker.deaths import Death, no_answer

_EFFORT = 0.01
"""Processor seconds per second below which a process waits; its beats take a hundredth of that."""

_SLOWEST_FLOPS = 2e9
"""A machine slower than this is not waited for. A bound on patience, not a measurement."""


def patience_s(hang_after_s: float, parameters: int, n_batch: int) -> float:
    """How long a single step may compute: two operations a parameter and token, on the slowest machine."""
    return hang_after_s + 2.0 * parameters * n_batch / _SLOWEST_FLOPS


class Pulse:
    """Signs of life while there is work.

    Args:
        hang_after_s: silence, or idleness, that counts as hanging.
        patience_s: how long a step may compute.
        now: the time in seconds; as in all methods.
    """

    def __init__(self, hang_after_s: float, patience_s: float, now: float) -> None:
        self._hang_after_s, self.patience_s = hang_after_s, patience_s
        self._steps, self._cpu_s, self._faults, self._beat_at = -1, 0.0, 0, now
        self.rest(now)

    def rest(self, now: float) -> None:
        """There is nothing to do, or nobody could have listened: what counts, counts from here."""
        self._heard = self._effort = self._progress = now

    def heard(self, now: float) -> None:
        """A message came."""
        self._heard = now

    def progress(self, now: float) -> None:
        """A step's results came, or an answer."""
        self._heard = self._effort = self._progress = now

    def beat(self, now: float, steps: int, cpu_s: float, faults: int) -> None:
        """A beat came.

        Args:
            now: the time.
            steps: decodes so far.
            cpu_s: processor time of all threads so far.
            faults: pages read from disk so far.
        """
        self._heard = now
        if steps != self._steps:
            self._effort = self._progress = now
        if faults != self._faults or cpu_s - self._cpu_s > _EFFORT * (now - self._beat_at):
            self._effort = now
        self._steps, self._cpu_s, self._faults, self._beat_at = steps, cpu_s, faults, now

    def verdict(self, now: float) -> Death | None:
        """The cause of death, if it hangs."""
        if now - self._heard > self._hang_after_s:
            return no_answer(f"It gave no sign of life for {now - self._heard:.3g} s.")
        if now - self._effort > self._hang_after_s:
            return no_answer(f"It did nothing for {now - self._effort:.3g} s although it had work.")
        if now - self._progress > self.patience_s:
            return no_answer(f"It computed for {now - self._progress:.3g} s without an end of its step.")
        return None

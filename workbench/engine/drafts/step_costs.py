"""How long a decode of n tokens takes here, learnt from the decodes themselves. Knows no request and no model.

Speculation lives on one fact: on most machines a decode of several tokens costs less than as many decodes of one. How
much less depends on the model, the machine, the depth of the context and what else computes, so it is measured while it
runs.
"""

from __future__ import annotations

import bisect
import math
from collections import deque

_WINDOW = 31
"""Readings of a size that count; their median stands for it."""

_TRUSTED = 3
"""Readings before a size's slowness is believed: one may have met a busy machine."""

_DRIFT_RATE = 0.2
"""Share of a reading's surprise that all sizes follow: a deeper context makes every decode slower."""

_DRIFT_LIMIT = 0.15
"""Most surprise, in natural logarithms, that one reading may bring."""

_EXACT = 16
"""Sizes up to here are kept apart; above, eight to an octave."""

_REFRESH = 16
"""Readings between two computations of the curve, once sizes are known."""


def size_class(tokens: int) -> int:
    """The size that stands for ``tokens``: itself while small, else rounded to three bits below the highest."""
    if tokens <= _EXACT:
        return tokens
    shift = tokens.bit_length() - 4
    return (tokens + (1 << shift >> 1)) >> shift << shift


class StepCosts:
    """Seconds of a decode by the tokens in its batch. One for an engine, shared by its sequences; engine thread only.

    Each size's time is the lower median of its last readings relative to a common level that follows the drift, so that
    a reading ten times too long changes nothing. Between sizes it is interpolated; it never falls with the size, nor
    grows faster than it.

    Attributes:
        largest: the largest size read so far; 0: none.
    """

    def __init__(self) -> None:
        self._level = 0.0  # natural logarithm of seconds
        self._readings: dict[int, deque[float]] = {}
        self._shape: dict[int, float] = {}
        self._sizes: list[int] = []
        self._times: list[float] = []  # relative to the level; same order as the sizes
        self._memo: dict[int, float] = {}
        self._stale = 0
        self._factor = 1.0
        self._settled: set[int] = set()
        self.largest = 0

    def observe(self, tokens: int, seconds: float) -> None:
        """A decode of ``tokens`` tokens took ``seconds``. Times that are no times are left out."""
        if tokens < 1 or not 0.0 < seconds < math.inf:
            return
        size, reading = size_class(tokens), math.log(seconds)
        if not self._readings:
            self._level = reading
        elif size in self._shape:
            surprise = reading - self._level - self._shape[size]
            self._level += _DRIFT_RATE * max(-_DRIFT_LIMIT, min(_DRIFT_LIMIT, surprise))
        self._factor = math.exp(self._level)
        self.largest = max(self.largest, size)
        readings = self._readings.setdefault(size, deque(maxlen=_WINDOW))
        readings.append(reading - self._level)
        self._shape[size] = sorted(readings)[(len(readings) - 1) // 2]
        self._stale += _REFRESH if len(readings) <= _TRUSTED + 1 else 1

    def settled_above(self, tokens: int) -> bool:
        """Whether the price of a decode larger than ``tokens`` is known, not just supposed."""
        size = size_class(tokens)
        if size not in self._settled:
            readings = sum(len(readings) for other, readings in self._readings.items() if other > size)
            if readings < _TRUSTED:
                return False
            self._settled.add(size)  # readings are replaced, never lost
        return True

    def seconds(self, tokens: int) -> float | None:
        """Expected seconds of a decode of ``tokens`` tokens; ``None``: nothing was read yet.

        Below the smallest size read: as long as that. Above the largest: as between the two largest, or in proportion
        where there is only one, which is the most it can be.
        """
        if self._stale >= _REFRESH:
            self._compute()
        found = self._memo.get(tokens)
        if found is None:
            if not self._sizes:
                return None
            found = self._memo[tokens] = _interpolate(self._sizes, self._times, tokens)
        return found * self._factor

    def _compute(self) -> None:
        """The curve from the medians: as they are, but rising, and no faster than the size."""
        self._stale = 0
        self._memo = {}
        self._sizes = sorted(self._shape)
        self._times = []
        for i, size in enumerate(self._sizes):
            time = math.exp(self._shape[size])
            if i and len(self._readings[size]) < _TRUSTED:
                time = min(time, _interpolate(self._sizes[:i], self._times, size))
            if i:
                time = min(time, self._times[-1] * size / self._sizes[i - 1])
            self._times.append(time)
        self._times = _rising(self._times)


def _rising(times: list[float]) -> list[float]:
    """The mean of the running maximum from the left and the running minimum from the right: never falls."""
    high, low = [], []
    top, bottom = 0.0, math.inf
    for time, late in zip(times, reversed(times), strict=True):
        top, bottom = max(top, time), min(bottom, late)
        high.append(top)
        low.append(bottom)
    return [(a + b) / 2 for a, b in zip(high, reversed(low), strict=True)]


def _interpolate(sizes: list[int], times: list[float], size: int) -> float:
    """Linear between the sizes; flat below them; beyond them as the last two go on."""
    at = bisect.bisect_left(sizes, size)
    if at == 0:
        return times[0]
    if len(times) == 1:
        return times[0] * size / sizes[0]
    at = min(at, len(times) - 1)
    slope = max(0.0, times[at] - times[at - 1]) / (sizes[at] - sizes[at - 1])
    return times[at] + slope * (size - sizes[at])

"""A thread that samples the machine while something runs.

All series share one clock: seconds since the monitor was started. A reader that fails leaves a gap (``None``), and a
machine without a GPU, a power counter or a thermometer has no such series: an absent reading is never 0.
"""

from __future__ import annotations

import itertools
import logging
import statistics
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Self

from workbench.errors import InvalidSettings, UsageError
from workbench.hardware.sources import Source, gpu_sources, host_sources, single

_log = logging.getLogger(__name__)

Sample = tuple[float, float | None]
_COUNTER = "energy_joules"


class Monitor:
    """Samples GPUs, CPU, memory and energy every ``interval_s`` while it is open; a context manager, used once.

    >>> with Monitor() as monitor:
    ...     engine.complete("…")
    >>> monitor.summary()["max_rss_bytes"]

    Args:
        interval_s: time between samples.
        readers: more series, name → function; called in the sampling thread.

    Raises:
        InvalidSettings: the interval is not above 0.
    """

    def __init__(
        self, interval_s: float = 0.5, *, readers: Mapping[str, Callable[[], float | None]] | None = None
    ) -> None:
        if not interval_s > 0:
            raise InvalidSettings(f"interval_s must be above 0, not {interval_s!r}.")
        self.interval_s = interval_s
        self._own = {name: single(name, read) for name, read in (readers or {}).items()}
        self._sources: list[Source] = []
        self._series: dict[str, list[Sample]] = {}
        self._failed: set[tuple[str, ...]] = set()
        self._stop, self._lock = threading.Event(), threading.Lock()
        self._thread: threading.Thread | None = None
        self._start_s = 0.0

    def start(self) -> None:
        """Take the first sample and go on in the background.

        Raises:
            UsageError: it ran before; make a new one.
        """
        if self._thread is not None:
            raise UsageError("This monitor was used before. Make a new Monitor for each measurement.")
        self._sources = [*host_sources(), *gpu_sources(), *self._own.values()]
        self._series = {name: [] for source in self._sources for name in source.names}
        self._start_s = time.perf_counter()
        self._sample()
        self._thread = threading.Thread(target=self._run, name="workbench-monitor", daemon=True)
        self._thread.start()

    @property
    def started_s(self) -> float | None:
        """When it was started, on ``time.perf_counter``: the zero of its series; ``None`` before."""
        return None if self._thread is None else self._start_s

    def stop(self) -> None:
        """Take a last sample and end. Idempotent."""
        if self._thread is None or self._stop.is_set():
            return
        self._stop.set()
        self._thread.join()
        self._sample()

    @property
    def series(self) -> dict[str, list[Sample]]:
        """Name → (seconds since the start, value) pairs so far: what ``Record.series`` takes."""
        with self._lock:
            return {name: list(samples) for name, samples in self._series.items()}

    def summary(self) -> dict[str, float | None]:
        """``mean_`` and ``max_`` of each series and ``_energy_joules`` of each source of power.

        Means and maxima are over the samples. Energy is the difference of the device's own counter, where it has one,
        else the power integrated by the trapezoidal rule over the intervals that have both ends.
        """
        series, result = self.series, dict[str, float | None]()
        for name, samples in series.items():
            if name.endswith(_COUNTER):
                result[name] = _difference(samples)
                continue
            values = [value for _, value in samples if value is not None]
            result[f"mean_{name}"] = statistics.fmean(values) if values else None
            result[f"max_{name}"] = max(values, default=None)
        for name in [name for name in series if name.endswith("power_w")]:
            counter = name.removesuffix("power_w") + _COUNTER
            if result.get(counter) is None:
                result[counter] = _integral(series[name])
        return result

    def _run(self) -> None:
        for tick in itertools.count(1):
            # against the start, not the last sample: the clock of the series does not drift
            due = self._start_s + tick * self.interval_s
            if self._stop.wait(max(0.0, due - time.perf_counter())):
                return
            self._sample()

    def _sample(self) -> None:
        for source in self._sources:
            values, at = self._read(source), time.perf_counter() - self._start_s
            with self._lock:
                for name, value in zip(source.names, values, strict=True):
                    self._series[name].append((at, value))

    def _read(self, source: Source) -> Sequence[float | None]:
        try:
            return source.read()
        except Exception:  # a sensor that fails must not end what is being measured; logged once with its traceback
            if source.names not in self._failed:
                self._failed.add(source.names)
                _log.warning("Sampling %s failed; gaps are left.", ", ".join(source.names), exc_info=True)
            return [None] * len(source.names)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _difference(samples: Sequence[Sample]) -> float | None:
    values = [value for _, value in samples if value is not None]
    return values[-1] - values[0] if len(values) > 1 else None


def _integral(samples: Sequence[Sample]) -> float | None:
    areas = [
        (later - earlier) * (first + second) / 2
        for (earlier, first), (later, second) in itertools.pairwise(samples)
        if first is not None and second is not None
    ]
    return sum(areas) if areas else None

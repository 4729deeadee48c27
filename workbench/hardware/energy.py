"""Energy of the CPU packages through RAPL, as Linux's powercap shows it (Intel, and AMD since Linux 5.8).

The files belong to root on most systems since CVE-2020-8694: unreadable is ``None``, and the doctor tells how to open
them.
"""

from __future__ import annotations

import math
from pathlib import Path

POWERCAP = Path("/sys/class/powercap")

MOST_WATTS = 600.0
"""More than any one CPU package draws for long."""


class PackageEnergy:
    """Joules all CPU packages have used since this was made. One thread only.

    Counters wrap around at ``max_energy_range_uj`` (a minute to some hours): read more often than that.

    Args:
        root: where powercap lies.
    """

    def __init__(self, root: Path = POWERCAP) -> None:
        self._last = {zone: value for zone in _packages(root) if (value := _number(zone / "energy_uj")) is not None}
        self._joules = 0.0

    @property
    def available(self) -> bool:
        """Whether there is a counter that can be read."""
        return bool(self._last)

    @property
    def wraps_after_s(self) -> float:
        """How long the shortest counter lasts at the highest power a package draws: read again before that."""
        ranges = (_number(zone / "max_energy_range_uj") for zone in self._last)
        return min((1e-6 * last / MOST_WATTS for last in ranges if last), default=math.inf)

    def joules(self) -> float | None:
        """Energy so far; ``None`` where it cannot be read."""
        for zone, before in self._last.items():
            now = _number(zone / "energy_uj")
            if now is None:
                return None
            step = now - before if now >= before else now - before + (_number(zone / "max_energy_range_uj") or 0)
            self._joules += max(0, step) * 1e-6
            self._last[zone] = now
        return self._joules if self._last else None


def _packages(root: Path) -> list[Path]:
    """Zones of whole packages: parts of them ("core", "dram") and the platform ("psys") would count twice."""
    zones = (zone for zone in root.glob("intel-rapl:*") if zone.name.count(":") == 1)
    return [zone for zone in sorted(zones) if _text(zone / "name").startswith("package")]


def _number(file: Path) -> int | None:
    text = _text(file)
    return int(text) if text.isdigit() else None


def _text(file: Path) -> str:
    """A file's text; empty where it is missing or belongs to root."""
    try:
        return file.read_text().strip()
    except OSError:
        return ""

"""Where the names of a front's points are written, and what they had better not cross. Draws nothing."""

from __future__ import annotations

import itertools
from typing import Any

from workbench.dashboard.figures._placing import Box, placed
from workbench.dashboard.figures._points import SEPARATOR, Plot
from workbench.dashboard.text import plain, shortened, told_apart
from workbench.dashboard.theme import NEUTRAL
from workbench.dashboard.units import shown

_LABEL, _PART = 34, 14
_MOST = 25
"""Points up to which those that are beaten have names, too."""


def names_beside(plot: Plot, width: float, height: float) -> list[dict[str, Any]]:
    """Names beside their points, those on the front first; what finds no room is in the hover text only."""
    size = (width, height)
    room, names = Box(0, 0, width, height), _short_names(plot)
    spots = [_spot(plot, size, point.cost.middle, point.quality.middle) for point in plot.points]
    return [
        {
            "x": plot.x.coordinate(shown(plot.cost, point.cost.middle)),
            "y": plot.y.coordinate(shown(plot.quality, point.quality.middle)),
            "text": plain(name),
            "showarrow": False,
            "font": {"size": 12} if number < len(plot.best) else {"size": 11, "color": NEUTRAL},
            **place.annotation(),
        }
        for number, (point, name, place) in enumerate(
            zip(plot.points, names, placed(spots, names, room, _lines(plot, size), far=len(plot.best)), strict=False)
        )
        if place is not None
    ]


def _short_names(plot: Plot) -> list[str]:
    """Names part by part (one level each), every part cut to what tells it from the others in its place."""
    named = plot.points if len(plot.points) <= _MOST else plot.best
    rows = [point.name.split(SEPARATOR) for point in plot.points]
    short: dict[tuple[int, int, str], str] = {}
    for places in {len(row) for row in rows}:
        for at in range(places):
            parts = list(dict.fromkeys(row[at] for row in rows if len(row) == places))
            short |= {(places, at, part): cut for part, cut in zip(parts, told_apart(parts, _PART), strict=True)}
    return [
        shortened(SEPARATOR.join(short[len(row), at, part] for at, part in enumerate(row)), _LABEL)
        for row in rows[: len(named)]
    ]


def _spot(plot: Plot, size: tuple[float, float], cost: float, quality: float) -> tuple[float, float]:
    """Pixels from the lower left corner."""
    return plot.x.pixel(shown(plot.cost, cost), size[0]), plot.y.pixel(shown(plot.quality, quality), size[1])


def _lines(plot: Plot, size: tuple[float, float]) -> list[Box]:
    """The front's steps and the bars, which labels had better not cross."""
    corners = [_spot(plot, size, point.cost.middle, point.quality.middle) for point in plot.best]
    steps = [(one, (other[0], one[1]), other) for one, other in itertools.pairwise(corners)]
    boxes = [_thin(*ends) for step in steps for ends in itertools.pairwise(step)]
    for point in plot.points:
        x, y = point.cost, point.quality
        bars = (((x.low, y.middle), (x.high, y.middle)), ((x.middle, y.low), (x.middle, y.high)))
        for (left, bottom), (right, top) in bars:
            if left is not None and bottom is not None and right is not None and top is not None:
                boxes.append(_thin(_spot(plot, size, left, bottom), _spot(plot, size, right, top)))
    return boxes


def _thin(one: tuple[float, float], other: tuple[float, float]) -> Box:
    (left, right), (bottom, top) = sorted((one[0], other[0])), sorted((one[1], other[1]))
    return Box(left - 1, bottom - 1, right + 1, top + 1)

"""Where values lie along an axis, and where labels find room beside their points. Draws nothing."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from workbench.dashboard.units import format_number


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in pixels; y grows upwards."""

    left: float
    bottom: float
    right: float
    top: float

    def meets(self, other: Box) -> bool:
        """Whether two rectangles share an area."""
        return (
            self.left < other.right and other.left < self.right and self.bottom < other.top and other.bottom < self.top
        )

    def within(self, other: Box) -> bool:
        """Whether it lies inside another."""
        return (
            other.left <= self.left
            and self.right <= other.right
            and other.bottom <= self.bottom
            and self.top <= other.top
        )


@dataclass(frozen=True, slots=True)
class Place:
    """Where a label goes, from its point.

    Attributes:
        xshift: pixels to the right.
        yshift: pixels upwards.
        xanchor: which side of the text is there.
    """

    xshift: float
    yshift: float
    xanchor: str

    def annotation(self) -> dict[str, Any]:
        """Entries of a plotly annotation."""
        return {"xshift": self.xshift, "yshift": self.yshift, "xanchor": self.xanchor, "yanchor": "middle"}


_GAP, _LETTER, _LINE = 9.0, 6.7, 15.0
_DISTANCES = (1.0, 2.0, 3.2)


def placed(
    points: Sequence[tuple[float, float]], labels: Sequence[str], room: Box, lines: Sequence[Box] = (), *, far: int = 0
) -> list[Place | None]:
    """A place for each label where it covers no point, no other label and no edge; ``None``: there is none.

    Greedy, in the order given: the labels that matter most come first. Lines are crossed by the first ``far`` labels
    only, and where nothing else is free.

    Args:
        points: pixels of every point; the first ``len(labels)`` have a label.
        labels: plain text of one line each.
        room: what may be written on.
        lines: lines and bars, each as a thin box.
        far: so many labels, the first ones, may lie a little away from their point; the others only beside it.
    """
    taken = [Box(x - 6, y - 6, x + 6, y + 6) for x, y in points]
    found: list[Place | None] = []
    for number, ((x, y), label) in enumerate(zip(points, labels, strict=False)):
        places = _places(_DISTANCES if number < far else _DISTANCES[:1])
        boxes = {place: _box(x, y, _LETTER * len(label), place) for place in places}
        free = [place for place, box in boxes.items() if box.within(room) and not _meets_any(box, taken)]
        otherwise = free[0] if free and number < far else None  # a name struck through is worse than none
        choice = next((place for place in free if not _meets_any(boxes[place], lines)), otherwise)
        if choice is not None:
            taken.append(boxes[choice])
        found.append(choice)
    return found


def _meets_any(box: Box, others: Sequence[Box]) -> bool:
    return any(box.meets(other) for other in others)


def _places(distances: Sequence[float]) -> Iterator[Place]:
    for distance in distances:
        step = _LINE * distance
        yield Place(_GAP, 0 if distance == 1 else step, "left")
        yield Place(-_GAP, 0 if distance == 1 else step, "right")
        yield Place(0, step, "center")
        yield Place(0, -step, "center")
        yield Place(_GAP, step * 0.7, "left")
        yield Place(_GAP, -step * 0.7, "left")
        yield Place(-_GAP, step * 0.7, "right")
        yield Place(-_GAP, -step * 0.7, "right")


def _box(x: float, y: float, width: float, place: Place) -> Box:
    x, y = x + place.xshift, y + place.yshift
    left = {"left": x, "right": x - width, "center": x - width / 2}[place.xanchor]
    return Box(left, y - _LINE / 2, left + width, y + _LINE / 2)


@dataclass(frozen=True, slots=True)
class Scale:
    """How values lie along an axis.

    Attributes:
        low: left or lower end, in axis coordinates (log10 of the value where ``log``).
        high: the other end.
        log: whether the axis is logarithmic.
        zero: where 0 is shown on a logarithmic axis, as a value; ``None``: nothing is 0.
    """

    low: float
    high: float
    log: bool
    zero: float | None = None

    def shown(self, value: float) -> float:
        """The value to plot: 0 has a place of its own on a logarithmic axis."""
        return self.zero if self.log and self.zero is not None and value <= 0 else value

    def coordinate(self, value: float) -> float:
        """Where an annotation has to be: plotly wants exponents on a logarithmic axis."""
        value = self.shown(value)
        return math.log10(value) if self.log else value

    def pixel(self, value: float, length: float) -> float:
        """Pixels from the low end of an axis that is ``length`` long."""
        return length * (self.coordinate(value) - self.low) / (self.high - self.low)


_WIDE = 20.0
_MARGIN = 0.06


def scale_of(values: Sequence[float], *, may_be_log: bool) -> Scale:
    """A scale on which all values are seen: logarithmic where they span more than a factor of 20."""
    positive = [value for value in values if value > 0]
    if may_be_log and positive and min(values) >= 0 and max(positive) > _WIDE * min(positive):
        zero = min(positive) / 4 if len(positive) < len(values) else None
        low, high = math.log10(zero or min(positive)), math.log10(max(positive))
        margin = _MARGIN * (high - low)
        return Scale(low - margin, high + margin, True, zero)
    low, high = min(values), max(values)
    margin = _MARGIN * (high - low) or abs(high) * _MARGIN or 1.0
    return Scale(low - margin, high + margin, False)


def log_ticks(scale: Scale, most: int) -> tuple[list[float], list[str]]:
    """1, 2 and 5 of each decade of a logarithmic axis, or fewer where that is too many; 0 where it has a place.

    Args:
        scale: of the axis.
        most: as many ticks, if decades alone are not more.

    Returns:
        Values and what is written at them.
    """
    exponents = range(math.floor(scale.low), math.ceil(scale.high) + 1)
    for digits in ((1, 2, 5), (1, 3), (1,)):
        ticks = [digit * 10.0**exponent for exponent in exponents for digit in digits]
        # the place of 0 is no value: what would be written near it would be misread
        low = scale.low if scale.zero is None else math.log10(2 * scale.zero)
        ticks = [tick for tick in ticks if low <= math.log10(tick) <= scale.high]
        if len(ticks) <= most:
            break
    zero = [] if scale.zero is None else [(scale.zero, "0")]
    named = [*zero, *((tick, format_number(tick)) for tick in ticks)]
    return [tick for tick, _ in named], [text for _, text in named]

"""Numbers between bounds, digit by digit, as alternatives of a GBNF rule.

Decimals between bounds are written with at most 15 significant digits: that many a double tells apart, so that rounding
never carries a number over an excluded bound (IEEE 754, DBL_DIG).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

from workbench.engine.sampling.json_schema.merging import Unsatisfiable
from workbench.engine.sampling.json_schema.writing import literal
from workbench.errors import InvalidGrammar

SIGNIFICANT = 15
ANY_INTEGER = '"-"? ("0" | [1-9] [0-9]{0,15})'
ANY_NUMBER = ANY_INTEGER + ' ("." [0-9]{1,15})? ([eE] [-+]? [0-9]{1,2})?'


@dataclass(frozen=True, slots=True)
class Interval:
    """Numbers from ``low`` to ``high``; ``None``: without end. An open end does not belong to it."""

    low: Decimal | None = None
    high: Decimal | None = None
    low_open: bool = False
    high_open: bool = False

    def __str__(self) -> str:
        low = "" if self.low is None else f"{'above' if self.low_open else 'from'} {self.low:.6g}"
        high = "" if self.high is None else f"{'below' if self.high_open else 'up to'} {self.high:.6g}"
        return f"{low} {high}".strip()

    @property
    def bounded(self) -> bool:
        """Whether there is any bound at all."""
        return self.low is not None or self.high is not None

    def holds(self, value: Decimal) -> bool:
        """Whether a number belongs to it."""
        above = self.low is None or value > self.low or (value == self.low and not self.low_open)
        below = self.high is None or value < self.high or (value == self.high and not self.high_open)
        return above and below

    def whole(self) -> tuple[int | None, int | None]:
        """The least and the greatest whole number in it."""
        low = high = None
        if self.low is not None:
            low = math.ceil(self.low) + int(self.low_open and self.low == math.ceil(self.low))
        if self.high is not None:
            high = math.floor(self.high) - int(self.high_open and self.high == math.floor(self.high))
        return low, high

    def negated(self) -> Interval:
        """Mirrored at zero."""
        return Interval(
            None if self.high is None else -self.high,
            None if self.low is None else -self.low,
            self.high_open,
            self.low_open,
        )

    def from_zero(self, *, without: bool) -> Interval | None:
        """The part above zero, with or ``without`` zero itself; ``None``: there is none."""
        low, is_open = self.low, self.low_open
        if low is None or low < 0 or (low == 0 and without):
            low, is_open = Decimal(0), without
        if self.high is not None and (self.high < low or (self.high == low and (is_open or self.high_open))):
            return None
        return Interval(low, self.high, is_open, self.high_open)


def integers(interval: Interval, step: int = 1) -> str:
    """The whole numbers of an interval that are multiples of ``step``.

    Raises:
        Unsatisfiable: there are none.
        InvalidGrammar: there are too many multiples to list.
    """
    if step != 1:
        return _multiples(interval, step)
    if not interval.bounded:
        return ANY_INTEGER
    return _signed(interval, lambda part: _unsigned_integers(*part.whole()))


def decimals(interval: Interval) -> str:
    """The numbers of an interval.

    Raises:
        Unsatisfiable: there are none.
        InvalidGrammar: the bounds have more digits than a double.
    """
    if not interval.bounded:
        return ANY_NUMBER
    return _signed(interval, _unsigned_decimals)


def _signed(interval: Interval, write: Callable[[Interval], list[str]]) -> str:
    ways: list[str] = []
    for sign, part in (("", interval.from_zero(without=False)), ('"-" ', interval.negated().from_zero(without=True))):
        if part is not None:
            ways += [sign + way for way in write(part)]
    if not ways:
        raise Unsatisfiable(f"The JSON schema asks for a number, and none lies between its bounds ({interval}).")
    return " | ".join(ways)


def _multiples(interval: Interval, step: int, most: int = 2000) -> str:
    low, high = interval.whole()
    if low is None or high is None or (high - low) // step > most:
        raise InvalidGrammar(
            f"multipleOf {step} needs a minimum and a maximum with at most {most:,} multiples between."
        )
    values = range(-(-low // step) * step, high + 1, step)
    if not values:
        raise Unsatisfiable(f"The JSON schema asks for a multiple of {step}, and none lies between its bounds.")
    return " | ".join(literal(str(value)) for value in values)


def _unsigned_integers(low: int | None, high: int | None) -> list[str]:
    low = max(low or 0, 0)
    if high is None:
        top = 10 ** len(str(low)) - 1
        return [*_unsigned_integers(low, top), f"[1-9] [0-9]{{{len(str(low))},{len(str(low)) + 15}}}"]
    ways = []
    for length in range(len(str(low)), len(str(high)) + 1):
        first = max(low, 10 ** (length - 1) if length > 1 else 0)
        last = min(high, 10**length - 1)
        if first <= last:
            ways += digits_between(str(first), str(last))
    return ways


def digits_between(low: str, high: str) -> list[str]:
    """The digit strings between two of the same length."""
    if low == high:
        return [literal(low)] if low else [""]
    same = next(i for i in range(len(low)) if low[i] != high[i])
    head, rest = (literal(low[:same]) + " " if same else ""), len(low) - same - 1
    first, last = int(low[same]), int(high[same])
    low_rest, high_rest = low[same + 1 :], high[same + 1 :]
    ways = []
    if low_rest.strip("0"):
        ways += [f"{head}{literal(str(first))} ({' | '.join(digits_between(low_rest, '9' * rest))})"]
        first += 1
    tail = []
    if high_rest.strip("9"):
        tail = [f"{head}{literal(str(last))} ({' | '.join(digits_between('0' * rest, high_rest))})"]
        last -= 1
    if first <= last:
        ways.append(f"{head}[{first}-{last}]" + (f" [0-9]{{{rest}}}" if rest else ""))
    return ways + tail


def _unsigned_decimals(part: Interval) -> list[str]:
    """Whole numbers; whole numbers with any fraction, where both it and the next one fit; the fractions at the ends."""
    low = part.low or Decimal(0)
    ways = []
    first, last = part.whole()
    if last is None or (first or 0) <= last:
        ways += _unsigned_integers(first, last)
    free = None if part.high is None else math.floor(part.high) - 1
    room = SIGNIFICANT - (len(str(free)) if free is not None else 0)
    if (free is None or (first or 0) <= free) and room > 0:
        ways += [f'({" | ".join(_unsigned_integers(first, free))}) "." [0-9]{{1,{room}}}']
    places = max(2, _places(low), _places(part.high or low))
    return ways + _edges(part, low, first or 0, places)


def _edges(part: Interval, low: Decimal, first: int, places: int) -> list[str]:
    unit = 10**places
    floor = math.floor(low)
    ways = []
    top = unit - 1
    if part.high is not None:
        top_whole = math.floor(part.high)
        top = int((part.high - top_whole) * unit) - (1 if part.high_open else 0)
        if top_whole > floor or first <= floor:
            ways += _fraction(top_whole, 0, top, places) if top_whole >= first and top >= 0 else []
        if top_whole > floor:
            top = unit - 1
    if floor < first:
        begin = int((low - floor) * unit) + (1 if part.low_open else 0)
        ways += _fraction(floor, begin, top, places)
    return ways


def _fraction(whole: int, first: int, last: int, places: int) -> list[str]:
    """``whole`` and a fraction from ``first`` to ``last``, in units of the last of ``places`` or written shorter.

    Below ``last`` further digits may follow: they stay below it.
    """
    inner: list[str] = []
    for digits in range(1, places + 1):
        unit = 10 ** (places - digits)
        low, high = -(-first // unit), last // unit
        if low <= high:
            inner += digits_between(f"{low:0{digits}d}", f"{high:0{digits}d}")
    room = SIGNIFICANT - places - len(str(whole))
    if first < last and room > 0:
        below = " | ".join(digits_between(f"{first:0{places}d}", f"{last - 1:0{places}d}"))
        inner.append(f"({below}) [0-9]{{1,{room}}}")
    return [f"{literal(f'{whole}.')} ({' | '.join(inner)})"] if inner else []


def _places(value: Decimal) -> int:
    exponent = value.normalize().as_tuple().exponent
    places = -exponent if isinstance(exponent, int) and exponent < 0 else 0
    if places + len(str(abs(int(value)))) > SIGNIFICANT:
        raise InvalidGrammar(f"The bound {value:.6g} has more than {SIGNIFICANT} digits. Round it.")
    return places

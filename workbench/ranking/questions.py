"""What a query asks for, by its own words: a time, a number, a place, a person, a title; and the dates it names.

English only; in another language nothing is recognised and nothing follows. Knows the query, no message.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt

from workbench.interfaces import FloatArray

_YEAR = "january february march april may june july august september october november december"
_MONTHS = _YEAR.split()
_DATE = re.compile(
    r"(?:\b(?P<before>\d{1,2})(?:st|nd|rd|th)?(?: of)?,? )?"
    rf"\b(?P<month>{'|'.join(_MONTHS)})\b"
    r"(?: (?P<after>\d{1,2})(?:st|nd|rd|th)?\b)?(?:,? (?P<year>(?:19|20)\d\d)\b)?",
    re.IGNORECASE,
)
_DATED_MAY = re.compile(r"\b(in|of|on|during|since|by|last|until|before|after|early|late)\s+$", re.IGNORECASE)
_WHEN = re.compile(r"^when\b|\b(what|which) (date|day|month|year)\b", re.IGNORECASE)
_HOW_MANY = re.compile(r"\bhow (many|much|often)\b", re.IGNORECASE)
_HOW_LONG = re.compile(r"\bhow (long|old)\b", re.IGNORECASE)
_WHERE = re.compile(r"^where\b|\b(what|which) (country|city|state|town|place)\b", re.IGNORECASE)
_WHO = re.compile(r"^who(se|m)?\b", re.IGNORECASE)
_WHAT = re.compile(r"^(what|which)\b", re.IGNORECASE)

_DAY_S, _MONTH_S = 86_400.0, 30.5 * 86_400.0
_NEAR_S = 10 * _DAY_S
"""So far from a date, what is said is likely to be about it with odds of 1/e: people tell of a day some days later."""

Span = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Asked:
    """What a query asks for; several may hold, or none."""

    when: bool
    how_many: bool
    how_long: bool
    where: bool
    who: bool
    what: bool


def asked_for(query: str) -> Asked:
    """What a query asks for."""
    text = query.strip()
    return Asked(
        when=bool(_WHEN.search(text)),
        how_many=bool(_HOW_MANY.search(text)),
        how_long=bool(_HOW_LONG.search(text)),
        where=bool(_WHERE.search(text)),
        who=bool(_WHO.search(text)),
        what=bool(_WHAT.search(text)),
    )


def nearness(query: str, times: npt.NDArray[np.float64]) -> FloatArray:
    """How near to the dates a query names each message was said: 1 within, falling with distance; 0: it names none.

    Args:
        query: the text.
        times: of the messages, in seconds since 1970: (messages,).
    """
    near = np.zeros(len(times), np.float32)
    if len(times) == 0:
        return near
    years = range(_year(times.min()), _year(times.max()) + 1)
    for start, end in _spans(query, years):
        gap = np.maximum(0, np.maximum(start - times, times - end))
        near = np.maximum(near, np.exp(-gap / _NEAR_S).astype(np.float32))
    return near


def _spans(query: str, years: Iterable[int]) -> list[Span]:
    """Dates in a query as moments; one without a year is meant in any of ``years``."""
    spans = []
    for found in _DATE.finditer(query):
        if found["month"].lower() == "may" and not _is_month(query, found):
            continue
        day = found["before"] or found["after"]
        meant = [int(found["year"])] if found["year"] else list(years)
        spans += [span for year in meant if (span := _span(year, found["month"], day)) is not None]
    return spans


def _is_month(query: str, found: re.Match[str]) -> bool:
    """Whether "may" is the month: with a day, a year, or after a word that goes before a month."""
    dated = found["before"] or found["after"] or found["year"]
    return bool(dated) or _DATED_MAY.search(query[: found.start("month")]) is not None


def _span(year: int, month: str, day: str | None) -> Span | None:
    try:
        start = datetime(year, _MONTHS.index(month.lower()) + 1, int(day or 1), tzinfo=UTC).timestamp()
    except ValueError:  # 31 June
        return None
    return start, start + (_MONTH_S if day is None else _DAY_S)


def _year(moment: float) -> int:
    try:
        return datetime.fromtimestamp(moment, tz=UTC).year
    except (ValueError, OverflowError, OSError):  # a time no calendar has
        return 1970

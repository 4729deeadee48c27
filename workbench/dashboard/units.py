"""Metric names for people, and the units behind their suffixes.

The unit is part of a metric's name ("decode_tps"); nothing else about a metric is known here. One table serves every
axis, cell, hover text and table, so that a figure and the page around it cannot disagree.
"""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Unit:
    """How values of a metric are shown.

    Attributes:
        symbol: the unit shown; empty for a pure number.
        scale: shown value = recorded value x scale.
    """

    symbol: str
    scale: float = 1.0


NUMBER = Unit("")

_UNITS = {
    "_joules_per_token": Unit("J/token"),
    "_bytes_per_token": Unit("KiB/token", 1 / 2**10),
    "_per_s": Unit("1/s"),
    "_tps": Unit("tokens/s"),
    "_rps": Unit("requests/s"),
    "_ms": Unit("ms"),
    "_s": Unit("s"),
    "_bytes": Unit("MiB", 1 / 2**20),
    "_joules": Unit("J"),
    "_watts": Unit("W"),
    "_w": Unit("W"),
    "_celsius": Unit("°C"),
    "_c": Unit("°C"),
    "_mhz": Unit("MHz"),
    "_tokens": Unit("tokens"),
    "_nats": Unit("nats"),
    "_percent": Unit("%"),
}
"""Longest suffix first: "_bytes_per_token" is no "_tokens"."""

_WORDS = {
    "ttft": "time to first token",
    "tpot": "time per output token",
    "itl": "inter-token latency",
    "e2e": "end-to-end time",
    "kl": "KL",
    "kv": "KV",
    "ndcg": "nDCG",
    "rss": "resident memory",
    "ram": "RAM",
    "sm": "SM",
    "gpu": "GPU",
    "vram": "VRAM",
    "cpu": "CPU",
}

_STEMS = {"kv_bytes": "KV cache", "resident_bytes": "resident memory", "context_bytes": "memory of the context"}
"""Names whose words leave out what is measured."""

_SAYS_WHAT = ("time", "latency", "token", "speed", "throughput")
"""Names ending so need no further word for the quantity."""


def _suffix(metric: str) -> str:
    return next((suffix for suffix in _UNITS if metric.endswith(suffix) and len(metric) > len(suffix)), "")


def unit_of(metric: str) -> Unit:
    """The unit a metric is shown in, by the suffix of its name.

    >>> unit_of("rss_bytes").symbol
    'MiB'
    """
    whole = f"_{metric}" if len(metric) > 3 else ""  # "joules_per_token" itself; "c" or "w" alone may be anything
    return _UNITS.get(_suffix(metric) or whole, NUMBER)


def metric_name(metric: str) -> str:
    """What a metric is called in a sentence or heading, without its unit.

    >>> metric_name("decode_tps"), metric_name("ttft_p95_ms")
    ('Decode speed', 'Time to first token p95')
    """
    suffix = _suffix(metric)
    stem = metric.removesuffix(suffix) if suffix else metric
    name = _STEMS.get(metric) or " ".join(_word(word) for word in stem.split("_") if word) or metric
    name += _quantity(name, suffix)
    return name[0].upper() + name[1:]


def _word(word: str) -> str:
    """A word of a metric's name for people; "gpu0" is the GPU numbered 0."""
    number = word.removeprefix("gpu")
    return f"GPU {number}" if number.isdigit() else _WORDS.get(word, word)


def _quantity(name: str, suffix: str) -> str:
    """The word that says what is measured, where the name leaves it out ("load" -> "load time")."""
    word = {"_tps": " speed", "_ms": " time", "_s": " time", "_joules": " energy", "_watts": " power"}.get(suffix, "")
    return "" if any(hint in name.split() for hint in _SAYS_WHAT) else word


def axis_title(metric: str) -> str:
    """Name and unit for an axis.

    >>> axis_title("decode_tps")
    'Decode speed (tokens/s)'
    """
    symbol = unit_of(metric).symbol
    return f"{metric_name(metric)} ({symbol})" if symbol else metric_name(metric)


def shown(metric: str, value: float) -> float:
    """A recorded value in the unit it is shown in."""
    return value * unit_of(metric).scale


def format_number(value: float | None) -> str:
    """Four significant digits, thousands grouped, an absent value as a dash.

    >>> format_number(1234.56), format_number(0.012345), format_number(None)
    ('1,235', '0.01235', '—')
    """
    if value is None or not math.isfinite(value):
        return "—"
    if value == 0:
        return "0"
    digits = 3 - math.floor(math.log10(abs(value)))
    if digits > 7:
        return f"{value:.3e}"
    text = f"{value:,.{max(digits, 0)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def format_value(metric: str, value: float | None) -> str:
    """A recorded value with its unit.

    >>> format_value("decode_tps", 131.04)
    '131 tokens/s'
    """
    if value is None or not math.isfinite(value):
        return "—"
    symbol = unit_of(metric).symbol
    return f"{format_number(shown(metric, value))} {symbol}".rstrip()


def format_ratio(ratio: float | None) -> str:
    """A ratio as a factor; three decimals where two would hide the difference.

    >>> format_ratio(1.204), format_ratio(1.004)
    ('1.20×', '1.004×')
    """
    if ratio is None or not math.isfinite(ratio):
        return "—"
    if ratio >= 100 or ratio < 0.01:
        return f"{ratio:.3g}×"
    return f"{ratio:.3f}×" if abs(ratio - 1) < 0.01 else f"{ratio:.2f}×"


def format_share(share: float | None) -> str:
    """A share as a percentage.

    >>> format_share(0.0213), format_share(1.08)
    ('2.1 %', '108 %')
    """
    if share is None or not math.isfinite(share):
        return "—"
    return f"{100 * share:.0f} %" if share >= 0.1 else f"{100 * share:.2g} %"

"""Forgetting curves: how much of a score is left with age.

Exponential, as in the generative agents of Park et al. 2023 (arXiv 2304.03442): after each half-life half is left.
Knows times and scores.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from workbench.errors import InvalidSettings
from workbench.interfaces import FloatArray


def check_half_life(half_life_s: float | None) -> None:
    """Raise unless it is ``None`` or a number of seconds above 0.

    Raises:
        InvalidSettings: it is neither.
    """
    if half_life_s is not None and not (half_life_s > 0 and math.isfinite(half_life_s)):
        raise InvalidSettings(
            f"half_life_s must be a number of seconds above 0, not {half_life_s}. None: nothing fades."
        )


def remaining(times: npt.ArrayLike, half_life_s: float) -> FloatArray:
    """Share of each score that is left: 1 for the newest, 0.5 a half-life before it.

    Age is counted from the newest message, not from now, so that a conversation taken up after a year is as it was.

    Args:
        times: when each message was said, in seconds since 1970.
        half_life_s: seconds until half is left.
    """
    moments = np.asarray(times, np.float64)
    ages = moments.max(initial=-np.inf) - moments
    shares: FloatArray = np.exp2(-ages / half_life_s).astype(np.float32)
    return shares

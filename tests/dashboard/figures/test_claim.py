"""One claim as a picture: claimed range, no effect, and the figure with its interval."""

from __future__ import annotations

import math
from typing import Any

import pytest

from workbench.dashboard.figures import claim as drawing
from workbench.errors import UsageError
from workbench.sweep.findings.claims import ClaimResult, ClaimVerdict, Measured, judge
from workbench.sweep.specification.parts import ClaimSpec

FASTER = {"metric": "tps", "of": {"a": 2}, "against": {"a": 1}, "direction": "maximize"}


def result(seen: Measured, **claim: Any) -> ClaimResult:
    spec = ClaimSpec.model_validate({"says": "It is <b>faster</b>", **claim})
    verdict, reason = judge(spec, seen)
    return ClaimResult(claim=spec, measured=seen, verdict=verdict, reason=reason)


def seen(low: float, high: float, band: float = 0.02) -> Measured:
    return Measured(estimate=(low + high) / 2, low=low, high=high, n=10, band=band)


def spans(figure: Any) -> list[tuple[float, float]]:
    return [(round(shape.x0, 6), round(shape.x1, 6)) for shape in figure.layout.shapes]


def test_a_ratio_stands_between_noise_and_claim() -> None:
    figure = drawing.claim(result(seen(1.1, 1.2), **FASTER, low=1.15, high=1.3))
    assert figure.layout.xaxis.type == "log"
    assert spans(figure) == [(round(1 / 1.02, 6), 1.02), (1, 1), (1.15, 1.3)]
    (point,) = figure.data
    assert point.x == (pytest.approx(1.15),)
    assert point.error_x.array == pytest.approx((0.05,))
    low, high = (10**end for end in figure.layout.xaxis.range)
    assert low < 1 / 1.02
    assert high > 1.3


def test_an_open_claim_reaches_to_the_end_of_the_axis() -> None:
    up = drawing.claim(result(seen(1.1, 1.2), **FASTER))
    assert spans(up)[-1] == (1, pytest.approx(10 ** up.layout.xaxis.range[1], rel=1e-5))
    down = drawing.claim(result(seen(0.4, 0.6), **{**FASTER, "direction": "minimize"}, high=0.9))
    assert spans(down)[-1] == (0.9, pytest.approx(10 ** down.layout.xaxis.range[0], rel=1e-5))


def test_a_value_is_shown_in_its_unit_with_its_own_zero() -> None:
    claim = {"metric": "saved_bytes", "direction": "maximize", "low": 2**20, "high": 3 * 2**20, "nothing": 0}
    figure = drawing.claim(result(seen(2**20, 2 * 2**20), **claim))
    assert "MiB" in figure.layout.xaxis.title.text
    assert spans(figure) == [(0, 0), (1, 3)]
    assert figure.data[0].x == (1.5,)
    assert figure.layout.xaxis.range[0] < 0 < 3 < figure.layout.xaxis.range[1]


def test_a_value_that_is_the_same_as_claimed_has_an_axis() -> None:
    figure = drawing.claim(result(seen(1.0, 1.0), metric="share", direction="maximize", low=1))
    assert figure.layout.xaxis.range[0] < 1 < figure.layout.xaxis.range[1]


def test_without_an_interval_there_is_no_bar() -> None:
    figure = drawing.claim(result(Measured(estimate=1.2, n=3), **FASTER, low=1.1))
    assert figure.data[0].error_x.array is None
    assert figure.data[0].marker.symbol == "circle-open"


def test_text_from_outside_is_inert_in_it() -> None:
    reason = ClaimResult(
        claim=ClaimSpec.model_validate({"says": "s", **FASTER, "low": 2}),
        measured=seen(1.1, 1.2),
        verdict="partly",
        reason="<img src=x>",
    )
    assert "<img" not in drawing.claim(reason).data[0].text[0]


@pytest.mark.parametrize("verdict", ["not run yet", "cannot be tested here"])
def test_what_was_not_measured_is_not_drawn(verdict: ClaimVerdict) -> None:
    nothing = ClaimResult(
        claim=ClaimSpec.model_validate({"says": "s", **FASTER}), measured=Measured(), verdict=verdict, reason=""
    )
    assert not drawing.drawable(nothing)
    assert not drawing.drawable(result(Measured(estimate=math.nan), **FASTER))
    with pytest.raises(UsageError, match="workbench claims --run"):
        drawing.claim(nothing)

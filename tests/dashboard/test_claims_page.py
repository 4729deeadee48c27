"""The page of claims: everything is on it, nothing on it can run, and links stay relative."""

from __future__ import annotations

import html
import json
import re
from pathlib import Path
from typing import Any

import pytest

from workbench.dashboard import write_claims_page
from workbench.dashboard.claims_page import render
from workbench.sweep.claiming import ClaimedSweep, ClaimTable
from workbench.sweep.findings.claims import CLAIM_VERDICTS, ClaimResult, ClaimVerdict, Measured
from workbench.sweep.specification.parts import ClaimSpec

EVIL = "<script>alert(1)</script>"


def result(verdict: ClaimVerdict, says: str = "It is faster", **claim: Any) -> ClaimResult:
    asked = {"metric": "tps", "direction": "maximize", "of": {"a": 2}, "against": {"a": 1}, "low": 1.15, **claim}
    measured = Measured(estimate=1.2, low=1.1, high=1.3, n=10, band=0.01)
    empty = verdict in ("cannot be tested here", "not run yet")
    return ClaimResult(
        claim=ClaimSpec.model_validate({"says": says, **asked}),
        measured=Measured() if empty else measured,
        verdict=verdict,
        reason=f"why {verdict}",
    )


def sweep(folder: Path, *results: ClaimResult, title: str = "A technique") -> ClaimedSweep:
    return ClaimedSweep(
        name="technique",
        title=title,
        description="Claimed: much. Measured: this.",
        folder=folder,
        audit="20/20 runs done",
        hosts=("bench",),
        results=results,
    )


def payload(text: str, name: str) -> Any:
    found = re.search(rf'<script type="application/json" id="payload-{name}">(.*?)</script>', text, re.DOTALL)
    assert found
    return json.loads(found[1])


@pytest.fixture
def table(tmp_path: Path) -> ClaimTable:
    return ClaimTable(
        sweeps=(sweep(tmp_path / "results" / "a b", *(result(verdict) for verdict in CLAIM_VERDICTS)),),
        unreadable=((Path("claims/9_broken.yaml"), "line 3: no"),),
    )


def test_every_claim_is_in_the_table_and_by_itself(table: ClaimTable) -> None:
    text = render(table)
    for verdict in CLAIM_VERDICTS:
        assert f"why {verdict}" in text
        assert text.count(f"</span> {verdict}</span>") == 4  # summary, table, explanation, claim
    assert "20/20 runs done on bench" in text
    assert "9_broken.yaml could not be read: line 3: no" in text
    assert "workbench claims technique --run" in text


def test_what_was_measured_is_drawn_and_what_was_not_is_not(table: ClaimTable) -> None:
    text = render(table)
    specs = payload(text, "figures")
    assert sorted(specs) == [f"figure-claim-0-{place}" for place in range(4)]
    assert all(f'id="{identifier}"' in text for identifier in specs)
    data = payload(text, "data")
    assert [row[data["columns"].index("verdict")] for row in data["runs"]] == list(CLAIM_VERDICTS)
    assert data["runs"][5][data["columns"].index("measured")] is None


def test_a_dashboard_that_is_there_is_linked_relative_to_the_page(table: ClaimTable, tmp_path: Path) -> None:
    (tmp_path / "results" / "a b").mkdir(parents=True)
    assert "dashboard</a>" not in write_claims_page(table, tmp_path / "pages" / "claims.html").read_text()
    (tmp_path / "results" / "a b" / "dashboard.html").write_text("x")
    written = write_claims_page(table, tmp_path / "pages" / "claims.html")
    assert written.is_absolute()
    assert '<a href="../results/a%20b/dashboard.html">dashboard</a>' in written.read_text()
    assert str(tmp_path) not in written.read_text()


def test_nothing_from_outside_becomes_markup(tmp_path: Path) -> None:
    evil = ClaimTable(
        sweeps=(sweep(tmp_path, result("confirmed", says=EVIL), title=EVIL),), unreadable=((Path(EVIL), EVIL),)
    )
    text = render(evil)
    assert EVIL not in text
    assert "default-src 'none'" in html.unescape(text)


def test_no_claims_are_a_page_too() -> None:
    text = render(ClaimTable(sweeps=()))
    assert "There are no claims." in text
    assert payload(text, "figures") == {}

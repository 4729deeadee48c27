"""The page over all sweeps, made of real ledgers."""

from __future__ import annotations

import html
import os
import re
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from workbench.dashboard import entries as entries_module
from workbench.dashboard import write_index
from workbench.dashboard.entries import Entry, entries, entry_of
from workbench.dashboard.index import render
from workbench.errors import StorageFull, UsageError
from workbench.storage.ledger import Ledger
from workbench.sweep import Sweep
from workbench.sweep.results import Analysis, Audit
from workbench.testing.fabricated_sweep import fabricate

EVIL = "</td><script>alert(1)</script><img src=x onerror=alert(2)> \"'`{{7*7}}"


def made(folder: Path, **changes: Any) -> Path:
    """A small finished sweep; returns its results folder."""
    small = {"batches": 2, "contexts": 1, "blocks": 3, "metrics": 4, "samples": 2}
    return Sweep.from_file(fabricate(folder, **{**small, **changes})).folder


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Dashboards are not drawn, only counted."""
    written: list[Path] = []

    def write(_: Analysis, path: Path) -> Path:
        written.append(path)
        path.write_text("drawn", encoding="utf-8")
        return path

    monkeypatch.setattr(entries_module, "write_report", write)
    return written


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("experiments")
    made(folder / "a")
    return folder


def rows(page: Path) -> list[str]:
    return re.findall(r"<tr data-state.*?</tr>", page.read_text(encoding="utf-8"), re.S)


def test_a_sweep_has_a_row_that_leads_to_its_dashboard(finished: Path) -> None:
    page = write_index(finished)
    assert page == finished / "index.html"
    (row,) = rows(page)
    (link,) = re.findall(r'<a href="([^"]*)"', row)
    assert (page.parent / unquote(link)).read_text(encoding="utf-8").startswith("<!doctype html>")
    assert "Runs that never ran" in row
    assert "15/15 runs done, 0 failed, 0 missing" in row
    assert "✓ complete" in row
    folded = row[row.index("<details>") : row.index("</details>")]  # three blocks decide nothing
    assert folded.count('class="badge inconclusive"') == row.count("badge inconclusive") == 1
    assert "Decode speed, Prefill speed, Time to first token</summary>" in folded
    assert folded.count("<p>Inconclusive: ") == 3, "One per objective."
    assert re.search(r"\d{4}-\d\d-\d\d \d\d:\d\d", row)
    assert 'data-key="bench">bench' in row


@pytest.mark.usefixtures("quick")
def test_what_was_found_is_not_looked_for_again_until_something_ran(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = made(tmp_path)
    analysed = []
    real = entries_module._analysed
    monkeypatch.setattr(entries_module, "_analysed", lambda *given: analysed.append(given) or real(*given))
    first = entry_of(folder)
    assert entry_of(folder) == first
    assert len(analysed) == 1
    with Ledger(folder / "ledger.sqlite") as ledger:
        ledger.begin("another", host="bench")
    assert entry_of(folder).audit == first.audit
    assert len(analysed) == 2


def test_a_dashboard_is_written_where_it_is_missing_or_older_than_the_ledger(tmp_path: Path, quick: list[Path]) -> None:
    folder = made(tmp_path)
    page, summary = folder / "dashboard.html", folder / "summary.json"
    assert entry_of(folder).dashboard
    assert quick == [page], "It was missing."
    entry_of(folder)
    summary.unlink()
    entry_of(folder)
    assert len(quick) == 1, "It is newer than the ledger."
    summary.unlink()
    os.utime(page, (1, 1))
    entry_of(folder)
    assert len(quick) == 2, "It was older."
    entry_of(folder, rebuild=True)
    assert len(quick) == 3


@pytest.mark.usefixtures("quick")
def test_half_run_broken_and_old_sweeps_are_rows_like_any_other(tmp_path: Path) -> None:
    half, broken, old = made(tmp_path / "half", done=10), made(tmp_path / "broken"), made(tmp_path / "old")
    for path in broken.glob("ledger.sqlite*"):
        path.write_bytes(b"no ledger")
    (old / "spec.yaml").unlink()
    found = {entry.folder: entry for entry in entries(tmp_path)}
    assert [found[folder].state for folder in (half, broken, old)] == ["incomplete", "unreadable", "unreadable"]
    assert "5 missing" in str(found[half].audit)
    assert "StoreCorrupt" in found[broken].problem
    assert "older version" in found[old].problem
    text = write_index(tmp_path).read_text(encoding="utf-8")
    assert "1 incomplete, 2 unreadable" in text
    assert "StoreCorrupt" in text


def test_a_specification_that_makes_no_sense_is_said_with_its_line(tmp_path: Path) -> None:
    folder = made(tmp_path)
    (folder / "spec.yaml").write_text("name: x\nnotebok: y\n", encoding="utf-8")
    entry = entry_of(folder)
    assert entry.state == "unreadable"
    assert "notebok" in entry.problem


def test_no_room_for_a_dashboard_is_not_a_broken_sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> Path:
        raise StorageFull(tmp_path)

    folder = made(tmp_path)
    monkeypatch.setattr(entries_module, "write_report", full)
    with pytest.raises(StorageFull):
        entry_of(folder)


def test_hostile_names_make_no_element_and_no_address(tmp_path: Path) -> None:
    audit = Audit(planned=1, done=1, failed=0, missing=0)
    entry = Entry(
        folder=tmp_path / 'x"onclick="y', name=EVIL, title=EVIL, hosts=[EVIL], models=[EVIL], problem=EVIL, audit=audit,
        answers=[{"metric": EVIL, "verdict": "better", "headline": EVIL}], dashboard=True,
    )  # fmt: skip
    text = render([entry], tmp_path)
    assert text.count("<script>") == 1
    assert "<img" not in text
    assert 'onclick="y' not in text
    assert "{{7*7}}" in text


def test_the_page_loads_nothing_and_runs_only_its_own_script(finished: Path) -> None:
    text = html.unescape(write_index(finished).read_text(encoding="utf-8"))
    assert not re.search(r'(src|srcset|action)="', text)
    assert "default-src 'none'; script-src 'sha256-" in text
    assert not re.search("https?:", text)


def test_an_empty_folder_says_how_to_fill_it_and_none_is_refused(tmp_path: Path) -> None:
    assert "workbench sweep run" in write_index(tmp_path).read_text(encoding="utf-8")
    with pytest.raises(UsageError, match="no folder"):
        write_index(tmp_path / "nowhere")


def test_addresses_are_relative_to_where_the_page_lies(finished: Path) -> None:
    page = write_index(finished, finished / "a" / "results" / "here.html")
    assert 'href="./fabricated/dashboard.html"' in page.read_text(encoding="utf-8")
    assert entries(finished)[0].models == ()

import base64
import dataclasses
import hashlib
import json
import math
import re
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from plotly.offline import get_plotlyjs

from workbench.dashboard.page import json_value
from workbench.dashboard.report import embedded, render, write_report
from workbench.sweep.results import Analysis

TAGS = {
    *(
        "html",
        "head",
        "meta",
        "title",
        "style",
        "body",
        "nav",
        "main",
        "header",
        "section",
        "article",
        "h1",
        "h2",
        "h3",
    ),
    *("a", "b", "p", "span", "div", "ul", "li", "dl", "dt", "dd", "code", "pre", "button", "details", "summary"),
    *("table", "thead", "tbody", "tr", "th", "td", "figure", "figcaption", "noscript", "script"),
}


class Page(HTMLParser):
    """Elements, attributes, scripts and visible text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.attributes: list[tuple[str, str, str]] = []
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self.words: list[str] = []
        self._open = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        self._open = tag
        if tag == "script":
            self.scripts.append((dict(attrs), ""))

    def handle_endtag(self, tag: str) -> None:
        self._open = ""

    def handle_data(self, data: str) -> None:
        if self._open == "script":
            attributes, text = self.scripts[-1]
            self.scripts[-1] = (attributes, text + data)
        elif self._open != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def payload(self, name: str) -> Any:
        return next(json.loads(text) for attrs, text in self.scripts if attrs.get("id") == f"payload-{name}")


@pytest.fixture(scope="module")
def pages(normal: Analysis, single: Analysis, tiny: Analysis, hostile: Analysis) -> dict[str, Page]:
    analyses = {"normal": normal, "single": single, "tiny": tiny, "hostile": hostile}
    return {name: Page(render(analysis)) for name, analysis in analyses.items()}


@pytest.fixture(params=["normal", "single", "tiny", "hostile"])
def page(request: pytest.FixtureRequest, pages: dict[str, Page]) -> Page:
    return pages[request.param]


def test_nothing_is_loaded_from_anywhere(page: Page) -> None:
    loading = {"src", "srcset", "data", "poster", "background", "action", "formaction", "srcdoc", "ping"}
    assert not [item for item in page.attributes if item[1] in loading]
    assert all(value.startswith("#") for _, name, value in page.attributes if name == "href")
    assert "link" not in page.tags
    assert not page.tags.keys() & {"iframe", "object", "embed", "img", "base", "svg"}


def test_styles_load_nothing_either(normal: Analysis) -> None:
    styles = re.findall(r"<style>(.*?)</style>", render(normal), re.S)
    assert styles
    assert not any(re.search(r"url\(|@import", style) for style in styles)


def test_plotly_is_inlined_exactly_once(page: Page) -> None:
    assert [text == get_plotlyjs() for _, text in page.scripts].count(True) == 1
    assert sum("plotly.js v" in text for _, text in page.scripts) == 1


def test_the_policy_allows_the_pages_own_scripts_and_no_network(page: Page) -> None:
    (policy,) = [value for _, name, value in page.attributes if name == "content" and "default-src" in value]
    assert "default-src 'none'" in policy
    assert "http" not in policy
    programs = [text for attributes, text in page.scripts if attributes.get("type") is None]
    hashes = {base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in programs}
    assert set(re.findall(r"'sha256-([^']+)'", policy)) == hashes
    assert "unsafe-inline" not in policy.split("script-src")[1].split(";")[0]


def test_hostile_texts_make_no_element_and_no_attribute(pages: dict[str, Page]) -> None:
    page = pages["hostile"]
    assert page.tags.keys() <= TAGS
    assert page.tags["script"] == 5  # three payloads, plotly.js, the page's own
    assert not [name for _, name, _ in page.attributes if name.startswith("on")]
    assert not [value for _, _, value in page.attributes if "javascript:" in value]
    assert page.text.count("alert(1)") > 10  # shown as what it is
    assert "{{7*7}}" in page.text


def test_hostile_texts_come_back_letter_by_letter_from_the_data(hostile: Analysis, pages: dict[str, Page]) -> None:
    found = pages["hostile"].payload("data")
    evil = hostile.name.removeprefix("quickstart ")
    assert found["name"] == hostile.name
    assert evil in found["columns"]
    assert found["audit"]["failures"][0][0] == evil
    assert found["audit"]["failures"][0][1].endswith("\x00 \udc80 \u202e")


def test_json_cannot_end_its_script() -> None:
    for text in ("</script>", "<!--<script>", "]]>", "&lt;", "\u2028", "\udc80"):
        escaped = str(embedded(text))
        assert not re.search("[<>&\u2028\udc80]", escaped)
        assert json.loads(escaped) == text


def test_the_runs_can_be_downloaded_whole(normal: Analysis, pages: dict[str, Page]) -> None:
    found = pages["normal"].payload("data")
    table = pd.DataFrame(found["runs"], columns=found["columns"])
    for column in ("label", "arm", "block", "order", "decode_tps", "perplexity"):
        assert list(table[column]) == list(normal.frame[column])
    assert table["gpu_watts"].isna().all()
    assert found["definitions"] == normal.definitions
    assert len(found["comparisons"]) == len(normal.comparisons)
    assert found["comparisons"][0]["effect"]["ratio"] == normal.comparisons[0].effect.ratio


def test_every_figure_has_its_place_its_name_and_its_description(page: Page) -> None:
    specs = page.payload("figures")
    places = [value for tag, name, value in page.attributes if tag == "div" and name == "id"]
    assert sorted(specs) == sorted(places)
    ids = {value for _, name, value in page.attributes if name == "id"}
    for name in ("aria-labelledby", "aria-describedby"):
        named = [value for _, key, value in page.attributes if key == name]
        assert len(named) == len(specs)
        assert set(named) <= ids
    assert all("title" not in spec["layout"] and "template" not in spec["layout"] for spec in specs.values())


def test_ids_are_unique_and_links_lead_somewhere(page: Page) -> None:
    ids = [value for _, name, value in page.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    assert {value[1:] for _, name, value in page.attributes if name == "href"} <= set(ids)


def test_headings_leave_out_no_level(page: Page) -> None:
    assert page.tags["h1"] == 1
    assert page.tags["h2"] >= 4


def test_the_answer_comes_first_with_its_code(normal: Analysis, pages: dict[str, Page]) -> None:
    text = pages["normal"].text
    best = normal.recommendations[0]
    assert text.index("Answer") < text.index(best.text) < text.index("Targets") < text.index("Noise floor")
    assert best.code in text
    assert "97/100 runs done, 3 failed" in text
    assert "signal SIGKILL" in text


def test_targets_say_met_missed_or_not_measured(pages: dict[str, Page]) -> None:
    text = pages["normal"].text
    assert all(word in text for word in ("✓ met", "✗ missed", "not measured"))
    assert "Targets" not in pages["single"].text


def test_an_undecided_sweep_says_so(pages: dict[str, Page]) -> None:
    assert "Inconclusive: only 1 complete block" in pages["tiny"].text
    assert "Noise floor" not in pages["single"].text


def test_staying_with_the_reference_is_not_called_worse(normal: Analysis) -> None:
    worse = next(comparison for comparison in normal.comparisons if comparison.verdict == "worse")
    kept = dataclasses.replace(normal.recommendations[0], headline="Keep baseline.", evidence=worse)
    text = render(dataclasses.replace(normal, recommendations=[kept]))
    assert re.search(r'<article class="answer keep">', text)


def test_a_sweep_without_a_finished_run_still_makes_a_page(normal: Analysis) -> None:
    nothing = dataclasses.replace(
        normal, frame=normal.frame.iloc[:0], comparisons=[], main_effects=[], floors={}, recommendations=[], targets=[]
    )
    page = Page(render(nothing))
    assert page.payload("figures") == {}
    assert "Not recorded by any run: Decode speed" in page.text


def test_the_environment_is_shown_flat(normal: Analysis) -> None:
    environment = {
        "gpus": [{"name": "H200", "memory_bytes": 2**30}],
        "hosts": ["a", "b"],
        "git": None,
        "gpu_readings": [],
        "dirty": True,
    }
    text = Page(render(dataclasses.replace(normal, environment=environment))).text
    assert "gpus 0 / name H200" in text
    assert "gpus 0 / memory_bytes 1.00 GiB" in text
    assert "hosts a, b" in text
    assert "git none" in text
    assert "dirty yes" in text


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (math.nan, None),
        (np.float64("inf"), None),
        (pd.NaT, None),
        (pd.NA, None),
        (np.int64(3), 3),
        (np.bool_(True), True),
        ((1, {"a": math.nan}), [1, {"a": None}]),
        (Path("x"), "x"),
        (np.array([1.0, math.nan]), [1.0, None]),
    ],
)
def test_values_become_json_and_absent_ones_null(value: object, expected: object) -> None:
    assert json_value(value) == expected
    json.dumps(json_value(value), allow_nan=False)


def test_a_report_is_written_whole_and_its_path_returned(normal: Analysis, tmp_path: Path) -> None:
    path = write_report(normal, tmp_path / "new" / "report.html")
    assert path.is_absolute()
    assert path.read_text(encoding="utf-8") == render(normal)
    assert [item.name for item in path.parent.iterdir()] == ["report.html"]
    assert path.stat().st_size < 6e6


def test_a_thousand_runs_stay_below_fifteen_megabytes(thousand: Analysis) -> None:
    assert len(thousand.frame) >= 1000
    assert len(render(thousand).encode()) < 15e6


@pytest.fixture(scope="module")
def served_page(served: Analysis) -> Page:
    return Page(render(served))


def test_figures_of_the_sweep_stand_once_in_a_section_of_their_own(served: Analysis, served_page: Page) -> None:
    specs = served_page.payload("figures")
    of_sweep = [name for name in specs if name.startswith("figure-sweep-")]
    kinds = Counter(name.split("-")[-1] for name in of_sweep)
    assert (kinds["load_curve"], kinds["ecdf"], kinds["stages"]) == (2, 2, 1)
    assert 1 < kinds["timeline"] <= 5
    assert "Requests and machine" in served_page.text
    assert f"{kinds['timeline'] - 1} more of these" in served_page.text


def test_a_confirmation_a_profile_and_what_did_not_fit_are_said(served: Analysis, served_page: Page) -> None:
    confirmed = served.recommendations[0].confirmation
    assert confirmed is not None
    assert f"Measured again in {confirmed.effect.n} fresh blocks" in served_page.text
    assert '{ "engine": { "n_seq_max": 16, "flash_attn": true } }' in served_page.text
    assert "Did not fit" in served_page.text
    assert "needs 9.1 GiB, 7.4 GiB are free" in served_page.text
    assert "120/123 runs done, 2 out of memory, 1 failed, 0 missing" in served_page.text


def test_raw_runs_are_linked_where_their_notebooks_lie_beside_the_page(served: Analysis, tmp_path: Path) -> None:
    runs = served.recommendations[0].runs
    for run in runs[:2]:
        (tmp_path / run).mkdir(parents=True)
        (tmp_path / run / "notebook.ipynb").write_text("{}")
    short = recommending(served, list(runs))
    page = Page(write_report(short, tmp_path / "dashboard.html").read_text(encoding="utf-8"))
    links = [value for tag, name, value in page.attributes if name == "href" and not value.startswith("#")]
    assert links == [f"./{run}/notebook.ipynb" for run in runs[:2]]
    assert all((tmp_path / link).is_file() for link in links)
    assert all(run in page.text for run in runs)


def recommending(served: Analysis, runs: list[str]) -> Analysis:
    """An answer and no figures: quick to render."""
    answer = dataclasses.replace(served.recommendations[0], runs=runs)
    return dataclasses.replace(served, recommendations=[answer], frame=served.frame.iloc[:0], samples=None)


@pytest.mark.parametrize("run", ["../outside", "/etc", "javascript:alert(1)", "//evil.example/x", "a\x00b", "\udc80"])
def test_nothing_but_a_notebook_beside_the_page_is_linked(served: Analysis, tmp_path: Path, run: str) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "notebook.ipynb").write_text("{}")
    (tmp_path / "results").mkdir()
    text = render(recommending(served, [run]), tmp_path / "results")
    assert not [value for _, name, value in Page(text).attributes if name == "href" and not value.startswith("#")]


def test_a_link_can_only_be_relative(served: Analysis, tmp_path: Path) -> None:
    run = "javascript:x"
    (tmp_path / run).mkdir()
    (tmp_path / run / "notebook.ipynb").write_text("{}")
    text = render(recommending(served, [run]), tmp_path)
    links = [value for _, name, value in Page(text).attributes if name == "href" and not value.startswith("#")]
    assert links == ["./javascript%3Ax/notebook.ipynb"]


def test_not_to_fit_leaves_a_sweep_complete(served: Analysis) -> None:
    short = recommending(served, [])
    audit = dataclasses.replace(served.audit, planned=122, failed=0, failures=[])
    assert '<p class="audit complete">' in render(dataclasses.replace(short, audit=audit))
    assert '<p class="audit incomplete">' in render(short)


def test_a_definition_is_called_one(normal: Analysis) -> None:
    page = " ".join(render(normal).split())
    assert "Higher is better. Definition: (N - 1) / decode time for N generated tokens." in page

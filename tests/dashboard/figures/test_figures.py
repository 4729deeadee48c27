"""What holds for every figure on every analysis."""

import html
import json
import re
from typing import Any

import pytest

from workbench.dashboard import data, figures, page, units
from workbench.errors import UnknownName, UsageError
from workbench.sweep.results import Analysis

RATIO = {"forest", "main_effects", "run_order"}


def every_figure(analysis: Analysis) -> list[tuple[str, str, dict[str, Any]]]:
    return [
        (name, metric, json.loads(figures.draw(name, analysis, metric).to_json()))
        for metric in data.metrics(analysis)
        for name in figures.available(analysis, metric)
    ]


def axis_titles(layout: dict[str, Any]) -> list[str]:
    return [axis.get("title", {}).get("text", "") for key, axis in layout.items() if re.match(r"[xy]axis", key)]


def texts_of(value: Any) -> list[str]:
    """Every string of a figure, wherever it stands."""
    if isinstance(value, dict):
        return [text for key, item in value.items() if key not in ("template", "meta") for text in texts_of(item)]
    if isinstance(value, list):
        return [text for item in value for text in texts_of(item)]
    return [value] if isinstance(value, str) else []


def test_every_figure_says_what_is_seen_and_how_to_read_it(any_analysis: Analysis) -> None:
    for name, metric, figure in every_figure(any_analysis):
        assert units.metric_name(metric) in figure["layout"]["meta"]["title"], name
        assert len(figure["layout"]["meta"]["description"]) > 30
        assert figure["layout"]["title"]["text"]
        assert figure["layout"]["height"] >= 100


def test_axes_carry_units(any_analysis: Analysis) -> None:
    for name, metric, figure in every_figure(any_analysis):
        titles = axis_titles(figure["layout"])
        if name in ("distribution", "pareto"):
            shown = [html.unescape(title.replace("<br>", " ")) for title in titles]
            assert units.axis_title(metric) in shown or len(metric) > 60
        elif name == "importance":
            assert any("(%)" in title for title in titles)
        elif name == "small_multiples":
            assert any(units.unit_of(metric).symbol in title for title in titles)
        elif name == "parallel":
            headings = [note["text"].replace("<br>", " ") for note in figure["layout"]["annotations"]]
            assert f"<b>{units.axis_title(metric)}</b>" in headings
        elif name in RATIO:
            assert any("÷" in title and "log" in title for title in titles), (name, titles)
        else:
            symbol = units.unit_of(metric).symbol
            cells = [note["text"] for note in figure["layout"]["annotations"] if "no run" not in note["text"]]
            assert any(symbol in text for text in cells)


def test_only_markup_of_our_own_reaches_plotly(hostile: Analysis) -> None:
    ours = re.compile(r"</?b>|<br>|<extra></extra>")
    for name, _, figure in every_figure(hostile):
        for text in texts_of(figure):
            rest = ours.sub("", text)
            assert "<" not in rest, (name, text)
            assert "%{" not in rest.replace("%{text}", ""), (name, text)


def test_bold_and_line_breaks_of_the_data_stay_text(hostile: Analysis) -> None:
    evil = [t for _, _, figure in every_figure(hostile) for t in texts_of(figure) if "alert" in t]
    assert evil
    assert all("&lt;b&gt;b" not in text or "<b>b</b>" not in text for text in evil)


def test_colours_of_text_come_from_the_template_so_that_light_and_dark_can_be_exchanged(normal: Analysis) -> None:
    for name, _, figure in every_figure(normal):
        layout = figure["layout"]
        assert "paper_bgcolor" not in layout, name
        if name != "heatmap":  # a heatmap's cell texts are coloured by their cell
            colours = {note.get("font", {}).get("color") for note in layout.get("annotations", [])}
            assert colours <= {None, "#8a8f98"}


def test_an_unknown_figure_or_metric_lists_the_known_ones(normal: Analysis) -> None:
    with pytest.raises(UnknownName, match="forest"):
        figures.draw("florest", normal, "decode_tps")
    with pytest.raises(UnknownName, match="decode_tps"):
        figures.draw("run_order", normal, "decode")


@pytest.mark.parametrize("name", figures.NAMES)
def test_what_is_available_can_be_drawn_and_the_rest_says_why_not(name: str, any_analysis: Analysis) -> None:
    for metric in data.metrics(any_analysis):
        if name in figures.available(any_analysis, metric):
            figures.draw(name, any_analysis, metric)
        else:
            with pytest.raises(UsageError, match=r"\."):
                figures.draw(name, any_analysis, metric)


def test_nothing_is_available_for_a_metric_nobody_recorded(normal: Analysis) -> None:
    assert figures.available(normal, "gpu_watts") == ()
    assert figures.available(normal, "no_such_metric") == ()


def test_everything_found_can_be_downloaded(bounded: Analysis) -> None:
    found = page.download(bounded)
    assert [one["configuration"]["n_ctx"] for one in found["boundaries"]] == [16384] * len(bounded.boundaries)
    assert {one["parameter"] for one in found["importances"]} == {"model", "n_ctx", "model × n_ctx"}
    assert len(found["runs"]) == len(bounded.frame)
    assert found["recommendations"] == []
    assert found["targets"] == []


def test_every_figure_of_a_report_can_be_drawn_with_the_options_it_asks_for(bounded: Analysis) -> None:
    drawn = [
        (name, figures.draw(name, bounded, metric, **options).layout.meta["title"])
        for metric in data.metrics(bounded)
        for name, options in figures.drawings(bounded, metric)
    ]
    assert {"importance", "heatmap", "small_multiples", "parallel", "pareto"} <= {name for name, _ in drawn}
    assert len(drawn) == len(set(drawn)), "No figure is drawn twice."

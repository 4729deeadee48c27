"""What holds for every figure about a sweep as a whole."""

import dataclasses
import json
import re
from typing import Any

import pytest

from workbench.dashboard import Dashboard, figures
from workbench.errors import UsageError
from workbench.sweep.results import Analysis

OURS = re.compile(r"</?b>|<br>|<extra></extra>")
TEMPLATE = re.compile(r"%\{(text|[xy](:[,.~\dfg]+)?)\}")


@pytest.fixture(scope="module")
def evil(served: Analysis, hostile: Analysis) -> Analysis:
    """The same sweep, with an attack for every text that a person chooses."""
    attack = hostile.name.removeprefix("quickstart ")
    load, stage, series = f"load{attack}", f"{attack}_ms", f"{attack}_percent"
    assert served.samples is not None
    labels = {label: f"{label}{attack}" for label in served.frame["label"]}
    frame = served.frame.rename(columns={"concurrency": load, "load_ms": stage})
    samples = served.samples.assign(series=served.samples["series"].replace({"cpu_percent": series}))
    return dataclasses.replace(
        served,
        frame=frame.assign(label=frame["label"].map(labels), host=attack),
        samples=samples.assign(label=samples["label"].map(labels)),
        parameters={"n_seq_max": (4, 16), "flash_attn": (False, True), load: (1, 2, 4, 8, 16)},
        load=load,
        stages=(stage, *served.stages[1:]),
        recommendations=[],
    )


def drawn(analysis: Analysis) -> list[tuple[str, dict[str, Any]]]:
    return [
        (name, json.loads(figures.draw(name, analysis, **options).to_json()))
        for name, options in figures.drawings(analysis)
    ]


def texts_of(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [text for key, item in value.items() if key not in ("template", "meta") for text in texts_of(item)]
    if isinstance(value, list):
        return [text for item in value for text in texts_of(item)]
    return [value] if isinstance(value, str) else []


def test_they_are_there_when_there_is_something_to_show(served: Analysis, normal: Analysis) -> None:
    assert {"load_curve", "ecdf", "stages", "timeline"} <= set(figures.available(served))
    assert not {"load_curve", "ecdf", "stages", "timeline"} & set(figures.available(normal))
    assert not {"load_curve", "ecdf", "stages", "timeline"} & set(figures.available(served, "throughput_tps"))


def test_a_dashboard_gives_them_by_name_and_needs_no_metric(served: Analysis) -> None:
    board = Dashboard(served)
    for name in ("load_curve", "ecdf", "stages", "timeline"):
        assert name in board.names()
        assert board.figure(name, theme="dark").layout.paper_bgcolor == "#14171b"
    nothing = dataclasses.replace(served, frame=served.frame[["cell", "label", "block", "order", "arm", "host"]])
    assert Dashboard(nothing).metrics == ()
    assert len(Dashboard(nothing).figure("ecdf").data) == len(board.figure("ecdf").data)


def test_a_figure_of_one_metric_needs_it(served: Analysis) -> None:
    with pytest.raises(UsageError, match="name it"):
        figures.draw("forest", served)


def test_every_one_says_what_is_seen_and_has_units_on_its_axes(served: Analysis) -> None:
    for name, figure in drawn(served):
        layout = figure["layout"]
        assert len(layout["meta"]["title"]) > 10, name
        assert len(layout["meta"]["description"]) > 60, name
        titles = [
            axis["title"]["text"] for key, axis in layout.items() if re.match(r"[xy]axis", key) and axis.get("title")
        ]
        assert all(re.search(r"\(.+\)|^tokens$", title) for title in titles), (name, titles)


def test_colours_of_text_come_from_the_template(served: Analysis) -> None:
    for name, figure in drawn(served):
        assert "paper_bgcolor" not in figure["layout"], name
        colours = {note.get("font", {}).get("color") for note in figure["layout"].get("annotations", [])}
        assert colours <= {None, "#8a8f98"}, name


def test_only_markup_of_our_own_reaches_plotly(evil: Analysis) -> None:
    names = set()
    for name, figure in drawn(evil):
        names.add(name)
        for text in texts_of(figure):
            rest = OURS.sub("", text)
            assert "<" not in rest, (name, text)
            assert "%{" not in TEMPLATE.sub("", rest), (name, text)
    assert names >= {"load_curve", "ecdf", "stages", "timeline"}

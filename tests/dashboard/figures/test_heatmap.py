import dataclasses
import itertools

import pytest

from workbench.dashboard.figures.heatmap import heatmap
from workbench.errors import UnknownName, UsageError
from workbench.sweep.results import Analysis


def cells(figure: object) -> dict[tuple[str, float, float], str]:
    """(y axis, column, row) -> text."""
    notes = figure.layout.annotations  # type: ignore[attr-defined]
    return {(note.yref, note.x, note.y): note.text for note in notes if note.xref != "paper"}


def test_cells_show_the_median_with_its_unit(normal: Analysis) -> None:
    found = cells(heatmap(normal, "decode_tps"))
    assert len(found) == 8
    frame = normal.frame[normal.frame["arm"] == "grid"]
    for facet, row, column in itertools.product(range(2), repeat=3):
        levels = (normal.parameters["n_batch"][column], normal.parameters["n_ctx"][row], bool(facet))
        chosen = frame[
            (frame["n_batch"] == levels[0]) & (frame["n_ctx"] == levels[1]) & (frame["flash_attn"] == levels[2])
        ]
        text = found["y" if facet == 0 else "y2", column, row]
        assert float(text.split("</b>")[0].removeprefix("<b>")) == pytest.approx(
            chosen["decode_tps"].median(), abs=0.06
        )
        assert "tokens/s" in text


def test_a_cell_with_missing_runs_says_how_many_it_has(normal: Analysis) -> None:
    assert [text for text in cells(heatmap(normal, "decode_tps")).values() if "7 of 10 runs" in text]


def test_a_cell_without_runs_has_a_dotted_outline_and_says_so(tiny: Analysis) -> None:
    figure = heatmap(tiny, "decode_tps")
    assert cells(figure)["y", 1, 1] == "no run"
    (outline,) = [trace for trace in figure.data if trace.type == "scatter"]
    assert outline.fillpattern.shape is None
    assert outline.line.dash == "dot"
    assert figure.data[0].z[1][1] is None
    assert "no run of it finished" in figure.layout.meta["description"]


def test_what_did_not_fit_is_hatched_and_not_taken_for_what_did_not_run(bounded: Analysis) -> None:
    figure = heatmap(bounded, "decode_tps", x="n_ctx", y="model", facet="n_batch")
    found = cells(figure)
    assert [key for key, text in found.items() if "not fit" in text] == [("y", 3, 1), ("y2", 3, 0), ("y2", 3, 1)]
    assert [key for key, text in found.items() if text == "no run"] == [("y", 2, 0)]
    hatched = [trace for trace in figure.data if trace.type == "scatter" and trace.fillpattern.shape]
    dotted = [trace for trace in figure.data if trace.type == "scatter" and trace.line.dash == "dot"]
    assert [(trace.yaxis, trace.fill) for trace in hatched] == [("y", "toself"), ("y2", "toself")]
    assert len(dotted) == 1
    assert min(hatched[0].x[:4]) > 2.5
    assert "9.1 GiB" in figure.data[0].text[1][3]
    assert "did not fit into memory" in figure.layout.meta["description"]


def test_of_pooled_configurations_it_says_how_many_did_not_fit(bounded: Analysis) -> None:
    fewer = {name: bounded.parameters[name] for name in ("n_ctx", "model", "n_batch")}
    found = cells(
        heatmap(dataclasses.replace(bounded, parameters=fewer), "decode_tps", x="n_ctx", y="model", facet="n_batch")
    )
    assert "did not fit" not in found["y", 3, 0]
    pooled = {name: bounded.parameters[name] for name in ("n_ctx", "model")}
    found = cells(heatmap(dataclasses.replace(bounded, parameters=pooled), "decode_tps", x="n_ctx", y="model"))
    assert found["y", 3, 0].endswith("2 did not fit"), "With and without flash attention, in large batches."
    assert found["y", 3, 1] == "<b>did<br>not fit</b>"


def test_parameters_that_decide_what_fits_are_shown_first(bounded: Analysis) -> None:
    figure = heatmap(bounded, "decode_tps")
    assert figure.layout.yaxis.title.text == "n_ctx"
    assert set(bounded.parameters) == {"flash_attn", "model", "n_batch", "n_ctx"}
    assert "flash_attn are pooled" in figure.layout.meta["description"]


def test_the_best_is_brightest_whichever_way_is_good(normal: Analysis) -> None:
    for metric, best in (("decode_tps", max), ("ttft_ms", min)):
        traces = [trace for trace in heatmap(normal, metric).data if trace.type == "heatmap"]
        medians = normal.frame[normal.frame["arm"] == "grid"].groupby(list(normal.parameters))[metric].median()
        bright = [z for trace in traces for row in trace.z for z in row]
        assert max(bright) == 1
        assert min(bright) == 0
        n_batch, n_ctx, flash = medians.index[list(medians).index(best(medians))]
        column, row = int(n_batch == 512), int(n_ctx == 2048)
        assert traces[int(flash)].z[row][column] == 1


def test_axes_can_be_chosen_and_the_rest_is_pooled(normal: Analysis) -> None:
    figure = heatmap(normal, "decode_tps", x="flash_attn", y="n_ctx", facet="n_batch")
    assert list(figure.layout.xaxis.ticktext) == ["off", "on"]
    assert figure.layout.yaxis.title.text == "n_ctx"
    assert any("n_batch = 512" in note.text for note in figure.layout.annotations)


def test_one_parameter_makes_one_row(single: Analysis) -> None:
    assert len(cells(heatmap(single, "decode_tps"))) == 3


def test_wide_maps_leave_the_unit_to_the_caption(single: Analysis) -> None:
    levels = tuple(f"t{index}" for index in range(7))
    frame = single.frame.assign(type_k=[levels[index % 7] for index in range(len(single.frame))])
    figure = heatmap(dataclasses.replace(single, parameters={"type_k": levels}, frame=frame), "decode_tps")
    assert not any("tokens/s" in text for text in cells(figure).values())
    assert "tokens/s" in figure.layout.meta["description"]


def test_an_unknown_parameter_lists_the_known_ones(normal: Analysis) -> None:
    with pytest.raises(UnknownName, match="n_batch"):
        heatmap(normal, "decode_tps", x="n_bach")


def test_a_metric_of_no_grid_run_is_refused(normal: Analysis) -> None:
    with pytest.raises(UsageError, match="no median"):
        heatmap(normal, "gpu_watts")


def test_equal_medians_are_called_equal(normal: Analysis) -> None:
    assert "the same median, 18.42" in heatmap(normal, "perplexity").layout.meta["title"]


def test_medians_far_apart_are_coloured_by_factors(normal: Analysis) -> None:
    frame = normal.frame.copy()
    frame["ttft_ms"] = [1000.0 if batch == 512 else 10.0 for batch in frame["n_batch"]]
    frame.loc[(frame["n_batch"] == 128) & (frame["n_ctx"] == 2048), "ttft_ms"] = 100.0
    figure = heatmap(dataclasses.replace(normal, frame=frame), "ttft_ms")
    shades = {round(z, 6) for trace in figure.data if trace.type == "heatmap" for row in trace.z for z in row}
    assert shades == {0.0, 0.5, 1.0}, "On a linear scale 10 and 100 would look alike."
    assert "logarithmic" in figure.layout.meta["description"]
    assert "logarithmic" not in heatmap(normal, "ttft_ms").layout.meta["description"]

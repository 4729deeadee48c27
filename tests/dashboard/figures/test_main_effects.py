import dataclasses
import itertools

import pytest

from workbench.dashboard.figures.main_effects import main_effects
from workbench.errors import UsageError
from workbench.sweep.results import Analysis


def panels(figure: object) -> list[object]:
    layout = figure.layout  # type: ignore[attr-defined]
    return sorted((layout[key] for key in layout if key.startswith("yaxis")), key=lambda axis: -axis.domain[1])


def test_there_is_a_panel_per_parameter_with_a_row_per_level(normal: Analysis) -> None:
    axes = panels(main_effects(normal, "decode_tps"))
    assert [list(axis.ticktext) for axis in axes] == [["128", "512"], ["512", "2048"], ["off", "on"]]
    assert all(upper.domain[0] >= lower.domain[1] for upper, lower in itertools.pairwise(axes))


def test_panels_are_named_after_their_parameter(normal: Analysis) -> None:
    notes = [note.text for note in main_effects(normal, "decode_tps").layout.annotations]
    assert {f"<b>{name}</b>" for name in normal.parameters} <= set(notes)


def test_the_first_level_lies_at_one_and_the_others_at_their_effect(normal: Analysis) -> None:
    traces = [trace for trace in main_effects(normal, "decode_tps").data if trace.x[0] is not None]
    effects = [effect for effect in normal.main_effects if effect.comparison.metric == "decode_tps"]
    shown = {(trace.yaxis, y): x for trace in traces for x, y in zip(trace.x, trace.y, strict=True)}
    for axis, effect in zip(("y", "y2", "y3"), effects, strict=True):
        assert shown[axis, 0] == 1
        assert shown[axis, 1] == effect.comparison.effect.ratio


def test_the_axis_is_logarithmic_with_ratios_people_read(normal: Analysis) -> None:
    axis = main_effects(normal, "decode_tps").layout.xaxis
    assert axis.type == "log"
    assert "1×" in axis.ticktext
    assert 3 <= len(axis.tickvals) <= 8


def test_three_levels_make_three_rows_and_long_ones_are_broken_not_cut(single: Analysis) -> None:
    (axis,) = panels(main_effects(single, "decode_tps"))
    assert len(axis.ticktext) == 3  # type: ignore[attr-defined]
    joined = axis.ticktext[2].replace("<br>", "")  # type: ignore[attr-defined]
    assert joined == single.parameters["type_k"][2]


def test_the_title_names_the_parameter_that_matters_most(normal: Analysis, tiny: Analysis) -> None:
    assert "flash_attn matters most" in main_effects(normal, "decode_tps").layout.meta["title"]
    assert "n_batch matters most" in main_effects(normal, "ttft_ms").layout.meta["title"]
    assert "no parameter makes a difference" in main_effects(normal, "perplexity").layout.meta["title"]
    assert "not" not in main_effects(tiny, "decode_tps").layout.meta["title"].split("no effect")[0]


def test_without_effects_it_asks_for_levels(normal: Analysis) -> None:
    with pytest.raises(UsageError, match="two levels"):
        main_effects(dataclasses.replace(normal, main_effects=[]), "decode_tps")

import itertools

import plotly.graph_objects as go
import pytest

from workbench.dashboard import theme
from workbench.errors import UnknownName


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


PAGES = {"light": "#ffffff", "dark": "#14171b"}


@pytest.mark.parametrize("mode", PAGES)
def test_text_has_the_contrast_wcag_asks_for(mode: theme.Mode) -> None:
    assert contrast(theme.template(mode).layout.font.color, PAGES[mode]) >= 7


@pytest.mark.parametrize("mode", PAGES)
def test_verdicts_stand_out_from_both_pages(mode: str) -> None:
    assert all(contrast(colour, PAGES[mode]) >= 3 for colour, _ in theme.VERDICTS.values())


def test_verdicts_are_told_apart_without_colour() -> None:
    for one, other in itertools.combinations(theme.VERDICTS.values(), 2):
        assert one[1] != other[1]


def test_both_templates_set_the_same_things() -> None:
    def keys(value: object, path: str = "") -> set[str]:
        if not isinstance(value, dict):
            return {path}
        return {found for key, item in value.items() for found in keys(item, f"{path}.{key}")}

    assert keys(theme.template("light").to_plotly_json()) == keys(theme.template("dark").to_plotly_json())


def test_an_unknown_mode_lists_the_known_ones() -> None:
    with pytest.raises(UnknownName, match="dark, light"):
        theme.template("sepia")  # type: ignore[arg-type]


def test_a_title_of_several_lines_stays_in_the_picture() -> None:
    """Seen as a picture: plotly lifts the first of several lines by half a line."""
    one, two = (
        theme.finish(go.Figure(), title=title, description="", height=100).layout
        for title in ("short", "a long title " * (theme.TITLE_WIDTH // 10))
    )
    assert "<br>" in two.title.text
    assert two.title.pad.t - one.title.pad.t == (two.margin.t - one.margin.t) / 2

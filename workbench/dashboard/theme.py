"""How every figure looks: colours, fonts, light and dark.

Palette: Okabe and Ito (2008), distinguishable with every common form of colour blindness; verdicts differ in marker
shape as well. Backgrounds are transparent and colours of text and lines come from the template alone, so that a page
can switch between light and dark by exchanging the template. Knows no data.
"""

from __future__ import annotations

from typing import Any, Literal

import plotly.graph_objects as go

from workbench.dashboard.text import lines_of, wrapped
from workbench.errors import UnknownName
from workbench.sweep.results import Verdict

Mode = Literal["light", "dark"]

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
FONT_SIZE = 13

BLUE = "#3D8FC9"
"""Between Okabe and Ito's two blues: theirs are too dark for the dark page or too light for the white one."""
PALETTE = (BLUE, "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#F0E442")
NEUTRAL = "#8a8f98"
"""Readable on white (3.3:1) and on the dark page (5.4:1)."""

BAND = "rgba(138, 143, 152, 0.22)"

VERDICTS: dict[Verdict, tuple[str, str]] = {
    "better": ("#009E73", "triangle-up"),
    "worse": ("#D55E00", "triangle-down"),
    "equivalent": (BLUE, "square"),
    "inconclusive": (NEUTRAL, "circle-open"),
}
"""verdict -> (colour, marker symbol)."""

_INK: dict[Mode, dict[str, str]] = {
    "light": {"text": "#1f2328", "grid": "#e3e6ea", "line": "#8a8f98", "hover": "#ffffff", "page": "#ffffff"},
    "dark": {"text": "#e6e8eb", "grid": "#30353d", "line": "#7d838c", "hover": "#22262d", "page": "#14171b"},
}

ON_PAGE = "on-page"
"""Name of the template's annotation on a ground of the page's own colour: ``templateitemname`` takes its look."""

TITLE_WIDTH = 88
_TITLE_LINE = 22


def template(mode: Mode = "light") -> go.layout.Template:
    """The template of one mode.

    Raises:
        UnknownName: neither "light" nor "dark".
    """
    if mode not in _INK:
        raise UnknownName("theme", mode, _INK)
    ink = _INK[mode]
    axis = {
        "gridcolor": ink["grid"],
        "linecolor": ink["line"],
        "tickcolor": ink["line"],
        "zeroline": False,
        "automargin": True,
        "title": {"standoff": 10, "font": {"size": FONT_SIZE}},
    }
    layout = {
        "font": {"family": FONT, "size": FONT_SIZE, "color": ink["text"]},
        "title": {"x": 0, "xref": "paper", "xanchor": "left", "font": {"size": 16}},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "colorway": list(PALETTE),
        "xaxis": axis,
        "yaxis": axis,
        "hoverlabel": {
            "align": "left",
            "bgcolor": ink["hover"],
            "bordercolor": ink["line"],
            "font": {"family": FONT, "color": ink["text"]},
        },
        "modebar": {"bgcolor": "rgba(0,0,0,0)", "color": ink["line"], "activecolor": ink["text"]},
        "shapedefaults": {"line": {"color": ink["line"]}},
        "annotations": [{"name": ON_PAGE, "visible": False, "bgcolor": ink["page"], "borderpad": 1}],
        "annotationdefaults": {"showarrow": False, "font": {"color": ink["text"]}},
        "legend": {"orientation": "h", "x": 0, "xanchor": "left", "y": 1, "yanchor": "bottom"},
    }
    return go.layout.Template(layout=layout)


def finish(
    figure: go.Figure,
    *,
    title: str,
    description: str,
    height: int,
    narrow: dict[str, Any] | None = None,
    narrow_below: int = 0,
) -> go.Figure:
    """Give a figure its title, size and template.

    Args:
        figure: changed in place.
        title: what is seen, in one sentence; plain text.
        description: how to read it, for captions and screen readers; plain text.
        height: pixels without the title.
        narrow: layout entries ("yaxis.showticklabels": False) that replace the wide ones on a phone.
        narrow_below: pixels of width below which they do.

    Returns:
        The same figure. Its ``layout.meta`` keeps title, description and ``narrow`` for whoever builds a page.
    """
    heading = wrapped(title, TITLE_WIDTH)
    title_height = _TITLE_LINE * lines_of(heading) + 10
    top = (figure.layout.margin.t or 0) + title_height
    figure.update_layout(
        template=template(),
        title={"text": heading, "yref": "container", "y": 1, "yanchor": "top", "pad": {"t": _title_pad(heading)}},
        height=height + title_height,
        meta={
            "title": title,
            "description": description,
            "title_height": title_height,
            "narrow": narrow or {},
            "narrow_below": narrow_below,
        },
    )
    return figure.update_layout(margin={"t": top})


def _title_pad(heading: str) -> int:
    """Pixels above a title: plotly puts the first of several lines half a line higher, half out of the picture."""
    return 6 if lines_of(heading) == 1 else 6 + _TITLE_LINE // 2


def recoloured(figure: go.Figure, mode: Mode) -> go.Figure:
    """A figure in another mode, changed in place; standing alone, a dark one brings its own background.

    Raises:
        UnknownName: neither "light" nor "dark".
    """
    figure.update_layout(template=template(mode))
    if mode == "dark":
        figure.update_layout(paper_bgcolor=_INK["dark"]["page"])
    return figure

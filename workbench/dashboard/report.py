"""One self-contained HTML file of a sweep: works offline, can be mailed, printed and archived.

plotly.js is inlined once; figures and data travel as JSON. jinja2 escapes every text; a Content-Security-Policy in the
page allows the two scripts of the page itself by their hashes and no network at all, should anything ever slip
through.
"""

from __future__ import annotations

import base64
import hashlib
import json
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from workbench.dashboard import page
from workbench.storage import write_text
from workbench.sweep.results import Analysis

# "<" and "&" cannot open a tag or an entity when written as JSON escapes; the value stays the same.
_ESCAPES = {ord("<"): "\\u003c", ord(">"): "\\u003e", ord("&"): "\\u0026"}


def write_report(analysis: Analysis, path: Path | str) -> Path:
    """Write the report atomically.

    Args:
        analysis: what a sweep has found.
        path: the HTML file; its folder is made if need be.

    Returns:
        The path written, absolute.

    Raises:
        StorageFull: no room; an older report is left as it was.
    """
    path = Path(path).resolve()
    write_text(path, render(analysis, path.parent), private=False)
    return path


def render(analysis: Analysis, folder: Path | None = None) -> str:
    """The report as one HTML document.

    Args:
        analysis: what a sweep has found.
        folder: where it will lie; the runs' notebooks that are there are linked, by relative addresses.
    """
    context = page.context(analysis, folder)
    specs = {figure["id"]: figure.pop("spec") for figure in page.every_figure(context)}
    return document("report.html", context, specs, page.download(analysis))


def document(template: str, context: dict[str, Any], specs: dict[str, Any], data: dict[str, Any]) -> str:
    """One HTML document with everything in it.

    Args:
        template: a file of this package.
        context: what the template asks for.
        specs: element id → figure, as :func:`workbench.dashboard.page.figure_item` makes it.
        data: what the page's table shows and its buttons save: ``name``, ``columns``, ``runs`` and more; JSON values.
    """
    text = _template(template).render(
        context,
        styles=Markup(_asset("report.css")),  # noqa: S704 - files of this package, not input
        plotly=Markup(get_plotlyjs()),  # noqa: S704
        script=Markup(_asset("report.js")),  # noqa: S704
        policy=_policy((get_plotlyjs(), _asset("report.js"))),
        payloads={
            "figures": embedded(specs),
            "templates": embedded(page.templates()),
            "data": embedded(data),
        },
    )
    # A lone surrogate in a name cannot be written as UTF-8.
    return text.encode("utf-8", "replace").decode()


def plain_document(template: str, context: dict[str, Any], script: str) -> str:
    """One HTML document without figures, in the same style and with as strict a policy.

    Args:
        template: a file of this package.
        context: what the template asks for, beside ``styles``, ``script`` and ``policy``.
        script: a file of this package: the only script there may be.
    """
    text = _template(template).render(
        context,
        styles=Markup(_asset("report.css")),  # noqa: S704 - files of this package, not input
        script=Markup(_asset(script)),  # noqa: S704
        policy=_policy((_asset(script),)),
    )
    return text.encode("utf-8", "replace").decode()


def embedded(value: Any) -> Markup:
    r"""JSON that is safe inside ``<script type="application/json">``.

    >>> str(embedded("</script>"))
    '"\\u003c/script\\u003e"'
    """
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    return Markup(text.translate(_ESCAPES))  # noqa: S704 - escaped one line above


def _template(name: str) -> jinja2.Template:
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(_asset(name))


@cache
def _asset(name: str) -> str:
    return files("workbench.dashboard").joinpath(name).read_text(encoding="utf-8")


@cache
def _policy(scripts: tuple[str, ...]) -> str:
    """Nothing from anywhere, except the page's own scripts and inline styles (plotly sets them)."""
    digests = [hashlib.sha256(text.encode()).digest() for text in scripts]
    hashes = " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)
    return (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'"
    )

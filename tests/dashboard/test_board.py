import html
import re
import subprocess
import sys
from pathlib import Path

import pytest

import workbench as wb
from workbench.dashboard import Dashboard
from workbench.errors import UnknownName, UsageError
from workbench.sweep.results import Analysis


class Swept:
    """Stands for a sweep."""

    def __init__(self, analysis: Analysis) -> None:
        self._analysis = analysis

    def analyse(self) -> Analysis:
        return self._analysis


def test_a_sweep_and_its_analysis_show_the_same(normal: Analysis) -> None:
    assert Dashboard(Swept(normal)).analysis is Dashboard(normal).analysis is normal


def test_anything_else_is_refused_with_the_remedy() -> None:
    with pytest.raises(UsageError, match="Sweep or the Analysis it returns, not"):
        Dashboard(Path("quickstart.yaml"))  # type: ignore[arg-type]


def test_the_package_exports_it_and_the_module_stays_reachable() -> None:
    import workbench.dashboard

    assert wb.Dashboard is Dashboard
    assert workbench.dashboard.Dashboard is Dashboard
    assert (
        sorted(dir(workbench.dashboard))
        == sorted(workbench.dashboard.__all__)
        == [
            "Dashboard",
            "Profile",
            "pareto_figure",
            "profile",
            "retention_figure",
            "stages_figure",
            "write_claims_page",
            "write_index",
            "write_report",
            "write_tune_report",
        ]
    )
    with pytest.raises(AttributeError, match="nothing_here"):
        _ = workbench.dashboard.nothing_here


def test_importing_the_package_loads_neither_plotly_nor_pandas() -> None:
    code = (
        "import sys, workbench.dashboard, workbench.dashboard.figures;"
        "print(sorted({'plotly', 'pandas', 'jinja2', 'numpy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_figures_come_by_name_the_first_objective_by_default(normal: Analysis) -> None:
    board = Dashboard(normal)
    assert board.metrics[0] == "decode_tps"
    assert board.names() == (
        "forest", "pareto", "main_effects", "heatmap", "small_multiples", "parallel", "run_order", "distribution"
    )  # fmt: skip
    assert "Decode" in board.figure("forest").layout.meta["title"]
    assert board.figure("heatmap", "ttft_ms", x="n_ctx").layout.xaxis.title.text == "n_ctx"


def test_a_dark_figure_standing_alone_brings_its_background(normal: Analysis) -> None:
    board = Dashboard(normal)
    dark, light = board.figure("forest", theme="dark"), board.figure("forest")
    assert dark.layout.paper_bgcolor == "#14171b"
    assert light.layout.paper_bgcolor is None
    assert dark.layout.template.layout.font.color != light.layout.template.layout.font.color
    with pytest.raises(UnknownName, match="sepia"):
        board.figure("forest", theme="sepia")  # type: ignore[arg-type]


def test_it_shows_itself_as_text_and_as_a_page_cut_off_from_the_notebook(normal: Analysis) -> None:
    bundle = Dashboard(normal)._repr_mimebundle_()
    assert "97 of 100 runs done, 3 failed" in bundle["text/plain"]
    assert normal.recommendations[0].headline in bundle["text/plain"]
    (frame,) = re.findall(r"<iframe ([^>]*)>", bundle["text/html"])
    assert "allow-same-origin" not in frame
    inner = html.unescape(re.findall(r'srcdoc="([^"]*)"', bundle["text/html"])[0])
    assert inner.lstrip().startswith("<!doctype html>")


def test_a_hostile_title_cannot_leave_its_attribute(hostile: Analysis) -> None:
    shown = Dashboard(hostile)._repr_mimebundle_()["text/html"]
    assert re.fullmatch(r'<iframe title="[^"<>]*" sandbox="[^"<>]*" style="[^"<>]*" srcdoc="[^"<>]*"></iframe>', shown)


def test_the_report_is_written_on_request(normal: Analysis, tmp_path: Path) -> None:
    board = Dashboard(normal, tmp_path / "one.html")
    assert (tmp_path / "one.html").exists()
    assert board.save(tmp_path / "two.html") == (tmp_path / "two.html").resolve()


def test_without_any_metric_it_says_to_run_first(normal: Analysis) -> None:
    import dataclasses

    empty = Dashboard(dataclasses.replace(normal, frame=normal.frame.iloc[:0]))
    assert "metrics: none" in repr(empty)
    with pytest.raises(UsageError, match="Run the sweep"):
        empty.names()

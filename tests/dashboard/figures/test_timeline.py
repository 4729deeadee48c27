import dataclasses
import html

import numpy as np
import pandas as pd
import pytest

from workbench.dashboard import figures
from workbench.dashboard.figures._runs import telling
from workbench.dashboard.figures.timeline import drawings, timeline
from workbench.errors import UnknownName, UsageError
from workbench.sweep.results import Analysis

BEST = "n_seq_max=16, flash_attn=on, concurrency=16"


def panels(figure: object) -> dict[str, list[str]]:
    """Title of each panel's axis → names of its lines."""
    found: dict[str, list[str]] = {}
    for trace in figure.data:  # type: ignore[attr-defined]
        axis = "yaxis" + (trace.yaxis or "y").removeprefix("y")
        found.setdefault(html.unescape(figure.layout[axis].title.text), []).append(trace.name)  # type: ignore[attr-defined]
    return found


def test_readings_have_a_panel_a_unit_and_tokens_one_on_top(served: Analysis) -> None:
    found = panels(timeline(served))
    assert next(iter(found)) == "tokens"
    assert found["in use (%)"] == ["Process CPU", "GPU 0 utilisation", "CPU"]
    assert found["power (W)"] == ["GPU 0 power"]
    assert found["temperature (°C)"] == ["GPU 0 temperature"]
    assert not [name for names in found.values() for name in names if "energy" in name.lower()]


def test_series_of_one_unit_that_differ_much_have_panels_of_their_own(served: Analysis) -> None:
    figure = timeline(served)
    (free,) = [trace for trace in figure.data if trace.name == "RAM available"]
    (used,) = [trace for trace in figure.data if trace.name == "Resident memory"]
    assert free.yaxis != used.yaxis
    assert max(used.y) == pytest.approx(412)


def test_tokens_are_counted_at_their_times_on_the_clock_of_the_readings(served: Analysis) -> None:
    cell = str(served.frame["cell"].iloc[0])
    counted, ticks = timeline(served, cell=cell).data[:2]
    assert served.samples is not None
    mine = served.samples[(served.samples["cell"] == cell) & served.samples["series"].isin(["ttft_ms", "itl_ms"])]
    assert list(counted.x) == sorted(mine["at_s"])
    assert list(counted.y) == list(range(1, len(mine) + 1))
    assert set(ticks.x) <= set(counted.x)


def test_a_line_stands_at_every_first_token(served: Analysis) -> None:
    cell = str(served.frame["cell"].iloc[0])
    assert served.samples is not None
    firsts = served.samples[(served.samples["cell"] == cell) & (served.samples["series"] == "ttft_ms")]
    shapes = timeline(served, cell=cell).layout.shapes
    assert sorted(shape.x0 for shape in shapes) == sorted(firsts["at_s"])
    assert all(shape.y0 == 0 for shape in shapes)  # through all panels


def test_a_single_first_token_says_how_long_it_took(served: Analysis) -> None:
    cell = str(served.frame["cell"].iloc[0])
    rows = [("ttft_ms", 0.5, 123.4), ("itl_ms", 0.6, 9.0), ("itl_ms", 0.7, 9.0)]
    samples = pd.DataFrame(rows, columns=["series", "at_s", "value"]).assign(cell=cell, label="x", block=0)
    names = [trace.name for trace in timeline(dataclasses.replace(served, samples=samples)).data]
    assert "first token after 123.4 ms" in names
    assert "first token of a request" in [trace.name for trace in timeline(served).data]


def test_an_absent_reading_is_a_gap(served: Analysis) -> None:
    (power,) = [trace for trace in timeline(served).data if trace.name == "GPU 0 power"]
    assert np.isnan(np.asarray(power.y, dtype=float)).sum() == 3
    assert power.connectgaps is False


def test_by_default_it_is_the_run_nearest_the_median_of_what_is_recommended(served: Analysis) -> None:
    runs = served.frame[served.frame["label"] == BEST]
    nearest = runs.loc[(runs["throughput_tps"] - runs["throughput_tps"].median()).abs().idxmin()]
    assert telling(served)[0].cell == nearest["cell"]
    title = timeline(served).layout.meta["title"]
    assert title.startswith(f"{BEST}, block {nearest['block'] + 1}")
    other = "n_seq_max=4, flash_attn=off, concurrency=2"
    assert timeline(served, label=other).layout.meta["title"].startswith(other)


def test_a_report_draws_a_few_telling_runs_not_all(served: Analysis) -> None:
    drawn = drawings(served)
    assert len(drawn) == len({one["cell"] for one in drawn}) <= 5
    best = served.frame.loc[served.frame["throughput_tps"].idxmax(), "cell"]
    worst = served.frame.loc[served.frame["ttft_p95_ms"].idxmax(), "cell"]
    why = {one["cell"]: one["why"] for one in drawn}
    assert "Throughput: best of all runs" in why[best]
    assert "Time to first token p95: worst of all runs" in why[worst]
    assert why[best] in timeline(served, **next(one for one in drawn if one["cell"] == best)).layout.meta["title"]


def test_a_machine_without_a_gpu_has_no_panels_for_one(served: Analysis) -> None:
    assert served.samples is not None
    fewer = dataclasses.replace(served, samples=served.samples[~served.samples["series"].str.startswith("gpu")])
    assert set(panels(timeline(fewer))) == {"tokens", "in use (%)", "memory (MiB)"}


def test_an_unknown_run_or_configuration_lists_the_known_ones(normal: Analysis, served: Analysis) -> None:
    assert "timeline" not in figures.available(normal)
    with pytest.raises(UsageError, match=r"wb\.Monitor"):
        timeline(normal)
    with pytest.raises(UnknownName, match="00-0"):
        timeline(served, cell="99-9")
    with pytest.raises(UnknownName, match="n_seq_max=4"):
        timeline(served, label="n_seq_max=5")

"""Keys of a specification that have to fit each other: refused with line, key, remedy and known names."""

import pytest

from workbench.errors import SpecError
from workbench.sweep.specification.source import parse
from workbench.sweep.specification.spec import SweepSpec

GOOD = """name: trial
notebook: notebook.ipynb
parameters:
  a: [1, 2]
fixed: {engine: tuned}
objectives: [{metric: recall, direction: maximize}]
"""


@pytest.mark.parametrize(
    "added",
    [
        "workloads: {chat: {n_batch: 1}, agents: {n_batch: 2}}\nload: n_batch\nslow: [workload]\nbaseline: {a: 3}",
        "slow: [a]\nload: a",
        "side_by_side: 4",
        "more_blocks: 4\nconfirm: 3\nbudget: {minutes: 5, runs: 100}\nmemory_limit_gib: 1.5",
        "mode: search\nbaseline: {}\nsearch: {ranges: {n_batch: {low: 1, high: 512, log: true}}}",
        "workloads: {chat: {n_batch: 1}, agents: {n_batch: 2}}\nwhere: [a < 2 or workload == 'chat']",
        "workloads: {chat: {n_batch: 1}, agents: {n_batch: 2}}\n"
        "targets: [{name: t, metric: recall, of: {a: 1, workload: chat}, at_least: 1}]",
    ],
)
def test_what_fits_together_passes(specification, added):
    SweepSpec.from_file(specification(f"{GOOD}{added}\n"))


@pytest.mark.parametrize(
    ("added", "line", "key", "says"),
    [
        ("workloads: {chat: {a: 1}}", 7, "workloads.chat.a", "in `parameters` already"),
        ("workloads: {chat: {engine: tuned}}", 7, "workloads.chat.engine", "in `fixed` already"),
        ("workloads: {chat: {n_batch: 1}}\nbaseline: {n_batch: 2}", 7, "workloads.chat.n_batch", "in `baseline`"),
        ("workloads: {chat: {n_batchh: 1}}", 7, "workloads.chat.n_batchh", "Did you mean 'n_batch'"),
        ("workloads: {chat: {n_batch: 0}}", 7, "workloads.chat.n_batch", "at least 1"),
        ("workloads: {chat: {workload: x}}", 7, "workloads.chat.workload", "parameter"),
        ("workloads: {one: {n_batch: 1}, two: {n_batch: 1}}", 7, "workloads.two", "runs the same as.*a parameter"),
        ("workloads: {chat: {n_batch: 1}}\nlinked: [{workload: [x]}]", 8, "linked[0].workload", "Unknown parameter"),
        ("workloads: [chat]", 7, "workloads", "mapping"),
        ("slow: [b]", 7, "slow[0]", "Unknown varied parameter 'b'.*Known: a"),
        ("slow: [engine]", 7, "slow[0]", "Unknown varied parameter 'engine'"),
        ("slow: [a, a]", 7, "slow[1]", "twice"),
        ("slow: a", 7, "slow", "list is wanted"),
        ("load: n_batch", 7, "load", "Unknown varied parameter or parameter of a workload 'n_batch'.*Known: a"),
        ("side_by_side: 2\nquality: [{metric: x_tps, direction: maximize}]", 7, "side_by_side", "'x_tps' in `quality`"),
        ("side_by_side: 0", 7, "side_by_side", "greater than or equal to 1"),
        ("mode: search", 7, "mode", "needs a section `search`"),
        ("search: {trials: 5}", 7, "search", "write `mode: search`"),
        ("mode: serach", 7, "mode", "grid"),
        ("mode: search\nsearch: {ranges: {a: {low: 1, high: 2}}}", 8, "search.ranges.a", "in `parameters` already"),
        ("mode: search\nsearch: {ranges: {aa: {low: 1, high: 2}}}", 8, "search.ranges.aa", "Did you mean 'a'"),
        (
            "mode: search\nsearch: {ranges: {b: {low: 1, hihg: 2}}}",
            8,
            "search.ranges.b.hihg",
            "'high'.*Known: high",
        ),
        ("mode: search\nsearch: {ranges: {b: {low: x, high: 2}}}", 8, "search.ranges.b.low", "whole number.*'x'"),
        ("mode: search\nsearch: {ranges: {b: {low: 3, high: 2}}}", 8, "search.ranges.b", "low must be below high"),
        ("budget: {minuts: 3}", 7, "budget.minuts", "Did you mean 'minutes'.*Known: minutes, runs"),
        ("budget: {minutes: 0}", 7, "budget.minutes", "greater than 0"),
        ("budget: {runs: 1.5}", 7, "budget.runs", "whole number"),
        ("memory_limit_gib: -1", 7, "memory_limit_gib", "greater than 0"),
        ("more_blocks: many", 7, "more_blocks", "whole number"),
        ("claims: [{syas: x}]", 7, "claims[0].syas", "Did you mean 'says'"),
    ],
)
def test_what_does_not_is_refused_with_line_and_remedy(specification, added, line, key, says):
    with pytest.raises(SpecError, match=says) as caught:
        SweepSpec.from_file(specification(f"{GOOD}{added}\n"))
    assert (caught.value.key, caught.value.line) == (key, line)


@pytest.mark.parametrize("key", ["more_blocks", "confirm"])
def test_without_an_objective_there_is_nothing_to_rank_or_to_confirm(specification, key):
    text = GOOD.replace("objectives: [{", "quality: [{") + f"{key}: 2\n"
    with pytest.raises(SpecError, match="without `objectives` nothing is ranked or chosen"):
        SweepSpec.from_file(specification(text))


def test_times_are_not_measured_side_by_side(specification):
    for metric in ("ttft_ms", "total_s", "decode_tps", "energy_joules", "goodput_rps"):
        text = GOOD.replace("recall", metric) + "side_by_side: 2\n"
        with pytest.raises(SpecError, match=rf"'{metric}' in `objectives` is measured in time or energy.*_ms"):
            SweepSpec.from_file(specification(text))


def test_a_workload_named_by_a_parameter_has_one_name_only(specification):
    path = specification(
        f"{GOOD}workloads: {{chat: {{n_batch: 1}}}}\n", "a = 1\nn_batch = 1\nengine = ''\nworkload = ''"
    )
    SweepSpec.from_file(path)
    path.write_text(path.read_text().replace("fixed: {", "fixed: {workload: x, "))
    with pytest.raises(SpecError, match="has their names as its levels") as caught:
        SweepSpec.from_file(path)
    assert caught.value.key == "fixed.workload"


def test_a_workload_is_a_situation_without_being_told():
    spec = SweepSpec.from_source(parse(GOOD + "workloads: {x: {}, y: {}}\n"))
    assert spec.within == ("workload",)
    assert spec.levels == {"a": (1, 2), "workload": ("x", "y")}
    told = SweepSpec.from_source(parse(GOOD + "within: [workload]\nworkloads: {x: {b: 1}, y: {b: 2}}\n"))
    assert told.within == ("workload",)
    assert told.columns == {"a": (1, 2), "workload": ("x", "y"), "b": (1, 2)}

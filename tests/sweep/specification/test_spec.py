import pytest

from workbench.errors import SpecError
from workbench.sweep.specification.source import parse
from workbench.sweep.specification.spec import SweepSpec

GOOD = """name: trial
notebook: notebook.ipynb
parameters: {a: [1, 2]}
objectives: [{metric: speed, direction: maximize}]
"""


def shaped(text):
    return SweepSpec.from_source(parse(text))


def test_defaults():
    spec = shaped(GOOD)
    assert (spec.blocks, spec.seed, spec.retries, spec.twin, spec.baseline) == (10, 1, 0, False, None)
    assert spec.measures[0].role == "objective"


def test_quality_metrics_come_after_objectives():
    spec = shaped(GOOD + "quality: [{metric: perplexity, direction: minimize, tolerance: 0.02}]")
    assert [(m.metric, m.role, m.tolerance) for m in spec.measures] == [
        ("speed", "objective", 0.01),
        ("perplexity", "quality", 0.02),
    ]


def test_paths_are_relative_to_the_file(tmp_path):
    path = tmp_path / "experiments" / "x.yaml"
    path.parent.mkdir()
    path.write_text(GOOD.replace("notebook.ipynb", "../notebooks/n.ipynb"))
    from workbench.sweep.specification.source import read

    spec = SweepSpec.from_source(read(path))
    assert spec.notebook_path == (tmp_path / "notebooks" / "n.ipynb").resolve()
    assert spec.results_path == tmp_path / "experiments" / "results" / "trial"


@pytest.mark.parametrize(
    ("change", "line", "key", "says"),
    [
        (("blocks", "blocs: 3"), 5, "blocs", "Did you mean 'blocks'"),
        (("o", "objectivs: []"), 5, "objectivs", "Did you mean 'objectives'"),
        (("p", "seed: one"), 5, "seed", "whole number"),
        (("p", "blocks: 0"), 5, "blocks", "greater than or equal to 1"),
        (("p", "blocks: 2.5"), 5, "blocks", "whole number"),
        (("p", "twin: 1"), 5, "twin", "true or false"),
        (("p", "timeout_s: -1"), 5, "timeout_s", "greater than 0"),
        (("p", "fixed: [1]"), 5, "fixed", "mapping"),
        (("p", "quality:\n  - {metric: q, direction: up}"), 6, "quality[0].direction", "maximize"),
        (("p", "quality:\n  - {metrik: q, direction: minimize}"), 6, "quality[0].metrik", "Did you mean 'metric'"),
        (("p", "quality:\n  - {metric: q}"), 6, "quality[0].direction", "missing"),
        (("p", "targets:\n  - {name: t, metric: m}"), 6, "targets[0]", "exactly one"),
        (("p", "targets: [{name: t, metric: m, at_least: 1, at_most: 2}]"), 5, "targets[0]", "exactly one"),
    ],
)
def test_a_bad_key_is_refused_with_its_line(change, line, key, says):
    with pytest.raises(SpecError, match=says) as caught:
        shaped(GOOD + change[1] + "\n")
    assert (caught.value.line, caught.value.key) == (line, key)


def test_a_scalar_where_levels_are_wanted_is_explained():
    with pytest.raises(SpecError, match=r"write \[512\]") as caught:
        shaped(GOOD.replace("[1, 2]", "512"))
    assert (caught.value.line, caught.value.key) == (3, "parameters.a")


def test_missing_keys_are_named():
    with pytest.raises(SpecError, match="notebook: this key is missing"):
        shaped("name: x")


@pytest.mark.parametrize("name", ["../up", "a/b", "", ".hidden", "x" * 65, "a b"])
def test_a_name_that_is_no_folder_name_is_refused(name):
    with pytest.raises(SpecError, match="name"):
        shaped(GOOD.replace("name: trial", f"name: '{name}'"))


def test_what_a_target_asks_in_words():
    spec = shaped(
        GOOD + "targets: [{name: t, metric: m, against: {a: 1}, at_least: 1.2}, {name: u, metric: m, at_most: 5}]"
    )
    assert [target.asked for target in spec.targets] == ["≥ 1.2 ×", "≤ 5"]

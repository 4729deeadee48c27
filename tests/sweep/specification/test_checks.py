import pytest

from workbench.errors import SpecError
from workbench.sweep.specification.spec import SweepSpec

GOOD = """name: trial
notebook: notebook.ipynb
parameters:
  a: [1, 2]
  b: [true, false]
fixed: {engine: tuned}
baseline: {engine: baseline}
objectives: [{metric: speed, direction: maximize}]
"""


def test_a_good_specification_passes(specification):
    spec = SweepSpec.from_file(specification(GOOD))
    assert spec.parameters == {"a": [1, 2], "b": [True, False]}


@pytest.mark.parametrize(
    ("old", "new", "line", "key", "says"),
    [
        (
            "  b: [true",
            "  bb: [true",
            5,
            "parameters.bb",
            "Unknown parameter of notebook.ipynb 'bb'.*Known: a, b, engine",
        ),
        ("{engine: tuned}", "{enginee: tuned}", 6, "fixed.enginee", "Did you mean 'engine'"),
        ("{engine: baseline}", "{n_batchh: 1}", 7, "baseline.n_batchh", "Did you mean 'n_batch'"),
        (
            "{engine: baseline}",
            "{engine: basline}",
            7,
            "baseline.engine",
            "Unknown engine 'basline'. Did you mean 'baseline'",
        ),
        ("{engine: tuned}", "{engine: tuned, model: nothing-like-it}", 6, "fixed.model", "nothing-like-it"),
        ("{engine: tuned}", "{engine: tuned, n_batch: 0}", 6, "fixed.n_batch", "at least 1"),
        ("{engine: baseline}", "{n_batch: many}", 7, "baseline.n_batch", "whole number"),
        ("  a: [1, 2]", "  a: []", 4, "parameters.a", "empty"),
        ("  a: [1, 2]", "  a: [1, 1]", 3, "parameters", "'a=1, b=on' is in the grid twice"),
        ("  a: [1, 2]", "  a: [.nan]", 4, "parameters.a[0]", "cannot be a parameter"),
        ("{engine: tuned}", "{engine: tuned, a: 3}", 6, "fixed.a", "Keep one"),
        ("{engine: baseline}", "{a: 2}", 7, "baseline", "same as 'a=2, b=on'"),
        ("notebook.ipynb", "missing.ipynb", 2, "notebook", "there is no notebook"),
        ("objectives: [{metric: speed, direction: maximize}]", "seed: 1", 1, "", "nothing to measure"),
        ("maximize}]", "maximize}]\nquality: [{metric: speed, direction: maximize}]", 9, "quality[0].metric", "twice"),
    ],
)
def test_what_cannot_run_is_refused_with_line_and_remedy(specification, old, new, line, key, says):
    assert old in GOOD
    with pytest.raises(SpecError, match=says) as caught:
        SweepSpec.from_file(specification(GOOD.replace(old, new)))
    assert (caught.value.key, caught.value.line) == (key, line)


def test_settings_are_checked_together_too(specification):
    code = ("flash_attn = True\ntype_v = 'f16'", "pass")
    text = """name: x
notebook: notebook.ipynb
parameters:
  flash_attn: [true, false]
  type_v: [f16, q8_0]
objectives: [{metric: speed, direction: maximize}]
"""
    with pytest.raises(SpecError, match=r"'flash_attn=off, type_v=q8_0' cannot run.*flash attention") as caught:
        SweepSpec.from_file(specification(text, *code))
    assert caught.value.line == 3


def test_an_unknown_level_of_a_setting_points_at_the_level(specification):
    text = """name: x
notebook: notebook.ipynb
parameters:
  type_k:
    - f16
    - q9
objectives: [{metric: m, direction: minimize}]
"""
    with pytest.raises(SpecError, match="Unknown type_k 'q9'") as caught:
        SweepSpec.from_file(specification(text, "type_k = 'f16'", "pass"))
    assert (caught.value.line, caught.value.key) == (6, "parameters.type_k[1]")


def test_an_unknown_preset_lists_the_known_ones(specification):
    text = """name: x
notebook: notebook.ipynb
parameters: {preset: [factual, factul]}
objectives: [{metric: m, direction: minimize}]
"""
    with pytest.raises(SpecError, match="Did you mean 'factual'") as caught:
        SweepSpec.from_file(specification(text, "preset = 'chat'", "pass"))
    assert caught.value.key == "parameters.preset[1]"


def test_targets_must_mean_one_configuration(specification):
    target = "targets: [{{name: t, metric: m, at_least: 1, of: {of}, against: {{engine: baseline}}}}]\n"
    with pytest.raises(SpecError, match=r"fits 4 configurations.*Name more parameters"):
        SweepSpec.from_file(specification(GOOD + target.format(of="{engine: tuned}")))
    with pytest.raises(SpecError, match="no configuration has a=7"):
        SweepSpec.from_file(specification(GOOD + target.format(of="{a: 7}")))
    SweepSpec.from_file(specification(GOOD + target.format(of="{engine: tuned, a: 2, b: false}")))


def test_a_notebook_without_parameters_cell_is_refused(specification, notebook):
    path = specification(GOOD)
    notebook(tags=())
    with pytest.raises(SpecError, match="no cell tagged 'parameters'"):
        SweepSpec.from_file(path)


def test_a_file_that_is_no_notebook_is_refused(specification, tmp_path):
    path = specification(GOOD)
    (tmp_path / "notebook.ipynb").write_text("[1, 2")
    with pytest.raises(SpecError, match="cannot be read as a notebook") as caught:
        SweepSpec.from_file(path)
    assert caught.value.line == 2

"""`compare_sweeps` and `workbench compare`, on results folders as a driver leaves them."""

import json
import math

import nbformat
import numpy as np
import pytest
from typer.testing import CliRunner

import workbench as wb
from workbench.cli import app
from workbench.errors import UnknownName, UsageError
from workbench.storage.ledger import Ledger
from workbench.sweep import compare_sweeps
from workbench.sweep.design.planning import plan
from workbench.sweep.records.attempt_file import end_attempt
from workbench.sweep.specification.spec import SweepSpec

PARAMETERS = "parameters: {n_batch: [64, 512], flash_attn: [false, true]}"
TEXT = """
name: trial
notebook: notebook.ipynb
%s
fixed: {engine: tuned}
blocks: 6
objectives:
  - {metric: decode_tps, direction: maximize}
  - {metric: ttft_ms, direction: minimize}
"""


def write_notebook(path, code):
    cells = [
        nbformat.v4.new_code_cell("engine = None\nn_batch = 1\nflash_attn = False\nn_ctx = 1"),
        nbformat.v4.new_code_cell(code),
    ]
    cells[0].metadata["tags"] = ["parameters"]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """A finished sweep in a folder of its own, made once for each name: `measure(parameters)` → metrics."""
    made = {}

    def make(name, measure, *, text=TEXT % PARAMETERS, host="bench", environment=None, code="pass", noise=0.01):
        if name in made:
            return made[name]
        folder = tmp_path_factory.mktemp("sweeps") / name
        folder.mkdir()
        write_notebook(folder / "notebook.ipynb", code)
        (folder / "trial.yaml").write_text(text, encoding="utf-8")
        spec = SweepSpec.from_file(folder / "trial.yaml")
        rng = np.random.default_rng(sum(map(ord, name)))
        with Ledger(spec.results_path / "ledger.sqlite") as ledger:
            for cell in plan(spec):
                measured = measure(cell.configuration.parameters)
                if measured is None:
                    failed = {"error": "ValueError: broken", "reason": "error"}
                    number = ledger.begin(cell.id, host=host)
                    end_attempt(ledger, spec.results_path, cell, number, status="failed", payload=failed)
                    continue
                metrics = {
                    metric: value * math.exp(noise * rng.standard_normal()) for metric, value in measured.items()
                }
                number = ledger.begin(cell.id, host=host)
                done = {
                    "record": {"metrics": metrics, "info": {}, "series": {}},
                    "environment": environment or {},
                    "elapsed_s": 1.0,
                }
                end_attempt(ledger, spec.results_path, cell, number, status="done", payload=done)
        made[name] = folder / "trial.yaml"
        return made[name]

    return make


def steady(parameters):
    return {"decode_tps": 100.0 + parameters["n_batch"], "ttft_ms": 50.0}


def slower(parameters):
    return {"decode_tps": (100.0 + parameters["n_batch"]) / 1.2, "ttft_ms": 50.0 if parameters["flash_attn"] else 45.0}


def test_configurations_are_matched_by_their_parameters_whatever_their_order(swept):
    a = swept("before", steady)
    b = swept("turned", slower, text=TEXT % "parameters: {flash_attn: [true, false], n_batch: [512, 64]}")
    found = compare_sweeps(a, b)
    assert len(found.differences) == 8
    assert not found.paired
    tps = [one for one in found.differences if one.metric == "decode_tps"]
    assert {one.verdict for one in tps} == {"worse"}
    assert all(one.effect.low < 1 / 1.2 < one.effect.high for one in tps)
    assert all((one.n_a, one.n_b) == (6, 6) for one in tps)
    ttft = {one.configuration["flash_attn"]: one for one in found.differences if one.metric == "ttft_ms"}
    assert ttft[False].verdict == "better"
    assert [one.metric for one in found.worse] == ["decode_tps"] * 4
    assert found.sentence.startswith("Worse by more than 5.0%: decode_tps of n_batch=64, flash_attn=off: 0.83 × [")
    assert wb.compare_sweeps is compare_sweeps


def test_equal_sweeps_break_no_gate(swept):
    found = compare_sweeps(swept("before", steady), swept("same", steady))
    assert found.worse == []
    assert found.comparable
    assert {one.verdict for one in found.differences} <= {"equivalent", "inconclusive"}


def test_the_gate_is_about_more_than_it_allows_for_sure(swept):
    a, b = swept("before", steady), swept("after", slower)
    assert compare_sweeps(a, b, gate=0.5).worse == []
    assert compare_sweeps(a, b, gate=0.1).worse != []
    near = compare_sweeps(a, b, gate=0.2, metrics=["decode_tps"])  # as much slower as may be
    assert near.worse == []
    assert {one.verdict for one in near.differences} == {"worse"}


def test_a_results_folder_alone_goes_by_the_units_of_its_metrics(swept):
    a, b = (
        swept("scored", lambda p: {**steady(p), "score": 1.0}),
        swept("higher", lambda p: {**slower(p), "score": 2.0}),
    )
    found = compare_sweeps(a.parent / "results" / "trial", b.parent / "results" / "trial")
    assert {one.metric for one in found.differences} == {"decode_tps", "ttft_ms"}
    assert len(found.worse) == 4
    asked = compare_sweeps(a.parent / "results" / "trial", b, metrics=["score"])
    assert {(one.verdict, one.gated) for one in asked.differences} == {("higher", False)}
    assert not asked.comparable  # nobody says which way is good, so no gate can be broken
    with pytest.raises(UnknownName, match="decode_tps"):
        compare_sweeps(a, b, metrics=["decode"])


def test_one_sweep_with_itself_is_compared_in_pairs(swept):
    text = (TEXT % PARAMETERS).replace("blocks: 6", "blocks: 8")
    spec = swept("one", lambda p: {**steady(p), "decode_tps": 130.0 if p["flash_attn"] else 100.0}, text=text)
    found = compare_sweeps(spec, spec, only_a={"flash_attn": False}, only_b={"flash_attn": True})
    assert found.paired
    assert found.caveat.startswith("A and B are runs of one sweep: compared in pairs")
    assert [one.label for one in found.differences if one.metric == "decode_tps"] == ["n_batch=64", "n_batch=512"]
    assert all(one.verdict == "better" for one in found.differences if one.metric == "decode_tps")
    assert found.facts == {"flash_attn": ("off", "on")}
    with pytest.raises(UnknownName, match="flash_attn"):
        compare_sweeps(spec, spec, only_a={"flash": True})


def test_what_else_differs_is_named(swept):
    packages = {"packages": {"llama-cpp-python": "0.3.36"}, "models": {"m": {"sha256": "a" * 64}}}
    newer = {"packages": {"llama-cpp-python": "0.3.40"}, "models": {"m": {"sha256": "b" * 64}}}
    a = swept("known", steady, environment=packages)
    b = swept("newer", steady, environment=newer, host="other", code="pass  # changed")
    text = str(compare_sweeps(a, b))
    assert "host differs: bench → other" in text
    assert "llama-cpp-python differs: 0.3.36 → 0.3.40" in text
    assert f"model m differs: sha256 {'a' * 12} → sha256 {'b' * 12}" in text
    assert "notebook code differs" in text
    assert "not interleaved in blocks" in text
    same = str(compare_sweeps(a, swept("again", steady, environment=packages)))
    assert " differs: " not in same


def test_what_only_one_side_has_is_named_and_fixed_settings_that_differ(swept):
    a = swept("before", steady)
    other = (
        TEXT.replace("engine: tuned", "engine: tuned, n_ctx: 4096")
        % "parameters: {n_batch: [64], flash_attn: [false, true]}"
    )
    found = compare_sweeps(a, swept("fewer", steady, text=other))
    assert found.only_a == ["n_batch=512, flash_attn=off", "n_batch=512, flash_attn=on"]
    assert found.only_b == []
    assert found.facts["n_ctx"] == ("not set", "4096")


def test_it_shows_itself_and_texts_are_only_texts(swept):
    found = compare_sweeps(swept("before", steady), swept("<b>after", steady))
    shown = found._repr_html_()
    assert "<b>after" not in shown
    assert "&lt;b&gt;after" in shown
    assert shown.count("<tr>") == 9
    assert "B / A" in str(found)
    json.dumps(found.to_dict(), allow_nan=False)


def test_a_share_that_falls_to_zero_breaks_the_gate(swept):
    text = (TEXT % PARAMETERS) + "quality:\n  - {metric: identical, direction: maximize, tolerance: 0}\n"
    a = swept("all-equal", lambda p: {**steady(p), "identical": 1.0}, text=text)
    b = swept("none-equal", lambda p: {**steady(p), "identical": 0.0}, text=text)
    found = compare_sweeps(a, b)
    assert [(one.metric, one.verdict) for one in found.worse] == [("identical", "worse")] * 4
    json.dumps(found.to_dict(), allow_nan=False)
    back = compare_sweeps(b, a)
    assert not back.broken
    assert {one.verdict for one in back.differences if one.metric == "identical"} == {"better"}
    json.dumps(back.to_dict(), allow_nan=False)


def test_pairs_with_a_zero_are_compared_by_rank(swept):
    text = (TEXT % PARAMETERS).replace("blocks: 6", "blocks: 8")
    spec = swept("zeros", lambda p: {**steady(p), "kept": 1.0 - p["flash_attn"]}, text=text)
    halves = {"only_a": {"flash_attn": False}, "only_b": {"flash_attn": True}}
    kept = compare_sweeps(spec, spec, **halves, metrics=["kept"]).differences
    assert {one.verdict for one in kept} == {"lower"}


def test_what_b_tried_and_never_finished_breaks_the_gate(swept):
    a = swept("before", steady)
    b = swept("crashing", lambda p: None if p["n_batch"] == 512 else steady(p))
    found = compare_sweeps(a, b)
    assert found.worse == []
    assert found.lost == ["n_batch=512, flash_attn=off", "n_batch=512, flash_attn=on"]
    assert found.broken
    assert found.sentence == "B finished no run of: n_batch=512, flash_attn=off; n_batch=512, flash_attn=on."
    assert found.to_dict()["lost"] == found.lost
    assert invoke(a, b).exit_code == 1
    back = compare_sweeps(b, a)
    assert (back.lost, back.broken) == ([], False)
    only = {"n_batch": 64}
    assert not compare_sweeps(a, b, only_a=only, only_b=only).broken


def test_a_pass_names_what_it_does_not_vouch_for(swept):
    a = swept("before", steady)
    fewer = swept("fewer again", steady, text=TEXT % "parameters: {n_batch: [64], flash_attn: [false, true]}")
    found = compare_sweeps(a, fewer)
    assert not found.broken  # B was never asked for them
    assert "not vouched for: everything of n_batch=512, flash_attn=off; everything of n" in found.sentence
    silent = swept("silent", lambda p: {"decode_tps": steady(p)["decode_tps"]})
    assert "not vouched for: ttft_ms of n_batch=" in compare_sweeps(a, silent).sentence


def invoke(*arguments):
    return CliRunner().invoke(app, ["compare", *map(str, arguments)])


def test_the_commands_exit_status_is_a_gate(swept, tmp_path):
    a, b = swept("before", steady), swept("after", slower)
    broken = invoke(a, b, "--gate", "10%", "--json", tmp_path / "found.json")
    assert broken.exit_code == 1
    assert "Worse by more than 10.0%" in broken.output
    written = json.loads((tmp_path / "found.json").read_text())
    assert len(written["worse"]) == 4
    assert written["differences"][0]["effect"]["low"] < written["differences"][0]["effect"]["high"]
    assert invoke(a, b, "--gate", "0.5").exit_code == 0
    assert json.loads(invoke(a, b, "--gate", "50%", "--json", "-").output)["worse"] == []
    paired = invoke(a, a, "--a", "flash_attn=false", "--b", "flash_attn=true", "--metric", "decode_tps")
    assert paired.exit_code == 0
    assert "compared in pairs" in paired.output


def test_nothing_to_compare_is_two(swept, tmp_path):
    a = swept("before", steady)
    few = swept("few", slower, text=(TEXT % PARAMETERS).replace("blocks: 6", "blocks: 2"))
    told = invoke(a, few)
    assert told.exit_code == 2
    assert "Nothing could be compared" in told.output
    (tmp_path / "empty").mkdir()
    assert invoke(a, tmp_path / "empty").exit_code == 2
    assert invoke(a, a, "--gate", "much").exception is not None
    unread = invoke(a, a, "--a", "n_batch=[64")
    assert unread.exit_code == 2  # 1 would say that B is worse
    assert "written as in YAML; '[64' of n_batch is not" in unread.output
    assert invoke(a, a, "--a", "n_batch").exit_code == 2
    with pytest.raises(UsageError, match=r"0\.05 for 5 %"):
        compare_sweeps(a, a, gate=0)

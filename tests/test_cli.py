"""The command as a user types it."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest

from workbench import __version__
from workbench.errors import UnknownName
from workbench.testing.tiny_gguf import make_tiny_gguf

NOTEBOOK = """
import workbench as wb
wb.record(speed=10.0 * level, output_tokens=8)
"""


def run(*arguments: object, stdin: str = "", cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from workbench.cli import main; main()", *map(str, arguments)]
    return subprocess.run(command, input=stdin, capture_output=True, text=True, cwd=cwd, timeout=240)


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    cells = [
        nbformat.v4.new_code_cell("level = 1", metadata={"tags": ["parameters"]}),
        nbformat.v4.new_code_cell(NOTEBOOK),
    ]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "trivial.ipynb")
    path = tmp_path / "sweep.yaml"
    path.write_text(
        "name: trivial\ntitle: Which level?\nnotebook: trivial.ipynb\nparameters: {level: [1, 2]}\nblocks: 2\n"
        "objectives:\n  - {metric: speed, direction: maximize}\n"
        "targets:\n  - {name: twice, metric: speed, of: {level: 2}, against: {level: 1}, at_least: 3}\n"
    )
    return path


def test_version() -> None:
    assert run("--version").stdout.strip() == __version__


def test_no_arguments_show_the_commands() -> None:
    shown = run().stdout + run("--help").stdout
    for command in ("doctor", "models", "generate", "sweep", "bench"):
        assert command in shown


def test_doctor_says_what_there_is() -> None:
    done = run("doctor")
    assert done.returncode in (0, 1)
    assert "llama" in done.stdout
    assert "Traceback" not in done.stderr


def test_models_lists_the_bundled_one() -> None:
    assert "smollm2-135m" in run("models").stdout


def test_generate_streams_an_answer_and_its_timings(tiny: Path) -> None:
    done = run("generate", tiny, "hello", "-n", 12, "-s", "n_ctx=512", "--preset", "factual")
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.strip()) > 3
    assert "12 written" in done.stderr
    piped = run("generate", tiny, "-", "--raw", "-n", 4, stdin="from a pipe")
    assert "4 written" in piped.stderr


def test_tune_ends_with_a_table_and_a_dashboard(tiny: Path, tmp_path: Path) -> None:
    page = tmp_path / "tune.html"
    short = ("--minutes", 0.05, "--no-quantize", "--prompt", 32, "--decode", 4, "--dry-run", "--report", page)
    done = run("tune", tiny, *short)
    assert done.returncode == 0, done.stderr
    assert "untouched: reads" in done.stderr
    assert "trials" in done.stdout
    assert "limit: mean KL" in done.stdout
    assert f"Dashboard: {page}" in done.stdout
    assert "Tuning tiny" in page.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("generate", "smollm9", "hi"), "Unknown model 'smollm9'"),
        (("generate", "smollm2-135m", "hi", "-s", "n_ctxx=1"), "Did you mean 'n_ctx'?"),
        (("generate", "smollm2-135m", "hi", "-s", "n_ctx"), "NAME=VALUE"),
        (("generate", "smollm2-135m", "hi", "--preset", "chatty"), "Did you mean 'chat'?"),
        (("generate", "nowhere/x.gguf", "hi"), "nowhere/x.gguf"),
        (("tune", "smollm2-135m", "--quantize", "Q4_KM"), "Did you mean 'Q4_K_M'?"),
        (("tune", "smollm2-135m", "--min-same-top", 99), "0.99 is 99 %"),
        (("bench", "engines"), "Unknown bench 'engines'"),
    ],
)
def test_mistakes_are_messages_not_tracebacks(arguments: tuple[object, ...], says: str) -> None:
    done = run(*arguments)
    assert done.returncode in (1, 2)
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_a_sweep_from_run_to_report(spec: Path) -> None:
    first = run("sweep", "run", spec, "--quiet")
    assert first.returncode == 0, first.stderr
    assert "4/4 runs done" in first.stdout
    assert "10 are needed to decide" in first.stdout
    assert "MISSED" in first.stdout
    dashboard = Path(first.stdout.split("Dashboard: ")[1].strip())
    assert "Which level?" in dashboard.read_text(encoding="utf-8")
    assert "4/4 runs done" in run("sweep", "status", spec).stdout
    runs = sorted((dashboard.parent / "runs").iterdir())
    dashboard.unlink()
    again = run("sweep", "run", spec)
    assert "4/4 runs done" in again.stdout
    assert sorted((dashboard.parent / "runs").iterdir()) == runs, "nothing ran twice"
    dashboard.unlink()
    assert "Dashboard: " in run("sweep", "report", spec).stdout
    assert dashboard.exists()


def test_a_plan_and_a_status_say_what_may_follow(spec: Path) -> None:
    spec.write_text(spec.read_text() + "slow: [level]\nmore_blocks: 2\nconfirm: 1\nbudget: {runs: 1}\n")
    plan = run("sweep", "plan", spec, "--order")
    assert "order of block 1: [level=" in plan.stdout, plan.stderr
    assert plan.stdout.count("whole plot: level=") == 4
    assert "budget: 1 runs" in plan.stdout
    status = run("sweep", "status", spec).stdout
    assert "0/4 runs done, 0 failed, 4 missing\n  block: 0/4 runs done" in status
    assert "further block: none decided upon yet" in status
    assert "confirmation: none decided upon yet" in status


def test_the_schema_is_one_that_editors_read(tmp_path: Path) -> None:
    path = tmp_path / "sweep.schema.json"
    written = run("sweep", "schema", "--output", path)
    assert "# yaml-language-server: $schema=sweep.schema.json" in written.stdout, written.stderr
    assert json.loads(path.read_text()) == json.loads(run("sweep", "schema").stdout)
    assert "yaml-language-server: $schema=" in run("sweep", "schema", "--help").stdout


def test_a_pause_from_another_process_ends_a_run_which_goes_on_when_asked(spec: Path) -> None:
    nobody = run("sweep", "pause", spec)
    assert (nobody.returncode, "nothing to pause" in nobody.stderr) == (1, True)
    notebook = nbformat.read(spec.parent / "trivial.ipynb", as_version=4)
    started, asked = spec.parent / "started", spec.parent / "asked"
    wait = f"import pathlib, time\npathlib.Path({str(started)!r}).touch()\n"
    wait += f"while not pathlib.Path({str(asked)!r}).exists(): time.sleep(0.01)"
    notebook.cells.insert(1, nbformat.v4.new_code_cell(wait))
    nbformat.write(notebook, spec.parent / "trivial.ipynb")
    command = [sys.executable, "-c", "from workbench.cli import main; main()", "sweep", "run", str(spec), "--quiet"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as driver:
        while not started.exists() and driver.poll() is None:
            time.sleep(0.01)
        asking = run("sweep", "pause", spec)
        assert (asking.returncode, "stops after the run in progress" in asking.stdout) == (0, True)
        asked.touch()
        _, said = driver.communicate(timeout=240)
    assert driver.returncode == 3
    assert "Paused: 1/4 runs done, 0 failed, 3 missing." in said
    assert "4/4 runs done" in run("sweep", "run", spec, "--quiet").stdout


def test_who_runs_a_sweep_can_be_chosen(spec: Path) -> None:
    unknown = run("sweep", "run", spec, "--executor", "daks")
    assert (unknown.returncode, "Did you mean 'dask'?" in unknown.stderr) == (2, True)
    nowhere = run("sweep", "run", spec, "--executor", "local", "--address", "tcp://127.0.0.1:1")
    assert (nowhere.returncode, "'local' takes no address" in nowhere.stderr) == (2, True)
    done = run("sweep", "run", spec, "--executor", "local", "--quiet")
    assert "4/4 runs done" in done.stdout, done.stderr
    assert "finished runs are kept" not in run("sweep", "status", spec).stdout
    text = spec.read_text().split("targets:")[0]
    spec.write_text(text.replace("level: [1, 2]", "level: [3, 2]").replace("blocks: 2", "blocks: 1"))
    status = run("sweep", "status", spec).stdout
    assert "1/2 runs done" in status
    assert "3 more finished runs are kept" in status


def test_ctrl_c_says_how_far_it_came_and_how_to_go_on(spec: Path) -> None:
    notebook, started = nbformat.read(spec.parent / "trivial.ipynb", as_version=4), spec.parent / "started"
    wait = f"import pathlib, time\npathlib.Path({str(started)!r}).touch()\ntime.sleep(600)"
    notebook.cells.insert(1, nbformat.v4.new_code_cell(wait))
    nbformat.write(notebook, spec.parent / "trivial.ipynb")
    command = [sys.executable, "-c", "from workbench.cli import main; main()", "sweep", "run", str(spec), "--quiet"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as driver:
        while not started.exists() and driver.poll() is None:
            time.sleep(0.01)
        driver.send_signal(signal.SIGINT)
        _, said = driver.communicate(timeout=240)
    assert driver.returncode == 130
    assert f"Interrupted: 0/4 runs done, 0 failed, 4 missing. `workbench sweep run {spec}` goes on." in said
    assert "Traceback" not in said


def test_a_misspelt_key_names_its_line(spec: Path) -> None:
    spec.write_text(spec.read_text().replace("blocks: 2", "bloks: 2"))
    done = run("sweep", "run", spec)
    assert done.returncode == 2
    assert f"{spec}:5" in done.stderr
    assert "Did you mean 'blocks'?" in done.stderr


def test_a_failed_cell_is_reported_and_fails_the_command(spec: Path) -> None:
    text = spec.read_text().split("targets:")[0]
    spec.write_text(text.replace("level: [1, 2]", "level: [1, oops]"))
    done = run("sweep", "run", spec, "--quiet")
    assert done.returncode == 1
    assert "2 failed" in done.stdout
    assert done.stdout.count("TypeError") == 1
    assert "  failed: level=oops · block 1 and 1 more: TypeError" in done.stdout


def test_bench_prints_asked_against_measured(spec: Path) -> None:
    (spec.parent / "benches" / "mine").mkdir(parents=True)
    spec.rename(spec.parent / "benches" / "mine" / "1.yaml")
    (spec.parent / "trivial.ipynb").rename(spec.parent / "benches" / "mine" / "trivial.ipynb")
    done = run("bench", "mine", "--folder", spec.parent / "benches", "--quiet")
    assert done.returncode == 1
    assert "twice" in done.stdout
    assert "MISSED" in done.stdout


def test_a_bench_is_a_file_or_a_folder_in_the_order_of_its_numbers(tmp_path: Path) -> None:
    from workbench.cli_sweep import _bench_specs

    (tmp_path / "engine").mkdir()
    for name in ("engine/10_last.yaml", "engine/2_second.yaml", "engine/1_first.yaml", "gpu.yaml"):
        (tmp_path / name).touch()
    assert [path.stem for path in _bench_specs(tmp_path, "engine")] == ["1_first", "2_second", "10_last"]
    assert _bench_specs(tmp_path, "gpu") == [tmp_path / "gpu.yaml"]
    with pytest.raises(UnknownName, match="Known: engine, gpu"):
        _bench_specs(tmp_path, "engines")


def test_a_synthetic_model_is_written(tmp_path: Path) -> None:
    tokenizer = make_tiny_gguf(tmp_path / "bytes.gguf")
    done = run("models", "synth", "135m", "--out", tmp_path / "m.gguf", "--tokenizer-from", tokenizer)
    assert done.returncode == 0, done.stderr
    assert "synthetic-135m-q4_0, 57 MiB, random weights" in done.stdout
    assert run("models", "synth", "135x", "--out", tmp_path / "m.gguf").returncode == 2


def test_perplexity_of_a_file(tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("The pier was empty. " * 5)
    shown = run("perplexity", tiny, tmp_path / "text.txt", "--window", 64, "--stride", 16, "-s", "n_threads=1")
    assert "over 100 tokens, window 64, stride 16" in shown.stdout, shown.stderr
    plain = run("perplexity", tiny, tmp_path / "text.txt", "--json", "-s", "n_threads=1")
    assert json.loads(plain.stdout)["tokens"] == 100
    (tmp_path / "text.txt").write_bytes(b"\xff\x00")
    refused = run("perplexity", tiny, tmp_path / "text.txt")
    assert refused.returncode == 2
    assert "no UTF-8 text" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_kv_recommends_a_cache(tiny: Path) -> None:
    done = run("kv", tiny, "--types", "q8_0,bf16", "--limit", 300, "--window", 128, "-s", "n_threads=1", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    verdicts = {f"{one['type_k']}/{one['type_v']}": one["verdict"] for one in found["options"]}
    assert verdicts["q8_0/q8_0"] == "not possible"  # heads of 16 elements
    assert found["recommendation"]["type_k"] == "f16"
    assert run("kv", tiny, "--types", "q9_0").returncode == 2


def test_fit_shows_settings_and_reasons(tmp_path: Path) -> None:
    model = make_tiny_gguf(tmp_path / "m.gguf")
    done = run("fit", model, "--vram", "8GB,8GB", "--ram", "16GB")
    assert done.returncode == 0, done.stderr
    assert re.search(r"n_gpu_layers +3 of 3 +All layers", done.stdout)
    assert "wb.load(..., n_ctx=512" in done.stdout
    facts = json.loads(run("fit", model, "--vram", "0", "--n-ctx", "300", "--json").stdout)
    assert facts["settings"]["n_gpu_layers"] == 0
    assert [device["name"] for device in facts["devices"]] == ["host"]
    assert facts["devices"][0]["total_bytes"] == facts["total_bytes"]
    refused = run("fit", model, "--vram", "0", "--ram", "100KB")
    assert refused.returncode == 1
    assert "this machine has 0.00 GiB free" in refused.stderr
    assert run("fit", model, "--ram", "much").returncode == 2

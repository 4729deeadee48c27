"""The ``workbench`` command: thin; every command calls one room and prints what it says.

Exit status: 0 well, 1 something is wrong or a measure was missed, 2 what was asked for cannot be done.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from workbench import __version__
from workbench.cli_claims import claims
from workbench.cli_compare import compare
from workbench.cli_memory import memory_app
from workbench.cli_records import export
from workbench.cli_report import report
from workbench.cli_sweep import bench, sweep_app
from workbench.errors import UsageError, WorkbenchError

app = typer.Typer(
    name="workbench",
    help="The lab bench for local language models.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
models_app = typer.Typer(help="List the models found on this machine, or make one.", invoke_without_command=True)
app.add_typer(models_app, name="models")
sweep_app.command("export")(export)
app.add_typer(sweep_app, name="sweep")
app.command()(bench)
app.command()(report)
app.command()(claims)
app.command()(compare)
app.add_typer(memory_app, name="memory", no_args_is_help=True)

TextFile = Annotated[Path | None, typer.Argument(help="A UTF-8 text; none: the short one that is built in.")]


def main() -> None:
    """Run the command; what this package raises on purpose is a message, not a traceback."""
    try:
        app()
    except UsageError as error:
        typer.echo(f"workbench: {error}", err=True)
        sys.exit(2)
    except WorkbenchError as error:
        typer.echo(f"workbench: {error}", err=True)
        sys.exit(1)


@app.callback(invoke_without_command=True)
def _version(version: Annotated[bool, typer.Option("--version", help="Print the version and leave.")] = False) -> None:
    if version:
        typer.echo(__version__)
        raise typer.Exit


@app.command()
def doctor() -> None:
    """Say what this machine has, and what to do about what is missing."""
    from workbench.checkup import doctor as examine

    report = examine()
    typer.echo(str(report))
    raise typer.Exit(report.exit_code)


@models_app.callback()
def models(context: typer.Context) -> None:
    """List the models found on this machine."""
    if context.invoked_subcommand is None:
        from workbench.models import list_models

        typer.echo(str(list_models()))


@models_app.command("synth")
def models_synth(
    shape: Annotated[str, typer.Argument(help="135m, 1b, 3b or 8b.")],
    out: Annotated[Path, typer.Option(help="The GGUF to write.")],
    quantization: Annotated[str, typer.Option(help="As in q4_0, q8_0, q4_k, f16.")] = "q4_0",
    tokenizer_from: Annotated[
        Path | None, typer.Option(help="A GGUF whose tokenizer is copied; else the bundled SmolLM2.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the weights.")] = 0,
) -> None:
    """Write a model with random weights: for speed and memory work without a download."""
    from workbench.models import make_synthetic, read_model_file

    path = make_synthetic(out, shape, quantization, tokenizer_from=tokenizer_from, seed=seed)
    typer.echo(f"{path}: {read_model_file(path).name}, {path.stat().st_size / 2**20:,.0f} MiB, random weights")


@app.command()
def fit(
    model: Annotated[str, typer.Argument(help="A model's name (`workbench models`) or the path of a GGUF.")],
    n_ctx: Annotated[int | None, typer.Option("--n-ctx", help="Context in tokens; else as much as fits.")] = None,
    n_seq_max: Annotated[int, typer.Option("--n-seq-max", help="Sequences at the same time.")] = 1,
    kv: Annotated[str, typer.Option(help="KV cache: auto, full (f16) or reduced (q8_0).")] = "auto",
    vram: Annotated[str | None, typer.Option(help="Free memory of other GPUs than the ones here: 8GB,8GB.")] = None,
    ram: Annotated[str | None, typer.Option(help="Free RAM other than what is free here: 16GB.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Say which settings fit this model onto this machine, or another one, and why."""
    from workbench.models import fit as find
    from workbench.models import resolve
    from workbench.models.fit_text import as_text, described_machine, to_json

    found = find(resolve(model), described_machine(vram, ram), n_seq_max=n_seq_max, n_ctx=n_ctx, kv_quality=kv)  # type: ignore[arg-type]
    typer.echo(to_json(found) if as_json else as_text(found))


@app.command()
def generate(
    model: Annotated[str, typer.Argument(help="A model's name (`workbench models`) or the path of a GGUF.")],
    prompt: Annotated[str, typer.Argument(help="What to say; '-' reads it from standard input.")],
    max_tokens: Annotated[int | None, typer.Option("-n", "--max-tokens", help="Cap on generated tokens.")] = None,
    preset: Annotated[str, typer.Option(help="Sampling preset.")] = "chat",
    system: Annotated[str | None, typer.Option(help="System prompt.")] = None,
    raw: Annotated[bool, typer.Option("--raw", help="Continue the text as it is, without the chat template.")] = False,
    engine: Annotated[str, typer.Option(help="Engine: tuned, baseline, or one of a plugin.")] = "tuned",
    setting: Annotated[
        list[str] | None, typer.Option("-s", "--set", help="An engine setting, as in -s n_ctx=4096 -s type_k=q8_0.")
    ] = None,
) -> None:
    """Answer one prompt, streaming, and say how fast that was."""
    from workbench.engine import load
    from workbench.interfaces import Message

    text = sys.stdin.read() if prompt == "-" else prompt
    conversation = ([Message.system(system)] if system else []) + [Message.user(text)]
    with load(model, engine=engine, **_settings(setting or [])) as llm:
        stream = llm.stream(text if raw else conversation, max_tokens=max_tokens, preset=preset)
        for chunk in stream:
            typer.echo(chunk.text, nl=False)
        typer.echo()
        timings = stream.completion.timings
    typer.echo(
        f"[{timings.prompt_tokens} tokens read, {timings.output_tokens} written · first text after "
        f"{_number(timings.ttft_ms)} ms · reading {_number(timings.prefill_tps)} tok/s · "
        f"writing {_number(timings.decode_tps)} tok/s]",
        err=True,
    )


@app.command()
def perplexity(
    model: Annotated[str, typer.Argument(help="A model's name (`workbench models`) or the path of a GGUF.")],
    text: TextFile = None,
    window: Annotated[int | None, typer.Option(help="Tokens seen at once; 512 unless given.")] = None,
    stride: Annotated[int | None, typer.Option(help="From one window to the next; half a window unless given.")] = None,
    limit: Annotated[int | None, typer.Option(help="Only the first so many tokens.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    setting: Annotated[list[str] | None, typer.Option("-s", "--set", help="An engine setting.")] = None,
) -> None:
    """Say how well a model predicts a text, in sliding windows."""
    from workbench.engine import load
    from workbench.evaluation import perplexity as measure

    with load(model, **_settings(setting or [])) as llm:
        found = measure(llm, _text(text), window=window, stride=stride, limit_tokens=limit)
    if as_json:
        typer.echo(json.dumps(found.to_dict()))
        return
    typer.echo(
        f"perplexity {found.value:.3f} ± {found.stderr:.3f} over {found.tokens:,} tokens, window {found.window}, "
        f"stride {found.stride}"
    )


@app.command()
def kv(
    model: Annotated[str, typer.Argument(help="A model's name (`workbench models`) or the path of a GGUF.")],
    text: TextFile = None,
    types: Annotated[str | None, typer.Option(help="Caches to try, K/V: q8_0,q8_0/f16,q4_0")] = None,
    min_same_top: Annotated[float, typer.Option(help="Least rate of unchanged choices.")] = 0.99,
    window: Annotated[int, typer.Option(help="Tokens computed together.")] = 512,
    limit: Annotated[int, typer.Option(help="Only the first so many tokens.")] = 4096,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    setting: Annotated[list[str] | None, typer.Option("-s", "--set", help="An engine setting.")] = None,
) -> None:
    """Say which quantised KV caches a model bears on a text, and recommend the smallest that passes."""
    from workbench.engine import guard_kv
    from workbench.settings import EngineSettings

    found = guard_kv(
        model,
        _text(text),
        types=types.split(",") if types else None,
        min_same_top=min_same_top,
        settings=EngineSettings.from_mapping(_settings(setting or [])),
        window=window,
        limit_tokens=limit,
    )
    typer.echo(json.dumps(found.to_dict()) if as_json else found.text)


@app.command()
def tune(
    model: Annotated[str, typer.Argument(help="A model's name (`workbench models`) or the path of a GGUF.")],
    minutes: Annotated[float, typer.Option(help="Time it may take. Leave the machine alone meanwhile.")] = 10.0,
    min_same_top: Annotated[float | None, typer.Option(help="Least rate of unchanged choices, as in 0.95.")] = None,
    max_kl: Annotated[float | None, typer.Option(help="Highest mean KL divergence in nats; 0.3 unless given.")] = None,
    no_quantize: Annotated[bool, typer.Option("--no-quantize", help="Keep the file as it is.")] = False,
    quantize: Annotated[str | None, typer.Option(help="Types to try: Q4_0,IQ4_NL,Q8_0 unless given.")] = None,
    prompt: Annotated[int, typer.Option(help="Tokens of the prompt that is measured.")] = 512,
    decode: Annotated[int, typer.Option(help="Tokens generated after it.")] = 128,
    text: Annotated[Path | None, typer.Option(help="A UTF-8 text to measure quality on: your own prompts.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Measure and report, but keep no profile.")] = False,
    report: Annotated[Path | None, typer.Option(help="Where the dashboard goes.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress lines.")] = False,
) -> None:
    """Find the fastest settings and quantisation for a model on this machine that keep the quality limit."""
    from workbench.dashboard import write_tune_report
    from workbench.tuning import Workload, limit_of
    from workbench.tuning import tune as search
    from workbench.tuning.tuner import QUANTISATIONS

    wanted = () if no_quantize else tuple(quantize.split(",")) if quantize else QUANTISATIONS
    result = search(
        model,
        minutes=minutes,
        quality=limit_of(max_kl, min_same_top),
        workload=Workload(prompt_tokens=prompt, decode_tokens=decode),
        quantizations=wanted,
        text=_text(text) if text else None,
        save=not dry_run,
        progress=(lambda _: None) if quiet else _clocked(time.monotonic()),
    )
    typer.echo(f"\n{result}")
    typer.echo(f"Dashboard: {write_tune_report(result, report or result.report_path)}")


def _clocked(began: float) -> Callable[[str], None]:
    """Progress lines with the seconds since the beginning."""
    return lambda line: typer.echo(f"{time.monotonic() - began:5.0f} s  {line}", err=True)


def _text(path: Path | None) -> str:
    from workbench.evaluation import read_text, sample_text

    return sample_text() if path is None else read_text(path)


def _settings(pairs: list[str]) -> dict[str, Any]:
    import yaml

    chosen = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise UsageError(f"A setting is NAME=VALUE, not {pair!r}.")
        chosen[name] = yaml.safe_load(value)
    return chosen


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f}"

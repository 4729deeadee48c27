"""The ``workbench`` command: thin; every command calls one room and prints what it says.

Exit status: 0 well, 1 something is wrong or a measure was missed, 2 what was asked for cannot be done.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workbench import __version__
from workbench.errors import UnknownName, UsageError, WorkbenchError

if TYPE_CHECKING:
    from workbench.sweep import Analysis, Sweep, TargetResult

app = typer.Typer(
    name="workbench",
    help="The lab bench for local language models.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
models_app = typer.Typer(help="List the models found on this machine, or make one.", invoke_without_command=True)
app.add_typer(models_app, name="models")
sweep_app = typer.Typer(help="Run sweeps of parameterised notebooks and read what they found.", no_args_is_help=True)
app.add_typer(sweep_app, name="sweep")

Spec = Annotated[Path, typer.Argument(help="A sweep specification (YAML).", exists=True, dir_okay=False)]


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


@sweep_app.command("run")
def sweep_run(
    spec: Spec,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Run failed cells again.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress bars.")] = False,
) -> None:
    """Run a sweep, or what is missing of it, and say what to use."""
    from workbench.sweep import Sweep

    sweep = Sweep.from_file(spec)
    analysis = sweep.run(progress=not quiet, retry_failed=retry_failed)
    _print_findings(analysis)
    typer.echo(f"Dashboard: {_write_report(sweep, analysis)}")
    if analysis.audit.failed or not analysis.audit.done:
        raise typer.Exit(1)


@sweep_app.command("status")
def sweep_status(spec: Spec) -> None:
    """Say how far a sweep is."""
    from workbench.sweep import Sweep

    _print_audit(Sweep.from_file(spec).status())


@sweep_app.command("report")
def sweep_report(spec: Spec) -> None:
    """Analyse what there is so far, and write the dashboard anew."""
    from workbench.sweep import Sweep

    sweep = Sweep.from_file(spec)
    analysis = sweep.analyse()
    _print_findings(analysis)
    typer.echo(f"Dashboard: {_write_report(sweep, analysis)}")


@app.command()
def bench(
    name: Annotated[str, typer.Argument(help="Which bench: a folder of experiments/bench/.")],
    folder: Annotated[Path, typer.Option(help="Where the benches are.")] = Path("experiments/bench"),
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress bars.")] = False,
) -> None:
    """Run the project's own measures and print asked against measured. Exit status 1 if one was missed."""
    from workbench.sweep import Sweep

    known = sorted(path.name for path in folder.glob("*") if any(path.glob("*.yaml")))
    if name not in known:
        raise UnknownName("bench", name, known, f"Benches are folders of specifications in {folder}.")
    results: list[TargetResult] = []
    for spec in sorted((folder / name).glob("*.yaml")):
        sweep = Sweep.from_file(spec)
        typer.echo(f"\n{spec.stem}: {sweep.spec.title}", err=True)
        analysis = sweep.run(progress=not quiet)
        _print_audit(analysis.audit)
        results += analysis.targets
        typer.echo(f"Dashboard: {_write_report(sweep, analysis)}")
    _print_targets(results)
    if any(target.met is not True for target in results):
        raise typer.Exit(1)


def _settings(pairs: list[str]) -> dict[str, Any]:
    import yaml

    chosen = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise UsageError(f"A setting is NAME=VALUE, not {pair!r}.")
        chosen[name] = yaml.safe_load(value)
    return chosen


def _write_report(sweep: Sweep, analysis: Analysis) -> Path:
    from workbench.dashboard import write_report

    return write_report(analysis, sweep.folder / "dashboard.html")


def _print_findings(analysis: Analysis) -> None:
    typer.echo(f"\n{analysis.title}\n{'=' * len(analysis.title)}")
    for recommendation in analysis.recommendations:
        typer.echo(f"\n{recommendation.headline}")
        for note in recommendation.notes:
            typer.echo(f"  - {note}")
        if recommendation.code:
            typer.echo(f"\n    {recommendation.code.replace(chr(10), chr(10) + '    ')}")
    _print_targets(analysis.targets)
    typer.echo()
    _print_audit(analysis.audit)


def _print_audit(audit: Any) -> None:
    typer.echo(f"{audit.done}/{audit.planned} runs done, {audit.failed} failed, {audit.missing} missing")
    for label, reason in audit.failures:
        typer.echo(f"  failed: {label}: {reason}")


def _print_targets(targets: Any) -> None:
    if not targets:
        return
    signs = {True: "met", False: "MISSED", None: "not measured"}
    rows = [("measure", "asked", "measured", "")] + [(t.name, t.asked, t.measured, signs[t.met]) for t in targets]
    widths = [max(len(row[i]) for row in rows) for i in range(4)]
    typer.echo()
    for row in rows:
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f}"

"""A tune's findings as text: the table of finalists, what quality costs, and what became of it."""

from __future__ import annotations

from collections.abc import Iterator

from workbench.sweep.results import Effect
from workbench.tuning.results import Row, TuneResult

_SIGNS = {"better": "faster", "worse": "slower", "equivalent": "no difference", "inconclusive": "not sure"}


def as_text(result: TuneResult) -> str:
    """Everything a terminal should show."""
    return "\n".join([result.headline, "", *_final(result), *_screened(result), *_notes(result), *_profile(result)])


def table(rows: list[tuple[str, ...]]) -> list[str]:
    """Rows as lines, columns aligned; the first row is the heading."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def effect_text(effect: Effect) -> str:
    """Ratio and interval: 2.51 × [2.43, 2.60]."""
    interval = "[no interval]" if effect.low is None else f"[{effect.low:.2f}, {effect.high:.2f}]"
    return f"{effect.ratio:.2f} × {interval}"


def _final(result: TuneResult) -> Iterator[str]:
    if result.default is None or result.floor is None:
        return
    turn = f"{result.workload.prompt_tokens} + {result.workload.decode_tokens} tokens"
    yield (
        f"Untouched default: reads {result.default[0]:.0f}, generates {result.default[1]:.0f} tokens/s ({turn}). "
        f"Noise here: ±{result.floor:.1%}, {result.plan.rounds} rounds."
    )
    heading = ("candidate", "prefill", "decode", "both", "quality cost", "verdict", "why")
    yield from table([heading, *(_row(row) for row in result.rows)])
    yield ""


def _row(row: Row) -> tuple[str, ...]:
    quality = row.quality
    cost = f"KL {quality.kl:.4f}, same top {quality.same_top:.1%}" if quality else "none"
    verdict = "CHOSEN" if row.chosen else _SIGNS[row.verdict]
    return (
        row.candidate.label,
        effect_text(row.prefill),
        effect_text(row.decode),
        effect_text(row.speed),
        cost,
        verdict,
        row.reason,
    )


def _screened(result: TuneResult) -> Iterator[str]:
    if not result.screened:
        return
    yield f"What single changes cost in quality (limit: {result.limit}):"
    heading = ("change", "mean KL", "same top", "perplexity", "speed (search)", "")
    speeds = {one.candidate.label: one.ratio(result.workload) for one in result.trials}
    lines: list[tuple[str, ...]] = [heading]
    for one in result.screened:
        figures = ("-", "-", "-")
        if one.quality:
            q = one.quality
            figures = (f"{q.kl:.4f}", f"{q.same_top:.1%}", f"× {q.perplexity_ratio:.3f}")
        ratio = speeds.get(one.level)  # a file alone is a candidate of that very name
        speed = "-" if ratio is None else f"{ratio:.2f} ×"
        lines.append((one.level, *figures, speed, one.refused and f"refused: {one.refused}"))
    yield from table(lines)
    yield "A tighter limit: --max-kl 0.01, --min-same-top 0.95. A looser one costs more. --no-quantize keeps the file."
    yield ""


def _notes(result: TuneResult) -> Iterator[str]:
    counts = {state: sum(one.state == state for one in result.trials) for state in ("measured", "given up", "failed")}
    told = ", ".join(f"{count} {state}" for state, count in counts.items())
    yield f"{len(result.trials)} trials ({told}) in {result.seconds:.0f} s."
    yield from (f"  - {note}" for note in result.notes)


def _profile(result: TuneResult) -> Iterator[str]:
    if result.profile_path is not None:
        yield f"Profile: {result.profile_path}"
        yield f'wb.load("{result.model}") uses it from now on; profile=False does without.'
    elif result.profile is not None:
        yield "The profile was not kept. Settings: " + repr(dict(result.profile.settings))

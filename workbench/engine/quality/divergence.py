"""What a change of settings, or of quantisation, does to a model's predictions: KL divergence on a given text.

Knows models and settings; not which of them anybody should use. Runs in the caller's thread from load to free, beside
any engine there is, and takes as long as computing the text once a side.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np

from workbench.engine.budget import memory_for
from workbench.engine.native import kept
from workbench.engine.native.context import Context
from workbench.engine.native.library import library
from workbench.engine.native.vocabulary import Vocabulary
from workbench.engine.native.weights import Weights
from workbench.engine.quality.agreement import Agreement, DoubleArray, mean_and_stderr, wilson_interval
from workbench.engine.quality.lockstep import walk
from workbench.engine.quality.windows import Window, chunks
from workbench.errors import UsageError
from workbench.hardware import ram
from workbench.models import ModelFile, check_fits, estimate, resolve, verify
from workbench.settings import EngineSettings

WINDOW = 512
"""llama-perplexity's default context."""

_OF_WEIGHTS = ("n_gpu_layers", "main_gpu", "split_mode", "tensor_split", "use_mmap", "use_mlock", "repack")
"""Settings that weights are loaded with; all others belong to the context."""


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two things compared.

    Attributes:
        model: a model, its name, or the path of a GGUF.
        settings: what it runs with. Length of the context and number of sequences do not count here: it holds one
            window of one text.
    """

    model: ModelFile | str | Path
    settings: EngineSettings = field(default_factory=EngineSettings)


@dataclass(frozen=True, slots=True, kw_only=True)
class Divergence:
    """How far a candidate's predictions are from a reference's, over the scored tokens of a text.

    p is the reference's distribution of the next token, q the candidate's, t the token that really came next. Standard
    errors and intervals take the tokens for independent, which those of one text are not quite: read them as the least
    uncertainty there is.

    Attributes:
        tokens: scored tokens.
        kl_mean: mean KL(p ‖ q) in nats.
        kl_stderr: its standard error, sd / √tokens; NaN for one token.
        kl_median: median.
        kl_p95: 95th percentile.
        kl_p99: 99th percentile.
        kl_max: the worst token.
        same_top: rate of tokens where both have the same most probable token.
        same_top_low: lower end of its 95 % Wilson interval.
        same_top_high: upper end.
        reference_perplexity: exp(mean -ln p(t)).
        candidate_perplexity: exp(mean -ln q(t)).
        perplexity_ratio: candidate / reference; above 1 is worse.
        perplexity_ratio_stderr: ratio × standard error of the paired differences of -ln.
        dp_rms: √ mean (q(t) - p(t))²: how much the probability of the right token changes.
        dp_rms_stderr: by the delta method, as llama-perplexity states it; NaN when nothing changes.
        window: tokens of a window.
        reference: effective settings.
        candidate: effective settings.
        kl: (tokens,) KL of each scored token, in the order of the text.
    """

    tokens: int
    kl_mean: float
    kl_stderr: float
    kl_median: float
    kl_p95: float
    kl_p99: float
    kl_max: float
    same_top: float
    same_top_low: float
    same_top_high: float
    reference_perplexity: float
    candidate_perplexity: float
    perplexity_ratio: float
    perplexity_ratio_stderr: float
    dp_rms: float
    dp_rms_stderr: float
    window: int
    reference: EngineSettings
    candidate: EngineSettings
    kl: DoubleArray = field(repr=False, compare=False)

    @classmethod
    def of(cls, found: Agreement, window: int, reference: EngineSettings, candidate: EngineSettings) -> Self:
        """The summary of what was collected; there has to be a token."""
        kl, same = found.kl, found.same_top
        kl_mean, kl_stderr = mean_and_stderr(kl)
        low, high = wilson_interval(int(same.sum()), len(same))
        ratio, ratio_stderr = _ratio(found.candidate_nll - found.reference_nll)
        dp_rms, dp_rms_stderr = _rms(np.exp(-found.candidate_nll) - np.exp(-found.reference_nll))
        return cls(
            tokens=len(kl),
            kl_mean=kl_mean,
            kl_stderr=kl_stderr,
            kl_median=float(np.median(kl)),
            kl_p95=float(np.quantile(kl, 0.95)),
            kl_p99=float(np.quantile(kl, 0.99)),
            kl_max=float(kl.max()),
            same_top=float(same.mean()),
            same_top_low=low,
            same_top_high=high,
            reference_perplexity=float(np.exp(found.reference_nll.mean())),
            candidate_perplexity=float(np.exp(found.candidate_nll.mean())),
            perplexity_ratio=ratio,
            perplexity_ratio_stderr=ratio_stderr,
            dp_rms=dp_rms,
            dp_rms_stderr=dp_rms_stderr,
            window=window,
            reference=reference,
            candidate=candidate,
            kl=kl,
        )

    def to_dict(self) -> dict[str, Any]:
        """The figures and the settings, without the values of each token; NaN as ``None``."""
        plain = {one.name: getattr(self, one.name) for one in dataclasses.fields(self) if one.name != "kl"}
        plain |= {"reference": self.reference.to_dict(), "candidate": self.candidate.to_dict()}
        return {name: None if value != value else value for name, value in plain.items()}


def compare(
    reference: Side,
    candidate: Side,
    text: str | Sequence[int],
    *,
    window: int = WINDOW,
    limit_tokens: int | None = None,
    second_half: bool = True,
) -> Divergence:
    """KL divergence, same-top rate and perplexities of a candidate against a reference.

    Both sides compute the same windows of the text in turn; the weights are loaded once where both use them alike.

    >>> compare(Side("smollm2-135m"), Side("smollm2-135m", EngineSettings(type_k="q8_0")), text).same_top

    Args:
        reference: what the other is measured against: KL divergence is not symmetric.
        candidate: the same vocabulary, another quantisation or other settings.
        text: text, or tokens of the reference's vocabulary.
        window: tokens computed together.
        limit_tokens: only the first so many tokens; ``None``: all.
        second_half: score the second half of each window only, so that every scored token has some context.

    Raises:
        UsageError: the vocabularies differ, or the text has no token to score.
        UnknownName, ModelFileError: there is no such model, or its file is not whole.
        OutOfMemory: both together do not fit; refused before loading.
        ModelLoadError, DecodeError: llama.cpp refused or failed.
    """
    with _opened(reference, candidate, window) as (ours, theirs, vocabulary):
        tokens = text_tokens(vocabulary, text, limit_tokens)
        plan = plan_windows(len(tokens), window, second_half)
        [found] = agreements([ours, theirs], [(0, 1)], tokens, plan, vocabulary)
        return Divergence.of(found, window, ours.settings, theirs.settings)


compare_settings = compare
"""The same under the name it has in ``workbench``, where ``compare`` alone would not say what."""


def agreements(
    contexts: Sequence[Context],
    pairs: Sequence[tuple[int, int]],
    tokens: Sequence[int],
    plan: Sequence[Window],
    vocabulary: Vocabulary,
) -> list[Agreement]:
    """Each (reference, candidate) pair of contexts compared, in one walk over the text."""
    found = [Agreement() for _ in pairs]
    for piece in walk(contexts, tokens, plan, bos=vocabulary.bos if vocabulary.adds_bos else None):
        for agreement, (reference, candidate) in zip(found, pairs, strict=True):
            agreement.add(piece.logits[reference], piece.logits[candidate], piece.targets)
    return found


def text_tokens(vocabulary: Vocabulary, text: str | Sequence[int], limit: int | None) -> list[int]:
    """The tokens of a text, special ones added as the model wants; given tokens are checked."""
    if limit is not None and limit < 1:
        raise UsageError(f"limit_tokens must be at least 1, not {limit}.")
    if isinstance(text, str):
        return vocabulary.tokenize(text, add_special=True, parse_special=False)[:limit]
    tokens = [int(token) for token in text][:limit]
    vocabulary.check(tokens)
    return tokens


def plan_windows(n_tokens: int, window: int, second_half: bool) -> list[Window]:
    """Windows with something to score.

    Raises:
        UsageError: there is none.
    """
    plan = chunks(n_tokens, window, second_half=second_half)
    if not plan:
        raise UsageError(f"The text comes to {n_tokens} tokens, none of them to score. Give a longer text.")
    return plan


def window_settings(settings: EngineSettings) -> EngineSettings:
    """The settings as they count here: one sequence, the context as long as the window."""
    return settings.replace(n_ctx=None, n_seq_max=1)


@contextmanager
def _opened(reference: Side, candidate: Side, window: int) -> Iterator[tuple[Context, Context, Vocabulary]]:
    """Both contexts and the reference's vocabulary; all of it freed at the end, however it ends."""
    sides = [(resolve(side.model), window_settings(side.settings)) for side in (reference, candidate)]
    shared = _weights_key(*sides[0]) == _weights_key(*sides[1])
    _check_both_fit(sides, window, shared)
    with ExitStack() as stack:
        ours = _weights(stack, *sides[0])
        theirs = ours if shared else _weights(stack, *sides[1])
        if theirs is not ours:
            _check_same_vocabulary(ours, theirs)
        contexts = [_context(stack, w, s, window) for w, (_, s) in zip((ours, theirs), sides, strict=True)]
        yield contexts[0], contexts[1], ours.vocabulary


def _weights(stack: ExitStack, file: ModelFile, settings: EngineSettings) -> Weights:
    verify(file)
    weights = Weights(file, settings)
    stack.callback(weights.free)
    return weights


def _context(stack: ExitStack, weights: Weights, settings: EngineSettings, window: int) -> Context:
    context = Context(weights, settings, window)
    stack.callback(context.free)
    return context


def _weights_key(file: ModelFile, settings: EngineSettings) -> tuple[Any, ...]:
    return (file.path.resolve(), *(getattr(settings, name) for name in _OF_WEIGHTS))


def _check_both_fit(sides: Sequence[tuple[ModelFile, EngineSettings]], window: int, shared: bool) -> None:
    """Each in what the other leaves, before anything is loaded.

    Raises:
        OutOfMemory: they do not fit.
    """
    (file, settings), (other, other_settings) = sides
    kept.release()
    allowed = memory_for(settings)
    have = ram().available_bytes if allowed is None else allowed
    check_fits(file, settings, window, available_bytes=have)
    left = have - estimate(file, settings, window).total_bytes
    check_fits(other, other_settings, window, available_bytes=left, weights_loaded=shared)


def _check_same_vocabulary(reference: Weights, candidate: Weights) -> None:
    ours, theirs = reference.vocabulary, candidate.vocabulary
    names = f"{reference.file.name} and {candidate.file.name}"
    remedy = "Compare two quantisations, or two settings, of one model."
    if ours.size != theirs.size:
        raise UsageError(f"{names} have {ours.size:,} and {theirs.size:,} tokens: no common vocabulary. {remedy}")
    different = [i for i, (a, b) in enumerate(zip(_texts(ours), _texts(theirs), strict=True)) if a != b]
    if different:
        raise UsageError(
            f"{names} have {ours.size:,} tokens each, but {len(different):,} of them differ, the first is "
            f"{different[0]}: no common vocabulary. {remedy}"
        )


def _texts(vocabulary: Vocabulary) -> Iterable[bytes]:
    text = library().llama_vocab_get_text
    return (text(vocabulary.raw, token) for token in range(vocabulary.size))


def _ratio(differences: DoubleArray) -> tuple[float, float]:
    """Perplexity ratio and its standard error, from (n,) -ln q(t) + ln p(t)."""
    mean, stderr = mean_and_stderr(differences)
    return math.exp(mean), math.exp(mean) * stderr


def _rms(differences: DoubleArray) -> tuple[float, float]:
    mean, stderr = mean_and_stderr(differences**2)
    rms = math.sqrt(mean)
    return rms, 0.5 / rms * stderr if rms else math.nan

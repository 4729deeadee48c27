"""The contract suites catch what they are there for: each is run against components broken in one way."""

import asyncio
import dataclasses
import itertools
import time

import numpy as np
import pytest

from workbench.caching import ExactCache
from workbench.compression import MiddleCompressor
from workbench.embedding import HashingEmbedder
from workbench.errors import StreamIncomplete
from workbench.interfaces import Compression, Outcome, Scores
from workbench.settings import EngineSettings
from workbench.testing import (
    CacheContract,
    CompressorContract,
    EmbedderContract,
    EngineContract,
    ExecutorContract,
    MemoryContract,
    ScriptedEngine,
)
from workbench.testing.contracts.compressor import count_words
from workbench.testing.contracts.threads import at_once
from workbench.testing.script_run import Telling


def refuses(contract, component, test, *args):
    """That ``test`` of ``contract`` fails for what ``component`` makes, and passes for nothing else's sake."""

    class Suite(contract):
        def make(self):
            return component()

    suite = Suite()
    needs = {"memory", "engine", "embedder", "executor"} & set(getattr(contract, test).__code__.co_varnames[:2])
    made = [suite.make()] if needs else []
    # Hypothesis reports several different failures as a group
    with pytest.raises((AssertionError, pytest.fail.Exception, BaseExceptionGroup)) as caught:
        getattr(suite, test)(*made, *args)
    assert str(caught.value).strip(), "a failure says which sentence of the contract is broken"


# -- compressors ------------------------------------------------------------------------------------------------------


def compression(messages, before, prefix=0):
    return Compression(
        messages=tuple(messages),
        tokens_before=count_words(before),
        tokens_after=count_words(messages),
        kept_prefix=prefix,
        elapsed_ms=0.0,
    )


class Broken(MiddleCompressor):
    def __init__(self):
        super().__init__(count_words)


class CutsTheFront(Broken):
    """Drops the oldest messages one by one, whatever they are."""

    def compress(self, messages, budget_tokens, query=None):
        kept = list(messages)
        while kept and count_words(kept) > budget_tokens:
            kept.pop(0)
        return compression(kept, messages, len(kept) if len(kept) == len(messages) else 0)


class OverBudget(Broken):
    def compress(self, messages, budget_tokens, query=None):
        return super().compress(messages, budget_tokens + 5)


class LiesAboutThePrefix(Broken):
    def compress(self, messages, budget_tokens, query=None):
        made = super().compress(messages, budget_tokens)
        return dataclasses.replace(made, kept_prefix=made.kept_prefix + 1)


class Remembers(Broken):
    calls = 0

    def compress(self, messages, budget_tokens, query=None):
        self.calls += 1
        return super().compress(messages, budget_tokens - 10 * (self.calls > 1))


class Greedy(Broken):
    """Refuses what could be done."""

    def compress(self, messages, budget_tokens, query=None):
        return super().compress(messages, budget_tokens - 1)


@pytest.mark.parametrize(
    ("component", "test"),
    [
        (CutsTheFront, "test_a_tool_call_and_its_answers_stay_together"),
        (CutsTheFront, "test_what_may_not_be_broken_must_fit"),
        (CutsTheFront, "test_any_conversation"),
        (OverBudget, "test_what_does_not_fit_is_made_to_fit"),
        (LiesAboutThePrefix, "test_what_does_not_fit_is_made_to_fit"),
        (Remembers, "test_nothing_is_kept_between_calls"),
        (Greedy, "test_what_fits_is_unchanged"),
    ],
)
def test_broken_compressors_are_refused(component, test):
    refuses(CompressorContract, component, test)


# -- caches -----------------------------------------------------------------------------------------------------------


class Stampede(ExactCache):
    def get_or_compute(self, key, compute):
        value = self.get(key)
        if value is None:
            value = compute()
            self.put(key, value)
        return value


class MistakesEmptyForMissing(ExactCache):
    def get(self, key):
        return super().get(key) or None


class Forgetful(ExactCache):
    def put(self, key, value):
        self.clear()
        super().put(key, value)


class NoBudget(ExactCache):
    def __init__(self):
        super().__init__(max_bytes=2**30)


class CountsNothing(ExactCache):
    @property
    def stats(self):
        return dataclasses.replace(super().stats, hits=0, misses=0)


class KeepsNone(ExactCache):
    def get_or_compute(self, key, compute):
        return compute()


@pytest.mark.parametrize(
    ("component", "test", "args"),
    [
        (Stampede, "test_a_stampede_computes_once", ()),
        (MistakesEmptyForMissing, "test_what_was_put_is_got", ("",)),
        (CountsNothing, "test_counters", ()),
        (KeepsNone, "test_get_or_compute_keeps_what_it_computed", ()),
        (CountsNothing, "test_it_never_gives_a_value_nobody_put", ()),
    ],
)
def test_broken_caches_are_refused(component, test, args):
    refuses(CacheContract, component, test, *args)


@pytest.mark.parametrize(
    ("component", "test"),
    [
        (NoBudget, "test_the_least_recently_used_go_when_the_budget_is_spent"),
        (Forgetful, "test_the_least_recently_used_go_when_the_budget_is_spent"),
        (NoBudget, "test_a_value_beyond_the_budget_is_not_kept"),
    ],
)
def test_caches_without_a_working_budget_are_refused(component, test):
    class Budgeted(CacheContract):
        budget_bytes = 10_000

    refuses(Budgeted, component, test)


# -- embedders --------------------------------------------------------------------------------------------------------


class NotNormal(HashingEmbedder):
    def embed(self, texts):
        return 2 * super().embed(texts)


class Doubles(HashingEmbedder):
    def embed(self, texts):
        return super().embed(texts).astype(np.float64)


class BatchDependent(HashingEmbedder):
    def embed(self, texts):
        vectors = super().embed(texts) + 0.1 * len(texts)
        return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


class Salted(HashingEmbedder):
    made = itertools.count()

    def __init__(self):
        super().__init__()
        self.salt = next(self.made)

    @property
    def fingerprint(self):
        return f"{super().fingerprint}-{self.salt}"


class Constant(HashingEmbedder):
    def embed(self, texts):
        return super().embed(["the same"] * len(texts))


@pytest.mark.parametrize(
    ("component", "test"),
    [
        (NotNormal, "test_every_vector_has_length_one"),
        (Doubles, "test_shapes"),
        (BatchDependent, "test_a_vector_depends_on_its_text_alone"),
        (Salted, "test_embedders_made_alike_agree"),
        (Constant, "test_like_is_nearer_than_unlike"),
    ],
)
def test_broken_embedders_are_refused(component, test):
    from workbench.testing.contracts.embedder import TEXTS

    takes_vectors = "vectors" in getattr(EmbedderContract, test).__code__.co_varnames[:3]
    takes_embedder = "embedder" in getattr(EmbedderContract, test).__code__.co_varnames[:3]
    made = component()

    class Suite(EmbedderContract):
        def make(self):
            return component()

    args = [made] * takes_embedder + [made.embed(TEXTS)] * takes_vectors
    with pytest.raises(AssertionError):
        getattr(Suite(), test)(*args)


# -- executors --------------------------------------------------------------------------------------------------------


class InProcess:
    """Runs jobs here and now, correctly."""

    slots = 1

    def run(self, jobs, function):
        for job in jobs:
            try:
                result, error = dict(function(job)), None
            except ValueError as failure:
                result, error = None, str(failure)
            status = "failed" if error else "done"
            reason = "error" if error else None
            yield job, Outcome(status=status, result=result, error=error, elapsed_s=0.0, host="here", reason=reason)

    def close(self):
        pass


class TestInProcessExecutor(ExecutorContract):
    isolates = limits_time = limits_memory = False

    def make(self):
        return InProcess()


class Backwards(InProcess):
    def run(self, jobs, function):
        return super().run(list(jobs)[::-1], function)


class Eager(InProcess):
    def run(self, jobs, function):
        done = list(super().run(jobs, function))
        yield from done


class GivesUp(InProcess):
    def run(self, jobs, function):
        for job, outcome in super().run(jobs, function):
            yield job, outcome
            if outcome.status == "failed":
                return


@pytest.mark.parametrize(
    ("component", "test", "needs_folder"),
    [
        (Backwards, "test_one_slot_runs_in_order", False),
        (Eager, "test_closing_the_iterator_stops_what_runs", True),
    ],
)
def test_broken_executors_are_refused(component, test, needs_folder, tmp_path):
    refuses(ExecutorContract, component, test, *([tmp_path] if needs_folder else []))


def test_an_executor_that_gives_up_is_refused():
    with pytest.raises(KeyError):
        ExecutorContract().test_a_failing_job_is_an_outcome(GivesUp())


# -- engines ----------------------------------------------------------------------------------------------------------


class Contract(EngineContract):
    def make(self):
        return ScriptedEngine(settings=EngineSettings(n_ctx=1024))


def altered(method, change):
    """A scripted engine whose ``method`` gives ``change(what it gives)``."""

    class Altered(ScriptedEngine):
        pass

    def replaced(self, *args, **options):
        return change(getattr(ScriptedEngine, method)(self, *args, **options))

    setattr(Altered, method, replaced)
    return lambda: Altered(settings=EngineSettings(n_ctx=1024))


def changed(**fields):
    return lambda value: dataclasses.replace(value, **fields)


class IgnoresStop(ScriptedEngine):
    def stream(self, prompt, **options):
        return super().stream(prompt, **{**options, "stop": ()})


class OneMore(ScriptedEngine):
    def complete(self, prompt, **options):
        return super().complete(prompt, **{**options, "max_tokens": options.get("max_tokens", 1) + 1})


class StaysOpen(ScriptedEngine):
    def close(self):
        pass


class Blocks(ScriptedEngine):
    async def acomplete(self, prompt, **options):
        return self.complete(prompt, **options)


class Unordered(ScriptedEngine):
    def complete_many(self, prompts, **options):
        return super().complete_many(prompts[::-1], **options)


class ForgetsContext(ScriptedEngine):
    def score(self, text, *, context=""):
        scores = super().score(text, context=context)
        return Scores(scores.tokens, scores.logprobs - len(context))


@pytest.mark.parametrize(
    ("component", "test", "args"),
    [
        (altered("complete", changed(text="other")), "test_a_stream_joined_is_the_completion", ()),
        (OneMore, "test_the_token_cap_is_exact", (2,)),
        (IgnoresStop, "test_a_stop_string_ends_the_text_and_is_no_part_of_it", ()),
        (Unordered, "test_complete_many_answers_in_the_order_of_the_prompts", ()),
        (Blocks, "test_the_event_loop_is_not_blocked", ()),
        (altered("detokenize", str.strip), "test_detokenize_is_the_inverse_of_tokenize", (" a\n",)),
        (altered("count_tokens", lambda count: count + 1), "test_counted_tokens_are_those_of_the_request", ()),
        (ForgetsContext, "test_scores_follow_the_chain_rule", ()),
        (altered("complete", changed(model="other")), "test_a_completion_names_its_model_and_settings", ()),
    ],
)
def test_broken_engines_are_refused(component, test, args):
    refuses(EngineContract, component, test, *args)


@pytest.mark.parametrize("test", ["test_nothing_works_after_close", "test_an_engine_is_a_context_manager"])
def test_an_engine_that_stays_open_is_refused(test):
    refuses(EngineContract, StaysOpen, test)


def test_an_engine_that_cannot_be_stopped_is_refused(monkeypatch):
    monkeypatch.setattr(Telling, "cancelled", property(lambda self: False, lambda self, value: None), raising=False)
    suite = Contract()
    with pytest.raises(AssertionError, match="cancel"):
        suite.test_cancel_ends_the_stream_with_what_there_is(suite.make())


def test_a_stream_that_hides_its_break_is_refused(monkeypatch):
    monkeypatch.setattr(Telling, "_incomplete", lambda self, reason: RuntimeError(reason))
    with pytest.raises((RuntimeError, StreamIncomplete)):
        Contract().test_close_breaks_streams_off()


# -- the suites themselves --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "contract", [CacheContract, CompressorContract, EmbedderContract, EngineContract, ExecutorContract, MemoryContract]
)
def test_a_suite_without_make_says_what_to_do(contract):
    with pytest.raises(NotImplementedError, match="Override make"):
        contract().make()


def test_at_once_really_is_at_once():
    def work(number):
        time.sleep(0.05)
        return time.monotonic()

    ends = at_once(4, work)
    assert max(ends) - min(ends) < 0.05 * 3, "one after the other would take longer"


def test_at_once_raises_what_a_thread_raised():
    with pytest.raises(ZeroDivisionError):
        at_once(3, lambda number: 1 / number)


def test_an_astream_can_be_left_early():
    async def run():
        engine = ScriptedEngine("a b c d")
        chunks = engine.astream("?")
        first = await anext(chunks)
        await chunks.aclose()
        return first.text, engine.stats.requests

    assert asyncio.run(run()) == ("a", 1)

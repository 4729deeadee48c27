"""Samplers in the graph: the tokens they draw are those of the host. On the CPU backend, where they run as well."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from workbench.engine.native.context import Context
from workbench.engine.native.library import library
from workbench.engine.native.weights import Weights
from workbench.engine.sampling.device_sampler import DeviceSampler, can_offload
from workbench.engine.sampling.sampler import Sampler
from workbench.interfaces import Sampling
from workbench.models import resolve
from workbench.settings import EngineSettings

NO_TOKEN = -1


@pytest.fixture(scope="module")
def weights(tiny: Path) -> Iterator[Weights]:
    weights = Weights(resolve(tiny), EngineSettings(n_threads=1))
    yield weights
    weights.free()


@pytest.fixture
def context(weights: Weights) -> Iterator[Context]:
    context = Context(weights, EngineSettings(n_threads=1, n_seq_max=2), 512)
    yield context
    context.free()


def generate(context: Context, samplers: dict[int, Sampler], count: int = 30) -> dict[int, list[int]]:
    """``count`` tokens for each sequence, all sequences in one batch."""
    out: dict[int, list[int]] = {sequence: [] for sequence in samplers}
    for sequence in samplers:
        context.drop(sequence)
    context.batch.clear()
    at = {sequence: context.batch.add_run([5, 60, 70], 0, sequence, logits="last") for sequence in samplers}
    for step in range(count):
        assert context.decode() == 0
        for sequence, sampler in samplers.items():
            out[sequence].append(sampler.draw(context.raw, at[sequence]))
        context.batch.clear()
        at = {s: context.batch.add_token(tokens[-1], 3 + step, s) for s, tokens in out.items()}
    return out


@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(temperature=0),
        Sampling(temperature=0, ignore_eos=True, logit_bias={70: -5.0}),
        Sampling(seed=3),
        Sampling(seed=3, top_k=5, repeat_penalty=1.5, frequency_penalty=0.3),
    ],
)
def test_the_device_draws_what_the_host_draws(weights: Weights, context: Context, sampling: Sampling) -> None:
    host = Sampler(sampling, weights.vocabulary, weights.n_ctx_train)
    expected = generate(context, {0: host})[0]
    device = DeviceSampler(sampling, weights.vocabulary, weights.n_ctx_train)
    assert device.attach(context.raw, 0)
    assert generate(context, {0: device})[0] == expected
    assert can_offload(sampling)
    host.free()
    device.free()


def test_the_token_is_drawn_in_the_graph_and_not_on_the_host(weights: Weights, context: Context) -> None:
    device = DeviceSampler(Sampling(temperature=0), weights.vocabulary, weights.n_ctx_train)
    assert device.attach(context.raw, 0)
    generate(context, {0: device}, count=1)
    assert device.on_device
    assert context.decode() == 0
    assert library().llama_get_sampled_token_ith(context.raw, 0) != NO_TOKEN
    device.detach()
    generate(context, {0: device}, count=1)
    assert context.decode() == 0
    assert library().llama_get_sampled_token_ith(context.raw, 0) == NO_TOKEN
    device.free()


def test_a_new_context_takes_over_in_the_middle(weights: Weights, context: Context) -> None:
    sampling = Sampling(seed=6)
    expected = generate(context, {0: Sampler(sampling, weights.vocabulary, weights.n_ctx_train)}, count=10)[0]
    device = DeviceSampler(sampling, weights.vocabulary, weights.n_ctx_train)
    small = Context(weights, EngineSettings(n_threads=1), 256)
    device.attach(small.raw, 0)
    begun = generate(small, {0: device}, count=4)[0]
    small.free()
    device.detach(context_gone=True)
    device.attach(context.raw, 0)
    context.drop(0)
    context.batch.clear()
    at = context.batch.add_run([5, 60, 70, *begun], 0, 0, logits="last")
    for position in range(7, 13):
        assert context.decode() == 0
        begun.append(device.draw(context.raw, at))
        context.batch.clear()
        at = context.batch.add_token(begun[-1], position, 0)
    assert begun == expected
    device.free()


def test_sequences_on_the_device_and_on_the_host_share_a_batch(weights: Weights, context: Context) -> None:
    greedy, drawn = Sampling(temperature=0), Sampling(seed=9)

    def host(sampling: Sampling) -> Sampler:
        return Sampler(sampling, weights.vocabulary, weights.n_ctx_train)

    expected = generate(context, {0: host(greedy), 1: host(drawn)})
    device = DeviceSampler(greedy, weights.vocabulary, weights.n_ctx_train)
    assert device.attach(context.raw, 0)
    assert generate(context, {0: device, 1: host(drawn)}) == expected
    device.free()


def test_a_chain_with_a_link_for_the_host_draws_the_same_there(weights: Weights, context: Context) -> None:
    sampling = Sampling(seed=4, typical_p=0.6)
    assert not can_offload(sampling)
    expected = generate(context, {0: Sampler(sampling, weights.vocabulary, weights.n_ctx_train)})[0]
    device = DeviceSampler(sampling, weights.vocabulary, weights.n_ctx_train)
    device.attach(context.raw, 0)
    assert generate(context, {0: device})[0] == expected
    assert device.on_device is False
    device.free()


@pytest.mark.parametrize(
    "options", [{"dry_multiplier": 0.8}, {"xtc_probability": 0.1}, {"typical_p": 0.9}, {"top_n_sigma": 1.0}]
)
def test_what_has_no_form_for_the_device_stays_on_the_host(options: dict[str, float]) -> None:
    assert not can_offload(Sampling(**options))


def test_freeing_twice_and_attaching_anew_are_fine(weights: Weights, context: Context) -> None:
    device = DeviceSampler(Sampling(seed=1), weights.vocabulary, weights.n_ctx_train)
    assert device.attach(context.raw, 0)
    assert device.attach(context.raw, 1)
    assert len(generate(context, {1: device}, count=3)[1]) == 3
    device.free()
    device.free()

"""Counts: exact where somebody knows the tokenizer, else an estimate that learns."""

from __future__ import annotations

import pytest

import workbench as wb
from workbench.endpoint import EndpointEngine
from workbench.endpoint.tokens import EstimatedTokens
from workbench.errors import UsageError
from workbench.interfaces import Message
from workbench.testing.mock_endpoint import MockEndpoint

CHAT = [Message.system("You are brief."), Message.user("Name a colour, please.")]


@pytest.fixture(scope="module")
def mock():
    with MockEndpoint("one two three") as server:
        yield server


@pytest.mark.parametrize("provider", ["vllm", "llama-server"])
@pytest.mark.parametrize("prompt", ["The capital of France is", CHAT, [5, 6, 7]])
def test_a_server_that_knows_its_tokenizer_counts_exactly(mock, provider, prompt):
    with EndpointEngine("m", provider=provider, base_url=mock.url) as engine:
        assert engine.counts_exact
        assert engine.count_tokens(prompt) == engine.complete(prompt).timings.prompt_tokens


def test_nobody_knows_the_tokenizer(mock):
    with EndpointEngine("m", base_url=mock.url) as engine:
        assert not engine.counts_exact
        assert engine.effective["counts_exact"] is False
        with pytest.raises(UsageError, match="tokenizer='…'"):
            engine.tokenize("a")
        with pytest.raises(UsageError):
            engine.detokenize([3])
        with pytest.raises(UsageError, match="no log-probabilities"):
            engine.score("a")


def test_an_estimate_learns_from_what_the_server_counts(mock):
    text = "Some words of a prompt, as many as it takes to tell. " * 8
    with EndpointEngine("m", base_url=mock.url) as engine:
        before = engine.count_tokens(text)
        truth = engine.complete_many([text] * 8)[0].timings.prompt_tokens
        after = engine.count_tokens(text)
    assert abs(after - truth) < abs(before - truth) or before == truth
    assert after == pytest.approx(truth, rel=0.1)


@pytest.mark.model
def test_an_estimate_is_near_for_english(smollm2):
    text = (
        "The mill by the river had not turned for years when Mira came back. She found the wheel broken, the door open "
        "and a letter on the table, addressed to nobody. It said: leave the key where you found it, and ask no one why."
    )
    with wb.load(smollm2, n_threads=1) as local, MockEndpoint("one") as mock:
        assert EstimatedTokens().count(text) == pytest.approx(len(local.tokenize(text)), rel=0.15)
        for tokenizer in (local, smollm2):
            with EndpointEngine("m", base_url=mock.url, tokenizer=tokenizer) as engine:
                assert engine.counts_exact
                assert engine.tokenize("a text") == local.tokenize("a text")
                assert engine.count_tokens(CHAT) == local.count_tokens(CHAT)
        assert local.complete("Hi", max_tokens=1).tokens, "an engine that was handed over is not closed"


def test_every_prompt_has_at_least_a_token():
    tokens = EstimatedTokens()
    assert tokens.count(" ") == 1
    assert tokens.count((1, 2, 3)) == 3
    assert tokens.count(tuple(CHAT)) > tokens.count(tuple(CHAT[:1])) > 0

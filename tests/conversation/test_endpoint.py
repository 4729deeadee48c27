"""A session over a server: turns, compression and recall with whatever the server tells of its tokens."""

import pytest

from workbench import ConversationSettings, EngineSettings, Session
from workbench.embedding.hashing import HashingEmbedder
from workbench.endpoint import EndpointEngine
from workbench.memory.hybrid import HybridMemory
from workbench.testing.mock_endpoint import MockEndpoint

MESSAGES, PROVIDERS = 24, ["openai", "vllm", "llama-server"]


def remote(server, provider, n_ctx=None):
    return EndpointEngine("mock", EngineSettings(n_ctx=n_ctx), provider=provider, base_url=server.url)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_conversation_longer_than_the_context_goes_on(provider):
    with MockEndpoint("The sea is wide and blue.", n_ctx=300) as server, remote(server, provider, 300) as engine:
        memory = HybridMemory(HashingEmbedder(64))
        short = ConversationSettings(answer_tokens=32)
        with Session(engine, system="Be kind.", memory=memory, settings=short) as session:
            turns = [session.send(f"Question {number} of the tide and the moon, please.") for number in range(MESSAGES)]
            session.flush()
    assert {turn.text for turn in turns} == {"The sea is wide and blue."}
    assert any(turn.compression is not None for turn in turns)
    assert any(turn.recalled for turn in turns)
    assert all(turn.completion.timings.prompt_tokens <= 300 for turn in turns)


def test_a_server_is_not_asked_to_count_while_there_is_room():
    with MockEndpoint("Yes.") as server, remote(server, "llama-server", 4096) as engine:
        with Session(engine) as session:
            for number in range(6):
                session.send(f"Question {number}?")
        paths = [asked.path for asked in server.requests]
    assert len([path for path in paths if path.endswith("chat/completions")]) == 6
    assert len(paths) <= 8, f"counting asked too: {paths}"

"""The engine's contract, kept by an endpoint over real sockets."""

from __future__ import annotations

import shutil
import weakref

import pytest

from workbench.endpoint import EndpointEngine
from workbench.engine.peers.process import ServerProcess
from workbench.engine.peers.program import program_path
from workbench.errors import ContextOverflow, UsageError
from workbench.interfaces import Message
from workbench.models import resolve
from workbench.settings import EngineSettings
from workbench.testing import EngineContract
from workbench.testing.mock_endpoint import MockEndpoint

STORY = " ".join(f"and then came the {number}th traveller, tired as the others," for number in range(80))


class EndpointContract(EngineContract):
    """An engine of this provider on a mock that tells a story."""

    provider = "vllm"

    def make(self):
        server = MockEndpoint(STORY, n_ctx=2048, latency_s=0.002, tokens_per_s=2000)
        settings = EngineSettings(n_ctx=2048)
        engine = EndpointEngine(
            "mock", settings, provider=self.provider, base_url=server.url, limits={"concurrency": 4}
        )
        weakref.finalize(engine, server.close)
        return engine


class TestVllm(EndpointContract):
    """Knows token ids, tokenizes and scores: the whole contract."""


class TestLlamaServer(EndpointContract):
    """Tokenizes, but names no generated tokens and scores no text."""

    provider = "llama-server"
    tells_tokens = names_tokens = False

    def test_scores_are_log_probabilities_of_the_texts_tokens(self, engine):
        with pytest.raises(UsageError, match="engine='tuned' to score"):
            engine.score("a text")

    test_scores_follow_the_chain_rule = None
    test_a_token_without_anything_before_it_has_no_probability = None
    test_scores_do_not_depend_on_other_calls = None


def start_llama_server():
    """The real one, with SmolLM2."""
    program, file = str(program_path("llama-server")), resolve("smollm2-135m")
    options = ("-m", str(file.path), "-c", "2048", "-np", "1", "-t", "1", "--no-webui", "--offline")
    return ServerProcess(lambda port: [program, *options, "--host", "127.0.0.1", "--port", str(port)])


def reach(server):
    url = f"http://127.0.0.1:{server.port}"
    return EndpointEngine("smollm2", EngineSettings(n_ctx=2048), provider="llama-server", base_url=url)


needs_llama_server = pytest.mark.skipif(shutil.which("llama-server") is None, reason="no llama-server on PATH")


@pytest.mark.soak
@pytest.mark.model
@needs_llama_server
class TestRealLlamaServer(TestLlamaServer):
    """The whole contract, kept by the real one."""

    long_tokens = 1500

    def make(self):
        server = start_llama_server()
        engine = reach(server)
        weakref.finalize(engine, server.stop)
        return engine


@pytest.fixture(scope="module")
def real():
    server = start_llama_server()
    with reach(server) as engine:
        yield engine
    server.stop()


@pytest.mark.model
@needs_llama_server
class TestRealLlamaServerInShort:
    """What the mock could get wrong together with the engine."""

    def test_it_streams_and_counts(self, real):
        chat = [Message.system("You are brief."), Message.user("Name a colour, naïvely 🙂.")]
        stream = real.stream(chat, max_tokens=12, temperature=0)
        chunks = list(stream)
        whole = real.complete(chat, max_tokens=12, temperature=0)
        assert "".join(chunk.text for chunk in chunks) == stream.completion.text == whole.text != ""
        assert sum(bool(chunk.text) for chunk in chunks) > 3, "token by token"
        assert real.count_tokens(chat) == whole.timings.prompt_tokens > whole.timings.cached_tokens > 0

    def test_it_tokenizes(self, real):
        text = "naïve café, 東京 🙂\n  x = 1"
        assert real.detokenize(real.tokenize(text)) == text
        assert real.complete(real.tokenize(text), max_tokens=1).timings.prompt_tokens == len(real.tokenize(text))

    def test_a_seed_repeats_and_a_grammar_binds(self, real):
        options = {"max_tokens": 8, "temperature": 1.5, "seed": 5, "cache_prompt": False}
        one, two = (real.complete("Once upon a time", **options).text for _ in range(2))
        assert one == two
        assert real.complete("Yes or no?", grammar='root ::= "yes" | "no"', max_tokens=8).text in ("yes", "no")
        for prompt in ("A number:", [Message.user("A number?")]):
            assert real.complete_json(prompt, {"type": "integer", "minimum": 0, "maximum": 9}, max_tokens=32) in range(
                10
            )

    def test_it_says_what_does_not_fit(self, real):
        with pytest.raises(ContextOverflow) as caught:
            real.complete("word " * 3000)
        assert caught.value.need_tokens > caught.value.have_tokens == 2048

    def test_cancel_frees_it(self, real):
        stream = real.stream("Once upon a time", max_tokens=1500, ignore_eos=True)
        next(stream)
        stream.cancel()
        assert list(stream)[-1].finish_reason == "cancelled"
        assert real.complete("Hi", max_tokens=2).text

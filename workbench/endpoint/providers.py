"""The servers that are known, and what each understands beyond OpenAI's common ground. Plain data.

Sources: the providers' API references; vLLM's OpenAI-compatible server; llama.cpp `tools/server/README.md`; Ollama's
and LM Studio's pages on OpenAI compatibility.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

from workbench.errors import UnknownName

TokenizerStyle = Literal["none", "llama-server", "vllm"]

_COMMON: Mapping[str, str] = MappingProxyType(
    {"temperature": "temperature", "top_p": "top_p", "frequency_penalty": "frequency_penalty"}
    | {"presence_penalty": "presence_penalty"}
)
_SEED = {"seed": "seed"}
_BIAS = {"logit_bias": "logit_bias"}
_VLLM = {"top_k": "top_k", "min_p": "min_p", "repeat_penalty": "repetition_penalty", "ignore_eos": "ignore_eos"}
_LLAMA = {
    name: name
    for name in (
        *("top_k", "min_p", "typical_p", "top_n_sigma", "repeat_penalty", "repeat_last_n", "dry_multiplier"),
        *("dry_base", "dry_allowed_length", "xtc_probability", "xtc_threshold", "ignore_eos"),
    )
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """What is known of a kind of server.

    Attributes:
        name: as in ``EndpointEngine(provider=…)``.
        base_url: where it usually is; ``None``: has to be given.
        key_env: environment variable of its key; sent to ``base_url`` only, unless named by the user.
        needs_key: nothing works without one.
        connections: most connections open at once, which also is the most requests under way.
        keepalive: of them kept open when idle …
        keepalive_s: … for so long: less than the server keeps them, or requests meet a closed door.
        sampling: field of :class:`~workbench.interfaces.Sampling` → its name there. What is missing is not understood.
        max_tokens: name of the token cap.
        completions: takes raw text (``/completions``); else a text is put as a single user message.
        token_prompts: takes token ids there.
        json_schema: takes ``response_format`` with a conversation.
        text_schema: field in which it takes a schema with raw text; ``None``: it would leave it unread.
        grammar: takes GBNF as ``grammar``.
        cache_prompt: takes ``cache_prompt``.
        usage_option: takes ``stream_options``; without it there is no usage in a stream, or it comes by itself.
        sends_done: ends streams with ``[DONE]``; one that does not is told to be whole by its ``finish_reason`` alone.
        token_ids: tells the ids of tokens (``return_token_ids``).
        echo: scores a given text (``echo`` with ``logprobs``).
        tokenizer: which tokenizer calls it has.
        health: path from its root that tells whether it is well; ``None``: the list of its models does.
        max_stops: most stop strings; ``None``: any number.
    """

    name: str
    base_url: str | None = None
    key_env: str | None = None
    needs_key: bool = False
    connections: int = 512
    keepalive: int = 256
    keepalive_s: float = 4.0
    sampling: Mapping[str, str] = field(default_factory=lambda: _COMMON)
    max_tokens: str = "max_tokens"
    completions: bool = True
    token_prompts: bool = False
    json_schema: bool = True
    text_schema: Literal["response_format", "json_schema"] | None = None
    grammar: bool = False
    cache_prompt: bool = False
    usage_option: bool = True
    sends_done: bool = True
    token_ids: bool = False
    echo: bool = False
    tokenizer: TokenizerStyle = "none"
    health: str | None = None
    max_stops: int | None = None


def _table(*providers: Provider) -> Mapping[str, Provider]:
    return MappingProxyType({provider.name: provider for provider in providers})


PROVIDERS = _table(
    Provider(
        name="openai",
        base_url="https://api.openai.com/v1",
        key_env="OPENAI_API_KEY",
        needs_key=True,
        keepalive_s=30.0,
        sampling=MappingProxyType({**_COMMON, **_SEED, **_BIAS}),
        max_tokens="max_completion_tokens",
        completions=False,
        max_stops=4,
    ),
    Provider(
        name="gemini",
        base_url="https://generativelanguage.googleapis.com/v1beta/openai",
        key_env="GEMINI_API_KEY",
        needs_key=True,
        keepalive_s=30.0,
        sampling=MappingProxyType({"temperature": "temperature", "top_p": "top_p"}),
        completions=False,
        sends_done=False,
        max_stops=5,
    ),
    Provider(
        name="perplexity",
        base_url="https://api.perplexity.ai",
        key_env="PERPLEXITY_API_KEY",
        needs_key=True,
        connections=128,
        keepalive=32,
        keepalive_s=30.0,
        sampling=MappingProxyType({**_COMMON, "top_k": "top_k"}),
        completions=False,
        usage_option=False,
        sends_done=False,
    ),
    Provider(
        name="vllm",
        base_url="http://127.0.0.1:8000/v1",
        key_env="VLLM_API_KEY",
        connections=1024,
        keepalive=512,
        sampling=MappingProxyType({**_COMMON, **_SEED, **_BIAS, **_VLLM}),
        token_prompts=True,
        text_schema="response_format",
        token_ids=True,
        echo=True,
        tokenizer="vllm",
        health="/health",
    ),
    Provider(
        name="llama-server",
        base_url="http://127.0.0.1:8080/v1",
        key_env="LLAMA_API_KEY",
        sampling=MappingProxyType({**_COMMON, **_SEED, **_BIAS, **_LLAMA}),
        token_prompts=True,
        text_schema="json_schema",
        grammar=True,
        cache_prompt=True,
        tokenizer="llama-server",
        health="/health",
    ),
    Provider(
        name="ollama",
        base_url="http://127.0.0.1:11434/v1",
        key_env="OLLAMA_API_KEY",
        sampling=MappingProxyType({**_COMMON, **_SEED}),
        keepalive_s=30.0,
    ),
    Provider(
        name="lmstudio",
        base_url="http://127.0.0.1:1234/v1",
        key_env="LMSTUDIO_API_KEY",
        sampling=MappingProxyType({**_COMMON, **_SEED, **_BIAS, "top_k": "top_k", "repeat_penalty": "repeat_penalty"}),
    ),
    Provider(name="compatible", sampling=MappingProxyType({**_COMMON, **_SEED})),
)
"""The known ones. "compatible" is any other server that speaks OpenAI's protocol: only common ground is asked of it."""


def find_provider(provider: str | Provider | None, *, elsewhere: bool) -> Provider:
    """The provider that is meant.

    Args:
        provider: its name, or one of your own; ``None``: "openai", or "compatible" where an address was given.
        elsewhere: an address was given.

    Raises:
        UnknownName: nobody knows it; lists the known ones.
    """
    if isinstance(provider, Provider):
        return provider
    name = provider or ("compatible" if elsewhere else "openai")
    if name not in PROVIDERS:
        raise UnknownName("provider", str(name), PROVIDERS, "Any other server: provider='compatible' with base_url.")
    return PROVIDERS[name]

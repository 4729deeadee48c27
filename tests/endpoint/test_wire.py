"""What is sent to whom, and what answers mean."""

from __future__ import annotations

import json

import pytest

from workbench.endpoint import PROVIDERS, failures, wire
from workbench.endpoint.body import body_of, chat_of, encoded, left_out
from workbench.endpoint.retrying import Retryable
from workbench.endpoint.secrets import Key
from workbench.errors import ContextOverflow, EndpointError, EndpointUnavailable, RateLimited, UsageError
from workbench.interfaces import Message, Request, Sampling


def body(provider, prompt="Hi", **options):
    return body_of(Request.of(prompt, **options), "m", PROVIDERS[provider])


# -- requests -----------------------------------------------------------------


@pytest.mark.parametrize("name", PROVIDERS)
def test_every_provider_takes_a_plain_conversation(name):
    made = body(name, [Message.user("Hi")], max_tokens=5, temperature=0.5)
    assert made["messages"] == [{"role": "user", "content": "Hi"}]
    assert (made["model"], made["stream"], made["temperature"]) == ("m", True, 0.5)
    assert made[PROVIDERS[name].max_tokens] == 5
    assert json.loads(encoded(made)) == made


def test_names_differ_by_provider():
    made = body("vllm", repeat_penalty=1.2, top_k=0, ignore_eos=True)
    assert (made["repetition_penalty"], made["top_k"], made["ignore_eos"]) == (1.2, -1, True)
    made = body("llama-server", repeat_penalty=1.2, top_k=0, grammar='root ::= "a"', cache_prompt=False)
    assert (made["repeat_penalty"], made["top_k"], made["cache_prompt"]) == (1.2, 0, False)
    assert made["grammar"] == 'root ::= "a"'
    assert body("openai", max_tokens=3)["max_completion_tokens"] == 3


def test_a_text_is_a_message_where_there_is_no_place_for_text():
    assert body("openai", "Hi")["messages"] == [{"role": "user", "content": "Hi"}]
    assert chat_of(Request.of("Hi"), PROVIDERS["openai"])
    assert not chat_of(Request.of("Hi"), PROVIDERS["vllm"])


def test_tool_messages_keep_their_fields():
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    messages = [
        Message.user("x"),
        Message("assistant", "", tool_calls=(call,)),
        Message("tool", "1", tool_call_id="c1"),
    ]
    sent = json.loads(encoded(body("openai", messages)))["messages"]
    assert sent[1] == {"role": "assistant", "content": "", "tool_calls": [call]}
    assert sent[2]["tool_call_id"] == "c1"


@pytest.mark.parametrize(
    ("provider", "prompt", "options"),
    [
        ("openai", [1, 2], {}),
        ("openai", "x", {"grammar": 'root ::= "a"'}),
        ("gemini", "x", {"logit_bias": {1: 1.0}}),
        ("openai", "x", {"ignore_eos": True}),
        ("openai", "x", {"stop": list("abcde")}),
        ("vllm", "x", {"priority": 1}),
    ],
)
def test_promises_nobody_can_keep_are_refused(provider, prompt, options):
    with pytest.raises(UsageError):
        body(provider, prompt, **options)


def test_a_schema_goes_where_it_is_read():
    schema = {"type": "integer"}
    chat = [Message.user("x")]
    for name in ("openai", "vllm", "llama-server", "compatible"):
        assert body(name, chat, json_schema=schema)["response_format"]["json_schema"]["schema"] == schema
    assert body("vllm", "x", json_schema=schema)["response_format"]["json_schema"]["schema"] == schema
    assert body("llama-server", "x", json_schema=schema)["json_schema"] == schema
    with pytest.raises(UsageError, match="with messages only"):
        body("compatible", "x", json_schema=schema)


def test_what_is_left_out_is_what_would_have_mattered():
    gemini = PROVIDERS["gemini"]
    assert left_out(Sampling(), gemini) == {"top_k": 40, "min_p": 0.05}
    assert left_out(Sampling(temperature=0), gemini) == {}
    assert left_out(Sampling(top_k=0, min_p=0.0, seed=3), gemini) == {"seed": 3}
    assert left_out(Sampling(dry_multiplier=0.8), PROVIDERS["llama-server"]) == {}


def test_a_lone_surrogate_does_not_stop_a_request():
    assert b"?" in encoded({"prompt": "a\ud800b"})


# -- answers ------------------------------------------------------------------


def test_usage_in_the_words_of_openai_and_of_llama_server():
    openai = {"prompt_tokens": 9, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 4}}
    assert wire.read_event(json.dumps({"choices": [], "usage": openai}).encode()).usage == wire.Usage(9, 4, 3)
    llama = {"usage": {"prompt_tokens": 9, "completion_tokens": 3}, "timings": {"cache_n": 5}, "choices": []}
    assert wire.read_event(json.dumps(llama).encode()).usage == wire.Usage(9, 5, 3)
    assert wire.read_event(b'{"choices": [], "usage": null}').usage is None


def test_a_thought_is_said_but_no_text():
    delta = wire.read_event(b'{"choices": [{"delta": {"reasoning_content": "hm"}, "finish_reason": null}]}')
    assert (delta.text, delta.generated) == ("", True)
    role = wire.read_event(b'{"choices": [{"delta": {"role": "assistant", "content": ""}}]}')
    assert not role.generated


@pytest.mark.parametrize(
    "data", [b"", b"{", b"[1]", b'"x"', b'{"choices": [3]}', b'{"choices": [{"delta": {"content": 3}}]}']
)
def test_what_is_no_event(data):
    with pytest.raises(wire.BadEvent):
        wire.read_event(data)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"error": {"message": "no"}}, "no"),
        ({"error": "no"}, "no"),
        ([{"error": {"message": "no"}}], "no"),
        ({"detail": "no"}, "no"),
    ],
)
def test_errors_in_the_shapes_that_servers_use(body, said):
    assert wire.error_text(body) == said


def refusal(status, body, headers=None):
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return failures.refusal(
        status, headers or {}, data, provider=PROVIDERS["openai"], key=Key("NO_SUCH_KEY"), model="m", url="http://x/v1"
    )


def test_what_refusals_mean():
    limited = refusal(429, {"error": {"message": "slow down"}}, {"retry-after": "3"})
    assert isinstance(limited, Retryable)
    assert (type(limited.error), limited.error.retry_after, limited.struck) == (RateLimited, 3.0, False)
    assert not limited.final
    for broke in (refusal(429, {"error": {"message": "…", "type": "insufficient_quota"}}), refusal(402, b"")):
        assert (broke.final, broke.struck) == (True, False), "never again there, but perhaps elsewhere"
    assert isinstance(refusal(503, b"<html>").error, EndpointUnavailable)
    assert refusal(500, b"").struck
    plain = refusal(422, {"detail": "temperature"})
    assert (type(plain), plain.status) == (EndpointError, 422)
    assert "'m'" in str(refusal(404, b""))


@pytest.mark.parametrize(
    ("status", "body", "numbers"),
    [
        (
            400,
            {"error": {"type": "exceed_context_size_error", "message": "…", "n_prompt_tokens": 50, "n_ctx": 20}},
            (50, 20),
        ),
        (400, {"error": {"message": "too long", "code": "context_length_exceeded"}}, None),
        (400, {"error": {"message": "bad temperature 100 or 200"}}, None),
    ],
)
def test_overflows_are_told_by_their_numbers(status, body, numbers):
    error = refusal(status, body)
    if numbers is None:
        assert type(error) is EndpointError
    else:
        assert isinstance(error, ContextOverflow)
        assert (error.need_tokens, error.have_tokens) == numbers


OPENAI = "This model's maximum context length is 4097 tokens. However, "
SHORTER = "Please reduce the length of the messages or completion"


@pytest.mark.parametrize(
    ("said", "numbers"),
    [
        (  # OpenAI
            f"{OPENAI}you requested 5000 tokens (3976 in the messages, 1024 in the completion). {SHORTER}.",
            (5000, 4097),
        ),
        (f"{OPENAI}your messages resulted in 10012 tokens. {SHORTER[:41]}.", (10012, 4097)),
        (  # vLLM
            f"{OPENAI}you requested 4296 tokens (4196 in the messages, 100 in the completion). {SHORTER}.",
            (4296, 4097),
        ),
        (f"{OPENAI}your request has 5000 input tokens. Please reduce the length of the input messages.", (5000, 4097)),
        (
            "'max_tokens' or 'max_completion_tokens' is too large: 9000. This model's maximum context length is 8192 "
            "tokens and your request has 20 input tokens (9000 > 8192 - 20).",
            (9020, 8192),
        ),
        (
            "You passed 4097 input tokens and requested 1 output tokens. However, the model's context length is only "
            "4096 tokens, resulting in a maximum input length of 4095 tokens. Please reduce the length of the input.",
            (4098, 4096),
        ),
        (
            "The decoder prompt (length 5000) is longer than the maximum model length of 4096. Make sure that "
            "`max_model_len` is no smaller than the number of text tokens.",
            (5000, 4096),
        ),
        (  # Mistral
            "Prompt contains 40000 tokens and 0 draft tokens, too large for model with 32768 maximum context length",
            (40000, 32768),
        ),
        (  # llama-server, without its fields
            "request (5011 tokens) exceeds the available context size (4096 tokens), try increasing it",
            (5011, 4096),
        ),
        ("The context window has 3 parts, of which 16 were given in request 2024.", None),
        ("maximum context length is 4096 tokens; gpt-35 of 2023", None),
    ],
)
def test_overflows_are_told_by_their_sentences(said, numbers):
    error = refusal(400, {"error": {"message": said, "type": "invalid_request_error"}})
    if numbers is None:
        assert type(error) is EndpointError
    else:
        assert (error.need_tokens, error.have_tokens) == numbers


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("stop", "stop"),
        ("tool_calls", "stop"),
        ("STOP", "stop"),
        ("length", "length"),
        ("abort", None),
        ("error", None),
    ],
)
def test_ends_that_nobody_has_heard_of_are_none(theirs, ours):
    assert wire.finish_reason(theirs) == ours

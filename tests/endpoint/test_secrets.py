"""Row 23: a key is in the request's header and nowhere else."""

from __future__ import annotations

import json
import logging
import traceback

import pytest

from workbench.endpoint import PROVIDERS, EndpointEngine, Provider, wire
from workbench.endpoint.secrets import Key, check_url, check_variable
from workbench.errors import AuthenticationFailed, EndpointError, StreamIncomplete, UsageError, WorkbenchWarning
from workbench.testing.mock_endpoint import Answer, Fault, MockEndpoint

SENTINEL = "k3y-5ent1nel-0123456789abcdef"
HALF = SENTINEL[:12]


@pytest.fixture
def key(monkeypatch):
    monkeypatch.setenv("MY_KEY", SENTINEL)
    return "MY_KEY"


def everything_said(error):
    """As a debugger would print it: every frame's locals, every cause and context."""
    seen, texts = error, []
    while seen is not None:
        texts += traceback.TracebackException.from_exception(seen, capture_locals=True).format()
        texts.append(repr(vars(seen)))
        seen = seen.__cause__ or seen.__context__
    return "".join(texts)


@pytest.mark.parametrize(
    "fault",
    [
        Fault("status", status=401),
        Fault("status", status=500),
        Fault("reset", after=0),
        Fault("reset", after=3),
        Fault("garbage", after=3),
        Fault("content_type"),
        Fault("stall", after=0),
    ],
    ids=lambda fault: f"{fault.kind}-{fault.status}-{fault.after}",
)
def test_the_key_is_nowhere_but_in_the_header(key, caplog, capsys, fault):
    caplog.set_level(logging.DEBUG)
    with MockEndpoint("one two three", api_key=SENTINEL) as mock:
        options = {"api_key_env": key, "retries": {"attempts": 2, "base_s": 0.001}, "read_s": 0.2}
        with EndpointEngine("mock", base_url=mock.url, **options) as engine:
            done = engine.complete("Hi")
            assert done.text == "one two three"
            mock.faults = [fault]
            with pytest.raises((EndpointError, StreamIncomplete)) as caught:
                engine.complete("Hi")
            said = [everything_said(caught.value), repr(engine), json.dumps(engine.effective), repr(done)]
            said += [repr(vars(engine)), repr(engine.stats), repr(engine.health())]
        assert mock.requests[0].headers["authorization"] == f"Bearer {SENTINEL}"
    out = capsys.readouterr()
    said += [caplog.text, *(repr(vars(record)) for record in caplog.records), out.out, out.err]
    assert caplog.records, "logging was on"
    assert not [text for text in said if SENTINEL in text]


def test_a_server_that_repeats_the_key_is_cleaned(key):
    assert Key(key).hide(f"Incorrect key: {SENTINEL}!") == "Incorrect key: [hidden]!"
    assert Key(None).hide("Incorrect key: sk-proj-abcdefgh12345678.") == "Incorrect key: [hidden]."
    assert Key(key).hide("a sketch of the task-force") == "a sketch of the task-force"


@pytest.mark.parametrize("name", ["api_key", "token", "headers", "Authorization"])
def test_a_key_as_an_argument_is_refused_without_repeating_it(name):
    with pytest.raises(UsageError, match="environment variable") as caught:
        EndpointEngine("m", base_url="http://127.0.0.1:1", **{name: SENTINEL})
    assert SENTINEL not in str(caught.value)


@pytest.mark.parametrize("value", ["sk-abc-123", SENTINEL, "", 3])
def test_a_key_in_place_of_a_variables_name(value):
    with pytest.raises(UsageError, match="NAME") as caught:
        check_variable(value)
    assert SENTINEL not in str(caught.value)


LIKE_NAMES = [
    "hf_AbCdEfGhIjKlMnOpQrStUv",
    "gsk_1a2b3c4d5e6f7g8h9i0j",
    "AIzaSyA1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p6Q",
    "xai_abcdefgh",
    "c0ffee" * 5,
    "AKIAIOSFODNN7EXAMPLE",
    "A" * 90,
]


@pytest.mark.parametrize("value", LIKE_NAMES)
def test_a_key_that_could_be_a_name_is_none_unless_it_is_set(monkeypatch, value):
    with pytest.raises(UsageError, match="NAME") as caught:
        EndpointEngine("m", base_url="http://127.0.0.1:1", api_key_env=value)
    assert value not in str(caught.value)
    monkeypatch.setenv(value, "x")
    assert check_variable(value) == value


@pytest.mark.parametrize("name", ["OPENAI_API_KEY", "MY_KEY_2", "HF_TOKEN", "my_key", "GSK_KEY", "K"])
def test_names_are_names(name):
    assert check_variable(name) == name


@pytest.mark.parametrize("bad", ["\x07", " ", "\n", "é", "\u200b", "\x7f"])
def test_a_key_that_no_header_can_hold_is_told_without_it_and_not_sent(monkeypatch, caplog, bad):
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("BAD_KEY", f"{HALF}{bad}{SENTINEL[12:]}")
    with (
        MockEndpoint("one") as mock,
        EndpointEngine("m", provider="vllm", base_url=mock.url, api_key_env="BAD_KEY") as engine,
    ):
        for ask in (lambda: engine.complete("Hi"), engine.models, engine.health, lambda: engine.count_tokens("Hi")):
            with pytest.raises(AuthenticationFailed, match="BAD_KEY") as caught:
                ask()
            said = everything_said(caught.value)
            assert HALF not in said
        assert mock.requests == []
        monkeypatch.setenv("BAD_KEY", f"  {SENTINEL}\n")
        assert engine.complete("Hi").text == "one", "white space around a key is forgiven"
    assert HALF not in caplog.text


@pytest.mark.parametrize("before", range(0, 520, 13))
def test_half_a_key_is_hidden_too(key, before):
    words = f"{'x' * before} {SENTINEL} {'y' * 600}"
    faults = [
        Fault("status", at=(0,), status=400, message=words),
        Fault("error_event", at=(1,), after=0, message=words),
    ]
    options = {"api_key_env": key, "retries": {"attempts": 1}}
    with MockEndpoint("one", faults=faults) as mock, EndpointEngine("m", base_url=mock.url, **options) as engine:
        for _ in faults:
            with pytest.raises(EndpointError) as caught:
                engine.complete("Hi")
            assert SENTINEL[:6] not in str(caught.value)


def test_a_server_that_names_the_key_as_its_reason_is_cleaned(key):
    with (
        MockEndpoint(Answer("one", finish_reason=SENTINEL)) as mock,
        EndpointEngine("m", base_url=mock.url, api_key_env=key) as engine,
        pytest.raises(StreamIncomplete, match=r"finish_reason='\[hidden\]'"),
    ):
        engine.complete("Hi")


def test_a_key_in_a_provider_of_ones_own():
    provider = Provider(name="mine", base_url="http://127.0.0.1:1/v1", key_env="hf_AbCdEfGhIjKl")
    with pytest.raises(UsageError, match="NAME"):
        EndpointEngine("m", provider=provider)


def test_half_a_key_in_an_event_that_is_none_is_hidden(key):
    data = json.dumps({"choices": [3], "x": "x" * 50 + SENTINEL}).encode()
    with pytest.raises(wire.BadEvent) as caught:
        wire.read_event(data)
    assert SENTINEL[:6] not in Key(key).quote(str(caught.value))
    assert len(Key(key).quote("a" * 10_000)) == 500


@pytest.mark.parametrize(
    "url",
    [f"http://user:{SENTINEL}@x/v1", f"http://{SENTINEL}@x", f"http://x/v1?key={SENTINEL}", f"http://x/#{SENTINEL}"],
)
def test_keys_in_addresses_are_refused_without_repeating_them(url):
    with pytest.raises(UsageError, match="Leave") as caught:
        check_url(url)
    assert SENTINEL not in str(caught.value)


def test_addresses_are_put_into_order():
    assert check_url("http://127.0.0.1:8080") == "http://127.0.0.1:8080/v1"
    assert check_url("https://x.example/api/v1/") == "https://x.example/api/v1"


def test_a_providers_key_does_not_go_elsewhere(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", SENTINEL)
    with MockEndpoint("one") as mock:
        for provider in ("openai", "compatible"):
            with EndpointEngine("m", provider=provider, base_url=mock.url) as engine:
                engine.complete("Hi")
                assert engine.effective["api_key_env"] is None
        assert not [one for one in mock.requests if "authorization" in one.headers]


def test_a_missing_key_is_told_before_anything_is_sent(monkeypatch):
    for name in ("openai", "gemini", "perplexity"):
        variable = PROVIDERS[name].key_env
        monkeypatch.delenv(variable, raising=False)
        with pytest.raises(AuthenticationFailed, match=f"{variable} is not set"):
            EndpointEngine("m", provider=name)
        monkeypatch.setenv(variable, SENTINEL)
        EndpointEngine("m", provider=name).close()


def test_a_wrong_key_names_its_variable(monkeypatch):
    monkeypatch.setenv("OTHER_KEY", "wrong")
    options = {"api_key_env": "OTHER_KEY"}
    with MockEndpoint("one", api_key=SENTINEL) as mock, EndpointEngine("m", base_url=mock.url, **options) as engine:
        with pytest.raises(AuthenticationFailed, match="OTHER_KEY holds a key it does not take"):
            engine.complete("Hi")
        monkeypatch.setenv("OTHER_KEY", SENTINEL)
        assert engine.complete("Hi").text == "one", "the variable is read when a request leaves"


def test_a_key_over_plain_http_is_told(key):
    with pytest.warns(WorkbenchWarning, match="unencrypted"):
        EndpointEngine("m", base_url="http://model.example.org/v1", api_key_env=key)

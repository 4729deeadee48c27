"""The mock endpoint says what it is told to and breaks as ordered, on real sockets."""

from __future__ import annotations

import asyncio
import errno
import itertools
import json
import re
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx
import jsonschema
import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from workbench.errors import InvalidSettings, UnknownName, UsageError
from workbench.testing import Answer, Fault, MockEndpoint
from workbench.testing.endpoint.minimal_json import minimal

HELLO = "Hello 👋 wörld, this is a longer answer."
CHAT = {"messages": [{"role": "user", "content": "hi"}]}


@pytest.fixture
def endpoint() -> Iterator[MockEndpoint]:
    with MockEndpoint(HELLO) as endpoint:
        yield endpoint


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    with httpx.Client(timeout=5) as client:
        yield client


def ask(client: httpx.Client, endpoint: MockEndpoint, path: str = "/chat/completions", **body: Any) -> httpx.Response:
    return client.post(endpoint.url + path, json={**CHAT, **body})


def raw(client: httpx.Client, endpoint: MockEndpoint, **body: Any) -> bytes:
    """A stream's bytes."""
    return ask(client, endpoint, stream=True, **body).content


def events(content: bytes) -> list[Any]:
    """Its events, read by the book: joined data lines, any line end, comments left out."""
    lines = re.split(r"\r\n|\n|\r", content.decode())
    found, data = [], []
    for line in lines:
        if line.startswith("data:"):
            data.append(line[5:].removeprefix(" "))
        elif not line and data:
            found.append("\n".join(data))
            data = []
    return [event if event == "[DONE]" else json.loads(event) for event in found]


def text_of(found: list[Any]) -> str:
    deltas = [choice["delta"] for event in found if event != "[DONE]" for choice in event.get("choices", [])]
    return "".join(delta.get("content") or "" for delta in deltas)


class TestAnswers:
    def test_a_stream_joined_is_the_whole(self, endpoint: MockEndpoint, client: httpx.Client) -> None:
        whole = ask(client, endpoint).json()
        stream = events(raw(client, endpoint, stream_options={"include_usage": True}))
        assert whole["choices"][0]["message"]["content"] == text_of(stream) == HELLO
        assert stream[-1] == "[DONE]"
        assert stream[-2]["usage"] == whole["usage"]
        assert stream[-3]["choices"][0]["finish_reason"] == "stop"

    def test_without_include_usage_there_is_none(self, endpoint: MockEndpoint, client: httpx.Client) -> None:
        assert not any("usage" in event for event in events(raw(client, endpoint))[:-1])

    @pytest.mark.parametrize("cap", [1, 3, 7])
    def test_the_cap_is_exact(self, endpoint: MockEndpoint, client: httpx.Client, cap: int) -> None:
        answer = ask(client, endpoint, max_tokens=cap).json()
        assert answer["usage"]["completion_tokens"] == cap
        assert answer["choices"][0]["finish_reason"] == "length"

    def test_a_stop_string_ends_it(self, endpoint: MockEndpoint, client: httpx.Client) -> None:
        choice = ask(client, endpoint, stop=["longer", "is a"]).json()["choices"][0]
        assert choice["message"]["content"] == HELLO[: HELLO.index("is a")]
        assert choice["finish_reason"] == "stop"

    def test_ignore_eos_goes_on_to_the_cap(self, endpoint: MockEndpoint, client: httpx.Client) -> None:
        answer = ask(client, endpoint, max_tokens=100, ignore_eos=True, return_token_ids=True).json()
        assert len(answer["choices"][0]["token_ids"]) == answer["usage"]["completion_tokens"] == 100

    def test_plain_completions_take_text_and_tokens(self, endpoint: MockEndpoint, client: httpx.Client) -> None:
        counts = []
        for prompt in ("one two three", [0, 5, 6]):
            answer = client.post(f"{endpoint.url}/completions", json={"prompt": prompt}).json()
            assert answer["choices"][0]["text"] == HELLO
            counts.append(answer["usage"]["prompt_tokens"])
        assert counts == [4, 3]

    def test_drawn_answers_are_the_same_for_the_same_prompt_and_seed(self, client: httpx.Client) -> None:
        def texts(**body: Any) -> list[str]:
            with MockEndpoint(seed=3) as endpoint:
                return [ask(client, endpoint, **body).json()["choices"][0]["message"]["content"] for _ in range(2)]

        assert texts(seed=1) == texts(seed=1)
        assert texts(seed=1) != texts(seed=2)
        assert texts(seed=1, temperature=0) == texts(seed=2, temperature=0)

    def test_lines_are_said_in_turn_and_functions_are_asked(self, client: httpx.Client) -> None:
        with MockEndpoint(["a", "b"]) as endpoint:
            said = [ask(client, endpoint).json()["choices"][0]["message"]["content"] for _ in range(3)]
        assert said == ["a", "b", "a"]
        with MockEndpoint(lambda body: body["messages"][-1]["content"].upper()) as endpoint:
            assert ask(client, endpoint).json()["choices"][0]["message"]["content"] == "HI"

    def test_tool_calls_come_whole_and_in_parts(self, client: httpx.Client) -> None:
        script = Answer("Let me see. ", tool_calls=(("look", {"where": "cellar"}), ("wait", {})), reasoning="hmm")
        with MockEndpoint(script) as endpoint:
            choice = ask(client, endpoint).json()["choices"][0]
            stream = events(raw(client, endpoint))
        assert choice["finish_reason"] == "tool_calls"
        assert choice["message"]["reasoning_content"] == "hmm"
        arguments = ["", ""]
        for event in stream[:-1]:
            for call in event["choices"][0]["delta"].get("tool_calls", []):
                arguments[call["index"]] += call["function"]["arguments"]
        assert [json.loads(part) for part in arguments] == [{"where": "cellar"}, {}]
        assert [call["function"]["arguments"] for call in choice["message"]["tool_calls"]] == arguments

    def test_log_probabilities_line_up_with_the_text(self, endpoint: MockEndpoint, client: httpx.Client) -> None:
        body = {"prompt": "a b c", "echo": True, "max_tokens": 0, "logprobs": 1}
        told = client.post(f"{endpoint.url}/completions", json=body).json()["choices"][0]
        found = told["logprobs"]
        assert found["token_logprobs"][0] is None
        assert all(value < 0 for value in found["token_logprobs"][1:])
        places = [*found["text_offset"], len(told["text"])]
        assert [told["text"][a:b] for a, b in itertools.pairwise(places)] == found["tokens"]

    def test_a_prompt_beyond_the_context_is_refused(self, client: httpx.Client) -> None:
        with MockEndpoint("x", n_ctx=3) as endpoint:
            answer = ask(client, endpoint)
        assert answer.status_code == 400
        assert answer.json()["code"] == "context_length_exceeded"

    def test_a_key_is_asked_for(self, client: httpx.Client) -> None:
        with MockEndpoint("x", api_key="sesame") as endpoint:
            assert ask(client, endpoint).status_code == 401
            client.headers["Authorization"] = "Bearer sesame"
            assert ask(client, endpoint).status_code == 200
            assert endpoint.requests[-1].headers["authorization"] == "Bearer sesame"
            assert "sesame" not in f"{endpoint!r} {endpoint.requests}"

    def test_the_tokenizer_counts_as_usage_does(self, endpoint: MockEndpoint, client: httpx.Client) -> None:
        root = endpoint.url.removesuffix("/v1")
        prompt = client.post(f"{root}/apply-template", json=CHAT).json()["prompt"]
        body = {"content": prompt, "add_special": True, "parse_special": True}
        tokens = client.post(f"{root}/tokenize", json=body).json()["tokens"]
        assert len(tokens) == ask(client, endpoint).json()["usage"]["prompt_tokens"]
        assert client.post(f"{root}/tokenize", json=CHAT).json()["count"] == len(tokens)
        words = client.post(f"{root}/tokenize", json={"content": HELLO}).json()["tokens"]
        assert client.post(f"{root}/detokenize", json={"tokens": words}).json()["content"] == HELLO

    def test_openais_paths_only(self, client: httpx.Client) -> None:
        with MockEndpoint("x", tokenizer=False) as endpoint:
            root = endpoint.url.removesuffix("/v1")
            assert client.post(f"{root}/tokenize", json={"content": "x"}).status_code == 404
            assert client.get(f"{root}/props").status_code == 404
            assert client.get(f"{endpoint.url}/models").json()["data"][0]["id"] == "mock"
            assert client.get(f"{root}/health").json() == {"status": "ok"}


class Room(BaseModel):
    name: str
    exits: list[str]
    dark: bool = False


class House(BaseModel):
    rooms: list[Room]
    height: float
    owner: Room | None


class TestJson:
    def test_an_answer_meets_its_schema(self, endpoint: MockEndpoint, client: httpx.Client) -> None:
        form = {"type": "json_schema", "json_schema": {"name": "house", "schema": House.model_json_schema()}}
        House.model_validate_json(text_of(events(raw(client, endpoint, response_format=form))))

    @settings(max_examples=60, deadline=None)
    @given(
        st.recursive(
            st.sampled_from(
                [
                    {"type": "string", "minLength": 3},
                    {"type": "integer", "minimum": 4},
                    {"type": "number", "exclusiveMinimum": 2},
                    {"type": "integer", "maximum": -5},
                    {"type": "integer", "minimum": 5, "multipleOf": 4},
                    {"enum": ["a", 1]},
                    {"const": None},
                    {"type": ["boolean", "null"]},
                    {"anyOf": [{"type": "string"}, {"type": "null"}]},
                ]
            ),
            lambda inner: st.one_of(
                st.builds(
                    lambda of: {"type": "object", "properties": of, "required": list(of)},
                    st.dictionaries(st.text(max_size=3), inner, max_size=3),
                ),
                st.builds(lambda of, n: {"type": "array", "items": of, "minItems": n}, inner, st.integers(0, 2)),
            ),
            max_leaves=6,
        )
    )
    def test_minimal_values_are_valid(self, schema: dict[str, Any]) -> None:
        jsonschema.validate(minimal(schema), schema)


class TestFaults:
    def test_a_status_comes_at_its_request_only(self, client: httpx.Client) -> None:
        fault = Fault("status", at=(1,), status=429, retry_after="1", headers={"x-note": "slow down"})
        with MockEndpoint("x", faults=[fault]) as endpoint:
            client.get(f"{endpoint.url}/models")  # another path does not count
            answers = [ask(client, endpoint) for _ in range(3)]
        assert [answer.status_code for answer in answers] == [200, 429, 200]
        assert answers[1].headers["retry-after"] == "1"
        assert answers[1].headers["x-note"] == "slow down"

    def test_probabilities_are_seeded(self, client: httpx.Client) -> None:
        def statuses(seed: int) -> list[int]:
            with MockEndpoint("x", faults=[Fault("status", probability=0.5)], seed=seed) as endpoint:
                return [ask(client, endpoint).status_code for _ in range(24)]

        assert statuses(1) == statuses(1) != statuses(2)
        assert set(statuses(1)) == {200, 500}

    @pytest.mark.parametrize("stream", [True, False])
    @pytest.mark.parametrize("kind", ["half_close", "reset", "bad_chunk"])
    def test_an_answer_breaks_off(self, client: httpx.Client, kind: Any, stream: bool) -> None:
        with MockEndpoint(HELLO, faults=[Fault(kind)]) as endpoint, pytest.raises(httpx.TransportError) as caught:
            ask(client, endpoint, stream=stream)
        expected = httpx.ReadError if kind == "reset" else httpx.RemoteProtocolError
        assert isinstance(caught.value, expected)

    @pytest.mark.parametrize("cut", ["between", "event", "character"])
    def test_an_unframed_half_close_looks_like_an_end(self, client: httpx.Client, cut: Any) -> None:
        with MockEndpoint(HELLO, faults=[Fault("half_close", cut=cut, framing="close")]) as endpoint:
            content = raw(client, endpoint)
        assert content.endswith(b"\n\n") == (cut == "between")
        if cut == "character":
            with pytest.raises(UnicodeDecodeError, match="unexpected end"):
                content.decode()

    def test_a_half_closed_connection_still_reads(self) -> None:
        with MockEndpoint(HELLO, faults=[Fault("half_close")]) as endpoint:
            body = json.dumps({**CHAT, "stream": True}).encode()
            head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
            with socket.create_connection(address(endpoint), timeout=5) as connection:
                connection.sendall(head.encode() + body)
                while connection.recv(65536):
                    pass
                assert endpoint.stats.open_connections == 1
                connection.sendall(b"still there")

    @pytest.mark.parametrize("kind", ["stall", "drip"])
    @pytest.mark.parametrize("stream", [True, False])
    def test_it_hangs_until_the_client_goes(self, client: httpx.Client, kind: Any, stream: bool) -> None:
        with MockEndpoint(HELLO, faults=[Fault(kind, seconds=0.01 if kind == "drip" else 0)]) as endpoint:
            body = {**CHAT, "stream": stream}
            give_up, pieces = time.monotonic() + 0.4, 0
            try:
                with client.stream("POST", f"{endpoint.url}/chat/completions", json=body, timeout=0.3) as response:
                    for _ in response.iter_raw():
                        pieces += 1
                        if time.monotonic() > give_up:
                            break
            except httpx.ReadTimeout:
                assert kind == "stall"
            assert (pieces > 5) == (kind == "drip")
            until(lambda: endpoint.stats.running == 0)
            assert endpoint.stats.broken == 1

    def test_a_slow_answer_is_late(self, client: httpx.Client) -> None:
        with (
            MockEndpoint("x", faults=[Fault("slow", at=(0,), seconds=5)]) as endpoint,
            pytest.raises(httpx.ReadTimeout),
        ):
            client.post(f"{endpoint.url}/chat/completions", json=CHAT, timeout=0.2)

    def test_ends_without_done_or_reason(self, client: httpx.Client) -> None:
        with MockEndpoint(HELLO, faults=[Fault("no_done", at=(0,)), Fault("no_finish", at=(1,))]) as endpoint:
            first, second = events(raw(client, endpoint)), events(raw(client, endpoint))
        assert first[-1] != "[DONE]"
        assert first[-1]["choices"][0]["finish_reason"] == "stop"
        assert second[-1] == "[DONE]"
        assert all(event["choices"][0]["finish_reason"] is None for event in second[:-1])

    def test_garbage_and_errors_in_the_stream(self, client: httpx.Client) -> None:
        with MockEndpoint(HELLO, faults=[Fault("garbage", at=(0,)), Fault("error_event", at=(1,))]) as endpoint:
            with pytest.raises(json.JSONDecodeError):
                events(raw(client, endpoint))
            failed = events(raw(client, endpoint))
        assert failed[-2]["error"]["code"] == 500

    @pytest.mark.parametrize(
        "kinds", [["comments"], ["crlf"], ["multiline"], ["pieces"], ["crlf", "multiline", "pieces"]]
    )
    def test_what_the_standard_allows_changes_no_text(self, client: httpx.Client, kinds: list[Any]) -> None:
        with MockEndpoint(HELLO, faults=[Fault(kind) for kind in kinds]) as endpoint:
            content = raw(client, endpoint)
        assert text_of(events(content)) == HELLO
        assert (b"\r\n" in content) == ("crlf" in kinds)
        assert (b": keep-alive" in content) == ("comments" in kinds)

    def test_a_huge_event_and_a_page_of_html(self, client: httpx.Client) -> None:
        with MockEndpoint(
            "a b", faults=[Fault("huge", at=(0,), size=300_000), Fault("content_type", at=(1,))]
        ) as endpoint:
            assert len(text_of(events(raw(client, endpoint)))) == 300_000 + 3
            page = ask(client, endpoint)
        assert page.status_code == 200
        assert page.headers["content-type"] == "text/html"

    def test_an_idle_connection_is_closed(self, client: httpx.Client) -> None:
        with MockEndpoint("x", faults=[Fault("close_idle", at=(0,))]) as endpoint:
            assert ask(client, endpoint).status_code == 200
            until(lambda: endpoint.stats.open_connections == 0)
            time.sleep(0.05)  # the client's end has to see it, too
            assert ask(client, endpoint).status_code == 200
            assert ask(client, endpoint).status_code == 200
            assert endpoint.stats.connections == 2

    def test_connections_are_refused_for_a_while(self) -> None:
        with MockEndpoint("x", faults=[Fault("refuse", at=(0,), seconds=0.3)]) as endpoint:
            port = address(endpoint)
            with httpx.Client() as client, pytest.raises(httpx.ReadError):
                ask(client, endpoint)
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(port)
            until(lambda: connects(port))
            assert address(endpoint) == port

    def test_refuse_drop_and_listen_by_hand(self, endpoint: MockEndpoint, client: httpx.Client) -> None:
        assert ask(client, endpoint).status_code == 200
        endpoint.refuse()
        assert ask(client, endpoint).status_code == 200, "A kept connection goes on."
        endpoint.drop()
        until(lambda: endpoint.stats.open_connections == 0)
        time.sleep(0.05)  # the client's end has to see it, too
        with pytest.raises(httpx.ConnectError):
            ask(client, endpoint)
        endpoint.listen()
        assert ask(client, endpoint).status_code == 200

    def test_bad_orders_are_refused(self) -> None:
        with pytest.raises(UnknownName, match="half_close"):
            Fault("half-close")  # type: ignore[arg-type]
        with pytest.raises(InvalidSettings):
            Fault("status", probability=2)
        with pytest.raises(InvalidSettings):
            Fault("stall", seconds=-1)


class TestServing:
    def test_many_at_once(self, endpoint: MockEndpoint) -> None:
        async def run() -> list[str]:
            async with httpx.AsyncClient(timeout=20, limits=httpx.Limits(max_connections=60)) as client:
                answers = [client.post(f"{endpoint.url}/chat/completions", json=CHAT) for _ in range(60)]
                return [answer.json()["choices"][0]["message"]["content"] for answer in await asyncio.gather(*answers)]

        assert asyncio.run(run()) == [HELLO] * 60
        assert endpoint.stats.requests == len(endpoint.requests) == endpoint.stats.whole == 60
        assert endpoint.stats.peak_connections > 1

    def test_tokens_come_at_their_rate(self, client: httpx.Client) -> None:
        with MockEndpoint(HELLO, tokens_per_s=50) as endpoint:
            request = client.build_request("POST", f"{endpoint.url}/chat/completions", json={**CHAT, "stream": True})
            lines = client.send(request, stream=True).iter_lines()
            times = [time.perf_counter() for line in lines if line]
        assert times[-1] - times[0] >= 0.7 * len(times) / 50

    def test_what_is_no_http_is_shown_the_door(self, endpoint: MockEndpoint) -> None:
        with socket.create_connection(address(endpoint), timeout=5) as connection:
            connection.sendall(b"\x16\x03\x01 this is no request\r\n\r\n")
            assert connection.recv(100) == b""

    def test_an_unread_answer_takes_no_memory(self) -> None:
        with MockEndpoint("x", faults=[Fault("drip", seconds=0)]) as endpoint:
            body = json.dumps({**CHAT, "stream": True}).encode()
            head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
            with socket.create_connection(address(endpoint), timeout=5) as connection:
                connection.sendall(head.encode() + body)
                assert connection.recv(10)

    def test_closing_twice_ends_the_thread(self) -> None:
        endpoint = MockEndpoint("x", faults=[Fault("stall")])
        with httpx.Client(timeout=0.2) as client, pytest.raises(httpx.ReadTimeout):
            ask(client, endpoint, stream=True)
        endpoint.close()
        endpoint.close()
        assert not any(thread.name == "mock-endpoint" for thread in threading.enumerate())

    def test_a_process_of_its_own_serves_the_same(self, client: httpx.Client) -> None:
        line = Answer("Hi 👋", tool_calls=(("look", {"x": 1}),))
        with MockEndpoint([line], faults=[Fault("status", at=(0,), status=503)], process=True) as endpoint:
            assert ask(client, endpoint).status_code == 503
            assert ask(client, endpoint).json()["choices"][0]["message"]["content"] == "Hi 👋"
            endpoint.faults = [Fault("status", at=(0,), status=401)]
            assert ask(client, endpoint).status_code == 401
            assert [asked.faults for asked in endpoint.requests] == [("status",), (), ("status",)]
            assert endpoint.stats.faults == {"status": 2}
            endpoint.refuse()
            endpoint.drop()
            with pytest.raises(httpx.TransportError):
                ask(client, endpoint)
            endpoint.listen()
            assert ask(client, endpoint).status_code == 200
            children = psutil.Process().children()
        assert not any(child.is_running() and "endpoint.process" in " ".join(child.cmdline()) for child in children)

    def test_a_function_cannot_go_to_another_process(self) -> None:
        with pytest.raises(UsageError, match="process=False"):
            MockEndpoint(lambda _: "x", process=True)


def address(endpoint: MockEndpoint) -> tuple[str, int]:
    url = httpx.URL(endpoint.url)
    assert url.port is not None
    return url.host, url.port


def connects(port: tuple[str, int]) -> bool:
    with socket.socket() as connection:
        return connection.connect_ex(port) in (0, errno.EISCONN)


def until(true: Any, within_s: float = 5.0) -> None:
    give_up = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < give_up
        time.sleep(0.01)

"""FAULTS rows 18, 19, 20 and 23 at the endpoint engine, over real sockets: what servers do, and where keys go."""

from __future__ import annotations

import asyncio
import dataclasses
import io
import json
import logging
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from email.utils import formatdate
from pathlib import Path
from typing import Any

import nbformat
import pytest

import workbench as wb
from workbench.dashboard import write_report
from workbench.endpoint import close_client
from workbench.errors import (
    AuthenticationFailed,
    DeadlineExceeded,
    EndpointError,
    EndpointUnavailable,
    RateLimited,
    StreamIncomplete,
    UsageError,
    WorkbenchError,
)
from workbench.interfaces import Engine
from workbench.sweep import Sweep
from workbench.telemetry.trace import Trace, tracing
from workbench.testing import Fault, MockEndpoint

TEXT = "The ferry 👋 crossed the fjörd at noon, and nobody on board knew the captain's real name. " * 3
QUICK = {"attempts": 4, "base_s": 0.01, "max_s": 0.05}
GENEROUS_S = 10.0
"""Bound of what has to end soon: far above what is expected, far below for ever."""

Ask = Callable[[Engine], str]


@pytest.fixture(autouse=True)
def _own_client() -> Iterator[None]:
    """No test meets connections or breakers of another."""
    yield
    close_client()


def reach(endpoint: MockEndpoint, **options: Any) -> Engine:
    """The engine, through the public face; waits between attempts are short."""
    return wb.load("mock", engine="endpoint", base_url=endpoint.url, **{"retries": QUICK, **options})


def whole(engine: Engine) -> str:
    return engine.complete("Tell me.", max_tokens=400).text


def streamed(engine: Engine) -> str:
    return "".join(chunk.text for chunk in engine.stream("Tell me.", max_tokens=400))


def awaited(engine: Engine) -> str:
    async def read() -> str:
        return "".join([chunk.text async for chunk in engine.astream("Tell me.", max_tokens=400)])

    return asyncio.run(read())


every_way = pytest.mark.parametrize("ask", [whole, streamed, awaited])


def completions(endpoint: MockEndpoint) -> list[float]:
    """When requests for a completion came in."""
    return [asked.at_s for asked in endpoint.requests if "completions" in asked.path]


class TestRefusals:
    """Row 18: statuses, Retry-After, the breaker."""

    @every_way
    @pytest.mark.parametrize("status", [408, 429, 500, 502, 503])
    def test_what_may_pass_is_tried_again(self, status: int, ask: Ask) -> None:
        with MockEndpoint(TEXT, faults=[Fault("status", at=(0, 1), status=status)]) as endpoint:
            with reach(endpoint) as engine:
                assert ask(engine) == TEXT
            assert len(completions(endpoint)) == 3

    @pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
    def test_what_will_not_pass_is_not(self, status: int) -> None:
        with MockEndpoint(TEXT, faults=[Fault("status", status=status)]) as endpoint:
            with reach(endpoint) as engine, pytest.raises(EndpointError) as caught:
                whole(engine)
            assert caught.value.status == status
            assert isinstance(caught.value, AuthenticationFailed) == (status in (401, 403))
            assert len(completions(endpoint)) == 1

    @pytest.mark.parametrize("status", [429, 503])
    @pytest.mark.parametrize("dated", [False, True])
    def test_retry_after_is_obeyed(self, status: int, dated: bool) -> None:
        wait = formatdate(time.time() + 2.5, usegmt=True) if dated else "1"  # a date has whole seconds only
        with MockEndpoint(TEXT, faults=[Fault("status", at=(0,), status=status, retry_after=wait)]) as endpoint:
            with reach(endpoint) as engine:
                assert whole(engine) == TEXT
            first, second = completions(endpoint)
            assert second - first >= 1.0

    @pytest.mark.parametrize("retry_after", ["99999999999", "1e308", formatdate(4e9, usegmt=True)])
    def test_an_absurd_retry_after_is_capped(self, retry_after: str) -> None:
        fault = Fault("status", at=(0,), status=503, retry_after=retry_after)
        retries = {**QUICK, "retry_after_max_s": 0.2}
        with MockEndpoint(TEXT, faults=[fault]) as endpoint:
            with reach(endpoint, retries=retries, deadline_s=GENEROUS_S) as engine:
                assert whole(engine) == TEXT
            first, second = completions(endpoint)
            assert second - first >= 0.2

    @pytest.mark.parametrize("retry_after", ["-5", "soon", "", "nan", "inf", "1 2", "Thu, 99 Foo 2099 99:99:99 GMT"])
    def test_a_retry_after_that_says_nothing_is_ignored(self, retry_after: str) -> None:
        fault = Fault("status", at=(0,), status=429, retry_after=retry_after)
        with MockEndpoint(TEXT, faults=[fault]) as endpoint, reach(endpoint, deadline_s=GENEROUS_S) as engine:
            assert whole(engine) == TEXT

    def test_a_wait_beyond_the_deadline_is_not_waited_for(self) -> None:
        with MockEndpoint(TEXT, faults=[Fault("status", status=429, retry_after="30")]) as endpoint:
            began = time.monotonic()
            with reach(endpoint, deadline_s=20.0) as engine, pytest.raises(RateLimited) as caught:
                whole(engine)
            assert time.monotonic() - began < GENEROUS_S
            assert caught.value.retry_after is not None
            assert len(completions(endpoint)) == 1

    def test_attempts_end(self) -> None:
        with MockEndpoint(TEXT, faults=[Fault("status", status=500)]) as endpoint:
            with reach(endpoint, breaker={"failures": 100}) as engine, pytest.raises(EndpointError) as caught:
                whole(engine)
            assert caught.value.status == 500
            assert len(completions(endpoint)) == QUICK["attempts"]

    def test_the_breaker_opens_tries_once_and_closes(self) -> None:
        with MockEndpoint(TEXT, faults=[Fault("status", status=500)]) as endpoint:
            retries = {**QUICK, "attempts": 1}
            with reach(endpoint, retries=retries, breaker={"failures": 3, "open_s": 0.5}) as engine:
                for _ in range(3):
                    with pytest.raises(EndpointError):
                        whole(engine)
                for _ in range(5):
                    with pytest.raises(EndpointUnavailable, match="breaker is open"):
                        whole(engine)
                assert len(completions(endpoint)) == 3, "An open breaker lets nothing through."
                time.sleep(0.6)
                with pytest.raises(EndpointError):
                    whole(engine)
                with pytest.raises(EndpointUnavailable, match="breaker is open"):
                    whole(engine)
                assert len(completions(endpoint)) == 4, "Half open, it lets one through, whose failure opens it again."
                endpoint.faults = []
                time.sleep(1.2)
                assert [whole(engine) for _ in range(3)] == [TEXT] * 3

    def test_quick_failures_among_slow_answers_do_not_open_it(self) -> None:
        """Sixty at once, a fifth of them fails before the first success has had time to come."""
        fault = Fault("status", at=range(0, 60, 5), status=500)
        with MockEndpoint(TEXT, latency_s=1.5, faults=[fault]) as endpoint, reach(endpoint) as engine:
            answers = engine.complete_many(["Tell me."] * 60, max_tokens=400)
            assert [answer.text for answer in answers] == [TEXT] * 60
            assert len(completions(endpoint)) == 72

    def test_with_many_under_way_a_dead_server_opens_it_all_the_same(self) -> None:
        with MockEndpoint(TEXT, faults=[Fault("status", status=500)]) as endpoint, reach(endpoint) as engine:
            with pytest.raises(EndpointError):
                engine.complete_many(["Tell me."] * 40)
            with pytest.raises(EndpointUnavailable, match="breaker is open"):
                whole(engine)

    def test_refused_requests_are_not_the_servers_fault(self) -> None:
        refused = Fault("status", at=tuple(range(12)), status=400)
        with (
            MockEndpoint(TEXT, faults=[refused]) as endpoint,
            reach(endpoint, breaker={"failures": 2, "open_s": 30}) as engine,
        ):
            for _ in range(12):
                with pytest.raises(EndpointError, match="400"):
                    whole(engine)
            assert whole(engine) == TEXT

    def test_a_server_that_is_gone_is_told_and_its_fallback_asked(self) -> None:
        with MockEndpoint("from the other") as other, MockEndpoint(TEXT) as endpoint:
            with reach(endpoint) as engine:
                assert whole(engine) == TEXT
                endpoint.refuse()
                endpoint.drop()
                with pytest.raises(EndpointUnavailable, match="run there"):
                    whole(engine)
            with reach(endpoint, fallback=[{"model": "mock", "base_url": other.url}]) as engine:
                assert whole(engine) == "from the other"

    def test_a_restart_on_the_same_port_is_survived(self) -> None:
        retries = {"attempts": 12, "base_s": 0.1, "max_s": 0.3}
        with (
            MockEndpoint(TEXT, faults=[Fault("refuse", at=(1,), seconds=0.5)]) as endpoint,
            reach(endpoint, retries=retries, breaker={"failures": 100}) as engine,
        ):
            assert [whole(engine) for _ in range(3)] == [TEXT] * 3

    @every_way
    @pytest.mark.parametrize("kind", ["half_close", "reset", "bad_chunk", "error_event"])
    def test_never_again_after_the_first_token(self, kind: Any, ask: Ask) -> None:
        with MockEndpoint(TEXT, faults=[Fault(kind, after=6)]) as endpoint:
            with reach(endpoint) as engine, pytest.raises(StreamIncomplete) as caught:
                ask(engine)
            assert caught.value.partial
            assert TEXT.startswith(caught.value.partial)
            assert len(completions(endpoint)) == 1

    @pytest.mark.parametrize("kind", ["half_close", "reset", "bad_chunk", "error_event"])
    def test_before_the_first_token_once_more_is_safe(self, kind: Any) -> None:
        with MockEndpoint(TEXT, faults=[Fault(kind, at=(0,), after=0)]) as endpoint:
            with reach(endpoint) as engine:
                assert streamed(engine) == TEXT
            assert len(completions(endpoint)) == 2


class TestSlow:
    """Row 19: a total deadline as well as a read timeout."""

    @every_way
    def test_a_dripping_answer_ends_with_the_deadline(self, ask: Ask) -> None:
        with MockEndpoint(TEXT, faults=[Fault("drip", after=6, seconds=0.05)]) as endpoint:
            began = time.monotonic()
            with reach(endpoint, read_s=5.0, deadline_s=1.0) as engine, pytest.raises(DeadlineExceeded) as caught:
                ask(engine)
            assert 1.0 <= time.monotonic() - began < GENEROUS_S
            assert caught.value.partial.startswith(TEXT[:10])
            until(lambda: endpoint.stats.running == 0, "the server is let go")

    @every_way
    def test_silence_ends_with_the_read_timeout(self, ask: Ask) -> None:
        with MockEndpoint(TEXT, faults=[Fault("stall", after=6)]) as endpoint:
            began = time.monotonic()
            with reach(endpoint, read_s=0.4, deadline_s=60.0) as engine, pytest.raises(StreamIncomplete) as caught:
                ask(engine)
            assert time.monotonic() - began < GENEROUS_S
            assert not isinstance(caught.value, DeadlineExceeded)
            assert TEXT.startswith(caught.value.partial)
            assert len(completions(endpoint)) == 1

    def test_a_late_first_byte_is_asked_for_again(self) -> None:
        with MockEndpoint(TEXT, faults=[Fault("slow", at=(0,), seconds=30)]) as endpoint:
            with reach(endpoint, read_s=0.4) as engine:
                assert whole(engine) == TEXT
            assert len(completions(endpoint)) == 2

    def test_keep_alive_comments_do_not_stretch_the_deadline(self) -> None:
        faults = [Fault("comments"), Fault("pieces")]
        with MockEndpoint(TEXT, tokens_per_s=4, faults=faults) as endpoint:
            with reach(endpoint, read_s=5.0, deadline_s=1.0) as engine, pytest.raises(DeadlineExceeded) as caught:
                streamed(engine)
            assert TEXT.startswith(caught.value.partial)

    def test_the_deadline_counts_attempts_and_waits(self) -> None:
        retries = {"attempts": 10_000, "base_s": 0.05, "max_s": 0.1, "budget_floor": 10_000}
        with MockEndpoint(TEXT, faults=[Fault("status", status=503)]) as endpoint:
            began = time.monotonic()
            engine = reach(endpoint, retries=retries, deadline_s=1.0, breaker={"failures": 100_000})
            with engine, pytest.raises(WorkbenchError):
                whole(engine)
            assert time.monotonic() - began < GENEROUS_S


class TestBrokenOff:
    """Row 20: half a stream is never taken for a whole one."""

    @every_way
    @pytest.mark.parametrize("framing", ["chunked", "close"])
    @pytest.mark.parametrize("cut", ["between", "event", "character"])
    def test_a_half_closed_stream(self, cut: Any, framing: Any, ask: Ask) -> None:
        with MockEndpoint(TEXT, faults=[Fault("half_close", after=3, cut=cut, framing=framing)]) as endpoint:
            with reach(endpoint) as engine, pytest.raises(StreamIncomplete) as caught:
                ask(engine)
            assert caught.value.partial
            assert TEXT.startswith(caught.value.partial), "All that is kept was said, character by character."
            until(lambda: endpoint.stats.open_connections == 0, "a broken connection is closed, not kept")

    @every_way
    @pytest.mark.parametrize("kind", ["no_done", "no_finish"])
    @pytest.mark.parametrize("framing", ["chunked", "close"])
    def test_an_end_without_its_mark(self, kind: Any, framing: Any, ask: Ask) -> None:
        with MockEndpoint(TEXT, faults=[Fault(kind, framing=framing)]) as endpoint:
            with reach(endpoint) as engine, pytest.raises(StreamIncomplete) as caught:
                ask(engine)
            assert caught.value.partial == TEXT

    def test_what_was_handed_out_is_the_partial_text(self) -> None:
        with MockEndpoint(TEXT, faults=[Fault("reset", after=20)]) as endpoint, reach(endpoint) as engine:
            stream, texts = engine.stream("Tell me."), []
            with pytest.raises(StreamIncomplete) as caught:
                texts.extend(chunk.text for chunk in stream)
            with pytest.raises(StreamIncomplete):
                _ = stream.completion
        assert caught.value.partial == "".join(texts) or caught.value.partial.startswith("".join(texts))

    @every_way
    def test_garbage_in_the_middle(self, ask: Ask) -> None:
        with MockEndpoint(TEXT, faults=[Fault("garbage", after=6)]) as endpoint:
            with reach(endpoint) as engine, pytest.raises(StreamIncomplete) as caught:
                ask(engine)
            assert TEXT.startswith(caught.value.partial)

    def test_a_large_event_is_read(self) -> None:
        with MockEndpoint(TEXT, faults=[Fault("huge", size=100_000)]) as endpoint, reach(endpoint) as engine:
            assert whole(engine).count("x") == 100_000

    def test_an_event_without_end_is_not_kept_in_memory(self) -> None:
        with MockEndpoint(TEXT, faults=[Fault("huge", after=6, size=40_000_000)]) as endpoint:
            with reach(endpoint) as engine, pytest.raises(StreamIncomplete) as caught:
                whole(engine)
            assert TEXT.startswith(caught.value.partial)

    def test_a_page_of_html_is_no_answer(self) -> None:
        with MockEndpoint(TEXT, faults=[Fault("content_type")]) as endpoint:
            with reach(endpoint) as engine, pytest.raises(EndpointError, match="base_url"):
                whole(engine)
            assert len(completions(endpoint)) == 1

    @every_way
    @pytest.mark.parametrize(
        "kinds", [["comments"], ["crlf"], ["multiline"], ["pieces"], ["crlf", "comments", "pieces"]]
    )
    def test_what_the_standard_allows_is_no_fault(self, kinds: list[Any], ask: Ask) -> None:
        with MockEndpoint(TEXT, faults=[Fault(kind) for kind in kinds]) as endpoint, reach(endpoint) as engine:
            assert ask(engine) == TEXT

    @pytest.mark.parametrize("seconds", [0.0, 0.02])
    def test_kept_connections_that_close_cost_no_request(self, seconds: float) -> None:
        with MockEndpoint(TEXT, faults=[Fault("close_idle", seconds=seconds)]) as endpoint:
            with reach(endpoint) as engine:
                assert [whole(engine) for _ in range(15)] == [TEXT] * 15
            assert endpoint.stats.broken == 0


KEYS = ["sk-sentinel0123456789abcdefXYZ", "Plain.Sentinel/4711+no=provider~shape"]
FAILURES = {
    "fine": [],
    "refused": [Fault("status", status=401)],
    "server error": [Fault("status", status=500)],
    "limited": [Fault("status", status=429, retry_after="0")],
    "reset": [Fault("reset", after=4)],
    "reset at once": [Fault("reset", after=0)],
    "half closed": [Fault("half_close", after=4)],
    "bad chunk": [Fault("bad_chunk", after=0)],
    "garbage": [Fault("garbage", after=4)],
    "page": [Fault("content_type")],
    "late": [Fault("slow", seconds=5)],
    "dripping": [Fault("drip", seconds=0.05)],
    "gone": [Fault("refuse", seconds=5)],
}


class TestKeys:
    """Row 23: the key is in the request and nowhere else."""

    @pytest.fixture(params=KEYS, ids=["shaped", "plain"])
    def key(self, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
        monkeypatch.setenv("SENTINEL_KEY", request.param)
        return request.param

    @pytest.fixture
    def logged(self) -> Iterator[io.StringIO]:
        """Everything that anybody logs, tracebacks included."""
        stream, root = io.StringIO(), logging.getLogger()
        handler = logging.StreamHandler(stream)
        handler.setFormatter(logging.Formatter("%(name)s %(message)s %(args)r"))
        names = ["httpx", "httpcore", "asyncio", "stamina", "workbench"]
        before = {name: logging.getLogger(name).level for name in ["", *names]}
        for name in before:
            logging.getLogger(name).setLevel(logging.DEBUG)
        root.addHandler(handler)
        yield stream
        root.removeHandler(handler)
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)

    @every_way
    def test_it_is_nowhere_whatever_goes_wrong(self, key: str, logged: io.StringIO, ask: Ask) -> None:
        seen: list[str] = []
        for faults in FAILURES.values():
            echoing = [dataclasses.replace(fault, message=f"Bearer {key} is wrong, {key}!") for fault in faults]
            with MockEndpoint(TEXT, api_key=key, faults=echoing) as endpoint:
                seen += self.one(endpoint, ask)
                assert all(asked.headers["authorization"] == f"Bearer {key}" for asked in endpoint.requests)
        seen.append(logged.getvalue())
        assert any("httpcore" in text for text in seen), "The loggers were heard."
        assert self.found(key, seen) == []

    def one(self, endpoint: MockEndpoint, ask: Ask) -> list[str]:
        """All that a request leaves behind in words."""
        engine = reach(endpoint, api_key_env="SENTINEL_KEY", read_s=0.5, deadline_s=1.0)
        trace, seen = Trace(), []
        try:
            with engine, tracing(trace):
                ask(engine)
                seen += [repr(engine.complete("Hi", max_tokens=2)), repr(engine.stream("Hi", max_tokens=2))]
        except WorkbenchError as error:
            seen += in_words(error)
        record = wb.record(
            {"n": 1}, info={"effective": engine.effective, "settings": dataclasses.asdict(engine.settings)}
        )
        return [*seen, repr(engine), repr(engine.stats), repr(vars(engine)), repr(trace), repr(record)]

    @staticmethod
    def found(key: str, texts: list[str]) -> list[str]:
        """Lines with the key, or with what a log or JSON would make of it."""
        shapes = {key, json.dumps(key)[1:-1], repr(key)[1:-1], key[-16:]}
        return [line for text in texts for line in text.splitlines() if any(shape in line for shape in shapes)]

    def test_it_is_not_taken_from_anywhere_but_the_environment(self, key: str) -> None:
        with MockEndpoint(TEXT) as endpoint:
            for options in ({"api_key": key}, {"headers": {"Authorization": key}}, {"api_key_env": key}):
                with pytest.raises(UsageError) as caught:
                    reach(endpoint, **options)
                assert key not in "".join(in_words(caught.value, own_frames=False))
            for url in (f"http://me:{key}@127.0.0.1:1/v1", f"http://127.0.0.1:1/v1?key={key}"):
                with pytest.raises(UsageError) as caught:
                    wb.load("mock", engine="endpoint", base_url=url)
                assert key not in str(caught.value)

    def test_it_goes_to_nobody_else(self, key: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("OPENAI_API_KEY", key)
        with MockEndpoint(TEXT) as endpoint, reach(endpoint) as engine:
            assert whole(engine) == TEXT
            assert "authorization" not in endpoint.requests[-1].headers

    @pytest.mark.parametrize("key", KEYS[1:], indirect=True, ids=["plain"])
    def test_it_is_in_no_notebook_ledger_or_report(self, key: str, tmp_path: Path) -> None:
        refusing = [Fault("status", status=401, message=f"{key} is no good")]
        with MockEndpoint(TEXT, api_key=key) as good, MockEndpoint(TEXT, api_key=key, faults=refusing) as bad:
            assert sweep_both(tmp_path, good.url, bad.url) == (1, 1)
            assert all(f"Bearer {key}" == asked.headers["authorization"] for asked in good.requests + bad.requests)
        written = [path for path in tmp_path.rglob("*") if path.is_file()]
        assert {".ipynb", ".html", ".sqlite"} <= {path.suffix for path in written}
        texts = {str(path): path.read_bytes().decode("utf-8", "replace") for path in written}
        assert [path for path, text in texts.items() if self.found(key, [text])] == []


CELL = """
import logging, sys
logging.basicConfig(level=logging.DEBUG, stream=sys.stdout)
import workbench as wb
engine = wb.load("mock", engine="endpoint", base_url=url, api_key_env="SENTINEL_KEY")
print(engine, engine.effective, vars(engine))
answer = engine.complete("Hi", max_tokens=3)
wb.record({"tokens": answer.timings.output_tokens}, info={"engine": engine.effective, "text": answer.text})
"""


def sweep_both(folder: Path, good: str, bad: str) -> tuple[int, int]:
    """A sweep over two endpoints, one of which fails, and the report on it: how many runs were done, and failed."""
    cells = [nbformat.v4.new_markdown_cell("# An endpoint"), nbformat.v4.new_code_cell("url = ''")]
    cells[1].metadata["tags"] = ["parameters"]
    nbformat.write(nbformat.v4.new_notebook(cells=[*cells, nbformat.v4.new_code_cell(CELL)]), folder / "one.ipynb")
    parts = {"name": "keys", "notebook": "one.ipynb", "parameters": {"url": [good, bad]}, "blocks": 1}
    spec = folder / "keys.yaml"
    spec.write_text(json.dumps({**parts, "objectives": [{"metric": "tokens", "direction": "maximize"}]}))
    analysis = Sweep.from_file(spec).run(progress=False)
    write_report(analysis, folder / "report.html")
    return analysis.audit.done, len(analysis.audit.failures)


def in_words(error: BaseException, *, own_frames: bool = True) -> list[str]:
    """An error as everybody may print it: text, repr, attributes, its chain, and tracebacks with local variables."""
    texts = [str(error), repr(error), repr(vars(error))]
    if own_frames:
        texts.append("".join(traceback.TracebackException.from_exception(error, capture_locals=True).format()))
    else:
        texts.append("".join(traceback.format_exception(error)))
    for other in (error.__cause__, error.__context__):
        if other is not None:
            texts += in_words(other, own_frames=own_frames)
    return texts


def until(true: Callable[[], bool], what: str) -> None:
    give_up = time.monotonic() + GENEROUS_S
    while not true():
        assert time.monotonic() < give_up, what
        time.sleep(0.01)


@pytest.mark.soak
def test_two_thousand_requests_leave_nothing_behind() -> None:
    """Mixed faults, many at once: every request ends, and connections, tasks, threads and memory come back."""
    from workbench.hardware import rss_bytes

    kinds: list[Any] = ["status", "reset", "half_close", "bad_chunk", "garbage", "error_event", "no_done", "close_idle"]
    kinds += ["stall", "comments", "crlf"]
    faults = [Fault(kind, probability=0.03, after=4) for kind in kinds]
    faults.append(Fault("drip", probability=0.03, after=4, seconds=0.02))
    threads = threading.active_count()
    with MockEndpoint(TEXT, process=True, faults=faults, keep_requests=10) as endpoint:
        engine = reach(
            endpoint, read_s=2.0, deadline_s=8.0, breaker={"failures": 10**6}, retries={**QUICK, "budget": 1.0}
        )
        with engine:
            sizes = []
            for _ in range(10):
                ended = asyncio.run(mixture(engine, 200))
                assert len(ended) == 200
                assert set(ended) <= {"whole", "left", "StreamIncomplete", "DeadlineExceeded", "EndpointError"}
                assert ended.count("whole") >= 100
                sizes.append(rss_bytes())
            until(lambda: endpoint.stats.running == 0, "no request runs on")
            assert engine.stats.state == "idle"
        close_client()
        until(lambda: endpoint.stats.open_connections == 0, "every connection is closed")
    until(lambda: threading.active_count() <= threads, "every thread has ended")
    assert sizes[-1] - sizes[2] < 32 * 2**20, sizes


async def mixture(engine: Engine, requests: int) -> list[str]:
    """How each of many requests ended; one in ten is left in the middle."""
    places = asyncio.Semaphore(50)

    async def one(number: int) -> str:
        async with places:
            stream = engine.astream("Tell me.", max_tokens=400)
            try:
                async for _ in stream:
                    if number % 10 == 0:
                        return "left"
            except WorkbenchError as error:
                return type(error).__name__
            finally:
                await stream.aclose()  # type: ignore[attr-defined]
            return "whole"

    return await asyncio.gather(*(one(number) for number in range(requests)))

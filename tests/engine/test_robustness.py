"""What one request, one listener or one interrupt does wrong stays with it; each of these once brought others down."""

from __future__ import annotations

import asyncio
import gc
import multiprocessing
import queue
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from workbench.engine import BaselineEngine, TunedEngine
from workbench.engine import template as room
from workbench.engine.native import context
from workbench.engine.template import ChatTemplate
from workbench.errors import ContextOverflow, EngineClosed, InvalidSettings, OutOfMemory
from workbench.interfaces import Engine, Message, Request
from workbench.settings import EngineSettings

GREEDY = {"temperature": 0.0, "ignore_eos": True}


def make(path: Path, **settings: object) -> TunedEngine:
    return TunedEngine(path, EngineSettings.from_mapping({"n_threads": 1, **settings}))


@pytest.fixture(params=["tuned", "baseline"])
def engine(tiny: Path, request: pytest.FixtureRequest) -> Iterator[Engine]:
    kind = TunedEngine if request.param == "tuned" else BaselineEngine
    with kind(tiny, EngineSettings(n_ctx=4096, n_threads=1)) as made:
        yield made


BAD_REQUESTS: list[tuple[Any, dict[str, Any]]] = [
    ([10**6], {}),
    ([-1], {}),
    ([2**31], {}),
    ("a", {"logit_bias": {"5": 1.0}}),
    ("a", {"top_k": "5"}),
    ("a", {"top_k": 2.5}),
    ("a", {"seed": 1.5}),
    ("a", {"repeat_penalty": float("nan")}),
    ("a", {"priority": "x"}),
    ("a", {"priority": None}),
]


@pytest.mark.parametrize(("prompt", "options"), BAD_REQUESTS)
def test_a_bad_request_is_refused_and_a_running_stream_goes_on(engine: Engine, prompt: Any, options: Any) -> None:
    stream = engine.stream("abc", max_tokens=200, temperature=0, logit_bias={0: -1.0})
    next(stream)
    with pytest.raises(InvalidSettings):
        engine.complete(prompt, max_tokens=2, **options)
    for _ in stream:
        pass
    assert len(stream.completion.tokens) == 200


@pytest.mark.parametrize("tokens", [[10**6], [-1]])
def test_ids_that_are_no_tokens_do_not_abort_the_process(engine: Engine, tokens: list[int]) -> None:
    with pytest.raises(InvalidSettings, match="no token of this model"):
        engine.detokenize(tokens)
    with pytest.raises(InvalidSettings, match="no token of this model"):
        engine.score(tokens)


def test_a_window_of_two_billion_tokens_allocates_none_of_them(tiny: Path) -> None:
    with make(tiny, n_ctx=512) as engine:
        wide = engine.complete("abab", max_tokens=8, repeat_penalty=1.5, repeat_last_n=2**31 - 1, **GREEDY)
        whole = engine.complete("abab", max_tokens=8, repeat_penalty=1.5, repeat_last_n=-1, **GREEDY)
    assert wide.tokens == whole.tokens


def test_a_request_made_by_hand_is_put_into_shape() -> None:
    request = Request(prompt=[{"role": "user", "content": "hi"}], stop="the")  # type: ignore[arg-type]
    assert request.prompt == (Message.user("hi"),)
    assert request.stop == ("the",)


def test_a_context_that_cannot_be_made_fails_its_own_request_only(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = context.check_fits

    def small_machine(file: Any, settings: Any, n_ctx: int, **more: Any) -> None:
        if n_ctx > 4096:
            raise OutOfMemory("it", 2, 1, "Lower n_ctx.")
        real(file, settings, n_ctx, **more)

    monkeypatch.setattr(context, "check_fits", small_machine)
    with make(tiny) as engine:
        first = engine.stream("abc", max_tokens=300, **GREEDY)
        next(first)
        large, small = engine.stream("x" * 6000, max_tokens=2), engine.stream("abc", max_tokens=2, **GREEDY)
        with pytest.raises(OutOfMemory):
            list(large)
        assert [list(stream)[-1].finish_reason for stream in (first, small)] == ["length", "length"]


def test_a_failing_listener_costs_its_own_request_only(tiny: Path) -> None:
    def refuses(event: object) -> None:
        raise RuntimeError("no loop any more")

    with make(tiny, n_ctx=4096, n_seq_max=2) as engine:
        lost = engine._submit(Request.of("abc", max_tokens=3000, **GREEDY), refuses)
        assert len(engine.complete("def", max_tokens=20, **GREEDY).tokens) == 20
        assert lost.wait().finish_reason == "cancelled"


def test_open_ended_requests_have_room_whatever_the_share_of_a_sequence(tiny: Path) -> None:
    with make(tiny, n_ctx=4096, n_seq_max=4) as engine:
        assert len(engine.complete("x" * 2000, **GREEDY).tokens) >= 1024


def test_an_open_context_has_room_for_all_its_sequences_at_once(tiny: Path) -> None:
    with make(tiny, n_seq_max=4) as engine:
        engine.complete_many(["abc"] * 4, max_tokens=900, **GREEDY)
        assert engine.stats.steps < 2 * 900


@pytest.mark.parametrize("setting", [{"repack": False}, {"kv_unified": False}, {"split_mode": "row"}])
def test_the_baseline_refuses_what_it_would_ignore(tiny: Path, setting: dict[str, Any]) -> None:
    with pytest.raises(InvalidSettings, match=f"no {next(iter(setting))}"):
        BaselineEngine(tiny, EngineSettings.from_mapping(setting))


def test_the_baseline_heeds_the_penalty_window(tiny: Path) -> None:
    with BaselineEngine(tiny, EngineSettings(n_ctx=512, n_threads=1)) as engine:
        options = {"max_tokens": 40, "temperature": 0, "repeat_penalty": 3.0}
        texts = {engine.complete("abcabcabc", repeat_last_n=n, **options).tokens for n in (1, 200)}
    assert len(texts) == 2


def test_a_long_chat_in_an_open_context_keeps_its_prefix(tiny: Path) -> None:
    with make(tiny) as engine:
        engine.complete("x" * 15_800, max_tokens=1)
        again = engine.complete("x" * 15_800 + "y", max_tokens=5000)
        assert again.timings.cached_tokens > 15_000


def test_an_open_context_with_split_kv_holds_what_was_promised(tiny: Path) -> None:
    with make(tiny, n_seq_max=4, kv_unified=False) as engine:
        assert len(engine.complete("x" * 1500, max_tokens=20, **GREEDY).tokens) == 20


def test_complete_many_cancels_what_it_began_when_a_later_prompt_is_refused(tiny: Path) -> None:
    with make(tiny, n_ctx=4096) as engine:
        with pytest.raises(ContextOverflow):
            engine.complete_many(["abc", "x" * 9000], max_tokens=3500, **GREEDY)
        engine.complete("abc", max_tokens=1)
        assert engine.stats.output_tokens < 3500


def test_a_stream_keeps_its_engine(tiny: Path) -> None:
    def stream() -> Any:
        return make(tiny, n_ctx=1024).stream("abc", max_tokens=100, **GREEDY)

    chunks = stream()
    next(chunks)
    gc.collect()
    assert list(chunks)[-1].finish_reason == "length"


def test_a_context_too_small_for_its_sequences_is_refused() -> None:
    with pytest.raises(InvalidSettings, match="leaves no token for each of 16 sequences"):
        EngineSettings(n_ctx=8, n_seq_max=16)


def test_an_interrupted_render_never_answers_the_next_one(monkeypatch: pytest.MonkeyPatch) -> None:
    template = ChatTemplate("{{ messages[0].content }}")
    template.render([Message.user("start the child")])

    class Interrupted(queue.SimpleQueue):  # type: ignore[type-arg]
        def get(self, *args: Any, **options: Any) -> Any:
            time.sleep(0.1)  # the answer arrives
            raise KeyboardInterrupt

    # undone before the next render, which starts a child with a queue of its own
    with monkeypatch.context() as patch:
        patch.setattr(room._renderer, "_answers", Interrupted())
        with pytest.raises(KeyboardInterrupt):
            template.render([Message.user("SECRET of conversation 1")])
    assert template.render([Message.user("conversation 2")]) == "conversation 2"


def test_async_calls_leave_the_loop_alone_while_a_template_renders(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []

    def slow(self: ChatTemplate, messages: Any, **options: Any) -> str:
        time.sleep(0.3)
        order.append("rendered")
        return "hi"

    async def main(engine: TunedEngine) -> None:
        async def tick() -> None:
            await asyncio.sleep(0.05)
            order.append("tick")

        ticking = asyncio.create_task(tick())
        await engine.acomplete([Message.user("hi")], max_tokens=1)
        await ticking

    monkeypatch.setattr(ChatTemplate, "render", slow)
    with make(tiny) as engine:
        asyncio.run(main(engine))
    assert order == ["tick", "rendered"]


@pytest.mark.parametrize("kind", [TunedEngine, BaselineEngine])
def test_after_close_everything_says_so(tiny: Path, kind: Any) -> None:
    engine = kind(tiny, EngineSettings(n_ctx=256, n_threads=1))
    engine.close()
    for use in (lambda: engine.score("abc"), lambda: engine.count_tokens("abc"), lambda: engine.count_tokens([5])):
        with pytest.raises(EngineClosed):
            use()


def _in_a_fork(engine: TunedEngine, answers: Any) -> None:
    try:
        engine.complete("abc", max_tokens=1)
    except EngineClosed as error:
        answers.put(str(error))
    answers.put(ChatTemplate("{{ messages | length }}").render([Message.user("x")]))


@pytest.mark.skipif(sys.platform != "linux", reason="fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # forking with threads is what this is about
def test_a_forked_child_is_told_instead_of_hanging(tiny: Path) -> None:
    ChatTemplate("{{ messages }}").render([Message.user("the parent's child is up")])
    fork = multiprocessing.get_context("fork")
    with make(tiny) as engine:
        answers = fork.Queue()
        child = fork.Process(target=_in_a_fork, args=(engine, answers))
        child.start()
        try:
            assert "forked" in answers.get(timeout=30)
            assert answers.get(timeout=60) == "1"
        finally:
            child.kill()
            child.join()


EXIT = """
import sys
from workbench.engine import {kind}
from workbench.settings import EngineSettings
engine = {kind}(sys.argv[1], EngineSettings(n_ctx=16000, n_threads=1))
stream = engine.stream("abc", max_tokens=15000, temperature=0, logit_bias={{0: -1.0}})
print(len(next(stream).text))
"""


@pytest.mark.parametrize("kind", ["TunedEngine", "BaselineEngine"])
def test_the_interpreter_leaves_without_waiting_for_a_long_answer(tiny: Path, kind: str) -> None:
    code = EXIT.format(kind=kind)
    done = subprocess.run([sys.executable, "-c", code, tiny], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "1"

"""The contract of :class:`workbench.interfaces.Engine`: generating. The rest of it is in ``engine_api``."""
# ruff: noqa: D102, S101 - these are tests: they assert, and their names say what they show

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from workbench.errors import ContextOverflow, EngineClosed, InvalidSettings, StreamIncomplete, UnknownName
from workbench.interfaces import Completion, Engine, Message, Request, Stream
from workbench.testing.contracts.engine_api import EngineApiContract
from workbench.testing.contracts.threads import DEADLINE_S, at_once


class EngineContract(EngineApiContract):
    """Inherit and override :meth:`make`; every sentence of the engine's contract becomes a test.

    Attributes:
        prompt: something the engine has more than 24 tokens to say to.
        long_tokens: a request of that many tokens takes long enough to be stopped in the middle.
        tells_tokens: chunks say which tokens they have.
        names_tokens: completions say which tokens they have; else only how many.
    """

    # -- a stream and its whole ---------------------------------------------------------------------------------------

    def test_a_stream_joined_is_the_completion(self, engine: Engine) -> None:
        stream = engine.stream(self.prompt, **self.greedy)
        chunks = list(stream)
        whole = engine.complete(self.prompt, **self.greedy)
        assert "".join(chunk.text for chunk in chunks) == stream.completion.text, "Chunks joined are completion.text."
        assert stream.completion.text == whole.text, "With temperature 0, stream and complete give the same text."
        assert stream.completion.tokens == whole.tokens, "With temperature 0, stream and complete give the same tokens."

    def test_chunks_carry_all_tokens_and_one_reason(self, engine: Engine) -> None:
        stream = engine.stream(self.prompt, **self.greedy)
        chunks = list(stream)
        tokens = tuple(itertools.chain.from_iterable(chunk.tokens for chunk in chunks))
        expected = stream.completion.tokens if self.tells_tokens else ()
        assert tokens == expected, "The chunks' tokens joined are completion.tokens, or there are none."
        reasons = [chunk.finish_reason for chunk in chunks]
        assert reasons[:-1] == [None] * (len(chunks) - 1), "Only the last chunk has a finish_reason."
        assert reasons[-1] == stream.completion.finish_reason, "The last chunk has the completion's finish_reason."
        times = [chunk.at_ms for chunk in chunks]
        assert times == sorted(times), "Chunks come in order of time."
        assert times[0] >= 0, "at_ms counts from the request."

    def test_a_stream_stays_at_its_end(self, engine: Engine) -> None:
        stream = engine.stream(self.prompt, max_tokens=2, temperature=0)
        list(stream)
        with pytest.raises(StopIteration):
            next(stream)

    def test_there_is_no_completion_before_the_end(self, engine: Engine) -> None:
        stream = self.long_stream(engine)
        next(stream)
        with pytest.raises(StreamIncomplete) as caught:
            _ = stream.completion
        stream.cancel()
        rest = "".join(chunk.text for chunk in stream)
        assert stream.completion.text.startswith(caught.value.partial), "StreamIncomplete carries the partial text."
        assert stream.completion.text.endswith(rest), "Asking too early does not disturb the stream."

    # -- where a text ends --------------------------------------------------------------------------------------------

    @pytest.mark.parametrize("cap", [1, 2, 7])
    def test_the_token_cap_is_exact(self, engine: Engine, cap: int) -> None:
        completion = engine.complete(self.prompt, max_tokens=cap, ignore_eos=True, temperature=0)
        assert self.length(completion) == cap, "max_tokens is an exact cap on generated tokens."
        assert completion.finish_reason == "length", "An answer that reached its cap ends with 'length'."

    def test_a_stop_string_ends_the_text_and_is_no_part_of_it(self, engine: Engine) -> None:
        full = engine.complete(self.prompt, **self.greedy).text
        stop = full[len(full) // 2 : len(full) // 2 + 3]
        assert stop, "The contract's prompt must make the engine say something: override `prompt`."
        for completion in (engine.complete(self.prompt, stop=stop, **self.greedy), self.streamed(engine, stop)):
            assert completion.text == full[: full.index(stop)], "The text ends before the first stop string."
            assert completion.finish_reason == "stop", "A stop string ends with 'stop'."

    def test_the_first_of_several_stop_strings_counts(self, engine: Engine) -> None:
        full = engine.complete(self.prompt, **self.greedy).text
        stops = [full[-2:], full[len(full) // 3 : len(full) // 3 + 2]]
        text = engine.complete(self.prompt, stop=stops, **self.greedy).text
        assert text == full[: min(full.index(stop) for stop in stops)], "Whichever stop string comes first ends it."

    def streamed(self, engine: Engine, stop: str) -> Completion:
        """The completion of a stream, read to its end."""
        stream = engine.stream(self.prompt, stop=stop, **self.greedy)
        text = "".join(chunk.text for chunk in stream)
        assert stop not in text, "No chunk may hand out a stop string, or a part of it."
        return stream.completion

    # -- stopping in the middle ---------------------------------------------------------------------------------------

    def test_cancel_ends_the_stream_with_what_there_is(self, engine: Engine) -> None:
        stream = self.long_stream(engine)
        texts = [next(stream).text]
        stream.cancel()
        stream.cancel()
        texts += [chunk.text for chunk in stream]
        completion = stream.completion
        assert completion.finish_reason == "cancelled", "cancel() ends the stream with 'cancelled'."
        assert completion.text == "".join(texts), "A cancelled stream has its completion: the text handed out."
        assert self.length(completion) < self.long_tokens, "cancel() stops the engine, not only the stream."

    def test_cancel_works_from_another_thread(self, engine: Engine) -> None:
        stream = self.long_stream(engine)
        next(stream)
        canceller = threading.Thread(target=stream.cancel)
        canceller.start()
        for _ in stream:
            pass
        canceller.join(DEADLINE_S)
        assert stream.completion.finish_reason == "cancelled", "cancel() may be called from any thread."

    def test_an_abandoned_stream_cancels_its_request(self, engine: Engine) -> None:
        stream = self.long_stream(engine)
        next(stream)
        del stream
        self.wait_until_idle(engine)
        assert engine.complete(self.prompt, **self.greedy).text, "After an abandoned stream the engine serves others."

    def test_close_breaks_streams_off(self) -> None:
        engine = self.make()
        stream = self.long_stream(engine)
        texts = [next(stream).text]
        engine.close()
        with pytest.raises(StreamIncomplete) as caught:
            texts.extend(chunk.text for chunk in stream)
        assert caught.value.partial.startswith(texts[0]), "StreamIncomplete carries the partial text."
        with pytest.raises(StreamIncomplete):
            _ = stream.completion

    def long_stream(self, engine: Engine) -> Stream:
        """A stream of ``long_tokens``."""
        return engine.stream(self.prompt, max_tokens=self.long_tokens, ignore_eos=True, temperature=0)

    def wait_until_idle(self, engine: Engine) -> None:
        """Return when nothing runs."""
        deadline = time.monotonic() + DEADLINE_S
        while engine.stats.state == "busy":
            assert time.monotonic() < deadline, "A cancelled request ends soon."
            time.sleep(0.01)

    # -- asynchronous -------------------------------------------------------------------------------------------------

    def test_acomplete_and_astream_give_the_same(self, engine: Engine) -> None:
        async def both() -> tuple[str, str]:
            chunks = [chunk async for chunk in engine.astream(self.prompt, **self.greedy)]
            assert chunks[-1].finish_reason is not None, "The last chunk of astream has a finish_reason."
            whole = await engine.acomplete(self.prompt, **self.greedy)
            return "".join(chunk.text for chunk in chunks), whole.text

        expected = engine.complete(self.prompt, **self.greedy).text
        assert asyncio.run(both()) == (expected, expected), "The asynchronous methods give what the others give."

    def test_cancelling_the_task_cancels_the_request(self, engine: Engine) -> None:
        async def run() -> None:
            options: dict[str, Any] = {"max_tokens": self.long_tokens, "ignore_eos": True, "temperature": 0}
            task = asyncio.ensure_future(engine.acomplete(self.prompt, **options))
            while engine.stats.state != "busy" and not task.done():
                await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        asyncio.run(run())
        self.wait_until_idle(engine)
        assert engine.complete(self.prompt, **self.greedy).text, "After a cancelled task the engine serves others."

    def test_the_event_loop_is_not_blocked(self, engine: Engine) -> None:
        async def run() -> int:
            ticks = 0
            task = asyncio.ensure_future(engine.acomplete(self.prompt, **self.greedy))
            while not task.done():
                await asyncio.sleep(0)
                ticks += 1
            return ticks

        assert asyncio.run(run()) > 1, "acomplete does not block the event loop."

    # -- several ------------------------------------------------------------------------------------------------------

    def test_complete_many_answers_in_the_order_of_the_prompts(self, engine: Engine) -> None:
        caps = (5, 1, 4, 2, 3)
        requests = [Request.of(self.prompt, max_tokens=cap) for cap in caps]
        answers = engine.complete_many(requests, ignore_eos=True, temperature=0)
        assert tuple(self.length(answer) for answer in answers) == caps, "Answers come in the order of the prompts."
        assert engine.complete_many([]) == [], "No prompts, no answers."

    def test_one_that_cannot_be_completed_raises(self, engine: Engine) -> None:
        with pytest.raises(ContextOverflow):
            engine.complete_many([self.prompt, self.too_long(engine)], max_tokens=2)
        assert engine.complete(self.prompt, max_tokens=2).text, "The engine serves on after a refused request."

    def test_calls_from_four_threads_do_not_disturb_each_other(self, engine: Engine) -> None:
        def work(number: int) -> list[int]:
            sizes = range(1 + number, 5 + number)
            return [
                self.length(engine.complete(f"{number} {self.prompt}", max_tokens=size, ignore_eos=True))
                for size in sizes
            ]

        assert at_once(4, work) == [list(range(1 + n, 5 + n)) for n in range(4)], "Each thread gets its own answers."

    # -- what cannot be done ------------------------------------------------------------------------------------------

    def test_a_prompt_longer_than_the_context_is_refused(self, engine: Engine) -> None:
        prompt = self.too_long(engine)
        calls: list[Callable[[], object]] = [
            lambda: engine.complete(prompt),
            lambda: list(engine.stream(prompt)),
            lambda: _wait(engine.acomplete(prompt)),
            lambda: asyncio.run(_exhaust(engine.astream(prompt))),
        ]
        for call in calls:
            with pytest.raises(ContextOverflow) as caught:
                call()
            error = caught.value
            assert error.need_tokens > error.have_tokens > 0, "ContextOverflow says what is needed and what there is."
            assert error.need_tokens >= len(prompt), "need_tokens counts the whole prompt."

    def test_unknown_options_are_refused_with_the_known_ones(self, engine: Engine) -> None:
        with pytest.raises(UnknownName, match="temperature") as caught:
            engine.complete(self.prompt, temprature=1)
        assert {"temperature", "max_tokens", "preset"} <= set(caught.value.known), "The known options are listed."
        with pytest.raises(UnknownName, match="chat"):
            engine.complete(self.prompt, preset="no such preset")
        with pytest.raises(UnknownName):
            engine.stream(self.prompt, temprature=1)

    def test_values_out_of_range_are_refused(self, engine: Engine) -> None:
        for options in ({"max_tokens": 0}, {"temperature": -1}, {"stop": ""}, {"top_p": 2}):
            with pytest.raises(InvalidSettings):
                engine.complete(self.prompt, **options)
        with pytest.raises(InvalidSettings):
            engine.complete("")

    def test_nothing_works_after_close(self) -> None:
        engine = self.make()
        tokens = engine.tokenize("one two three")
        engine.close()
        engine.close()
        calls: list[Callable[[], object]] = [
            lambda: engine.complete(self.prompt),
            lambda: list(engine.stream(self.prompt)),
            lambda: _wait(engine.acomplete(self.prompt)),
            lambda: asyncio.run(_exhaust(engine.astream(self.prompt))),
            lambda: engine.complete_many([self.prompt]),
            lambda: engine.tokenize("one"),
            lambda: engine.detokenize(tokens),
            lambda: engine.count_tokens(self.prompt),
            lambda: engine.count_tokens([Message.user("Hello")]),
            lambda: engine.score("one two"),
        ]
        for number, call in enumerate(calls):
            try:
                call()
            except EngineClosed:
                continue
            pytest.fail(f"Every method raises EngineClosed after close(); call {number} of this list did not.")
        assert engine.stats.state == "closed", "stats can be read after close() and say 'closed'."


async def _exhaust(chunks: Any) -> None:
    async for _ in chunks:
        pass


def _wait(answer: Awaitable[Completion]) -> Completion:
    async def run() -> Completion:
        return await answer

    return asyncio.run(run())

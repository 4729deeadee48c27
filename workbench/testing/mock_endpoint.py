"""An OpenAI-compatible server that goes wrong to order: for testing clients with real sockets and no model.

Knows nothing of the client in :mod:`workbench.endpoint`; any client may be tried on it.
"""

from __future__ import annotations

from collections.abc import Iterable
from types import TracebackType
from typing import Self

from workbench.testing.endpoint.answers import Answer, Line, Script
from workbench.testing.endpoint.faults import Fault, FaultPlan
from workbench.testing.endpoint.process import EndpointProcess
from workbench.testing.endpoint.server import LoopThread
from workbench.testing.endpoint.service import Asked, Manner, MockService, Stats

__all__ = ["Answer", "Asked", "Fault", "Line", "MockEndpoint", "Script", "Stats"]


class MockEndpoint:
    """Listens on 127.0.0.1 from when it is made until :meth:`close`; a context manager.

    Serves ``/v1/chat/completions`` and ``/v1/completions``, streamed (``stream_options.include_usage``) and whole, with
    ``max_tokens``, ``stop``, ``response_format`` (the least JSON that fits the schema), ``logprobs``, ``echo`` and
    ``return_token_ids``; ``/v1/models``, ``/health``; and with ``tokenizer=True`` ``/props``, ``/tokenize``,
    ``/detokenize`` and ``/apply-template`` as llama-server has them.

    >>> with MockEndpoint("Hello!", faults=[Fault("status", at=(0,), status=429, retry_after="1")]) as endpoint:
    ...     endpoint.url.startswith("http://127.0.0.1:")
    True

    Args:
        script: a line said to everybody, lines said in turn, a function of the request's body giving one (not with
            ``process``), or ``None``: words drawn from the prompt, the same for the same prompt and seed.
        model: name of the model.
        latency_s: time before the first token.
        tokens_per_s: of an answer; ``None``: as fast as it can be sent.
        faults: what goes wrong, see :class:`Fault`.
        seed: of drawn answers and of the faults' probabilities.
        n_ctx: longest prompt, in tokens; a longer one gets status 400.
        api_key: the key that is asked for (status 401 without it); ``None``: none is.
        tokenizer: offer what only llama-server and vLLM have.
        keep_requests: how many of the last requests are kept.
        process: serve from a process of its own: it does not share the interpreter with the client.
    """

    def __init__(
        self,
        script: Script = None,
        *,
        model: str = "mock",
        latency_s: float = 0.0,
        tokens_per_s: float | None = None,
        faults: Iterable[Fault] = (),
        seed: int = 0,
        n_ctx: int = 4096,
        api_key: str | None = None,
        tokenizer: bool = True,
        keep_requests: int = 10_000,
        process: bool = False,
    ) -> None:
        manner = Manner(model, latency_s, tokens_per_s, seed, n_ctx, api_key, tokenizer, keep_requests)
        self._faults = tuple(faults)
        self._service = MockService(script, manner, self._faults)
        self._server: LoopThread | EndpointProcess
        self._server = EndpointProcess(script, manner, self._faults) if process else LoopThread(self._service)
        self._last = Stats()

    @property
    def url(self) -> str:
        """The base URL, ending in ``/v1``."""
        return f"http://127.0.0.1:{self._server.port}/v1"

    @property
    def requests(self) -> list[Asked]:
        """What was asked, in order of arrival."""
        if isinstance(self._server, EndpointProcess):
            return self._server.requests()
        return list(self._service.requests)

    @property
    def stats(self) -> Stats:
        """What it has seen so far."""
        if isinstance(self._server, EndpointProcess):
            return self._server.stats()
        return Stats(**self._service.snapshot())

    @property
    def faults(self) -> tuple[Fault, ...]:
        """What goes wrong. Setting it counts requests from 0 again."""
        return self._faults

    @faults.setter
    def faults(self, faults: Iterable[Fault]) -> None:
        self._faults = tuple(faults)
        if isinstance(self._server, EndpointProcess):
            self._server.set_faults(self._faults)
        else:
            self._service.plan = FaultPlan(self._faults, self._service.manner.seed)

    def refuse(self) -> None:
        """Accept no new connections until :meth:`listen`."""
        self._server.refuse()

    def listen(self) -> None:
        """Accept connections again, on the same port."""
        self._server.listen()

    def drop(self) -> None:
        """Reset every open connection."""
        self._server.drop()

    def close(self) -> None:
        """Stop serving. Idempotent."""
        self._server.close()

    def __repr__(self) -> str:
        return f"MockEndpoint({self.url!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

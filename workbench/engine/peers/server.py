"""llama-server behind the engine protocol: the best C++ peer, measured with the same requests and the same clock.

A process of its own, as its users run it, spoken to over its native ``/completion`` endpoint with the very tokens the
other engines get. Streams are read event by event. A completion nobody watches is asked for as a whole, which spares
the server the events; its decode time then is the server's own reading, and single gaps between tokens are unknown.
"""

from __future__ import annotations

import contextlib
import http.client
import itertools
import json
import math
import socket
import threading
import time
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from workbench.engine.base import LocalEngine
from workbench.engine.budget import memory_for
from workbench.engine.native import kept
from workbench.engine.native.vocabulary import check_tokens
from workbench.engine.peers import program, wire
from workbench.engine.peers.process import ServerProcess, signal_name
from workbench.engine.scheduling.ticket import Listener, Ticket
from workbench.errors import ContextOverflow, EngineClosed, EngineError, StreamIncomplete, UsageError, WorkerDied
from workbench.interfaces import Completion, EngineStats, FinishReason, Request, Scores, Timings
from workbench.models import ModelFile, check_fits, estimate, resolve
from workbench.settings import EngineSettings

_BROKEN = (OSError, http.client.HTTPException, ValueError, AttributeError)
"""What reading a connection raises that was shut down or broke: ValueError and AttributeError come from files and
sockets closed under the reader, and from half an event."""

_END_DEADLINE_S = 2.0
_DEATH_DEADLINE_S = 0.5


class LlamaServerEngine(LocalEngine):
    """``llama-server``. Implements :class:`workbench.interfaces.Engine`, but for :meth:`score`.

    In a stream, a token that leaves a character incomplete is counted but not named: the server does not send it.

    Args:
        model: a model, its name, or the path of a GGUF.
        settings: ``None``: threads as the tuned engine would choose them, the rest as llama-server does.
        chat_template: Jinja source to use instead of the model's own.

    Raises:
        UsageError: there is no llama-server on PATH or in ``LLAMA_SERVER``.
        InvalidSettings: a setting it cannot honour.
        OutOfMemory: an ``n_ctx`` this machine cannot hold.
        ModelLoadError: it could not start; quotes what it said.
    """

    def __init__(
        self,
        model: ModelFile | str | Path,
        settings: EngineSettings | None = None,
        *,
        chat_template: str | None = None,
    ) -> None:
        path = program.program_path("llama-server")
        asked = settings or EngineSettings()
        program.check_settings(asked)
        self._file = file = resolve(model)
        self.name = file.name
        chosen = program.effective(file, asked)
        kept.release()
        check_fits(file, chosen, chosen.n_ctx or 0, available_bytes=memory_for(chosen))
        started = time.perf_counter()
        self._server = ServerProcess(lambda port: [str(path), *program.server_options(file, chosen, port)])
        self._load_ms = 1e3 * (time.perf_counter() - started)
        self._tickets: weakref.WeakSet[PeerTicket] = weakref.WeakSet()
        self._finalizer = weakref.finalize(self, _shut, self._server, self._tickets)
        self._counts = _Counts()
        properties = self._server.ask("/props")
        self._n_ctx_slot = int(properties["default_generation_settings"]["n_ctx"])
        slots = 1 if chosen.kv_unified else chosen.n_seq_max
        self._settings = chosen.replace(n_ctx=self._n_ctx_slot * slots)
        self._set_template(chat_template, file, properties["bos_token"], properties["eos_token"])

    @property
    def settings(self) -> EngineSettings:
        """Effective settings."""
        return self._settings

    @property
    def pid(self) -> int:
        """Process id of the server."""
        return self._server.pid

    @property
    def stats(self) -> EngineStats:
        """A snapshot; what the server does not tell is ``None``."""
        unfinished = sum(not ticket.ended for ticket in list(self._tickets))
        state = "closed" if self._server.closed else "busy" if unfinished else "idle"
        return EngineStats(
            state=state,  # type: ignore[arg-type]
            n_ctx=self._settings.n_ctx,
            kv_used_tokens=None,
            kv_bytes=estimate(self._file, self._settings, self._settings.n_ctx or 0).kv_bytes,
            weights_bytes=self._file.weights_bytes,
            load_ms=self._load_ms,
            context_ms=None,
            waiting=max(0, unfinished - self._settings.n_seq_max),
            **self._counts.read(),
        )

    def tokenize(self, text: str, *, add_special: bool = False, parse_special: bool = False) -> list[int]:
        """Text → token ids, by the server."""
        content = text.encode("utf-8", "replace").decode()
        body = {"content": content, "add_special": add_special, "parse_special": parse_special}
        return [int(token) for token in self._ask("/tokenize", body)["tokens"]]

    def detokenize(self, tokens: Sequence[int]) -> str:
        """Token ids → text, by the server."""
        self._check_open()
        check_tokens(tokens, self._file.n_vocab)
        return str(self._ask("/detokenize", {"tokens": list(tokens)})["content"]) if tokens else ""

    def score(self, text: str | Sequence[int], *, context: str | Sequence[int] = "") -> Scores:  # noqa: ARG002
        """Not possible.

        Raises:
            UsageError: always, while the engine is open.
        """
        self._check_open()
        raise UsageError("llama-server gives no log-probabilities of a given text. Use engine='tuned' to score.")

    def close(self) -> None:
        """End the server; running streams break off. Idempotent."""
        self._finalizer()

    def _submit(self, request: Request, listener: Listener | None = None) -> PeerTicket:
        made_at = time.perf_counter()
        prompt = self._prompt_tokens(request.prompt)
        if len(prompt) >= self._n_ctx_slot:
            raise ContextOverflow(len(prompt) + 1, self._n_ctx_slot)
        body = wire.payload(
            request,
            prompt,
            streaming=listener is not None,
            n_ctx=self._n_ctx_slot,
            prefix_cache=self._settings.prefix_cache,
        )
        self._check_open()
        ticket = PeerTicket(request, prompt, listener, made_at=made_at)
        self._tickets.add(ticket)
        work = _Work(ticket, self._server, body, self._counts, self.name, self._settings)
        threading.Thread(target=work.run, name="llama-server request", daemon=True).start()
        return ticket

    def _checked(self, tokens: list[int]) -> list[int]:
        self._check_open()
        check_tokens(tokens, self._file.n_vocab)
        return tokens

    def _ask(self, path: str, body: Any) -> Any:
        self._check_open()
        try:
            return wire.checked(self._server.ask(path, body))
        except _BROKEN as error:
            self._check_open()
            raise _death(self._server, "") or EngineError(f"llama-server does not answer: {error}") from error

    def _check_open(self) -> None:
        if self._server.closed:
            raise EngineClosed


class PeerTicket(Ticket):
    """A ticket whose cancelling hangs up: it is how llama-server is told to stop."""

    def __init__(self, request: Request, prompt: list[int], listener: Listener | None, *, made_at: float) -> None:
        super().__init__(request, prompt, listener, made_at=made_at)
        self._socket: socket.socket | None = None
        self._hang_up_guard = threading.Lock()

    def connected(self, connection: socket.socket) -> None:
        """The line to hang up on. Hung up at once if the request was cancelled meanwhile."""
        with self._hang_up_guard:
            self._socket = connection
        if self.cancelled:
            self.cancel()

    def cancel(self) -> None:
        """Ask for the end. Any thread; idempotent."""
        super().cancel()
        with self._hang_up_guard:
            if self._socket is not None:
                with contextlib.suppress(OSError):  # it has ended by itself
                    self._socket.shutdown(socket.SHUT_RDWR)

    def wait_for_end(self) -> None:
        """Until the fate is known; not for ever, as the one who waits may be the one who has to settle it."""
        self._ended.wait(_END_DEADLINE_S)


class _Counts:
    """Totals over all requests. Thread-safe."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._totals = dict.fromkeys(("requests", "prompt_tokens", "cached_tokens", "output_tokens"), 0)

    def add(self, timings: Timings) -> None:
        with self._guard:
            self._totals["requests"] += 1
            for name in ("prompt_tokens", "cached_tokens", "output_tokens"):
                self._totals[name] += getattr(timings, name)

    def read(self) -> dict[str, int]:
        with self._guard:
            return dict(self._totals)


class _Work:
    """One request on its own thread. Holds no reference to the engine, so that a forgotten engine can go."""

    def __init__(
        self,
        ticket: PeerTicket,
        server: ServerProcess,
        body: dict[str, Any],
        counts: _Counts,
        model: str,
        settings: EngineSettings,
    ) -> None:
        self._ticket, self._server, self._body, self._counts = ticket, server, body, counts
        self._model, self._settings = model, settings
        self._tokens: list[int] = []
        self._times: list[float] = []
        self._sent_at = ticket.made_at

    def run(self) -> None:
        """Send, read, settle the ticket's fate."""
        try:
            self._ticket.end(self._completion(self._exchange()))
        except _BROKEN as error:
            self._ticket.end(self._broken(error))
        except Exception as error:
            self._ticket.end(error)

    def _exchange(self) -> dict[str, Any]:
        """The server's last event.

        Raises:
            StreamIncomplete: the stream ended without one.
        """
        connection = self._server.connect()
        try:
            connection.connect()
            self._ticket.connected(connection.sock)
            self._sent_at = time.perf_counter()
            connection.request("POST", "/completion", json.dumps(self._body), {"Content-Type": "application/json"})
            answer = connection.getresponse()
            if answer.status != 200 or not self._body["stream"]:
                return self._whole(wire.checked(json.loads(answer.read())))
            return self._streamed(answer)
        finally:
            connection.close()

    def _whole(self, last: dict[str, Any]) -> dict[str, Any]:
        self._tokens = last["tokens"]
        self._ticket.emit(last["content"], (), time.perf_counter())
        return last

    def _streamed(self, answer: Any) -> dict[str, Any]:
        for event in wire.events(answer):
            now = time.perf_counter()
            if event["tokens"]:
                self._tokens += event["tokens"]
                self._times.append(now)
            if event["content"] or event["tokens"]:
                self._ticket.emit(event["content"], tuple(event["tokens"]), now)
            if event["stop"]:
                return event
            if self._ticket.cancelled:  # a listener that failed cancels without hanging up
                break
        raise http.client.IncompleteRead(b"")

    def _broken(self, error: Exception) -> Completion | EngineError:
        """What a connection that broke means."""
        if self._server.closed:
            return StreamIncomplete(self._ticket.text, "the engine was closed.")
        if self._ticket.cancelled:
            return self._completion(None)
        reason = f"llama-server hung up before it was done ({error or type(error).__name__}). Send the request again."
        return _death(self._server, self._ticket.text) or StreamIncomplete(self._ticket.text, reason)

    def _completion(self, last: dict[str, Any] | None) -> Completion:
        timings = self._timings(last)
        self._counts.add(timings)
        reason: FinishReason = "cancelled" if last is None else wire.finish_reason(last)
        return Completion(
            text=self._ticket.text,
            tokens=tuple(self._tokens),
            finish_reason=reason,
            timings=timings,
            model=self._model,
            settings=self._settings,
        )

    def _timings(self, last: dict[str, Any] | None) -> Timings:
        """The clock of the one who asks.

        The server's own readings: how a wait divides into queue and prefill, and the decode time of a completion
        nobody watched.
        """
        ticket, theirs = self._ticket, (last or {}).get("timings", {})
        total = ticket.since_made_ms()
        if self._times:
            first = ticket.since_made_ms(self._times[0])
            decode = 1e3 * (self._times[-1] - self._times[0])
        else:
            decode = min(theirs.get("predicted_ms", 0.0), total)
            first = total - decode
        prefill = min(theirs.get("prompt_ms", math.inf), first)
        return Timings(
            queue_ms=first - prefill,
            prefill_ms=prefill,
            ttft_ms=None if ticket.first_text_at is None else ticket.since_made_ms(ticket.first_text_at),
            decode_ms=decode,
            total_ms=total,
            prompt_tokens=len(ticket.prompt),
            cached_tokens=theirs.get("cache_n", 0),
            output_tokens=(last or {}).get("tokens_predicted", len(self._tokens)),
            itl_ms=tuple(1e3 * (after - before) for before, after in itertools.pairwise(self._times)),
            started_s=ticket.made_at,
        )


def _death(server: ServerProcess, partial: str) -> WorkerDied | None:
    """The error that says the server died; ``None``: it lives."""
    deadline = time.monotonic() + _DEATH_DEADLINE_S  # its sockets close a moment before it can be reaped
    while (exitcode := server.exitcode) is None:
        if time.monotonic() > deadline:
            return None
        time.sleep(0.01)
    hint = f"llama-server said: {server.said}. Load the engine again."
    return WorkerDied(hint, exitcode=exitcode, signal=signal_name(exitcode), partial=partial)


def _shut(server: ServerProcess, tickets: weakref.WeakSet[PeerTicket]) -> None:
    """End the server; whoever waits is told by the connection that breaks."""
    server.stop()
    for ticket in list(tickets):
        ticket.wait_for_end()

"""What ``%load_ext workbench`` brings into a notebook: load a model, talk to it, examine the machine.

The only module that knows IPython; nothing imports it before the extension is loaded. An error of this package is one
line with its remedy, not a traceback.
"""

from __future__ import annotations

import functools
import inspect
import shlex
import sys
import time
from argparse import Namespace
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import yaml
from IPython.core.error import UsageError as ShownError
from IPython.core.interactiveshell import InteractiveShell
from IPython.core.magic import Magics, cell_magic, line_magic, magics_class
from IPython.core.magic_arguments import argument, magic_arguments

from workbench.checkup import Report, doctor
from workbench.conversation import Session
from workbench.conversation.stream import TurnStream
from workbench.conversation.turn import Turn
from workbench.engine import load
from workbench.errors import UsageError, WorkbenchError
from workbench.interfaces import Engine
from workbench.models import resolve
from workbench.settings import EngineSettings
from workbench.showing import harmless

_FLUSH_S = 0.05
"""A page cannot show more often, and each flush is a message to it."""

_OF_LOAD = frozenset(inspect.signature(load).parameters) - {"model", "settings"}
_LOCAL_ENGINES = ("tuned", "baseline", "worker")

R = TypeVar("R")


def _in_one_line(magic: Callable[..., R]) -> Callable[..., R]:
    """What this package raises on purpose is shown by IPython as one line; the cell has failed all the same."""

    @functools.wraps(magic)
    def told(*given: Any) -> R:
        try:
            return magic(*given)
        except WorkbenchError as error:
            raise ShownError(" ".join(harmless(str(error)).split())) from error

    return told


@magics_class
class WorkbenchMagics(Magics):
    """``%wb_load``, ``%%wb_chat`` and ``%wb_doctor``."""

    def __init__(self, shell: InteractiveShell) -> None:
        super().__init__(shell)
        self._names: dict[str, Any] = shell.user_ns
        self._made: dict[str, Session] = {}

    @line_magic
    @magic_arguments()
    @argument("model", help="a name that wb.list_models() shows, or the path of a GGUF")
    @argument("settings", nargs="*", help="name=value, as wb.load takes them: n_ctx=4096")
    @argument("--as", dest="name", default="engine", help="the variable that gets it; an engine it holds is closed")
    @_in_one_line
    def wb_load(self, line: str) -> None:
        """Load a model into the variable ``engine``."""
        asked = _parsed(self.wb_load, line)
        name, settings = _variable(asked.name), _values(asked.settings)
        _check(asked.model, settings)
        self._make_room(name)
        engine = self._names[name] = load(asked.model, **settings)
        sys.stdout.write(harmless(f"{name}: {engine.name}, {_context(engine)}\n"))

    @cell_magic
    @magic_arguments()
    @argument("options", nargs="*", help="name=value of this turn: max_tokens=200 temperature=0")
    @argument("--engine", help="the variable that holds the engine; at first: engine")
    @argument("--session", default="chat", help="the variable that holds the conversation, made if there is none")
    @_in_one_line
    def wb_chat(self, line: str, cell: str) -> None:
        """Say the cell's text to a conversation, which goes on from cell to cell; it is the variable ``chat``."""
        asked = _parsed(self.wb_chat, line)
        said, options = cell.strip(), _values(asked.options)
        if not said:
            raise UsageError("The cell is empty. Write what you want to say below %%wb_chat.")
        session = self._session(_variable(asked.session), asked.engine)
        _say(session, said, options)

    @line_magic
    @_in_one_line
    def wb_doctor(self, line: str) -> Report:
        """Examine this machine and this installation; takes some seconds."""
        if line.strip():
            raise UsageError(f"%wb_doctor takes nothing; leave out {line.strip()!r}.")
        return doctor()

    def _make_room(self, name: str) -> None:
        """Close what the variable holds: two models at once may be more than the machine has memory for."""
        old = self._names.get(name)
        if old is None:
            return
        if not isinstance(old, Engine):
            raise UsageError(
                f"The variable {name!r} holds something else ({type(old).__name__}). "
                "Name another: %wb_load MODEL --as my_engine"
            )
        for session in [one for one in self._made.values() if one.engine is old]:
            session.close()
        old.close()
        del self._names[name]

    def _session(self, name: str, engine_name: str | None) -> Session:
        """The conversation of that name: the one there is, or a new one where its engine is another one now."""
        session = self._names.get(name)
        if session is not None and not isinstance(session, Session):
            raise UsageError(
                f"The variable {name!r} holds something else ({type(session).__name__}). "
                "Name another: %%wb_chat --session talk"
            )
        if session is not None and engine_name is None and session.engine.stats.state != "closed":
            return session
        engine = self._engine(engine_name or "engine")
        if session is not None and session.engine is engine:
            return session
        return self._begin(name, session, engine)

    def _engine(self, name: str) -> Engine:
        engine = self._names.get(_variable(name))
        if not isinstance(engine, Engine):
            raise UsageError(
                f"The variable {name!r} holds no engine. Load one first: %wb_load smollm2-135m --as {name}"
            )
        return engine

    def _begin(self, name: str, before: Session | None, engine: Engine) -> Session:
        if before is not None:
            if self._made.get(name) is not before:
                raise UsageError(
                    f"{name!r} is your own session with {before.engine.name}, which is another engine or is closed. "
                    "Make it again with Session(engine, …), or name another: %%wb_chat --session talk"
                )
            before.close()
            sys.stdout.write(harmless(f"(a new conversation, for the engine is now {engine.name})\n"))
        session = self._names[name] = self._made[name] = Session(engine, name=name)
        return session


def _parsed(magic: Any, line: str) -> Namespace:
    """The arguments, quoted as in a shell; IPython's own splitting keeps the quotes."""
    try:
        words = shlex.split(line)
    except ValueError as error:
        raise UsageError(f"{error}: {line!r}. Close the quotation.") from error
    parsed: Namespace = magic.parser.parse_args(words)
    return parsed


def _variable(name: str) -> str:
    if not name.isidentifier():
        raise UsageError(f"{name!r} cannot be the name of a variable. Take letters, digits and underscores.")
    return name


def _values(pairs: Sequence[str]) -> dict[str, Any]:
    """``name=value`` pairs, the values as YAML reads them."""
    chosen = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise UsageError(f"A setting is name=value, not {pair!r}.")
        try:
            chosen[name] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise UsageError(f"{pair!r} has a value nobody can read. Quote it: '{name}=\"…\"'.") from error
    return chosen


def _check(model: str, settings: dict[str, Any]) -> None:
    """Refuse what is misspelt before the engine that is to be replaced is closed for it."""
    if "model" in settings:
        raise UsageError("The model is the first word, not a setting: %wb_load MODEL name=value …")
    if settings.get("engine", "tuned") in _LOCAL_ENGINES:
        EngineSettings.from_mapping({name: value for name, value in settings.items() if name not in _OF_LOAD})
        resolve(model)


def _context(engine: Engine) -> str:
    tokens = engine.stats.n_ctx or engine.settings.n_ctx
    return f"a context of {tokens:,} tokens" if tokens else "its context grows with what is asked"


def _say(session: Session, said: str, options: dict[str, Any]) -> None:
    """One turn, written as it comes. Ctrl-C ends it with what has come."""
    started, stream = time.perf_counter(), None
    try:
        stream = session.stream(said, **options)
        _write(stream)
    except KeyboardInterrupt:
        if stream is None:  # still at the prompt: nothing was said yet
            session.cancel()
            sys.stdout.write("(stopped before the answer began)\n")
            return
        stream.cancel()
        _write(stream)
    except WorkbenchError:
        if stream is not None and stream.text:
            sys.stdout.write("\n")  # the error stands on a line of its own, below what had come
        raise
    sys.stdout.write(f"\n\n{_timing(stream.turn, time.perf_counter() - started)}\n")


def _write(stream: TurnStream) -> None:
    flushed = 0.0
    for chunk in stream:
        sys.stdout.write(harmless(chunk.text))
        if time.monotonic() - flushed >= _FLUSH_S:
            sys.stdout.flush()
            flushed = time.monotonic()
    sys.stdout.flush()


def _timing(turn: Turn, elapsed_s: float) -> str:
    """What it took, in a line."""
    ended = "stopped, and kept as far as it came: " if turn.ended == "cancelled" and turn.kept else ""
    if turn.completion is None:
        return f"[{ended}{len(turn.text):,} characters in {elapsed_s:.1f} s]"
    timings = turn.completion.timings
    parts = [f"{timings.output_tokens:,} tokens in {timings.total_ms / 1e3:.1f} s"]
    parts += [f"{timings.decode_tps:,.1f} tokens/s"] if timings.decode_tps is not None else []
    parts += [f"the first after {timings.ttft_ms:,.0f} ms"] if timings.ttft_ms is not None else []
    parts += [f"{timings.cached_tokens:,} of {timings.prompt_tokens:,} prompt tokens were there already"]
    return f"[{ended}{', '.join(parts)}]"

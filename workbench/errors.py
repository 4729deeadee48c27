"""The one error tree. Every error carries its data and names the remedy.

::

    WorkbenchError
    ├── UsageError (also ValueError)      what was asked for cannot be done as asked
    │   ├── UnknownName                   a component, model, preset or setting nobody has registered
    │   ├── InvalidSettings               a setting out of its range, or two that exclude each other
    │   ├── InvalidGrammar                a grammar or JSON schema that cannot constrain anything
    │   └── SpecError                     a sweep specification that cannot run; has the line
    ├── ModelError
    │   ├── ModelFileError                the file is not a whole, sane GGUF
    │   │   └── ModelHashMismatch         it is not the file whose SHA-256 is known
    │   └── ModelLoadError                llama.cpp refused it; has llama.cpp's own words
    ├── EngineError
    │   ├── ContextOverflow               more tokens than the context holds
    │   ├── OutOfMemory                   refused by arithmetic before anything is allocated
    │   ├── ChatTemplateError             the model's chat template is broken, hostile or too slow
    │   ├── DecodeError                   llama_decode failed; has its code
    │   ├── EngineClosed                  used after close()
    │   ├── QueueFull                     too many requests wait already
    │   ├── ConstraintUnmet               the token cap came before the constrained output was complete
    │   ├── EndpointError                 a server elsewhere failed or refused; has its status
    │   │   ├── RateLimited               it asks for fewer requests; has the wait it asks for
    │   │   ├── EndpointUnavailable       nothing there answers, or its circuit breaker is open
    │   │   └── AuthenticationFailed      no key, or not one it takes; names the environment variable
    │   └── StreamIncomplete              a stream ended early; has the partial text
    │       ├── DeadlineExceeded          the time a request may take is over
    │       └── WorkerDied                the engine's process died; has the signal and a hint
    ├── StorageError
    │   ├── StorageFull                   no room; the old file is intact
    │   ├── StoreInUse                    another live process holds the folder
    │   └── StoreCorrupt                  what is on disk cannot be read back
    ├── SweepError
    │   └── CellFailed                    one run of a sweep failed; has the child's words
    └── MissingExtra                      an optional dependency is not installed

Warnings: ``WorkbenchWarning`` with ``GpuUnavailable``, ``NoChatTemplate``, ``NotSaved`` and ``SettingAdjusted``.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

FailureKind = Literal["error", "timeout", "out_of_memory", "died"]
"""Why a run of a sweep failed."""


class WorkbenchError(Exception):
    """Base of everything this package raises on purpose."""


class UsageError(WorkbenchError, ValueError):
    """What was asked for cannot be done as asked."""


class UnknownName(UsageError):
    """A name nobody has registered. Lists the known ones and the nearest.

    Attributes:
        kind: what was looked up, in the singular ("engine", "model", "preset", "setting").
        name: the name that was asked for.
        known: the names there are, sorted.
    """

    def __init__(self, kind: str, name: str, known: Iterable[str], remedy: str = "") -> None:
        self.kind, self.name, self.known = kind, name, tuple(sorted(known))
        nearest = difflib.get_close_matches(name, self.known, n=1)
        guess = f" Did you mean {nearest[0]!r}?" if nearest else ""
        listed = ", ".join(self.known) or "none"
        super().__init__(f"Unknown {kind} {name!r}.{guess} Known: {listed}.{' ' + remedy if remedy else ''}")


class InvalidSettings(UsageError):
    """A setting out of its range, or two settings that exclude each other."""


class SpecError(UsageError):
    """A sweep specification that cannot run.

    Attributes:
        path: the specification file, if it came from one.
        line: the 1-based line of the offending key, if known.
        key: the offending key, dotted from the top.
    """

    def __init__(self, problem: str, *, path: Path | None = None, line: int | None = None, key: str = "") -> None:
        self.problem, self.path, self.line, self.key = problem, path, line, key
        where = ":".join(str(part) for part in (path, line) if part is not None)
        super().__init__(": ".join(part for part in (where, key, problem) if part))


class InvalidGrammar(UsageError):
    """A grammar or JSON schema that cannot constrain anything; the message says where it is wrong."""


class ModelError(WorkbenchError):
    """Something is wrong with a model."""


class ModelFileError(ModelError):
    """A file is not a whole, sane GGUF.

    Attributes:
        path: the file.
        reason: what is wrong with it.
    """

    def __init__(self, path: Path | str, reason: str) -> None:
        self.path, self.reason = Path(path), reason
        super().__init__(f"{path}: {reason}")


class ModelHashMismatch(ModelFileError):
    """The file's SHA-256 differs from the one recorded for this model.

    Attributes:
        expected: recorded SHA-256, hex.
        actual: SHA-256 of the file as it is, hex.
    """

    def __init__(self, path: Path | str, expected: str, actual: str) -> None:
        self.expected, self.actual = expected, actual
        super().__init__(
            path,
            f"SHA-256 is {actual[:16]}…, recorded {expected[:16]}…: the file was altered or damaged. "
            "Install or download it again; nothing was loaded.",
        )


class ModelLoadError(ModelError):
    """llama.cpp refused to load a model or to create its context; the message quotes llama.cpp."""


class EngineError(WorkbenchError):
    """Something went wrong while generating."""


class ContextOverflow(EngineError):
    """More tokens than the context holds.

    Attributes:
        need_tokens: tokens asked for.
        have_tokens: tokens the context holds.
    """

    def __init__(self, need_tokens: int, have_tokens: int, remedy: str = "") -> None:
        self.need_tokens, self.have_tokens = need_tokens, have_tokens
        remedy = remedy or "Shorten or compress the prompt, or raise n_ctx."
        super().__init__(f"{need_tokens} tokens do not fit into a context of {have_tokens}. {remedy}")


class OutOfMemory(EngineError):
    """Refused by arithmetic before anything was allocated.

    Attributes:
        need_bytes: estimated bytes of what was asked for.
        have_bytes: bytes this machine has free for it.
    """

    def __init__(self, what: str, need_bytes: int, have_bytes: int, remedy: str) -> None:
        self.need_bytes, self.have_bytes = need_bytes, have_bytes
        super().__init__(
            f"{what} needs {need_bytes / 2**30:,.2f} GiB, this machine has {have_bytes / 2**30:,.2f} GiB free. {remedy}"
        )


class ChatTemplateError(EngineError):
    """The model's chat template is broken, hostile or too slow. Pass ``chat_template=`` to replace it."""


class DecodeError(EngineError):
    """``llama_decode`` failed.

    Attributes:
        code: its return value (1 no KV slot, 2 aborted, -1 bad batch, below -1 fatal).
    """

    def __init__(self, code: int, detail: str = "") -> None:
        self.code = code
        meaning = {1: "no free KV cells", 2: "aborted", -1: "invalid batch"}.get(code, "fatal error in llama.cpp")
        super().__init__(f"llama_decode returned {code}: {meaning}.{' ' + detail if detail else ''}")


class EngineClosed(EngineError):
    """The engine was used after ``close()``. Load it again."""

    def __init__(self, message: str = "The engine is closed. Load it again with workbench.load(...).") -> None:
        super().__init__(message)


class QueueFull(EngineError):
    """Too many requests wait already; nothing was queued.

    Attributes:
        waiting: requests in the queue.
    """

    def __init__(self, waiting: int) -> None:
        self.waiting = waiting
        super().__init__(
            f"{waiting} requests wait already. Send fewer at once, wait for some to end, or raise queue_limit."
        )


class ConstraintUnmet(EngineError):
    """The token cap, or the end of the context, came before the constrained output was complete.

    Attributes:
        partial: the text up to there; a beginning of a valid output.
    """

    def __init__(self, partial: str, tokens: int) -> None:
        self.partial = partial
        super().__init__(
            f"The output is not complete after {tokens} tokens, so it does not meet its grammar or schema yet. "
            "Raise max_tokens, or ask for less (the partial text is in .partial)."
        )


class EndpointError(EngineError):
    """A server elsewhere failed, or refused a request.

    Attributes:
        provider: the provider's name.
        status: HTTP status; ``None``: there was no answer at all.
        retry_after: seconds the server asks to wait; ``None``: it did not say.
    """

    def __init__(
        self, message: str, *, provider: str = "", status: int | None = None, retry_after: float | None = None
    ) -> None:
        self.provider, self.status, self.retry_after = provider, status, retry_after
        super().__init__(message)


class RateLimited(EndpointError):
    """The server asks for fewer requests (429), and went on asking."""


class EndpointUnavailable(EndpointError):
    """Nothing answers there, or too much went wrong lately and its circuit breaker is open."""


class AuthenticationFailed(EndpointError):
    """The server wants a key, or another one (401, 403); the message names the environment variable."""


class StreamIncomplete(EngineError):
    """A stream ended before the model did.

    Attributes:
        partial: the text up to the break.
    """

    def __init__(self, partial: str, reason: str) -> None:
        self.partial = partial
        super().__init__(f"The stream broke off after {len(partial)} characters: {reason}")


class DeadlineExceeded(StreamIncomplete):
    """The time a request may take from its beginning to its end is over.

    Attributes:
        partial: the text up to there.
        deadline_s: the time it had.
    """

    def __init__(self, partial: str, deadline_s: float) -> None:
        self.deadline_s = deadline_s
        super().__init__(
            partial, f"the request's {deadline_s:g} s are over. Raise deadline_s, or ask for fewer tokens."
        )


class WorkerDied(StreamIncomplete):
    """The process that ran the engine died. The next request starts a new one.

    Attributes:
        partial: the text up to the break, for a request that was running; else empty.
        signal: name of the signal that ended it ("SIGKILL", "SIGABRT"), or ``None``.
        exitcode: its exit code, negative for a signal; ``None``: it hung and was killed for it.
        hint: what probably happened, and the remedy.
    """

    def __init__(self, hint: str, *, exitcode: int | None, signal: str | None = None, partial: str = "") -> None:
        self.exitcode, self.signal, self.hint = exitcode, signal, hint
        how = signal or ("no answer" if exitcode is None else f"exit code {exitcode}")
        super().__init__(partial, f"the engine's process died ({how}). {hint}")


class StorageError(WorkbenchError):
    """Something is wrong on disk."""


class StorageFull(StorageError):
    """No room to write. Whatever was there before is intact.

    Attributes:
        path: the file that was to be written.
        need_bytes: what it would take, where that was reckoned before writing.
        have_bytes: what is free there.
    """

    def __init__(self, path: Path | str, *, need_bytes: int | None = None, have_bytes: int | None = None) -> None:
        self.path, self.need_bytes, self.have_bytes = Path(path), need_bytes, have_bytes
        known = need_bytes is not None and have_bytes is not None
        sizes = f" (needs {need_bytes:,} bytes, {have_bytes:,} are free)" if known else ""
        super().__init__(
            f"No room to write {path}{sizes}. The previous content is intact; free some space and try again."
        )


class StoreInUse(StorageError):
    """Another live process holds this folder.

    Attributes:
        path: the folder.
        pid: process id of the holder, if it could be read.
    """

    def __init__(self, path: Path | str, pid: int | None) -> None:
        self.path, self.pid = Path(path), pid
        holder = f"process {pid}" if pid else "another process"
        super().__init__(f"{path} is in use by {holder}. Close it there, or use another folder.")


class StoreCorrupt(StorageError):
    """What is on disk cannot be read back.

    Attributes:
        path: the file.
    """

    def __init__(self, path: Path | str, reason: str) -> None:
        self.path = Path(path)
        super().__init__(f"{path} cannot be read: {reason}")


class SweepError(WorkbenchError):
    """A sweep could not be carried out."""


class CellFailed(SweepError):
    """One run of a sweep failed.

    Attributes:
        reason: the last line that matters.
        log: what the child printed, shortened.
        kind: "error": the notebook raised; "timeout": its deadline; "out_of_memory": its limit, the machine's memory or
            the GPU's; "died": its process was killed or crashed.
    """

    def __init__(self, reason: str, log: str = "", *, kind: FailureKind = "error") -> None:
        self.reason, self.log, self.kind = reason, log, kind
        super().__init__(reason)


class MissingExtra(WorkbenchError, ImportError):
    """An optional dependency is not installed.

    Attributes:
        extra: name of the extra that brings it.
    """

    def __init__(self, package: str, extra: str) -> None:
        self.extra = extra
        super().__init__(f"{package} is not installed. Run: pip install 'workbench[{extra}]'")


class WorkbenchWarning(UserWarning):
    """Base of this package's warnings."""


class GpuUnavailable(WorkbenchWarning):
    """A GPU was asked for and there is none, or the build cannot use it."""


class NoChatTemplate(WorkbenchWarning):
    """The model brings no chat template; the message names the fallback."""


class NotSaved(WorkbenchWarning):
    """The disk is full: what is said is kept in memory for now."""


class SettingAdjusted(WorkbenchWarning):
    """A setting was changed to one that works; the message says from what, to what and why."""

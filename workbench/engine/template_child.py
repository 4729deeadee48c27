"""The process that renders chat templates: one JSON request a line in, one JSON answer a line out.

Sandboxed Jinja (`ImmutableSandboxedEnvironment`) with the helpers Hugging Face's templates expect (`raise_exception`,
`strftime_now`, `tojson` without HTML escapes, loop controls), under a memory limit. The parent keeps the deadline.
"""

from __future__ import annotations

import datetime
import functools
import json
import sys
from typing import Any, NoReturn

from jinja2 import Template, TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

MEMORY_LIMIT_BYTES = 1 << 30


class Refused(TemplateError):
    """The template itself says that it does not take these messages."""


def main() -> None:
    """Serve until standard input ends."""
    _limit_memory()
    answer({"hello": True})
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer({"text": compiled(request["source"]).render(**request["variables"])})
        except Refused as error:
            answer({"refused": str(error)})
        except (TemplateError, ArithmeticError, LookupError, TypeError, ValueError, AttributeError) as error:
            answer({"error": f"{type(error).__name__}: {error}"})
        except (RecursionError, MemoryError) as error:
            answer({"error": f"{type(error).__name__}: too deep or too large"})


def answer(value: dict[str, Any]) -> None:
    """One line to the parent."""
    print(json.dumps(value), flush=True)  # noqa: T201 - the pipe is standard output


@functools.lru_cache(maxsize=16)
def compiled(source: str) -> Template:
    """The template; compiled once."""
    return environment().from_string(source)


@functools.cache
def environment() -> ImmutableSandboxedEnvironment:
    """Jinja as model files expect it (the set-up `transformers` uses for ``apply_chat_template``)."""
    jinja = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"])
    jinja.filters["tojson"] = _to_json
    jinja.globals["raise_exception"] = _raise_exception
    jinja.globals["strftime_now"] = _strftime_now
    return jinja


def _to_json(value: Any, indent: int | None = None, **options: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=indent, **options)


def _raise_exception(message: str) -> NoReturn:
    raise Refused(message)


def _strftime_now(form: str) -> str:
    return datetime.datetime.now().astimezone().strftime(form)


def _limit_memory() -> None:
    try:
        import resource
    except ImportError:  # Windows has no such limit; the deadline still holds
        return
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT_BYTES, MEMORY_LIMIT_BYTES))


if __name__ == "__main__":
    main()

"""What an endpoint engine is made with, checked. Knows names and values, sends nothing."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from workbench.endpoint.providers import Provider, find_provider
from workbench.endpoint.secrets import Key, check_url, check_variable, refuse_keys, warn_of_plain_http
from workbench.errors import AuthenticationFailed, InvalidSettings, UnknownName, UsageError
from workbench.interfaces import Engine
from workbench.models import resolve
from workbench.registry import engines
from workbench.settings import EngineSettings

T = TypeVar("T")

_OWN_SETTINGS = ("n_ctx", "queue_limit")
_OPTIONS = (
    *("provider", "base_url", "api_key_env", "instances", "limits", "retries", "breaker", "deadline_s"),
    *("connect_s", "read_s", "fallback", "tokenizer"),
)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a model is served.

    Attributes:
        provider: by whom.
        urls: addresses, at least one.
        key: what opens them.
    """

    provider: Provider
    urls: tuple[str, ...]
    key: Key


def place(
    provider: str | Provider | None,
    base_url: str | None,
    api_key_env: str | None,
    instances: Sequence[str],
    unknown: dict[str, Any],
) -> Place:
    """Where it is.

    Raises:
        UnknownName: an option or a provider nobody knows.
        UsageError: a key where none belongs, or no address.
    """
    instances = [instances] if isinstance(instances, str) else list(instances)
    found = find_provider(provider, elsewhere=base_url is not None or bool(instances))
    variable = check_variable(api_key_env)
    check_variable(found.key_env)
    refuse_keys(unknown, variable or found.key_env)
    for name in unknown:
        raise UnknownName("option", name, _OPTIONS)
    usual = found.base_url
    asked = [check_url(url) for url in ([base_url] if base_url is not None else []) + instances]
    urls = tuple(dict.fromkeys(asked or ([usual] if usual is not None else [])))
    if not urls:
        raise UsageError(f"Where is {found.name}? Give base_url='http://…/v1'.")
    at_home = usual is not None and all(url == usual for url in urls)
    key = Key(variable or (found.key_env if at_home else None), required=found.needs_key)
    if key.required and key.variable is not None and not key.present:
        raise AuthenticationFailed(f"{found.name} needs a key. {key.remedy}", provider=found.name)
    for url in urls:
        warn_of_plain_http(url, key)
    return Place(found, urls, key)


def model_name(model: Any) -> str:
    """The name of a model on a server.

    Raises:
        InvalidSettings: it is none.
    """
    if not isinstance(model, str) or not model.strip():
        raise InvalidSettings(f"model is the name of a model on the server, not {model!r}.")
    return model


def checked_settings(settings: EngineSettings | None) -> EngineSettings:
    """The settings, if an endpoint can honour them.

    Raises:
        InvalidSettings: one that is the server's affair.
    """
    settings, plain = settings or EngineSettings(), EngineSettings()
    for name in EngineSettings.names():
        if name not in _OWN_SETTINGS and getattr(settings, name) != getattr(plain, name):
            raise InvalidSettings(
                f"{name} is set where the server is started, not here. Leave it out; an endpoint takes "
                f"{' and '.join(_OWN_SETTINGS)}."
            )
    return settings


def made(kind: type[T], value: T | Mapping[str, Any] | None, name: str) -> T:
    """A settings object, from itself or from a mapping as it comes out of YAML.

    Raises:
        UnknownName: a field it does not have.
        InvalidSettings: neither.
    """
    if value is None:
        return kind()
    if isinstance(value, kind):
        return value
    if not isinstance(value, Mapping):
        raise InvalidSettings(f"{name} must be a {kind.__name__} or a mapping of its fields, not {value!r}.")
    known = [field.name for field in dataclasses.fields(kind)]  # type: ignore[arg-type]
    for field in value:
        if field not in known:
            raise UnknownName(f"field of {name}", str(field), known)
    try:
        return kind(**value)
    except TypeError as error:
        raise InvalidSettings(f"{name} has a value of the wrong type: {error}") from error


def plain(value: Any) -> dict[str, Any]:
    """A settings object as a dictionary."""
    return dataclasses.asdict(value)


def check_seconds(**times: float | None) -> None:
    """Refuse what is no time.

    Raises:
        InvalidSettings: not above 0; only a deadline may be ``None``.
    """
    for name, value in times.items():
        if value is None and name == "deadline_s":
            continue
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
            raise InvalidSettings(f"{name} must be seconds above 0, not {value!r}.")


def tokenizer_engine(tokenizer: Engine | str | Path) -> tuple[Engine, bool]:
    """A local engine that knows the tokenizer, and whether it was made here.

    Only the weights' file is mapped: an engine makes no context before it has to generate.
    """
    if isinstance(tokenizer, Engine):
        return tokenizer, False
    settings = EngineSettings(n_ctx=512, n_gpu_layers=0, repack=False)
    return engines.create("tuned", resolve(tokenizer), settings), True

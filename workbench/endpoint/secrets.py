"""Keys: named here, read from the environment when a request leaves, shown nowhere.

Nothing in this room keeps the text of a key in an attribute, a message or a log; what a server says is cleaned of it.
"""

from __future__ import annotations

import ipaddress
import os
import re
import warnings
from collections.abc import Generator
from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit

import httpx

from workbench.errors import AuthenticationFailed, UsageError, WorkbenchWarning

_VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]*", re.IGNORECASE)
_ARGUMENTS = ("api_key", "key", "token", "headers", "authorization", "auth")
_HIDDEN = "[hidden]"
_LOOSE_KEY = re.compile(r"\b(?:sk|pplx|AIza|gsk|hf|xai)[-_][\w\-]{8,}|\bAIza[\w\-]{20,}|(?<=[Bb]earer )[\w\-.]{8,}")
"""What keys of well-known providers look like, for those that a server or a person lets slip."""
_TAKEN_FOR_KEY = re.compile(r"(?=.*[a-z])(?=.*\d)|(?=.*\d)[^_]{20,}|.{80,}")
"""What names of variables do not look like: small letters with digits, or a long run of letters and digits."""
_QUOTED = 500


@dataclass(frozen=True, slots=True)
class Key:
    """An environment variable that holds a key. Printing it shows the variable's name.

    Attributes:
        variable: its name; ``None``: no key is sent.
        required: a request without one cannot succeed.
    """

    variable: str | None = None
    required: bool = False

    @property
    def present(self) -> bool:
        """Whether the variable is set and not blank."""
        return self.variable is not None and bool(os.environ.get(self.variable, "").strip())

    @property
    def remedy(self) -> str:
        """What to do when the server is not content."""
        if self.variable is None:
            return "Name the environment variable that holds the key: api_key_env='…'."
        verb = "holds a key it does not take" if self.present else "is not set"
        return f"The environment variable {self.variable} {verb}; set it, or name another one with api_key_env='…'."

    def check(self) -> None:
        """Refuse a key that no header can hold: the HTTP library would repeat it in its complaint.

        Raises:
            AuthenticationFailed: names the variable, never its value.
        """
        if self.present and not _is_sendable(self.variable or ""):
            raise AuthenticationFailed(
                f"The environment variable {self.variable} holds white space, control characters or letters beyond "
                "ASCII in the middle of the key. Set it to the key alone."
            )

    def quote(self, text: str) -> str:
        """The beginning of what a server said, for a message; hidden before it is cut: half a key is one too."""
        return self.hide(text)[:_QUOTED].strip()

    def hide(self, text: str) -> str:
        """The text without the key, and without anything that looks like one."""
        value = os.environ.get(self.variable, "").strip() if self.variable else ""
        return _LOOSE_KEY.sub(_HIDDEN, text.replace(value, _HIDDEN) if value else text)


class Bearer(httpx.Auth):
    """Puts the key into a request at the last moment. httpx prints an authorization header as "[secure]"."""

    def __init__(self, key: Key) -> None:
        self._key = key

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Add the header, if there is a key.

        Raises:
            AuthenticationFailed: it cannot be sent.
        """
        self._key.check()
        if self._key.present and self._key.variable is not None:
            request.headers["Authorization"] = f"Bearer {os.environ[self._key.variable].strip()}"
        yield request


def _is_sendable(variable: str) -> bool:
    """Whether a variable holds printable ASCII without spaces. The value stays here: no frame that raises has it."""
    value = os.environ[variable].strip()
    return value.isascii() and value.isprintable() and " " not in value


def check_variable(name: str | None) -> str | None:
    """The name of an environment variable, if it can be one. A key put here by mistake is not repeated.

    Many keys could be names (``hf_…``, ``AIza…``): one that looks like a key has to be set to be taken for a name.

    Raises:
        UsageError: it is none.
    """
    if name is not None and not (isinstance(name, str) and _VARIABLE.fullmatch(name) and _is_name(name)):
        raise UsageError(
            "api_key_env is the NAME of an environment variable, such as OPENAI_API_KEY, not a key. A name that looks "
            "like a key is taken for one until such a variable is set."
        )
    return name


def _is_name(name: str) -> bool:
    return name in os.environ or not (_LOOSE_KEY.search(name) or _TAKEN_FOR_KEY.match(name))


def refuse_keys(options: dict[str, object], variable: str | None) -> None:
    """Refuse keys as arguments: they would end up in notebooks, records and tracebacks.

    Raises:
        UsageError: names the remedy, never the value.
    """
    for name in options:
        if name.lower() in _ARGUMENTS:
            raise UsageError(
                f"{name}= is not taken: a key in a program ends up in notebooks and logs. Set the environment variable "
                f"{variable or 'of your choice'}, or name another one with api_key_env='…'."
            )


def check_url(url: str) -> str:
    """A base address without a slash at its end; without a path it gets ``/v1``.

    Raises:
        UsageError: no http address, or one with a user, a password, a query or a fragment: keys hide there.
    """
    parts = urlsplit(url) if isinstance(url, str) else urlsplit("")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UsageError("base_url must be an http address, such as http://127.0.0.1:8080/v1.")
    if parts.username is not None or parts.password is not None:
        raise UsageError("base_url holds a user or password. Leave them out; keys come from api_key_env='…'.")
    if parts.query or parts.fragment:
        raise UsageError("base_url holds a query or fragment. Leave it out; keys come from api_key_env='…'.")
    try:
        _ = parts.port
    except ValueError as error:
        raise UsageError(f"base_url has no usable port: {error}") from error
    return urlunsplit((parts.scheme, parts.netloc, parts.path.rstrip("/") or "/v1", "", ""))


def warn_of_plain_http(url: str, key: Key) -> None:
    """Tell when a key would cross a network in the clear."""
    parts = urlsplit(url)
    if parts.scheme == "http" and key.present and not _is_near(parts.hostname or ""):
        warnings.warn(
            f"The key in {key.variable} goes to {parts.hostname} unencrypted. Use https.",
            WorkbenchWarning,
            stacklevel=4,
        )


def _is_near(host: str) -> bool:
    """Whether an address is this machine's, or of a private network."""
    if host == "localhost" or host.endswith((".localhost", ".local", ".internal")):
        return True
    try:
        return ipaddress.ip_address(host).is_private
    except ValueError:
        return False

"""What must not lie on disk: keys. Hidden in whatever notebooks, libraries and errors say before it is kept.

Certain are the values of environment variables whose names say what they hold (``…_API_KEY``, ``…_TOKEN``,
``…_SECRET``, ``…_PASSWORD``); beyond those, what has the shape of a well-known provider's key.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

HIDDEN = "[hidden]"

_NAME = re.compile(r"(?:^|_)(?:\w*KEY|\w*TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIALS?)(?:$|_)", re.IGNORECASE)
_SHAPE = r"\b(?:sk|pplx|gsk|hf|xai)[-_](?=[\w\-]*\d)(?=[\w\-]*[A-Za-z])[\w\-]{20,}|\bAIza[\w\-]{30,}"
"""Long, letters and digits: a model's or a package's name is not taken for a key."""

_LEAST_CHARACTERS = 8
"""Shorter values are words such as "true", and hiding them would garble everything."""


class Redaction:
    """Hides the keys an environment holds.

    Args:
        environment: variables; ``None``: this process's, as they are now.
    """

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        held = os.environ if environment is None else environment
        values = {value.strip() for name, value in held.items() if _NAME.search(name)}
        known = sorted((re.escape(value) for value in values if len(value) >= _LEAST_CHARACTERS), key=len, reverse=True)
        self._pattern = re.compile("|".join([*known, _SHAPE]))

    def text(self, text: str) -> str:
        """The text with "[hidden]" for every key."""
        return self._pattern.sub(HIDDEN, text)

    def within(self, value: Any) -> Any:
        """JSON values with every text cleaned, names included."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {self.within(name): self.within(inner) for name, inner in value.items()}
        if isinstance(value, list | tuple):
            return [self.within(inner) for inner in value]
        return value

    def file(self, path: Path) -> None:
        """Clean a text file in place, so that whoever has it open goes on writing to it; nothing if there is none."""
        if not path.exists():
            return
        said = path.read_bytes()
        clean = self.text(said.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")
        if clean != said:
            path.write_bytes(clean)

"""YAML with a memory for lines: where each key stands, and what YAML 1.1 quietly turns into something else.

Uses PyYAML's node tree; knows nothing of what a specification means.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from workbench.errors import SpecError

KeyPath = tuple[str | int, ...]

_BOOLEAN_WORDS = {"on", "off", "yes", "no"}
_NUMBER_AS_TEXT = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+")


@dataclass(frozen=True, slots=True)
class Source:
    """What a specification says and where.

    Attributes:
        value: the document, as plain values.
        path: the file, if it came from one.
        lines: key path → 1-based line.
    """

    value: dict[str, Any]
    path: Path | None
    lines: Mapping[KeyPath, int]

    def line(self, path: KeyPath) -> int | None:
        """Line of a key, or of the nearest key above it that stands in the file."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path)

    def error(self, problem: str, path: KeyPath) -> SpecError:
        """A :class:`SpecError` that points at ``path``."""
        return SpecError(problem, path=self.path, line=self.line(path), key=dotted(path))


def dotted(path: KeyPath) -> str:
    """A key path for people: ``parameters.n_batch[1]``.

    >>> dotted(("parameters", "n_batch", 1))
    'parameters.n_batch[1]'
    """
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".")


def read(path: Path) -> Source:
    """Read a specification file.

    Raises:
        SpecError: it cannot be read, is not YAML, or says something YAML reads differently from what stands there.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SpecError(f"cannot be read: {error}", path=path) from error
    return parse(text, path)


def parse(text: str, path: Path | None = None) -> Source:
    """As :func:`read`, from text."""
    node, value = _load(text, path)
    if not isinstance(node, yaml.MappingNode):
        raise SpecError("must be a mapping of keys to values, such as `name: quickstart`.", path=path, line=1)
    lines: dict[KeyPath, int] = {}
    _walk(node, (), lines, path)
    return Source(value, path, lines)


def _load(text: str, path: Path | None) -> tuple[yaml.Node | None, Any]:
    """The node tree, which has the lines, and the values."""
    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        # parsed again for the values: constructing from the tree would flatten merge keys in it
        return node, None if node is None else yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise SpecError(
            f"is not valid YAML: {error.problem or error}.", path=path, line=mark.line + 1 if mark else None
        ) from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise SpecError(f"is not valid YAML: {error}", path=path) from error
    finally:
        loader.dispose()


def _walk(node: yaml.Node, at: KeyPath, lines: dict[KeyPath, int], path: Path | None) -> None:
    lines.setdefault(at, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        _walk_mapping(node, at, lines, path)
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            _walk(item, (*at, index), lines, path)
    elif isinstance(node, yaml.ScalarNode):
        problem = _surprise(node)
        if problem:
            raise SpecError(problem, path=path, line=node.start_mark.line + 1, key=dotted(at))


def _walk_mapping(node: yaml.MappingNode, at: KeyPath, lines: dict[KeyPath, int], path: Path | None) -> None:
    for key, value in node.value:
        line = key.start_mark.line + 1
        here = (*at, str(key.value) if isinstance(key, yaml.ScalarNode) else "?")
        if key.tag == "tag:yaml.org,2002:merge":
            raise SpecError("merge keys are not supported: write the keys out.", path=path, line=line, key=dotted(here))
        if key.tag != "tag:yaml.org,2002:str":
            kind = key.tag.rpartition(":")[2]
            raise SpecError(
                f"YAML reads this key as {kind}, keys are text: put it in quotes.",
                path=path,
                line=line,
                key=dotted(here),
            )
        if here in lines:
            raise SpecError(
                f"this key stands here a second time, first in line {lines[here]}. Keep one.",
                path=path,
                line=line,
                key=dotted(here),
            )
        lines[here] = line
        _walk(value, here, lines, path)


def _surprise(node: yaml.ScalarNode) -> str | None:
    """What YAML 1.1 makes of a plain scalar that its writer may not have meant."""
    kind, text = node.tag.rpartition(":")[2], node.value
    if node.style is not None:  # quoted: meant as it stands
        return None
    if kind == "bool" and text.lower() in _BOOLEAN_WORDS:
        meant = "true" if text.lower() in ("on", "yes") else "false"
        return f'YAML reads {text} as {meant}. Write {meant}, or "{text}" in quotes for the word.'
    if kind == "str" and _NUMBER_AS_TEXT.fullmatch(text):
        return f"YAML reads {text} as text. Write the number with a point and a signed exponent: {float(text):e}."
    if kind == "int" and (":" in text or re.match(r"[-+]?0\d", text)):
        return f'YAML reads {text} as the number {yaml.safe_load(text)}. Write that number, or "{text}" in quotes.'
    if kind == "timestamp":
        return f'YAML reads {text} as a date. Put it in quotes: "{text}".'
    return None

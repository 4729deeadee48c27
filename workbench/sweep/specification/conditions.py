"""Conditions over a configuration's parameters, as a specification writes them: ``n_ubatch <= n_batch``.

A small part of Python's expressions: names of parameters, values, comparisons, ``and``, ``or``, ``not``, ``in``, sums
and products. Nothing can be called, and no attribute be read.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from workbench.errors import InvalidSettings

_COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.In: lambda item, items: item in items,
    ast.NotIn: lambda item, items: item not in items,
}
_ARITHMETIC: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}
_WORDS = {"true": True, "false": False, "null": None}
_ALLOWED = (
    ast.Expression,
    ast.BoolOp,
    ast.And,
    ast.Or,
    ast.UnaryOp,
    ast.Not,
    ast.USub,
    ast.BinOp,
    ast.Compare,
    ast.Name,
    ast.Load,
    ast.Constant,
    ast.List,
    ast.Tuple,
    *_COMPARE,
    *_ARITHMETIC,
)


@lru_cache(maxsize=1024)
def parsed(text: str) -> ast.expr:
    """The expression of a condition.

    Raises:
        InvalidSettings: it is none, or says more than a condition may.
    """
    try:
        tree = ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise InvalidSettings(f"{text!r} is no condition. Write one like n_ubatch <= n_batch.") from error
    for node in ast.walk(tree):
        if not isinstance(node, _ALLOWED):
            raise InvalidSettings(
                f"{text!r} says more than a condition may ({type(node).__name__}). "
                "Use parameters, values, comparisons, in, and, or, not, + - * / // %."
            )
    return tree.body


def names(text: str) -> frozenset[str]:
    """Parameters a condition speaks of."""
    found = {node.id for node in ast.walk(parsed(text)) if isinstance(node, ast.Name)}
    return frozenset(found - set(_WORDS))


def holds(text: str, values: Mapping[str, Any]) -> bool:
    """Whether a condition is true of a configuration.

    Raises:
        InvalidSettings: it cannot be told: a parameter is missing, or two values cannot be compared.
    """
    try:
        return bool(_value(parsed(text), values))
    except KeyError as error:
        raise InvalidSettings(
            f"{text!r} speaks of {error.args[0]!r}, which a configuration does not set. Fix it, or give it everywhere."
        ) from error
    except (TypeError, ZeroDivisionError, OverflowError) as error:
        told = ", ".join(f"{name}={values.get(name)!r}" for name in sorted(names(text)))
        raise InvalidSettings(f"{text!r} cannot be told for {told}: {error}.") from error


def _value(node: ast.expr, values: Mapping[str, Any]) -> Any:
    match node:
        case ast.Constant(value):
            return value
        case ast.Name(name):
            return _WORDS[name] if name in _WORDS else values[name]
        case ast.List(items) | ast.Tuple(items):
            return [_value(item, values) for item in items]
        case ast.BoolOp(ast.And(), parts):
            return all(_value(part, values) for part in parts)
        case ast.BoolOp(_, parts):
            return any(_value(part, values) for part in parts)
        case ast.UnaryOp(ast.Not(), operand):
            return not _value(operand, values)
        case ast.UnaryOp(_, operand):
            return -_value(operand, values)
        case ast.BinOp(left, sign, right):
            return _ARITHMETIC[type(sign)](_value(left, values), _value(right, values))
        case ast.Compare(left, signs, rights):
            return _chain(_value(left, values), signs, [_value(right, values) for right in rights])
    raise AssertionError(f"unexpected {ast.dump(node)}")  # pragma: no cover - parsed() lets nothing else through


def _chain(left: Any, signs: list[ast.cmpop], rights: list[Any]) -> bool:
    for sign, right in zip(signs, rights, strict=True):
        if not _COMPARE[type(sign)](left, right):
            return False
        left = right
    return True

"""Whether a grammar that reads well can also work: with llama.cpp's parser, in bounded memory, to an end.

Knows rules as :mod:`workbench.engine.sampling.gbnf` reads them, nothing else.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from workbench.engine.sampling.gbnf import (
    MAX_ELEMENTS,
    MAX_REPETITIONS,
    ROOT,
    Chars,
    Group,
    Node,
    Ref,
    Repeat,
    Rules,
    Token,
    holds,
    nodes,
)
from workbench.errors import InvalidGrammar

MAX_CHAIN = 1000
"""Rules that begin with one another; llama.cpp follows them recursively."""
MAX_WIDTH = 10_000
"""Ways to begin one rule; llama.cpp keeps a stack for each and compares them pairwise."""


def check(rules: Rules) -> None:
    """Refuse what llama.cpp cannot take, or takes and never comes back from.

    Raises:
        InvalidGrammar: no rule ``root``, an undefined rule, left recursion, a rule that never ends, or too large.
    """
    if ROOT not in rules:
        known = f" It has: {', '.join(list(rules)[:10])}." if rules else " It is empty."
        raise InvalidGrammar(f"The grammar has no rule named {ROOT!r}, where the output begins.{known}")
    _check_defined(rules)
    _check_size(rules)
    _check_ends(rules)
    order = _leftmost_first(rules)
    _check_width(rules, order)


def _check_defined(rules: Rules) -> None:
    for name, rule in rules.items():
        for node in nodes(rule):
            if isinstance(node, Ref) and node.name not in rules:
                raise InvalidGrammar(f"Rule {name!r} of the grammar uses {node.name!r}, which is not defined.")


def _check_size(rules: Rules) -> None:
    total = 0
    for name, rule in rules.items():
        total += _size(rule, name)
        if total > MAX_ELEMENTS:
            raise InvalidGrammar(
                f"The grammar comes to more than {MAX_ELEMENTS:,} elements with its repetitions written out (in rule "
                f"{name!r}). Shorten its literals or lower its counts."
            )


def _size(node: Node, rule: str) -> int:
    """Elements llama.cpp makes of a node; repetitions are written out."""
    if isinstance(node, Chars):
        return max(1, node.elements)
    if isinstance(node, Group):
        return 2 + sum(1 + sum(_size(part, rule) for part in sequence) for sequence in node.alternatives)
    if isinstance(node, Repeat):
        if _rules_made(node) > MAX_REPETITIONS:
            raise InvalidGrammar(
                f"Rule {rule!r} repeats a group that repeats: together more than the {MAX_REPETITIONS:,} that "
                "llama.cpp writes out. Lower a count, or give the inner group a name of its own."
            )
        optional = 1 if node.high is None else node.high - node.low
        return _item_size(node.item, rule) * (max(node.low, 1) + optional) + 3 * optional
    return 1


def _item_size(item: Node, rule: str) -> int:
    """A repeated group is made once and referred to; only what stands in it by itself is copied."""
    return 1 + _size(item, rule) if isinstance(item, Group) else _size(item, rule)


def _rules_made(node: Node) -> int:
    """Rules that llama.cpp counts against its limit of repetitions."""
    if isinstance(node, Repeat):
        times = node.high if node.high else max(node.low, 1)
        return _rules_made(node.item) * times
    if isinstance(node, Group):
        inner = [part for sequence in node.alternatives for part in sequence]
        return 1 + sum(_rules_inside(part) for part in inner)
    return 1


def _rules_inside(node: Node) -> int:
    """Rules that llama.cpp makes up while it reads a node."""
    if isinstance(node, Group):
        return 1 + sum(_rules_inside(part) for sequence in node.alternatives for part in sequence)
    if isinstance(node, Repeat):
        return _rules_inside(node.item) + (1 if node.high is None else node.high - node.low)
    return 0


def _fixpoint(rules: Rules, leaf: Callable[[set[str], Node], bool]) -> set[str]:
    """The rules that satisfy ``leaf`` in the end; a rule is looked at again when one it uses is found."""
    users: dict[str, list[str]] = {}
    for name, rule in rules.items():
        for used in {node.name for node in nodes(rule) if isinstance(node, Ref)}:
            users.setdefault(used, []).append(name)
    found: set[str] = set()
    waiting = list(rules)
    while waiting:
        name = waiting.pop()
        if name not in found and holds(rules[name], partial(leaf, found)):
            found.add(name)
            waiting += users.get(name, [])
    return found


def _check_ends(rules: Rules) -> None:
    ending = _fixpoint(rules, lambda found, node: not isinstance(node, Ref) or node.name in found)
    for name in rules:
        if name not in ending:
            raise InvalidGrammar(
                f"Rule {name!r} of the grammar never ends: each of its alternatives needs the rule itself again. "
                "Give it one that does not."
            )


def _nullable(rules: Rules) -> Callable[[Node], bool]:
    def leaf(found: set[str], node: Node) -> bool:
        return node.name in found if isinstance(node, Ref) else isinstance(node, Chars) and not node.elements

    empty = _fixpoint(rules, leaf)
    return lambda node: holds(node, partial(leaf, empty))


def _beginnings(node: Node, nullable: Callable[[Node], bool]) -> set[str]:
    """Rules that a node may begin with."""
    if isinstance(node, Ref):
        return {node.name}
    if isinstance(node, Repeat):
        return _beginnings(node.item, nullable)
    found: set[str] = set()
    if isinstance(node, Group):
        for sequence in node.alternatives:
            for part in sequence:
                found |= _beginnings(part, nullable)
                if not nullable(part):
                    break
    return found


def _leftmost_first(rules: Rules) -> list[str]:
    """All rules, each after those it may begin with.

    Raises:
        InvalidGrammar: a rule may begin with itself, or the chain of beginnings is too long.
    """
    nullable = _nullable(rules)
    order: list[str] = []
    depth: dict[str, int] = {}
    begins = {name: _beginnings(rule, nullable) for name, rule in rules.items()}
    for start in rules:
        path: dict[str, list[str]] = {}
        stack = [] if start in depth else [start]
        while stack:
            name = stack[-1]
            rest = path.setdefault(name, [other for other in begins[name] if other not in depth])
            while rest and rest[-1] in depth:
                rest.pop()
            if rest:
                if rest[-1] in path:
                    raise InvalidGrammar(
                        f"Rule {rest[-1]!r} of the grammar may begin with itself (left recursion), which llama.cpp "
                        "cannot follow. Put the recursion at the end of the rule, or use * or +."
                    )
                stack.append(rest.pop())
                continue
            depth[name] = 1 + max((depth[other] for other in begins[name]), default=0)
            _check_chain(name, depth[name])
            order.append(name)
            del path[stack.pop()]
    return order


def _check_chain(name: str, depth: int) -> None:
    if depth > MAX_CHAIN:
        raise InvalidGrammar(
            f"Rule {name!r} begins with a rule that begins with a rule … more than {MAX_CHAIN:,} deep. Flatten it."
        )


def _check_width(rules: Rules, order: list[str]) -> None:
    nullable = _nullable(rules)
    widths: dict[str, int] = {}

    def width(node: Node) -> int:
        if isinstance(node, Ref):
            return widths[node.name]
        if isinstance(node, Repeat):
            return width(node.item) + 1
        if isinstance(node, Group):
            return sum(sequence_width(sequence) for sequence in node.alternatives)
        return 1

    def sequence_width(sequence: tuple[Node, ...]) -> int:
        total = 0
        for part in sequence:
            total += width(part)
            if not nullable(part):
                return total
        return total + 1

    for name in order:
        widths[name] = min(width(rules[name]), MAX_WIDTH + 1)
        if widths[name] > MAX_WIDTH:
            raise InvalidGrammar(
                f"Rule {name!r} of the grammar can begin in more than {MAX_WIDTH:,} ways, which llama.cpp would try "
                "all. Merge alternatives that begin alike."
            )


def named_tokens(rules: Rules) -> set[str]:
    """The tokens a grammar names, as it writes them."""
    return {node.text for rule in rules.values() for node in nodes(rule) if isinstance(node, Token)}

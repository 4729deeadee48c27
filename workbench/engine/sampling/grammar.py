"""Constrained output: a grammar or JSON schema, compiled once, and the state of one output under it.

llama.cpp matches (``llama_sampler_init_grammar``), but takes no wrong token: it aborts the process over one. So every
token is asked for before it is told, and what llama.cpp lets through although the text would not follow the grammar is
held back here: control tokens, which have a spelling but add no text, and bytes that are no UTF-8.

One limit is llama.cpp's: a grammar that stays undecided between alternatives over a recursion
(``s ::= "a" s "b" | "a" s "c" | ""``) doubles its work with every level.
"""

from __future__ import annotations

import ctypes
import json
import threading
import weakref
from collections import OrderedDict
from typing import Any

import numpy as np
import numpy.typing as npt

from workbench.engine.native.library import library, log_tail
from workbench.engine.native.vocabulary import Vocabulary
from workbench.engine.native.weights import quote
from workbench.engine.sampling.gbnf import ROOT, parse
from workbench.engine.sampling.gbnf_check import check, named_tokens
from workbench.engine.sampling.json_schema import schema_to_gbnf
from workbench.errors import InvalidGrammar
from workbench.interfaces import Request

CACHED = 32
"""Compiled grammars kept for each vocabulary."""

_SPECIAL = 1 | 8
"""LLAMA_TOKEN_ATTR_UNKNOWN and _CONTROL: spelt, but no part of the text."""
_ALLOWED, _FORBIDDEN = 1.0, float("-inf")
_NO_BYTE = 256


def compile_constraint(request: Request, vocabulary: Vocabulary) -> Constraint | None:
    """The constraint of a request; ``None``: it has none. Any thread. A second request with the same text is free.

    Raises:
        InvalidGrammar: what was given cannot constrain anything; says where it is wrong.
    """
    if request.grammar is None and request.json_schema is None:
        return None
    with _guard:
        workshop = _workshops.get(vocabulary)
        if workshop is None:
            workshop = _workshops[vocabulary] = _Workshop(vocabulary)
    return workshop.constraint(request)


class _Workshop:
    """What is made once for a vocabulary, and the grammars compiled for it, least recently used first.

    It refers to the vocabulary weakly, or the two would keep each other.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = weakref.ref(vocabulary)
        self._guard = threading.Lock()
        self._made: OrderedDict[str, Constraint] = OrderedDict()
        self._marks: Marks | None = None

    def constraint(self, request: Request) -> Constraint:
        key = request.grammar if request.json_schema is None else "json " + json.dumps(request.json_schema)
        assert key is not None  # noqa: S101 - asked for with one of the two
        with self._guard:
            found = self._made.get(key)
            if found is None:
                text = request.grammar if request.json_schema is None else _converted(request.json_schema)
                found = self._made[key] = self._compile(text or "")
                if len(self._made) > CACHED:
                    self._made.popitem(last=False)
            self._made.move_to_end(key)
            return found

    def _compile(self, text: str) -> Constraint:
        vocabulary = self._vocabulary()
        assert vocabulary is not None  # noqa: S101 - the caller holds it
        if self._marks is None:
            self._marks = Marks(vocabulary)
        return Constraint(text, vocabulary, self._marks)


def _converted(schema: dict[str, Any]) -> str:
    try:
        return schema_to_gbnf(schema)
    except RecursionError:
        raise InvalidGrammar("The JSON schema is nested too deep. Flatten it.") from None


_workshops: weakref.WeakKeyDictionary[Vocabulary, _Workshop] = weakref.WeakKeyDictionary()
_guard = threading.Lock()


class Marks:
    """What kind of token each token is. Made once for a vocabulary.

    Attributes:
        ends: (n_vocab,) whether it ends generation.
        silent: (n_vocab,) whether it adds no text and does not end either.
        first: (n_vocab,) its first byte; 256: it has none that counts.
        probes: tokens of a single byte. Where such a one may not follow, no token that begins with its byte may.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        lib, raw = library(), vocabulary.raw
        buffer = ctypes.create_string_buffer(512)
        self.ends: npt.NDArray[np.bool_] = np.zeros(vocabulary.size, np.bool_)
        self.ends[vocabulary.end_tokens()] = True
        self.silent: npt.NDArray[np.bool_] = np.zeros(vocabulary.size, np.bool_)
        self.first: npt.NDArray[np.int16] = np.full(vocabulary.size, _NO_BYTE, np.int16)
        single: dict[int, int] = {}
        for token in np.flatnonzero(~self.ends).tolist():
            if lib.llama_vocab_get_attr(raw, token) & _SPECIAL:
                self.silent[token] = True
                continue
            length = lib.llama_token_to_piece(raw, token, buffer, len(buffer), 0, False)
            if length > 0:
                byte = self.first[token] = ord(buffer[0])
                if length == 1:
                    single[int(byte)] = token
        self.probes: npt.NDArray[np.int32] = np.fromiter(single.values(), np.int32, len(single))


class Constraint:
    """A compiled grammar. Immutable; shared by requests and threads.

    Args:
        text: GBNF.
        vocabulary: of the model; llama.cpp's part of it must outlive every state.
        marks: of its tokens.

    Raises:
        InvalidGrammar: it cannot constrain anything.
    """

    def __init__(self, text: str, vocabulary: Vocabulary, marks: Marks) -> None:
        rules = parse(text)
        check(rules)
        self.marks = marks
        self.end_token = int(marks.ends.argmax()) if marks.ends.any() else None
        self.silent = marks.silent.copy()
        named = [_token_id(name, vocabulary) for name in named_tokens(rules)]
        self.silent[named] = False
        self.mark_token: int | None = None
        root = ROOT
        if self.end_token is None:
            self.mark_token = _mark_token(self.silent, vocabulary)
            root = "end-mark" + "-x" * sum(name.startswith("end-mark") for name in rules)
            text = f"{text}\n{root} ::= {ROOT} <[{self.mark_token}]>\n"
        self.compiled = _initialise(text, root, vocabulary)
        weakref.finalize(self, library().llama_sampler_free, self.compiled)


def _token_id(written: str, vocabulary: Vocabulary) -> int:
    """The token that a grammar writes as ``<text>`` or ``<[id]>``."""
    if written.startswith("<["):
        token = int(written[2:-2])
        if token < vocabulary.size:
            return token
        raise InvalidGrammar(f"{written} in the grammar is no token of this model; ids run to {vocabulary.size - 1}.")
    tokens = vocabulary.tokenize(written, add_special=False, parse_special=True)
    if len(tokens) != 1:
        raise InvalidGrammar(
            f"{written} in the grammar is {len(tokens)} tokens of this model, not one. Quote the text."
        )
    return tokens[0]


def _mark_token(silent: npt.NDArray[np.bool_], vocabulary: Vocabulary) -> int:
    """A token to mark the end of a grammar with, for a model that has none to end generation with."""
    for token in np.flatnonzero(silent).tolist():
        if vocabulary.text_of(token).isprintable() and vocabulary.text_of(token):
            return int(token)
    raise InvalidGrammar(
        "This model has neither an end-of-generation token nor a control token, so that the end of a constrained "
        "output cannot be told. Use a model that has one."
    )


def _initialise(text: str, root: str, vocabulary: Vocabulary) -> Any:
    try:
        data = text.encode()
    except UnicodeEncodeError as error:
        raise InvalidGrammar(f"The grammar contains half a surrogate pair, which is no text: {error}.") from error
    with log_tail.capture() as said:
        compiled = library().llama_sampler_init_grammar(vocabulary.raw, data, root.encode())
    if not compiled:
        raise InvalidGrammar(f"llama.cpp cannot use this grammar. {quote(said)}")
    return compiled


class ConstraintState:
    """One output under a constraint: what may follow what there is. Belongs to one thread.

    Args:
        constraint: the grammar.
        vocabulary: the one it was compiled for.
    """

    def __init__(self, constraint: Constraint, vocabulary: Vocabulary) -> None:
        self._lib = library()
        self._constraint, self._vocabulary = constraint, vocabulary
        self._state = self._lib.llama_sampler_clone(constraint.compiled)
        self._pending = b""  # first bytes of a character whose last are still to come
        self._complete: bool | None = None
        self._one = self._lib.llama_token_data(0, _ALLOWED, 0.0)
        self._single = self._lib.llama_token_data_array(ctypes.pointer(self._one), 1, -1, False)

    @property
    def complete(self) -> bool:
        """Whether the output so far is a whole one."""
        if self._complete is None:
            mark = self._constraint.end_token
            mark = self._constraint.mark_token if mark is None else mark
            assert mark is not None  # noqa: S101 - a constraint has one or the other
            self._complete = not self._pending and self._matches(mark)
        return self._complete

    def allows(self, token: int) -> bool:
        """Whether a token may follow."""
        if self._vocabulary.ends_generation(token):
            return self.complete
        return not self._constraint.silent[token] and self._tail(token) is not None and self._matches(token)

    def filter(self, tokens: npt.NDArray[np.int32]) -> npt.NDArray[np.bool_]:
        """Which of many tokens may follow.

        Returns:
            (n,) bool. Bytes that make no character may be among them: :meth:`allows` is sure of one token.
        """
        marks = self._constraint.marks
        found: npt.NDArray[np.bool_] = ~self._constraint.silent[tokens]
        if self._pending:
            found &= ~marks.ends[tokens]
        if len(tokens) > len(marks.probes):
            possible = np.ones(_NO_BYTE + 1, np.bool_)
            possible[marks.first[marks.probes]] = self._match_many(marks.probes)
            found &= possible[marks.first[tokens]]
        found[found] = self._match_many(tokens[found])
        return found

    @property
    def over(self) -> bool:
        """Whether the output is whole, nothing may follow, and the model has no token to say so."""
        if self._constraint.end_token is not None or not self.complete:
            return False
        return not self.filter(np.arange(self._vocabulary.size, dtype=np.int32)).any()

    @property
    def end_token(self) -> int | None:
        """A token that ends generation; ``None``: the model has none."""
        return self._constraint.end_token

    def accept(self, token: int) -> None:
        """Take a token that is allowed. Only such: llama.cpp ends the process over another."""
        tail = self._tail(token)
        assert tail is not None  # noqa: S101 - it was allowed
        self._lib.llama_sampler_accept(self._state, token)
        self._pending, self._complete = tail, None

    def free(self) -> None:
        """Give the state back. Idempotent."""
        if self._state is not None:
            self._lib.llama_sampler_free(self._state)
            self._state = None

    def _matches(self, token: int) -> bool:
        self._one.id, self._one.logit = token, _ALLOWED
        self._lib.llama_sampler_apply(self._state, ctypes.byref(self._single))
        return bool(self._one.logit != _FORBIDDEN)

    def _match_many(self, tokens: npt.NDArray[np.int32]) -> npt.NDArray[np.bool_]:
        data = np.zeros(len(tokens), TOKEN_DATA)
        data["id"], data["logit"] = tokens, _ALLOWED
        pointer = data.ctypes.data_as(ctypes.POINTER(self._lib.llama_token_data))
        candidates = self._lib.llama_token_data_array(pointer, len(tokens), -1, False)
        self._lib.llama_sampler_apply(self._state, ctypes.byref(candidates))
        matched: npt.NDArray[np.bool_] = data["logit"] != _FORBIDDEN
        return matched

    def _tail(self, token: int) -> bytes | None:
        """The bytes of an unfinished character after a token; ``None``: it makes what is no UTF-8."""
        piece = self._vocabulary.piece(token)
        if not self._pending and piece.isascii():
            return b""
        data = self._pending + piece
        try:
            data.decode()
        except UnicodeDecodeError as error:
            cut = error.reason == "unexpected end of data" and error.end == len(data)
            return data[error.start :] if cut else None
        return b""


TOKEN_DATA = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])
"""``llama_token_data``."""

"""The bytes at the start of a GGUF file: metadata and tensor descriptions, read with a bound on everything.

The ``gguf`` package's own reader makes a Python object for every string of the vocabulary: 2.2 s for SmolLM2, 13 s and
880 MB for Gemma 3 (2 cores). This one walks past what nobody asked for. Every length is compared with what is left of
the file before it is used, so a damaged header is an error, never a large allocation. Knows the container, not what
the metadata mean. Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from gguf import GGML_QUANT_SIZES, GGUF_DEFAULT_ALIGNMENT, GGUF_VERSION, GGMLQuantizationType, GGUFValueType, Keys

from workbench.errors import ModelFileError
from workbench.models.foreign import explain_foreign

MAX_KEYS = 65_536
MAX_TENSORS = 262_144
MAX_DIMENSIONS = 4
"""GGML_MAX_DIMS."""
MAX_NAME_BYTES = 65_535
MAX_STRINGS = 16_777_216
"""Strings in arrays, all of them together; the largest vocabularies have half a million with their merges."""
MAX_KEPT_BYTES = 64 * 2**20
SHORT_ARRAY = 1024
"""Arrays up to this length are kept unasked: per-layer values, languages, tags."""

_MAGIC = b"GGUF"
_WINDOW = 1 << 20
_SCALARS = {
    GGUFValueType.UINT8: "B",
    GGUFValueType.INT8: "b",
    GGUFValueType.UINT16: "H",
    GGUFValueType.INT16: "h",
    GGUFValueType.UINT32: "I",
    GGUFValueType.INT32: "i",
    GGUFValueType.FLOAT32: "f",
    GGUFValueType.BOOL: "?",
    GGUFValueType.UINT64: "Q",
    GGUFValueType.INT64: "q",
    GGUFValueType.FLOAT64: "d",
}


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """Where a tensor lies and what it is.

    Attributes:
        name: as in the file, "blk.0.attn_q.weight".
        shape: ggml's order, the contiguous dimension first.
        type: ggml's name, "Q4_K".
        offset: bytes from the start of the file.
        n_bytes: bytes it takes.
    """

    name: str
    shape: tuple[int, ...]
    type: str
    offset: int
    n_bytes: int

    @property
    def n_elements(self) -> int:
        """Product of the shape."""
        count = 1
        for size in self.shape:
            count *= size
        return count


@dataclass(frozen=True, slots=True)
class SkippedArray:
    """Stands for a long array that was walked past."""

    type: str
    count: int


@dataclass(frozen=True, slots=True)
class Header:
    """What stands before the weights.

    Attributes:
        path: the file.
        size_bytes: its length.
        version: GGUF version, 2 or 3.
        metadata: key → scalar, string, tuple, or :class:`SkippedArray`.
        tensors: in file order.
        data_offset: where the weights start.
    """

    path: Path
    size_bytes: int
    version: int
    metadata: dict[str, Any]
    tensors: tuple[TensorInfo, ...]
    data_offset: int


def read_header(path: Path | str, *, arrays: Collection[str] = (), whole_bytes: int | None = None) -> Header:
    """Read the header of one GGUF file.

    Args:
        path: the file.
        arrays: keys of long arrays that are wanted whole; the others become :class:`SkippedArray`.
        whole_bytes: length of the whole file where ``path`` is only its first piece.

    Raises:
        ModelFileError: no such file, not a GGUF, cut off, or a header that cannot be true.
    """
    path = Path(path)
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # opening a pipe would wait for its writer
            raise ModelFileError(path, "is not a regular file.")
        with path.open("rb", buffering=0) as file:
            return _Walker(path, file, arrays, whole_bytes).walk()
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        raise ModelFileError(path, f"cannot be read: {getattr(error, 'strerror', None) or error}") from error


class _Walker:
    """Goes through one header from front to back; ``offset`` never passes the end of the file."""

    def __init__(self, path: Path, file: IO[bytes], arrays: Collection[str], whole_bytes: int | None) -> None:
        self.path, self.file, self.arrays = path, file, arrays
        self.size = whole_bytes or file.seek(0, os.SEEK_END)
        self.offset = 0
        self.window, self.window_start = b"", 0
        self.strings_left, self.bytes_left = MAX_STRINGS, MAX_KEPT_BYTES

    def walk(self) -> Header:
        version = self._preamble()
        n_tensors, n_keys = self._number("Q", "the tensor count"), self._number("Q", "the metadata count")
        # the shortest entries: an empty key with one byte, a tensor of one dimension without a name
        self._check_count(n_keys, MAX_KEYS, 8 + 4 + 1, "metadata entries")
        self._check_count(n_tensors, MAX_TENSORS, 8 + 4 + 8 + 4 + 8, "tensors")
        metadata = self._metadata(n_keys)
        alignment = self._alignment(metadata)
        described = [self._tensor() for _ in range(n_tensors)]
        data_offset = _pad(self.offset, alignment)
        tensors = self._place(described, data_offset, alignment)
        return Header(self.path, self.size, version, metadata, tensors, data_offset)

    def _preamble(self) -> int:
        start = self._peek(512)
        if start[:4] != _MAGIC:
            raise self._bad(explain_foreign(start, self.size))
        self._skip(4, "the magic number")
        version: int = self._number("I", "the version")
        if version & 0xFFFF == 0:
            raise self._bad("a big-endian GGUF; llama.cpp reads little-endian ones here. Convert the model again.")
        if version == 1:
            raise self._bad("GGUF version 1, which llama.cpp no longer reads. Download or convert the model again.")
        if version > GGUF_VERSION:
            raise self._bad(f"GGUF version {version}; known are 2 and {GGUF_VERSION}. Update gguf, or it is damaged.")
        return version

    def _metadata(self, count: int) -> dict[str, Any]:
        metadata: dict[str, Any] = {}
        for _ in range(count):
            key = self._string("a metadata key", MAX_NAME_BYTES)
            if key in metadata:
                raise self._bad(f"the key {key!r} stands twice; the header is damaged.")
            metadata[key] = self._value(key)
        return metadata

    def _value(self, key: str) -> Any:
        kind = self._value_type(key)
        if kind is GGUFValueType.STRING:
            return self._string(key)
        if kind is GGUFValueType.ARRAY:
            return self._array(key)
        return self._number(_SCALARS[kind], key)

    def _value_type(self, key: str) -> GGUFValueType:
        raw = self._number("I", key)
        try:
            return GGUFValueType(raw)
        except ValueError:
            raise self._bad(f"{key!r} has the unknown type {raw}; the header is damaged.") from None

    def _array(self, key: str) -> Any:
        kind, count = self._value_type(key), self._number("Q", key)
        wanted = count <= SHORT_ARRAY or key in self.arrays
        if kind is GGUFValueType.STRING:
            return self._strings(key, count, wanted)
        if kind is GGUFValueType.ARRAY:
            raise self._bad(f"{key!r} is an array of arrays, which GGUF does not have; the header is damaged.")
        code = _SCALARS[kind]
        n_bytes = count * struct.calcsize(f"<{code}")
        if not wanted:
            self._skip(n_bytes, key)
            return SkippedArray(kind.name.lower(), count)
        self._spend(n_bytes, key)
        return struct.unpack(f"<{count}{code}", self._take(n_bytes, key))

    def _strings(self, key: str, count: int, wanted: bool) -> Any:
        self._check_count(count, self.strings_left, 8, f"strings in {key!r}")
        self.strings_left -= count
        if wanted:
            return tuple(self._string(key) for _ in range(count))
        self._skip_strings(count, key)
        return SkippedArray("string", count)

    def _skip_strings(self, count: int, key: str) -> None:
        while count:
            window = self._peek(_WINDOW)
            position, passed = _pass_strings(window, count)
            if not passed:
                raise self._cut(key)
            self._skip(position, key)
            count -= passed

    def _tensor(self) -> tuple[str, tuple[int, ...], Any, int]:
        name = self._string("a tensor's name", MAX_NAME_BYTES)
        n_dimensions = self._number("I", name)
        if not 1 <= n_dimensions <= MAX_DIMENSIONS:
            raise self._bad(f"tensor {name!r} has {n_dimensions} dimensions; the header is damaged.")
        shape = struct.unpack(f"<{n_dimensions}Q", self._take(8 * n_dimensions, name))
        raw_type, offset = self._number("I", name), self._number("Q", name)
        try:
            return name, shape, GGMLQuantizationType(raw_type), offset
        except ValueError:
            raise self._bad(
                f"tensor {name!r} has the type {raw_type}, which the installed gguf package does not know. "
                "Update gguf and llama-cpp-python, or the header is damaged."
            ) from None

    def _place(
        self, described: list[tuple[str, tuple[int, ...], Any, int]], data_offset: int, alignment: int
    ) -> tuple[TensorInfo, ...]:
        """Check that the weights lie one behind the other inside the file, as llama.cpp's loader demands."""
        tensors, names, expected = [], set(), 0
        for name, shape, kind, offset in described:
            if name in names:
                raise self._bad(f"the tensor {name!r} stands twice; the header is damaged.")
            names.add(name)
            n_bytes = self._tensor_bytes(name, shape, kind)
            if offset != expected:
                raise self._bad(f"tensor {name!r} is said to lie at {offset}, not {expected}; the header is damaged.")
            if data_offset + offset + n_bytes > self.size:
                raise self._bad(
                    f"cut off: tensor {name!r} ends at byte {data_offset + offset + n_bytes:,}, the file at "
                    f"{self.size:,}. Download it again."
                )
            expected += _pad(n_bytes, alignment)
            tensors.append(TensorInfo(name, shape, kind.name, data_offset + offset, n_bytes))
        return tuple(tensors)

    def _tensor_bytes(self, name: str, shape: tuple[int, ...], kind: Any) -> int:
        block, block_bytes = GGML_QUANT_SIZES[kind]
        if min(shape) < 1 or shape[0] % block:
            raise self._bad(f"tensor {name!r} of type {kind.name} has the shape {shape}; the header is damaged.")
        rows = 1
        for size in shape[1:]:
            rows *= size
        return int(shape[0] // block * block_bytes * rows)

    def _alignment(self, metadata: dict[str, Any]) -> int:
        alignment = metadata.get(Keys.General.ALIGNMENT, GGUF_DEFAULT_ALIGNMENT)
        if not isinstance(alignment, int) or alignment < 1 or alignment & (alignment - 1):
            raise self._bad(f"alignment is {alignment!r}, not a power of two; the header is damaged.")
        return alignment

    def _check_count(self, count: int, most: int, least_bytes: int, what: str) -> None:
        left = self.size - self.offset
        if count > most:
            raise self._bad(f"claims {count:,} {what}, more than makes sense; the header is damaged.")
        if count * least_bytes > left:
            raise self._bad(f"cut off or damaged: claims {count:,} {what}, and {left:,} bytes follow.")

    def _spend(self, n_bytes: int, what: str) -> None:
        if n_bytes > self.bytes_left:
            raise self._bad(f"{what!r} takes {n_bytes:,} bytes, more than makes sense; the header is damaged.")
        self.bytes_left -= n_bytes

    def _number(self, code: str, what: str) -> Any:
        return struct.unpack(f"<{code}", self._take(struct.calcsize(f"<{code}"), what))[0]

    def _string(self, what: str, most: int = MAX_KEPT_BYTES) -> str:
        length = self._number("Q", what)
        self._spend(length if length <= most else MAX_KEPT_BYTES + 1, what)
        return self._take(length, what).decode("utf-8", "replace")

    def _take(self, n_bytes: int, what: str) -> bytes:
        data = self._peek(n_bytes)
        self._skip(n_bytes, what)
        if len(data) < n_bytes:  # the file shrank since it was opened
            raise self._cut(what)
        return data

    def _skip(self, n_bytes: int, what: str) -> None:
        if n_bytes > self.size - self.offset:
            raise self._cut(what)
        self.offset += n_bytes

    def _peek(self, n_bytes: int) -> bytes:
        """Up to ``n_bytes`` from here, fewer at the end of the file; never more than the file has."""
        start = self.offset - self.window_start
        if not 0 <= start <= start + n_bytes <= len(self.window):
            self.file.seek(self.offset)
            self.window = self.file.read(min(max(n_bytes, _WINDOW), self.size - self.offset))
            self.window_start, start = self.offset, 0
        return self.window[start : start + n_bytes]

    def _cut(self, what: str) -> ModelFileError:
        return self._bad(f"cut off or damaged: {what} runs past the end of the file at byte {self.size:,}.")

    def _bad(self, reason: str) -> ModelFileError:
        return ModelFileError(self.path, reason)


def _pass_strings(window: bytes, count: int) -> tuple[int, int]:
    """Walk over at most ``count`` length-prefixed strings; returns where the last one ends and how many they were."""
    unpack, last = struct.Struct("<Q").unpack_from, len(window) - 8
    position = passed = 0
    while passed < count and position <= last:
        position += 8 + unpack(window, position)[0]
        passed += 1
    return position, passed


def _pad(size: int, alignment: int) -> int:
    return -(-size // alignment) * alignment

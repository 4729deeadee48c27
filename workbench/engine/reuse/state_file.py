"""One sequence state as a file: what it is of, and a checksum for every part of it.

Layout: magic (8 bytes), version, length and CRC-32 of the header (little-endian uint32 each), the header (JSON: the
fingerprint, the counts, the other two CRC-32s), the tokens (int32), the state. A file is as long as its header says,
to the byte. CRC-32 finds every single damaged stretch of up to 32 bits and misses one in 2**32 of larger ones; it is a
check on disks, not on adversaries.
"""

from __future__ import annotations

import json
import os
import struct
import zlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from workbench.engine.reuse.host_tier import State, as_view
from workbench.engine.reuse.prefix_index import TOKEN_BYTES
from workbench.errors import StoreCorrupt
from workbench.storage import replace_file

MAGIC = b"wbkvseq\n"
VERSION = 1

_PREAMBLE = struct.Struct("<8sIII")
_MAX_HEADER_BYTES = 4096
_PIECE_BYTES = 2**24  # checksums and writes go in pieces, so that an interrupt or a full disk is noticed early


@dataclass(frozen=True, slots=True, kw_only=True)
class StateHeader:
    """What a state file says of itself.

    Attributes:
        fingerprint: see :func:`workbench.engine.reuse.fingerprint.fingerprint`.
        n_tokens: tokens the state is of.
        state_bytes: length of the state.
        tokens_crc: CRC-32 of the packed tokens.
        state_crc: CRC-32 of the state.
    """

    fingerprint: str
    n_tokens: int
    state_bytes: int
    tokens_crc: int
    state_crc: int


def file_bytes(fingerprint: str, n_tokens: int, state_bytes: int) -> int:
    """The most room a file takes, before its checksums are known."""
    header = StateHeader(
        fingerprint=fingerprint,
        n_tokens=n_tokens,
        state_bytes=state_bytes,
        tokens_crc=2**32 - 1,
        state_crc=2**32 - 1,
    )
    return _PREAMBLE.size + len(_encode(header)) + n_tokens * TOKEN_BYTES + state_bytes


def write_state(path: Path, fingerprint: str, packed: bytes, state: State) -> None:
    """Write a state atomically; it is read where it lies, never copied.

    Raises:
        StorageFull: there is no room.
        OSError: the folder cannot be written to.
    """
    view = as_view(state)
    header = StateHeader(
        fingerprint=fingerprint,
        n_tokens=len(packed) // TOKEN_BYTES,
        state_bytes=view.nbytes,
        tokens_crc=zlib.crc32(packed),
        state_crc=_crc(view),
    )
    encoded = _encode(header)
    with replace_file(path) as file:
        file.write(_PREAMBLE.pack(MAGIC, VERSION, len(encoded), zlib.crc32(encoded)))
        file.write(encoded)
        file.write(packed)
        for start in range(0, view.nbytes, _PIECE_BYTES):
            file.write(view[start : start + _PIECE_BYTES])


def read_tokens(path: Path, fingerprint: str) -> tuple[StateHeader, bytes]:
    """The header and the packed tokens; the state is not read.

    Raises:
        StoreCorrupt: it is not a whole file of this version and fingerprint.
        OSError: it is gone or cannot be read.
    """
    with path.open("rb") as file:
        return _read_front(file, path, fingerprint)


def read_state(path: Path, fingerprint: str, packed: bytes) -> bytearray:
    """The state, checked.

    Args:
        path: the file.
        fingerprint: the one it must have.
        packed: the tokens it must be of.

    Raises:
        StoreCorrupt: it is damaged, or of something else.
        OSError: it is gone or cannot be read.
    """
    with path.open("rb") as file:
        header, tokens = _read_front(file, path, fingerprint)
        if tokens != packed:
            raise StoreCorrupt(path, "it is of other tokens")
        state = bytearray(header.state_bytes)
        if _fill(file, state) != header.state_bytes or _crc(memoryview(state)) != header.state_crc:
            raise StoreCorrupt(path, "the checksum of the state does not fit")
        return state


def _encode(header: StateHeader) -> bytes:
    return json.dumps(asdict(header), separators=(",", ":")).encode()


def _read_front(file: IO[bytes], path: Path, fingerprint: str) -> tuple[StateHeader, bytes]:
    header, front_bytes = _read_header(file, path)
    if header.fingerprint != fingerprint:
        raise StoreCorrupt(path, "it was written with another model or other settings than its name says")
    tokens_bytes = header.n_tokens * TOKEN_BYTES
    # Before anything is allocated by it: a length that is not true is refused here.
    if os.fstat(file.fileno()).st_size != front_bytes + tokens_bytes + header.state_bytes:
        raise StoreCorrupt(path, "it is not as long as its header says")
    packed = file.read(tokens_bytes)
    if zlib.crc32(packed) != header.tokens_crc:
        raise StoreCorrupt(path, "the checksum of the tokens does not fit")
    return header, packed


def _read_header(file: IO[bytes], path: Path) -> tuple[StateHeader, int]:
    """The header, and the bytes it and what stands before it take."""
    preamble = file.read(_PREAMBLE.size)
    if len(preamble) < _PREAMBLE.size:
        raise StoreCorrupt(path, "it is cut off")
    magic, version, length, crc = _PREAMBLE.unpack(preamble)
    if magic != MAGIC or version != VERSION or length > _MAX_HEADER_BYTES:
        raise StoreCorrupt(path, f"it is no sequence state of version {VERSION}")
    encoded = file.read(length)
    if zlib.crc32(encoded) != crc:
        raise StoreCorrupt(path, "the checksum of the header does not fit")
    try:
        header = StateHeader(**json.loads(encoded))
    except (ValueError, TypeError) as error:
        raise StoreCorrupt(path, f"its header makes no sense ({error})") from error
    return header, _PREAMBLE.size + length


def _crc(view: memoryview) -> int:
    crc = 0
    for start in range(0, view.nbytes, _PIECE_BYTES):
        crc = zlib.crc32(view[start : start + _PIECE_BYTES], crc)
    return crc


def _fill(file: IO[bytes], state: bytearray) -> int:
    """Read into ``state`` until it is full or the file ends; returns the bytes read."""
    view, done = memoryview(state), 0
    while done < len(state) and (got := file.readinto(view[done:])):  # type: ignore[attr-defined]
        done += got
    return done

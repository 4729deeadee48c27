import os
import random
import struct
import threading
import tracemalloc
from pathlib import Path

import gguf
import pytest

from workbench.errors import ModelFileError
from workbench.models.gguf_file import read_model_file
from workbench.models.gguf_header import MAX_STRINGS, SkippedArray, read_header
from workbench.testing.tiny_gguf import make_tiny_gguf

U32, STRING, ARRAY = 4, 8, 9


def text(value: bytes) -> bytes:
    return struct.pack("<Q", len(value)) + value


def header(*entries: bytes, tensors: bytes = b"", n_tensors: int = 0, n_keys: int | None = None, version=3) -> bytes:
    count = len(entries) if n_keys is None else n_keys
    return b"GGUF" + struct.pack("<IQQ", version, n_tensors, count) + b"".join(entries) + tensors


def entry(key: bytes, kind: int, value: bytes) -> bytes:
    return text(key) + struct.pack("<I", kind) + value


def array(kind: int, count: int, values: bytes = b"") -> bytes:
    return struct.pack("<IQ", kind, count) + values


def tensor(name: bytes = b"t", shape=(32,), kind: int = 0, offset: int = 0) -> bytes:
    return text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, kind, offset)


def refusal(path: Path) -> str:
    """What the reader says; it may take no more than a few MB to say it."""
    tracemalloc.start()
    try:
        with pytest.raises(ModelFileError) as caught:
            read_header(path)
        assert tracemalloc.get_traced_memory()[1] < 8 * 2**20
    finally:
        tracemalloc.stop()
    assert caught.value.path == path
    return caught.value.reason


def test_agrees_with_the_gguf_package(tiny):
    ours = read_header(tiny, arrays={"tokenizer.ggml.tokens"})
    theirs = gguf.GGUFReader(tiny)
    assert [(t.name, t.shape, t.type, t.offset, t.n_bytes) for t in ours.tensors] == [
        (t.name, tuple(t.shape.tolist()), t.tensor_type.name, t.data_offset, t.n_bytes) for t in theirs.tensors
    ]
    stated = {key: field.contents() for key, field in theirs.fields.items() if not key.startswith("GGUF.")}
    assert {key: list(value) if isinstance(value, tuple) else value for key, value in ours.metadata.items()} == stated
    assert ours.data_offset == theirs.data_offset


def test_long_arrays_are_walked_past_unless_wanted(put):
    words = b"".join(text(b"x" * (index % 5)) for index in range(3000))
    numbers = struct.pack("<3000I", *range(3000))
    path = put(
        header(
            entry(b"words", ARRAY, array(STRING, 3000, words)),
            entry(b"numbers", ARRAY, array(U32, 3000, numbers)),
            entry(b"after", U32, struct.pack("<I", 7)),
        )
    )
    assert read_header(path).metadata == {
        "words": SkippedArray("string", 3000),
        "numbers": SkippedArray("uint32", 3000),
        "after": 7,
    }
    wanted = read_header(path, arrays={"words", "numbers"}).metadata
    assert wanted["numbers"] == tuple(range(3000))
    assert wanted["words"][:6] == ("", "x", "xx", "xxx", "xxxx", "")


def test_strings_longer_than_the_read_window_are_walked_past(put):
    words = text(b"a" * 3_000_000) + text(b"b") * 2000
    path = put(header(entry(b"w", ARRAY, array(STRING, 2001, words)), entry(b"k", U32, struct.pack("<I", 1))))
    assert read_header(path).metadata == {"w": SkippedArray("string", 2001), "k": 1}


@pytest.mark.parametrize("length", [0, 3, 4, 24])
def test_cut_near_the_start(tiny, put, length):
    reason = refusal(put(tiny.read_bytes()[:length]))
    assert ("empty" if length == 0 else "cut off") in reason


def test_cut_in_half_and_by_one_byte(tiny, put):
    data = tiny.read_bytes()
    assert "cut off: tensor" in refusal(put(data[: len(data) // 2]))
    assert f"the file at {len(data) - 1:,}" in refusal(put(data[:-1]))


def test_cut_anywhere_in_the_header_is_refused(tiny, put):
    end = read_header(tiny).data_offset
    data = tiny.read_bytes()[:end]
    for length in range(5, end, 97):
        assert "cut off" in refusal(put(data[:length])) or "damaged" in refusal(put(data[:length]))


@pytest.mark.parametrize(
    ("version", "said"), [(1, "version 1"), (0x03000000, "big-endian"), (4, "version 4"), (0, "big-endian")]
)
def test_versions_nobody_reads(put, version, said):
    assert said in refusal(put(header(version=version) + bytes(100)))


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (header(n_keys=2**63), "metadata entries"),
        (header(n_keys=10**6) + bytes(20 * 10**6), "metadata entries"),
        (header(n_tensors=2**64 - 1), "tensors"),
        (header(n_tensors=300_000) + bytes(12 * 10**6), "tensors"),
        (header(entry(b"k", STRING, struct.pack("<Q", 2**63))), "more than makes sense"),
        (header(text(b"k" * 70_000) + bytes(20)), "more than makes sense"),
        (header(entry(b"k", STRING, struct.pack("<Q", 10**7))), "past the end"),
        (header(entry(b"k", ARRAY, array(U32, 2**62))), "past the end"),
        (header(entry(b"k", ARRAY, array(STRING, 2**62))), "strings"),
        (header(entry(b"k", ARRAY, array(STRING, 2000, text(b"x") * 1999))), "past the end"),
        (header(entry(b"k", ARRAY, array(ARRAY, 1))), "array of arrays"),
        (header(entry(b"k", 99, b"")), "unknown type 99"),
        (header(*[entry(b"k", U32, bytes(4))] * 2), "stands twice"),
        (header(entry(b"general.alignment", U32, struct.pack("<I", 3))), "alignment"),
        (header(entry(b"general.alignment", U32, bytes(4))), "alignment"),
        (header(entry(b"general.alignment", STRING, text(b"32"))), "alignment"),
        (header(tensors=tensor(shape=(1,) * 5), n_tensors=1), "5 dimensions"),
        (header(tensors=tensor(shape=()) + bytes(16), n_tensors=1), "0 dimensions"),
        (header(tensors=tensor(shape=(2**63, 2**63)), n_tensors=1), "cut off"),
        (header(tensors=tensor(shape=(0, 4)), n_tensors=1), "shape (0, 4)"),
        (header(tensors=tensor(shape=(31,), kind=8), n_tensors=1), "shape (31,)"),
        (header(tensors=tensor(kind=4), n_tensors=1), "type 4"),
        (header(tensors=tensor(offset=64), n_tensors=1) + bytes(999), "lie at 64, not 0"),
        (header(tensors=tensor() + tensor(offset=128), n_tensors=2) + bytes(999), "stands twice"),
    ],
)
def test_impossible_headers_are_refused_without_allocating(put, data, said):
    assert said in refusal(put(data))


def test_more_strings_than_any_vocabulary_are_refused_even_if_they_fit(put, monkeypatch):
    monkeypatch.setattr("workbench.models.gguf_header.MAX_STRINGS", 100)
    path = put(header(*[entry(b"%d" % key, ARRAY, array(STRING, 60, bytes(480))) for key in range(2)]))
    assert "60 strings in '1'" in refusal(path)
    assert MAX_STRINGS > 2 * 262_144


def test_missing_files_folders_and_odd_names(tmp_path):
    assert "No such file" in refusal(tmp_path / "none.gguf")
    assert "not a regular file" in refusal(tmp_path)
    assert "null" in refusal(tmp_path / "a\0b.gguf")
    assert "too long" in refusal(tmp_path / ("x" * 3000 + ".gguf"))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_does_not_hang(tmp_path):
    os.mkfifo(tmp_path / "pipe.gguf")
    reasons: list[str] = []
    thread = threading.Thread(target=lambda: reasons.append(refusal(tmp_path / "pipe.gguf")), daemon=True)
    thread.start()
    thread.join(timeout=30)
    assert reasons == ["is not a regular file."]


def test_a_file_that_shrinks_while_it_is_read(put, tiny, monkeypatch):
    path = put(tiny.read_bytes())
    whole = path.stat().st_size
    path.write_bytes(tiny.read_bytes()[:100])
    with pytest.raises(ModelFileError, match="past the end"):
        read_header(path, whole_bytes=whole)


@pytest.mark.parametrize("seed", range(6))
def test_mutated_headers_are_read_or_refused(tmp_path, seed):
    """60 mutations a seed: one byte, a few bytes, or a run of bytes set to extremes."""
    tiny = make_tiny_gguf(tmp_path / "tiny.gguf", n_layer=1, n_embd=32, n_ff=32, n_head=1, n_head_kv=1)
    end, original = read_header(tiny).data_offset, tiny.read_bytes()
    random_bytes = random.Random(seed)
    outcomes = {"read": 0, "refused": 0}
    for _ in range(60):
        data = bytearray(original)
        start, length = random_bytes.randrange(4, end), random_bytes.choice((1, 1, 2, 4, 8, 32))
        filling = random_bytes.choice((b"\0", b"\xff", b"\x7f", None))
        data[start : start + length] = (filling * length) if filling else random_bytes.randbytes(length)
        tiny.write_bytes(data)
        try:
            read_model_file(tiny)
            outcomes["read"] += 1
        except ModelFileError:
            outcomes["refused"] += 1
    assert min(outcomes.values()) > 0, outcomes

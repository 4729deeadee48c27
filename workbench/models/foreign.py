"""What a file is when it is not a GGUF: the mix-ups that happen, and what to do about each."""

from __future__ import annotations

_MAGICS = (
    (b"version https://git-lfs", "a Git LFS pointer, not the model itself. Run: git lfs pull"),
    (b"PK\x03\x04", "a zip archive, as PyTorch checkpoints are. Unpack it, or use convert_hf_to_gguf.py"),
    (b"\x1f\x8b", "gzip-compressed. Unpack it first"),
    (b"\x28\xb5\x2f\xfd", "zstd-compressed. Unpack it first"),
    (b"\xfd7zXZ", "xz-compressed. Unpack it first"),
    (b"FUGG", "a GGUF of the other byte order. Convert the model again on a little-endian machine"),
    (b"lmgg", "a GGML file from before GGUF. Download the model as GGUF"),
    (b"tjgg", "a GGJT file from before GGUF. Download the model as GGUF"),
    (b"fmgg", "a GGMF file from before GGUF. Download the model as GGUF"),
    (b"algg", "a GGLA adapter from before GGUF. Download it as GGUF"),
    (b"\x80\x02", "a Python pickle (an old PyTorch checkpoint). Convert it with convert_hf_to_gguf.py"),
    (b"\x89HDF", "an HDF5 file (a Keras model). Look for a GGUF of this model"),
)


def explain_foreign(start: bytes, size_bytes: int) -> str:
    """Say what a file is that does not begin with ``GGUF``.

    Args:
        start: its first bytes, a few hundred are enough.
        size_bytes: its whole length.
    """
    if not start:
        return "the file is empty. Download it again."
    if b"GGUF".startswith(start):
        return f"cut off after {size_bytes} bytes. Download it again."
    for magic, meaning in _MAGICS:
        if start.startswith(magic):
            return f"not a GGUF: this looks like {meaning}."
    if start.lstrip()[:9].lower().startswith((b"<!doctype", b"<html", b"<?xml")):
        return "not a GGUF: this looks like a web page, saved in place of the download. Download it again."
    if _is_safetensors(start, size_bytes):
        return "not a GGUF: this looks like a safetensors file. Convert the model with convert_hf_to_gguf.py."
    if start.lstrip()[:1] in (b"{", b"["):
        return "not a GGUF: this looks like a JSON file, often a download's error message. Look into it."
    return f"not a GGUF: it begins with {start[:4]!r} instead of b'GGUF'."


def _is_safetensors(start: bytes, size_bytes: int) -> bool:
    """Eight bytes of header length, then a JSON object (https://github.com/huggingface/safetensors)."""
    return start[8:9] == b"{" and 2 <= int.from_bytes(start[:8], "little") <= size_bytes - 8

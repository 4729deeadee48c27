"""A model file as the rest of the house sees it: what it is, how large, and whether it can be true.

Reads headers only, of all parts of a split model. What would make llama.cpp abort rather than refuse (a block count
that disagrees with the tensors, impossible head counts) is refused here. Knows nothing about where models come from.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gguf import Keys, LlamaFileType

from workbench.errors import ModelFileError
from workbench.models.attention import LayerKV, layer_kv
from workbench.models.gguf_header import Header, SkippedArray, TensorInfo, read_header
from workbench.showing import Shown

MAX_LAYERS = 512
"""LLAMA_MAX_LAYERS; a larger block count makes llama.cpp abort the process."""

MAX_WIDTH = 2**24
MAX_HEADS = 2**16

_SPLIT = re.compile(r"^(?P<stem>.*)-(?P<number>\d{5})-of-(?P<count>\d{5})(?P<suffix>\.gguf)$", re.DOTALL)
_BLOCK = re.compile(r"^(?:(?:enc|dec)\.)?blk\.(\d{1,9})\.")
_NOT_LANGUAGE_MODELS = {
    "mmproj": "a vision or audio projector",
    "clip": "a vision or audio projector",
    "adapter": "a LoRA adapter",
    "imatrix": "an importance matrix",
    "vocab": "a vocabulary without weights",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFile(Shown):
    """What the header of a GGUF says. Checked for consistency when read.

    Attributes:
        path: the file; the first one of a split model.
        name: ``general.name``, or the file's stem.
        architecture: ``general.architecture``, "llama".
        quantisation: "Q4_K_M".
        size_bytes: of all files.
        weights_bytes: of all tensors.
        parameters: number of weights.
        n_ctx_train: trained context in tokens.
        n_layer: transformer blocks.
        n_embd: width of the residual stream.
        n_vocab: tokens in the vocabulary.
        n_head: (n_layer,) attention heads.
        n_head_kv: (n_layer,) KV heads.
        head_dim_k: elements of one head's key.
        head_dim_v: elements of one head's value.
        sliding_window: tokens the sliding layers look back; ``None``: none slide.
        layers: (n_layer,) what each keeps in the KV cache.
        chat_template: Jinja source, if the model brings one.
        tokenizer: ``tokenizer.ggml.model``: "gpt2" (byte-level BPE), "llama" (SentencePiece), …
        bos_id: beginning-of-sequence token.
        eos_id: end-of-sequence token.
        parts: all files, in order.
        tensors: of all parts, in file order.
        metadata: the scalars and strings of the header.
    """

    path: Path
    name: str
    architecture: str
    quantisation: str
    size_bytes: int
    weights_bytes: int
    parameters: int
    n_ctx_train: int
    n_layer: int
    n_embd: int
    n_vocab: int
    n_head: tuple[int, ...]
    n_head_kv: tuple[int, ...]
    head_dim_k: int
    head_dim_v: int
    sliding_window: int | None
    layers: tuple[LayerKV, ...] = field(repr=False)
    chat_template: str | None = field(repr=False)
    tokenizer: str | None
    bos_id: int | None
    eos_id: int | None
    parts: tuple[Path, ...] = field(repr=False)
    tensors: tuple[TensorInfo, ...] = field(repr=False)
    metadata: Mapping[str, Any] = field(repr=False)

    def __hash__(self) -> int:
        return hash((self.path, self.size_bytes))


def read_model_file(path: Path | str, *, whole_bytes: int | None = None) -> ModelFile:
    """Read and check the header of a GGUF, and of all its parts if it is split.

    Args:
        path: the file, or any part of a split one.
        whole_bytes: length of the whole file where ``path`` is only the first piece of its bytes.

    Raises:
        ModelFileError: the file, or a part of it, is missing, cut off, foreign, or says what cannot be true.
    """
    parts = split_parts(Path(path)) if whole_bytes is None else (Path(path),)
    return _Reading([read_header(part, whole_bytes=whole_bytes) for part in parts]).model_file()


def split_parts(path: Path) -> tuple[Path, ...]:
    """The files a model consists of: itself, or every part of a split one, whichever part is given."""
    match = _SPLIT.match(path.name)
    if match is None:
        return (path,)
    count = int(match["count"])
    if not 1 <= int(match["number"]) <= count:
        raise ModelFileError(path, f"part {int(match['number'])} of {count} cannot be. Rename the file.")
    names = (f"{match['stem']}-{number:05d}-of-{count:05d}{match['suffix']}" for number in range(1, count + 1))
    parts = tuple(path.with_name(name) for name in names)
    for part in parts:
        if not os.path.exists(part):
            raise ModelFileError(path, f"{part.name} is missing, one of the {count} parts of this model. Download it.")
    return parts


def split_number(path: Path) -> int | None:
    """Which part of a split model a file is, by its name, from 1; ``None``: not split."""
    match = _SPLIT.match(path.name)
    return int(match["number"]) if match else None


class _Reading:
    """Headers on their way to a :class:`ModelFile`."""

    def __init__(self, headers: list[Header]) -> None:
        self.headers = headers
        self.path, self.metadata = headers[0].path, headers[0].metadata
        self.tensors = tuple(tensor for header in headers for tensor in header.tensors)
        self.architecture = self._architecture()

    def model_file(self) -> ModelFile:
        self._check_kind()
        n_layer = self._count(Keys.LLM.BLOCK_COUNT, most=MAX_LAYERS)
        self._check_blocks(n_layer)
        n_embd = self._count(Keys.LLM.EMBEDDING_LENGTH, most=MAX_WIDTH)
        n_head = self._per_layer(Keys.Attention.HEAD_COUNT, n_layer, default=0)
        n_head_kv = self._per_layer(Keys.Attention.HEAD_COUNT_KV, n_layer, default=None) or n_head
        head_dim = n_embd // max(n_head) if any(n_head) else 0
        head_dim_k = self._count(Keys.Attention.KEY_LENGTH, most=MAX_WIDTH, default=head_dim)
        head_dim_v = self._count(Keys.Attention.VALUE_LENGTH, most=MAX_WIDTH, default=head_dim)
        sliding_window = self._count(Keys.Attention.SLIDING_WINDOW, most=2**31 - 1, least=0, default=0)
        return ModelFile(
            path=self.path,
            name=self._text(Keys.General.NAME) or self.path.stem,
            architecture=self.architecture,
            quantisation=self._quantisation(),
            size_bytes=sum(header.size_bytes for header in self.headers),
            weights_bytes=sum(tensor.n_bytes for tensor in self.tensors),
            parameters=sum(tensor.n_elements for tensor in self.tensors),
            n_ctx_train=self._count(Keys.LLM.CONTEXT_LENGTH, most=2**31 - 1),
            n_layer=n_layer,
            n_embd=n_embd,
            n_vocab=self._n_vocab(n_embd),
            n_head=n_head,
            n_head_kv=n_head_kv,
            head_dim_k=head_dim_k,
            head_dim_v=head_dim_v,
            sliding_window=sliding_window or None,
            layers=layer_kv(self.metadata, self.architecture, n_head_kv, head_dim_k, head_dim_v),
            chat_template=self._text(Keys.Tokenizer.CHAT_TEMPLATE),
            tokenizer=self._text(Keys.Tokenizer.MODEL),
            bos_id=self._token_id(Keys.Tokenizer.BOS_ID),
            eos_id=self._token_id(Keys.Tokenizer.EOS_ID),
            parts=tuple(header.path for header in self.headers),
            tensors=self.tensors,
            metadata={key: value for key, value in self.metadata.items() if not _is_array(value)},
        )

    def _architecture(self) -> str:
        architecture = self._text(Keys.General.ARCHITECTURE)
        if not architecture:
            raise self._bad("general.architecture is missing; the header is damaged, or this is no model.")
        return architecture

    def _check_kind(self) -> None:
        for kind in (self._text(Keys.General.TYPE), self.architecture):
            if kind in _NOT_LANGUAGE_MODELS:
                raise self._bad(f"this is {_NOT_LANGUAGE_MODELS[kind]}, not a language model.")
        if not self.tensors:
            raise self._bad("it holds no weights (a vocabulary only, or a header that lost them).")
        twice = [name for name, count in Counter(tensor.name for tensor in self.tensors).items() if count > 1]
        if twice:
            raise self._bad(f"the tensor {twice[0]!r} is in two parts; these parts do not belong together.")

    def _check_blocks(self, n_layer: int) -> None:
        present = {int(match[1]) for tensor in self.tensors if (match := _BLOCK.match(tensor.name))}
        if present != set(range(n_layer)):
            raise self._bad(
                f"the header says {n_layer} blocks, the tensors are those of {_ranges(present)}; it is damaged."
            )

    def _n_vocab(self, n_embd: int) -> int:
        tokens = self.metadata.get(Keys.Tokenizer.LIST)
        embedding = next((tensor for tensor in self.tensors if tensor.name == "token_embd.weight"), None)
        if isinstance(tokens, SkippedArray):
            n_vocab = tokens.count
        elif isinstance(tokens, tuple):
            n_vocab = len(tokens)
        else:
            n_vocab = self._count(Keys.LLM.VOCAB_SIZE, most=2**31 - 1)
        if embedding is not None and embedding.shape != (n_embd, n_vocab):
            raise self._bad(
                f"the token embedding has the shape {embedding.shape}, the header says {(n_embd, n_vocab)}; "
                "it is damaged."
            )
        return n_vocab

    def _quantisation(self) -> str:
        stated = self.metadata.get(Keys.General.FILE_TYPE)
        known = {int(kind): kind.name for kind in LlamaFileType}
        name = known.get(stated, "GUESSED") if isinstance(stated, int) else "GUESSED"
        if name != "GUESSED":
            return name.removeprefix("MOSTLY_").removeprefix("ALL_")
        bytes_by_type: Counter[str] = Counter()
        for tensor in self.tensors:
            bytes_by_type[tensor.type] += tensor.n_bytes
        return bytes_by_type.most_common(1)[0][0]

    def _count(self, key: str, *, most: int, least: int = 1, default: int | None = None) -> int:
        """A whole number within bounds; ``default`` where the file has none."""
        key = key.format(arch=self.architecture)
        value = self.metadata.get(key)
        if value is None and default is not None:
            return default
        if value is None:
            raise self._bad(f"{key} is missing; the header is damaged, or this is no language model.")
        if isinstance(value, bool) or not isinstance(value, int):
            raise self._bad(f"{key} is {value!r:.80}, not a whole number; the header is damaged.")
        if not least <= value <= most:
            raise self._bad(f"{key} is {value:,}, outside {least} to {most:,}; the header is damaged.")
        return value

    def _per_layer(self, key: str, n_layer: int, *, default: int | None) -> tuple[int, ...]:
        """A value that a file states once or once a layer; ``()`` when it states none and there is no default."""
        key = key.format(arch=self.architecture)
        value = self.metadata.get(key, default)
        if value is None:
            return ()
        values = value if isinstance(value, tuple) else (value,) * n_layer
        if len(values) != n_layer or not all(_is_count(one) for one in values):
            raise self._bad(f"{key} is {value!r:.80}, which cannot be for {n_layer} layers; the header is damaged.")
        return values

    def _text(self, key: str) -> str | None:
        value = self.metadata.get(key)
        return value if isinstance(value, str) else None

    def _token_id(self, key: str) -> int | None:
        value = self.metadata.get(key)
        return value if isinstance(value, int) else None

    def _bad(self, reason: str) -> ModelFileError:
        return ModelFileError(self.path, reason)


def _is_array(value: object) -> bool:
    return isinstance(value, tuple | SkippedArray)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_HEADS


def _ranges(numbers: Iterable[int]) -> str:
    ordered = sorted(numbers)
    if not ordered:
        return "none"
    gaps = ", with gaps" if ordered[-1] - ordered[0] + 1 != len(ordered) else ""
    return f"blocks {ordered[0]} to {ordered[-1]}{gaps}"

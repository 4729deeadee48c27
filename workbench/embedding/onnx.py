"""Embedding models in ONNX format, run by ONNX Runtime (https://onnxruntime.ai). Needs no torch.

Knows tensors named as Hugging Face's exporters name them (``input_ids``, ``attention_mask``, ``token_type_ids``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from workbench.embedding.base import ModelEmbedder
from workbench.embedding.folder import read_folder
from workbench.errors import InvalidSettings, MissingExtra, ModelFileError
from workbench.interfaces import FloatArray
from workbench.models.hashing import file_hash

Pooling = Literal["mean", "cls"]
DEFAULT_LIMIT = 512  # BERT's; for a folder that states none


class OnnxEmbedder(ModelEmbedder):
    """A folder with an ONNX model and ``tokenizer.json``. Threads: any.

    Args:
        folder: of the model; ``model.onnx``, ``onnx/model.onnx`` or the only ``*.onnx`` in it.
        model: another ONNX file than the one found there.
        tokenizer: another ``tokenizer.json`` than the folder's.
        name: for people; ``None``: the folder's.
        pooling: how a text's token vectors become one: their mean, or the first; ``None``: as the folder says, or mean.
        max_tokens: tokens that count; ``None``: as the folder says, or 512.
        dimensions: length of a vector; ``None``: as the folder says, or as the model does, which loads it.
        query_prefix: put before a query; ``None``: as the folder says.
        passage_prefix: put before a passage; ``None``: as the folder says.
        batch_size: texts computed at once, at most.
        n_threads: for one batch; ``None``: physical cores.
        providers: ONNX Runtime's execution providers, best first.

    Raises:
        ModelFileError: a file is missing or damaged.
        MissingExtra: onnxruntime or tokenizers is not installed.
        InvalidSettings: a value out of its range.
    """

    def __init__(
        self,
        folder: Path | str,
        *,
        model: Path | str | None = None,
        tokenizer: Path | str | None = None,
        name: str | None = None,
        pooling: Pooling | None = None,
        max_tokens: int | None = None,
        dimensions: int | None = None,
        query_prefix: str | None = None,
        passage_prefix: str | None = None,
        batch_size: int = 32,
        n_threads: int | None = None,
        providers: Sequence[str] = ("CPUExecutionProvider",),
    ) -> None:
        stated = read_folder(Path(folder))
        self.folder, self.n_threads, self.providers = stated.path, n_threads, tuple(providers)
        self.model_path = Path(model) if model else _model_file(stated.path)
        self.tokenizer_path = Path(tokenizer) if tokenizer else stated.path / "tokenizer.json"
        self.pooling = _pooling(pooling or stated.pooling or "mean")
        if stated.extras:
            raise InvalidSettings(
                f"{stated.path} has the modules {', '.join(stated.extras)} after its encoder, which are not in the "
                "ONNX file. Use SentenceTransformersEmbedder(..., backend='torch')."
            )
        for path in (self.model_path, self.tokenizer_path):
            if not path.is_file():
                raise ModelFileError(path, "is missing. An ONNX embedding model needs a model and a tokenizer.json.")
        self._limit = max_tokens or stated.max_tokens or DEFAULT_LIMIT
        self._first: OnnxRunner | None = None
        super().__init__(
            name=name or stated.path.name,
            dimensions=dimensions or stated.dimensions or self._stated_dimensions(),
            max_tokens=self._limit,
            batch_size=batch_size,
            query_prefix=stated.prefix("query") if query_prefix is None else query_prefix,
            passage_prefix=stated.prefix("passage", "document") if passage_prefix is None else passage_prefix,
        )

    @property
    def size_bytes(self) -> int:
        """Of the model's file."""
        return self.model_path.stat().st_size

    def _facts(self) -> Mapping[str, Any]:
        return {
            "model": file_hash(self.model_path),
            "tokenizer": file_hash(self.tokenizer_path),
            "pooling": self.pooling,
        }

    def _open(self) -> OnnxRunner:
        runner, self._first = self._first, None
        return runner or OnnxRunner(
            self.model_path, self.tokenizer_path, self._limit, self.pooling, self.n_threads, self.providers
        )

    def _stated_dimensions(self) -> int:
        """As the model says; it stays loaded for the first text."""
        self._first = self._open()
        if self._first.dimensions is None:
            raise InvalidSettings(f"{self.model_path} does not say how long its vectors are. Pass dimensions=.")
        return self._first.dimensions


class OnnxRunner:
    """A session and its tokenizers. Implements :class:`workbench.embedding.base.Runner`.

    Args:
        model: ONNX file.
        tokenizer: ``tokenizer.json``.
        limit: tokens that count.
        pooling: "mean" or "cls".
        n_threads: for one batch; ``None``: physical cores.
        providers: execution providers, best first.
    """

    def __init__(
        self,
        model: Path,
        tokenizer: Path,
        limit: int,
        pooling: str,
        n_threads: int | None,
        providers: Sequence[str] = ("CPUExecutionProvider",),
    ) -> None:
        self._session = _session(model, n_threads, providers)
        self._inputs = {given.name for given in self._session.get_inputs()}
        self._output, self.dimensions = _token_output(self._session, model)
        self._pooling = pooling
        # two of them, as a tokenizer's truncation cannot be changed while other threads use it
        self._cutting, self._whole = _tokenizer(tokenizer), _tokenizer(tokenizer)
        self._cutting.enable_truncation(limit)

    def prepared(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids, cut."""
        return [encoding.ids for encoding in self._cutting.encode_batch_fast(list(texts))]

    def counts(self, texts: Sequence[str]) -> list[int]:
        """Token ids there are."""
        return [len(encoding.ids) for encoding in self._whole.encode_batch_fast(list(texts))]

    def forward(self, batch: Sequence[list[int]]) -> FloatArray:
        """(len(batch), dimensions)."""
        longest = max(1, max(map(len, batch)))
        ids, mask = (np.zeros((len(batch), longest), np.int64) for _ in range(2))
        for row, tokens in enumerate(batch):
            ids[row, : len(tokens)] = tokens
            mask[row, : len(tokens)] = 1
        given = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        fed = {name: values for name, values in given.items() if name in self._inputs}
        states: FloatArray = self._session.run([self._output], fed)[0]  # (batch, longest, dimensions)
        return pooled(states, mask, self._pooling)

    def close(self) -> None:
        """Nothing to do: the session frees itself once the last thread is done with it."""


def _session(model: Path, n_threads: int | None, providers: Sequence[str]) -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingExtra("onnxruntime", "models") from error
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors only
    if n_threads is not None:
        options.intra_op_num_threads = n_threads
    try:
        return onnxruntime.InferenceSession(model, options, providers=list(providers))
    except Exception as error:  # its own classes have no common base below Exception
        raise ModelFileError(model, f"ONNX Runtime cannot load it: {error}") from error


def _tokenizer(path: Path) -> Any:
    try:
        from tokenizers import Tokenizer
    except ImportError as error:
        raise MissingExtra("tokenizers", "models") from error
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises nothing narrower
        raise ModelFileError(path, f"is no tokenizer ({error}). Install or download the model again.") from error
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def pooled(states: FloatArray, mask: Any, pooling: str) -> FloatArray:
    """Token vectors (batch, tokens, dimensions) and their mask (batch, tokens) → (batch, dimensions)."""
    if pooling == "cls":
        first: FloatArray = states[:, 0]
        return first
    weights = mask.astype(np.float32)
    mean: FloatArray = np.einsum("bt,btd->bd", weights, states) / np.maximum(weights.sum(axis=1, keepdims=True), 1.0)
    return mean


def _token_output(session: Any, path: Path) -> tuple[str, int | None]:
    """Name of the output with a vector a token, the first float one of three axes, and the vectors' length."""
    for output in session.get_outputs():
        if output.type == "tensor(float)" and len(output.shape) == 3:
            size = output.shape[-1]
            return str(output.name), size if isinstance(size, int) else None
    raise ModelFileError(path, "it has no output (texts, tokens, dimensions). Export the model with its token vectors.")


def _model_file(folder: Path) -> Path:
    for usual in (folder / "model.onnx", folder / "onnx" / "model.onnx"):
        if usual.is_file():
            return usual
    found = sorted(folder.glob("*.onnx"))
    if len(found) != 1:
        named = ", ".join(path.name for path in found) or "none"
        raise ModelFileError(folder, f"it must hold model.onnx or just one *.onnx; found {named}. Pass model=.")
    return found[0]


def _pooling(asked: str) -> str:
    if asked in ("mean", "cls"):
        return asked
    raise InvalidSettings(f"pooling must be 'mean' or 'cls' for an ONNX model, not {asked!r}.")

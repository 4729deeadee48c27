"""Models of the sentence-transformers library (Reimers and Gurevych 2019, arXiv 1908.10084), on torch or ONNX Runtime.

Offline: a model is a folder, or the name of one in the hub's cache on this machine. Only ``local_files_only=False``
lets the library ask the hub.
"""

from __future__ import annotations

import dataclasses
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np

from workbench.embedding.base import ModelEmbedder, Runner
from workbench.embedding.conversion.store import onnx_of_folder
from workbench.embedding.folder import read_folder
from workbench.embedding.onnx import DEFAULT_LIMIT, OnnxRunner
from workbench.errors import InvalidSettings, MissingExtra, ModelFileError, UnknownName
from workbench.interfaces import FloatArray
from workbench.models.hashing import file_hash

Backend = Literal["torch", "onnx"]
_HUB_NAME = re.compile(r"[\w.-]+(/[\w.-]+)?")


class SentenceTransformersEmbedder(ModelEmbedder):
    """A sentence-transformers model. Threads: any; on torch, texts are computed one batch after the other.

    Args:
        model: its folder, or its name on the hub.
        backend: "torch", or "onnx", which takes the ONNX file in the folder, or makes one of a BERT encoder's weights.
        name: for people; ``None``: the folder's, or the hub's.
        max_tokens: tokens that count; ``None``: as the model says.
        query_prefix: put before a query; ``None``: as the model says.
        passage_prefix: put before a passage; ``None``: as the model says.
        batch_size: texts computed at once, at most.
        device: "cpu", "cuda", …; ``None``: the library's choice. Torch only.
        n_threads: for one batch; on torch this holds for the whole process; ``None``: as it is.
        local_files_only: never ask the hub.

    Raises:
        UnknownName: the model is not on this machine.
        ModelFileError: a file is missing or damaged.
        InvalidSettings: a value out of its range.
        MissingExtra: sentence-transformers is not installed.
    """

    def __init__(
        self,
        model: Path | str,
        *,
        backend: Backend = "torch",
        name: str | None = None,
        max_tokens: int | None = None,
        query_prefix: str | None = None,
        passage_prefix: str | None = None,
        batch_size: int = 32,
        device: str | None = None,
        n_threads: int | None = None,
        local_files_only: bool = True,
    ) -> None:
        if backend not in ("torch", "onnx"):
            raise InvalidSettings(f"backend must be 'torch' or 'onnx', not {backend!r}.")
        self.folder = read_folder(find_folder(model, local_files_only))
        self.backend, self.device, self.n_threads = backend, device, n_threads
        self._asked, self._first = max_tokens, None
        self._onnx_path = self._onnx_file() if backend == "onnx" else None
        stated = self.folder
        if stated.dimensions is None or (max_tokens or stated.max_tokens) is None:
            self._first = runner = self._torch_runner()  # the files do not say; the library knows
            stated = dataclasses.replace(stated, dimensions=runner.dimensions, max_tokens=runner.max_tokens)
        if stated.dimensions is None:
            raise InvalidSettings(f"{stated.path} does not say how long its vectors are; its last module must.")
        super().__init__(
            name=name or (stated.path.name if Path(model).is_dir() else str(model)),
            dimensions=stated.dimensions,
            max_tokens=max_tokens or stated.max_tokens,
            batch_size=batch_size,
            query_prefix=stated.prefix("query") if query_prefix is None else query_prefix,
            passage_prefix=stated.prefix("passage", "document") if passage_prefix is None else passage_prefix,
        )

    @property
    def size_bytes(self) -> int:
        """Of the file with the weights, or files."""
        if self._onnx_path is not None:
            return self._onnx_path.stat().st_size
        return sum(path.stat().st_size for path in self.folder.path.rglob("*.safetensors"))

    def _facts(self) -> Mapping[str, Any]:
        facts: dict[str, Any] = {"folder": self.folder.digest()}
        return facts if self._onnx_path is None else {**facts, "onnx": file_hash(self._onnx_path)}

    def _open(self) -> Runner:
        if self._onnx_path is not None:
            tokenizer = self.folder.path / "tokenizer.json"
            limit = self.max_tokens or DEFAULT_LIMIT
            return OnnxRunner(self._onnx_path, tokenizer, limit, self.folder.pooling or "mean", self.n_threads)
        runner, self._first = self._first, None
        return runner or self._torch_runner()

    def _torch_runner(self) -> TorchRunner:
        return TorchRunner(self.folder.path, self._asked, self.device, self.n_threads)

    def _onnx_file(self) -> Path:
        folder = self.folder
        if folder.extras or folder.pooling not in (None, "mean", "cls"):
            raise InvalidSettings(
                f"{folder.path} pools by {folder.pooling!r} and has the modules {folder.extras!r} after its encoder; "
                "the ONNX backend knows mean and cls, and no further modules. Use backend='torch'."
            )
        return onnx_of_folder(folder.path)


class TorchRunner:
    """A model of the library. Implements :class:`workbench.embedding.base.Runner`.

    Args:
        folder: of the model.
        limit: tokens that count; ``None``: as the model says.
        device: ``None``: the library's choice.
        n_threads: torch's, for the whole process; ``None``: as they are.

    Raises:
        MissingExtra: the library is not installed.
        ModelFileError: it cannot load the model.
    """

    def __init__(self, folder: Path, limit: int | None, device: str | None, n_threads: int | None) -> None:
        try:
            import torch
            from sentence_transformers import SentenceTransformer
        except ImportError as error:
            raise MissingExtra("sentence-transformers", "models") from error
        if n_threads is not None:
            torch.set_num_threads(n_threads)
        try:
            with _quiet():  # no pickle: weights are read from safetensors, or not at all
                self._model: Any = SentenceTransformer(
                    str(folder), device=device, local_files_only=True, model_kwargs={"use_safetensors": True}
                )
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            raise ModelFileError(folder, f"sentence-transformers cannot load it: {error}") from error
        self._model.eval()
        if limit is not None:
            self._model.max_seq_length = limit
        self.dimensions: int | None = self._model.get_embedding_dimension()
        self.max_tokens: int | None = self._model.max_seq_length
        self._turn = threading.Lock()

    def prepared(self, texts: Sequence[str]) -> list[str]:
        """The texts: the library cuts them itself."""
        return list(texts)

    def forward(self, batch: Sequence[str]) -> FloatArray:
        """(len(batch), dimensions)."""
        with self._turn:  # its tokenizers cannot be shared; held for one batch, so that a query need not wait long
            rows = self._model.encode(list(batch), batch_size=len(batch), prompt="", show_progress_bar=False)
        vectors: FloatArray = np.asarray(rows, np.float32)
        return vectors

    def counts(self, texts: Sequence[str]) -> list[int]:
        """Token ids there are."""
        with self._turn:
            found = self._model.tokenizer(list(texts), truncation=False, padding=False, verbose=False)["input_ids"]
        return [len(ids) for ids in found]

    def close(self) -> None:
        """Nothing to do: the model frees itself once the last thread is done with it."""


@contextmanager
def _quiet() -> Iterator[None]:
    """No progress bars on weights that load in a second, no report on the pooler that no embedding needs."""
    from transformers.utils import logging as told

    logging: Any = told  # its functions have no types
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def find_folder(model: Path | str, local_files_only: bool = True) -> Path:
    """The folder of a model on this machine.

    Args:
        model: the folder, or a name on the hub ("sentence-transformers/all-MiniLM-L6-v2").
        local_files_only: look into the hub's cache only, else ask the hub too.

    Raises:
        UnknownName: it is not there.
    """
    path = Path(model).expanduser()
    if path.is_dir():
        return path
    if isinstance(model, str) and _HUB_NAME.fullmatch(model):
        from huggingface_hub import snapshot_download

        try:
            repository = model if "/" in model else f"sentence-transformers/{model}"  # as the library does
            return Path(snapshot_download(repository, local_files_only=local_files_only))
        except (OSError, ValueError):  # not there, or not reachable
            pass
    raise UnknownName(
        "embedding model",
        str(model),
        ("all-minilm-l6-v2", "paraphrase-minilm-l3-v2"),
        "These need no download. Else give the folder of a sentence-transformers model, or its name on the hub and "
        "local_files_only=False, which lets it be downloaded.",
    )

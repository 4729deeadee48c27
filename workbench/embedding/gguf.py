"""Embedding models in GGUF format, run by llama.cpp: BERT-like encoders, and decoders with pooled token vectors.

The low-level bindings are used, never ``llama_cpp.Llama``: llama.cpp ends the process when an encoder is handed more
tokens than ``n_ubatch`` holds (``GGML_ASSERT`` in `llama_context::encode`), and pools a text that is split over two
batches twice, so whole texts are packed into batches here.
"""

from __future__ import annotations

import ctypes
import functools
import logging
import threading
import weakref
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from workbench.embedding.base import ModelEmbedder
from workbench.errors import DecodeError, InvalidSettings, MissingExtra, ModelLoadError, UsageError
from workbench.interfaces import FloatArray
from workbench.models.gguf_file import ModelFile, read_model_file
from workbench.models.hashing import verify

Pooling = Literal["mean", "cls", "last"]
_POOLINGS = {"mean": 1, "cls": 2, "last": 3}  # enum llama_pooling_type
_MAX_SEQUENCES = 256  # LLAMA_MAX_SEQ
_MOST_TOKENS = 512  # of several texts in a batch: attention is computed for all pairs of its tokens
_DECODER_LIMIT = 512  # tokens of a decoder that count, unless asked for more: its context costs memory


class GgufEmbedder(ModelEmbedder):
    """A GGUF file. Threads: any; texts are computed one batch after the other.

    Args:
        path: of the file; any part of a split one.
        name: for people; ``None``: as the file says.
        pooling: how a text's token vectors become one; ``None``: as the file says, or mean.
        max_tokens: tokens that count; ``None``: an encoder's trained context, 512 for a decoder.
        query_prefix: put before a query.
        passage_prefix: put before a passage.
        batch_size: texts computed at once, at most 256; fewer where together they are longer than ``max_tokens``.
        n_threads: ``None``: physical cores.
        n_gpu_layers: layers on the GPU; -1: all.

    Raises:
        ModelFileError: the file is missing or damaged.
        InvalidSettings: a value out of its range.
        MissingExtra: llama-cpp-python is not installed.
    """

    def __init__(
        self,
        path: Path | str,
        *,
        name: str | None = None,
        pooling: Pooling | None = None,
        max_tokens: int | None = None,
        query_prefix: str = "",
        passage_prefix: str = "",
        batch_size: int = 32,
        n_threads: int | None = None,
        n_gpu_layers: int = 0,
    ) -> None:
        self.file = read_model_file(path)
        self.pooling, self.n_threads, self.n_gpu_layers = _pooling(pooling, self.file), n_threads, n_gpu_layers
        trained = self.file.n_ctx_train
        limit = max_tokens or (min(trained, _DECODER_LIMIT) if self._causal else trained)
        if limit > trained or batch_size > _MAX_SEQUENCES:
            raise InvalidSettings(
                f"max_tokens must be at most {trained}, the trained context of {self.file.name}, and batch_size "
                f"at most {_MAX_SEQUENCES}; got {limit} and {batch_size}."
            )
        super().__init__(
            name=name or self.file.name,
            dimensions=self._dimensions(),
            max_tokens=limit,
            batch_size=batch_size,
            query_prefix=query_prefix,
            passage_prefix=passage_prefix,
        )
        self._limit = limit

    @property
    def size_bytes(self) -> int:
        """Of the model's file, or files."""
        return self.file.size_bytes

    def _facts(self) -> Mapping[str, Any]:
        return {"model": verify(self.file), "pooling": self.pooling}

    @property
    def _causal(self) -> bool:
        return bool(self.file.metadata.get(f"{self.file.architecture}.attention.causal", True))

    def _dimensions(self) -> int:
        """Some models project a text's vector at the end."""
        return int(self.file.metadata.get(f"{self.file.architecture}.embedding_length_out", self.file.n_embd))

    def _open(self) -> GgufRunner:
        return GgufRunner(
            self.file,
            limit=self._limit,
            n_texts=self.batch_size,
            pooling=self.pooling,
            n_threads=self.n_threads,
            n_gpu_layers=self.n_gpu_layers,
        )


class GgufRunner:
    """llama.cpp's model and context. Implements :class:`workbench.embedding.base.Runner`.

    Args:
        file: the GGUF, read and found sane.
        limit: tokens of a text that count.
        n_texts: most texts in a batch.
        pooling: "mean", "cls" or "last".
        n_threads: ``None``: physical cores.
        n_gpu_layers: layers on the GPU.

    Raises:
        ModelLoadError: llama.cpp refused.
    """

    def __init__(
        self,
        file: ModelFile,
        *,
        limit: int,
        n_texts: int,
        pooling: str,
        n_threads: int | None,
        n_gpu_layers: int,
    ) -> None:
        self._lib, self._limit, self._n_tokens = _library(), limit, max(limit, _MOST_TOKENS)
        params = self._lib.llama_model_default_params()
        params.n_gpu_layers = n_gpu_layers
        self._model = self._lib.llama_model_load_from_file(str(file.path).encode(), params)
        if not self._model:
            raise ModelLoadError(f"{file.path}: llama.cpp could not load it. Is it an embedding or language model?")
        settings = self._settings(n_texts, _POOLINGS[pooling], n_threads)
        self._context = self._lib.llama_init_from_model(self._model, settings)
        if not self._context:
            self._lib.llama_model_free(self._model)
            raise ModelLoadError(
                f"{file.path}: llama.cpp made no context for {self._n_tokens} tokens. Lower max_tokens."
            )
        self._vocabulary = self._lib.llama_model_get_vocab(self._model)
        self._dimensions = int(self._lib.llama_model_n_embd_out(self._model))
        self._batch = self._lib.llama_batch_init(self._n_tokens, 0, 1)
        self._turn = threading.Lock()
        self._freed = weakref.finalize(self, _free, self._lib, self._batch, self._context, self._model)
        # a text's last token is a special one, as BERT's is: it stays when the text is cut
        self._ends = len(self._tokens("")) > 1 or bool(self._lib.llama_vocab_get_add_eos(self._vocabulary))

    def prepared(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids, cut."""
        return [self._cut(self._tokens(text)) for text in texts]

    def counts(self, texts: Sequence[str]) -> list[int]:
        """Token ids there are."""
        return [len(self._tokens(text)) for text in texts]

    def forward(self, batch: Sequence[list[int]]) -> FloatArray:
        """(len(batch), dimensions). A text without a single token gets zeros."""
        rows: FloatArray = np.zeros((len(batch), self._dimensions), np.float32)
        for places in self._packed(batch):
            with self._turn:  # held for one batch only, so that a query need not wait for a whole archive
                rows[places] = self._computed([batch[place] for place in places])
        return rows

    def close(self) -> None:
        """Free everything. Idempotent."""
        with self._turn:
            self._freed()

    def _packed(self, batch: Sequence[list[int]]) -> Iterator[list[int]]:
        """Places of texts that fit into llama.cpp's batch together."""
        places: list[int] = []
        room = self._n_tokens
        for place, tokens in enumerate(batch):
            if places and len(tokens) > room:
                yield places
                places, room = [], self._n_tokens
            if tokens:
                places.append(place)
                room -= len(tokens)
        if places:
            yield places

    def _cut(self, tokens: list[int]) -> list[int]:
        if len(tokens) <= self._limit:
            return tokens
        end = tokens[-1:] if self._ends else []
        return tokens[: self._limit - len(end)] + end

    def _tokens(self, text: str) -> list[int]:
        """With the special tokens around a text; what looks like a special token in it is text."""
        data = text.encode()
        room = len(data) + 8
        found = (ctypes.c_int32 * room)()
        with self._turn:
            self._check_open()
            count = self._lib.llama_tokenize(self._vocabulary, data, len(data), found, room, True, False)
            if count < 0:  # more tokens than bytes: its negative says how many
                found = (ctypes.c_int32 * -count)()
                count = self._lib.llama_tokenize(self._vocabulary, data, len(data), found, -count, True, False)
        return list(found[:count])

    def _computed(self, texts: Sequence[list[int]]) -> FloatArray:
        """(len(texts), dimensions): one batch, each text a sequence of its own."""
        self._check_open()
        self._fill(texts)
        memory = self._lib.llama_get_memory(self._context)
        if memory:
            self._lib.llama_memory_clear(memory, True)
        code = int(self._lib.llama_decode(self._context, self._batch))
        if code != 0:
            raise DecodeError(code, f"{len(texts)} texts of {sum(map(len, texts))} tokens could not be embedded.")
        rows = [self._lib.llama_get_embeddings_seq(self._context, text) for text in range(len(texts))]
        return np.stack([np.ctypeslib.as_array(row, (self._dimensions,)) for row in rows]).astype(np.float32)

    def _fill(self, texts: Sequence[list[int]]) -> None:
        batch, place = self._batch, 0
        for sequence, tokens in enumerate(texts):
            for position, token in enumerate(tokens):
                batch.token[place], batch.pos[place] = token, position
                batch.n_seq_id[place], batch.seq_id[place][0] = 1, sequence
                batch.logits[place] = True  # pooling is over the tokens that are put out
                place += 1
        batch.n_tokens = place

    def _settings(self, n_texts: int, pooling: int, n_threads: int | None) -> Any:
        params = self._lib.llama_context_default_params()
        # a batch is computed whole: see the top of this file
        params.n_ctx = params.n_batch = params.n_ubatch = self._n_tokens
        params.n_seq_max = n_texts
        params.kv_unified = True  # else each sequence would own an equal share of n_ctx, whatever its length
        params.embeddings, params.pooling_type = True, pooling
        params.flash_attn_type = 0  # enum llama_flash_attn_type: off, as it rounds keys and values to half precision
        params.n_threads = params.n_threads_batch = n_threads or _physical_cores()
        return params

    def _check_open(self) -> None:
        if not self._freed.alive:
            raise UsageError("The embedder was closed while it was in use. Make a new one.")


def _free(lib: Any, batch: Any, context: Any, model: Any) -> None:
    lib.llama_batch_free(batch)
    lib.llama_free(context)
    lib.llama_model_free(model)


@functools.cache
def _library() -> Any:
    try:
        from llama_cpp import llama_cpp
    except ImportError as error:
        raise MissingExtra("llama-cpp-python", "models") from error
    # unless somebody has redirected it already, the bindings print what llama.cpp says; their table of levels is one
    # off, so that "error" would let warnings through
    logging.getLogger("llama-cpp-python").setLevel(logging.CRITICAL)
    llama_cpp.llama_backend_init()
    return llama_cpp


def _physical_cores() -> int:
    import psutil

    return int(psutil.cpu_count(logical=False) or 1)


def _pooling(asked: str | None, file: ModelFile) -> str:
    stated = file.metadata.get(f"{file.architecture}.pooling_type")
    names = {number: name for name, number in _POOLINGS.items()}
    pooling = asked or (names.get(stated, "another") if stated else "mean")
    if pooling not in _POOLINGS:
        raise InvalidSettings(f"pooling must be one of {', '.join(_POOLINGS)}, not {pooling!r} (file: {stated}).")
    return pooling

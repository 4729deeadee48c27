"""What the files of a sentence-transformers folder say about a model, read without loading it.

The layout, ``modules.json`` and one folder a module: https://sbert.net/docs/sentence_transformer/usage/custom_models.html
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from workbench.errors import ModelFileError
from workbench.models.hashing import file_hash

_POOLINGS = {"mean_tokens": "mean", "cls_token": "cls", "lasttoken": "last"}  # the library's names and llama.cpp's
_PLAIN = {"Transformer", "Pooling", "Normalize"}
_ENDLESS = 10**6  # tokenizers say 1e30 where they mean that they know no limit
_READ = (".safetensors", ".bin", ".json", ".txt", ".model", ".onnx")  # suffixes of files that decide about a vector


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """A model's folder.

    Attributes:
        path: of the folder.
        config: ``config.json``, or nothing.
        dimensions: of a vector; ``None``: the files do not say.
        max_tokens: that count, special ones included; ``None``: the files do not say.
        pooling: "mean", "cls", "last", or the library's name for another; ``None``: the files do not say.
        prompts: prefixes by role ("query", "passage", "document").
        extras: modules other than an encoder, its pooling and the scaling to unit length.
    """

    path: Path
    config: Mapping[str, Any] = field(default_factory=dict)
    dimensions: int | None = None
    max_tokens: int | None = None
    pooling: str | None = None
    prompts: Mapping[str, str] = field(default_factory=dict)
    extras: tuple[str, ...] = ()

    def prefix(self, *roles: str) -> str:
        """The prefix of the first of these roles that has one."""
        return next((self.prompts[role] for role in roles if role in self.prompts), "")

    def digest(self) -> dict[str, str]:
        """File → SHA-256 of all that may decide about a vector."""
        files = sorted(path for path in self.path.rglob("*") if path.suffix in _READ and path.is_file())
        return {str(path.relative_to(self.path)): file_hash(path) for path in files}


def read_folder(path: Path) -> ModelFolder:
    """Read what there is; a file that is missing leaves ``None``.

    Raises:
        ModelFileError: there is no such folder, or a file in it is damaged.
    """
    if not path.is_dir():
        raise ModelFileError(path, "is not a folder. Give the folder of a model, with its config.json and tokenizer.")
    config = _json(path / "config.json")
    modules = _json(path / "modules.json") or []
    folders = {str(module["type"]).rsplit(".", 1)[-1]: path / str(module["path"]) for module in modules}
    pooling = _json(folders["Pooling"] / "config.json") if "Pooling" in folders else {}
    dense = _json(folders["Dense"] / "config.json") if "Dense" in folders else {}
    return ModelFolder(
        path,
        config,
        dense.get("out_features") or pooling.get("word_embedding_dimension") or config.get("hidden_size"),
        _max_tokens(path, config),
        _pooling(pooling),
        _json(path / "config_sentence_transformers.json").get("prompts") or {},
        tuple(sorted(set(folders) - _PLAIN)),
    )


def _pooling(config: Mapping[str, Any]) -> str | None:
    """The mode, or several joined by "+"."""
    chosen = [key.removeprefix("pooling_mode_") for key, on in config.items() if key.startswith("pooling_mode_") and on]
    return "+".join(_POOLINGS.get(mode, mode) for mode in chosen) or config.get("pooling_mode")


def _max_tokens(path: Path, config: Mapping[str, Any]) -> int | None:
    """The shortest limit stated: the model's own, its tokenizer's, its position table's."""
    stated = (
        _json(path / "sentence_bert_config.json").get("max_seq_length"),
        _json(path / "tokenizer_config.json").get("model_max_length"),
        config.get("max_position_embeddings"),
    )
    return min((int(limit) for limit in stated if limit and limit < _ENDLESS), default=None)


def _json(path: Path) -> Any:
    """A JSON file; ``{}`` where there is none."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise ModelFileError(path, f"cannot be read ({error}). Install or download the model again.") from error

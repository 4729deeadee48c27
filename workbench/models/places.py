"""Where model files lie on this machine: the folders of the tools people download models with.

Each finder yields (name, path) pairs and opens no model file. Sources of the conventions: LM Studio's
`findLMStudioHome` (lmstudio-js), Ollama's FAQ ("Where are models stored?") and its manifests, llama.cpp's
`fs_get_cache_directory` and `hf_cache`, Hugging Face's "Understand caching".
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from workbench.models.gguf_file import split_number
from workbench.settings import home, model_dirs

Found = Iterator[tuple[str, Path]]

_OLLAMA_MODEL_LAYER = "application/vnd.ollama.image.model"
_OLLAMA_DIGEST = re.compile(r"sha256:([0-9a-f]{64})")
_SPLIT_SUFFIX = re.compile(r"-\d{5}-of-\d{5}$")


def in_folder(folder: Path) -> Found:
    """GGUF files below a folder, named by their stem; later parts of split models and projectors are left out."""
    if not os.path.isdir(folder):  # also says no to what cannot be a path
        return
    visited: set[str] = set()
    for directory, subfolders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(directory)
        if real in visited:  # a symbolic link back up
            subfolders.clear()
            continue
        visited.add(real)
        subfolders.sort()
        for name in sorted(files):
            path = Path(directory, name)
            if _is_model_name(path):
                yield _SPLIT_SUFFIX.sub("", path.stem), path


def lm_studio_folders() -> tuple[Path, ...]:
    """LM Studio's model folders, old and new, and the one chosen in its settings."""
    user = Path.home()
    homes = [user / ".lmstudio", user / ".cache" / "lm-studio"]
    pointer = user / ".lmstudio-home-pointer"
    if os.access(pointer, os.R_OK):
        homes.insert(0, Path(pointer.read_text(encoding="utf-8", errors="replace").strip()))
    chosen = (_json_of(folder / "settings.json").get("downloadsFolder") for folder in homes)
    folders = [Path(folder) for folder in chosen if isinstance(folder, str) and folder]
    return tuple(dict.fromkeys([*folders, *(folder / "models" for folder in homes)]))


def ollama_folders() -> tuple[Path, ...]:
    """Ollama's stores: ``OLLAMA_MODELS``, else the user's and, on Linux, the service's."""
    chosen = os.environ.get("OLLAMA_MODELS")
    if chosen:
        return (Path(chosen).expanduser(),)
    return (Path.home() / ".ollama" / "models", Path("/usr/share/ollama/.ollama/models"))


def in_ollama(store: Path) -> Found:
    """Models of an Ollama store by Ollama's own names; the weights are blobs without a suffix."""
    manifests = store / "manifests"
    for directory, subfolders, files in os.walk(manifests):
        subfolders.sort()
        for tag in sorted(files):
            manifest = Path(directory, tag)
            for blob in _ollama_blobs(manifest, store):
                yield _ollama_name(manifest.relative_to(manifests).parts), blob


def llama_cpp_folders() -> tuple[Path, ...]:
    """llama.cpp's download cache: ``LLAMA_CACHE``, else the platform's."""
    chosen = os.environ.get("LLAMA_CACHE")
    if chosen:
        return (Path(chosen).expanduser(),)
    return (_platform_cache() / "llama.cpp",)


def hugging_face_folders() -> tuple[Path, ...]:
    """Hugging Face's hub cache, by the first variable that is set."""
    for variable, below in (("HF_HUB_CACHE", ""), ("HUGGINGFACE_HUB_CACHE", ""), ("HF_HOME", "hub")):
        chosen = os.environ.get(variable)
        if chosen:
            return (Path(chosen).expanduser() / below,)
    return (Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "huggingface" / "hub",)


def in_hugging_face(cache: Path) -> Found:
    """GGUF files of the snapshots in a hub cache; they are links to blobs."""
    for snapshots in sorted(cache.glob("models--*/snapshots")):
        yield from in_folder(snapshots)


def everywhere() -> Iterator[tuple[str, str, Path]]:
    """Every model file found, as (source, name, path); bundled models are not among them."""
    for folder in model_dirs():
        yield from (("WORKBENCH_MODELS", *found) for found in in_folder(folder))
    yield from (("workbench", *found) for found in in_folder(home() / "models"))
    for folder in lm_studio_folders():
        yield from (("LM Studio", *found) for found in in_folder(folder))
    for store in ollama_folders():
        yield from (("Ollama", *found) for found in in_ollama(store))
    for folder in llama_cpp_folders():
        yield from (("llama.cpp", *found) for found in in_folder(folder))
    for cache in hugging_face_folders():
        yield from (("Hugging Face", *found) for found in in_hugging_face(cache))


def _is_model_name(path: Path) -> bool:
    name = path.name.lower()
    return name.endswith(".gguf") and not name.startswith("mmproj") and split_number(path) in (None, 1)


def _ollama_blobs(manifest: Path, store: Path) -> Iterator[Path]:
    layers = _json_of(manifest).get("layers")
    for layer in layers if isinstance(layers, list) else ():
        if isinstance(layer, dict) and layer.get("mediaType") == _OLLAMA_MODEL_LAYER:
            digest = _OLLAMA_DIGEST.fullmatch(str(layer.get("digest")))
            if digest:
                yield store / "blobs" / f"sha256-{digest[1]}"


def _ollama_name(parts: tuple[str, ...]) -> str:
    """``registry.ollama.ai/library/llama3.2/3b`` → ``llama3.2:3b``; other registries and owners stay visible."""
    *owner, model, tag = parts if len(parts) > 1 else (*parts, "latest")
    for default in ("registry.ollama.ai", "library"):
        if owner and owner[0] == default:
            owner.pop(0)
    return "/".join([*owner, f"{model}:{tag}"])


def _platform_cache() -> Path:
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")


def _json_of(path: Path) -> dict[str, object]:
    """Another tool's JSON file; ``{}`` where it is missing or is not what it was: then it names no models."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}

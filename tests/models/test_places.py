import json
import sys
from pathlib import Path

import pytest

from workbench.models import places

DIGEST = "a" * 64


def touch(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"GGUF")
    return path


def names(found):
    return [name for name, _ in found]


def test_a_folder_is_walked_projectors_and_later_parts_left_out(tmp_path):
    for name in ("b/deep/two.GGUF", "one.gguf", "mmproj-one.gguf", "readme.md", "one.gguf.part"):
        touch(tmp_path / name)
    for number in (1, 2, 3):
        touch(tmp_path / "c" / f"big-{number:05d}-of-00003.gguf")
    assert names(places.in_folder(tmp_path)) == ["one", "two", "big"]


def test_a_missing_folder_holds_nothing(tmp_path):
    assert list(places.in_folder(tmp_path / "none")) == []
    assert list(places.in_folder(Path("a\0b"))) == []


def test_linked_folders_are_followed_once(tmp_path):
    touch(tmp_path / "real" / "one.gguf")
    walked = tmp_path / "walked"
    walked.mkdir()
    (walked / "link").symlink_to(tmp_path / "real")
    (tmp_path / "real" / "back").symlink_to(walked)
    assert names(places.in_folder(walked)) == ["one"]


def ollama_manifest(store: Path, name: str, *layers: dict[str, object]) -> None:
    path = store / "manifests" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"schemaVersion": 2, "layers": list(layers)}))


def layer(kind: str = "model", digest: str = f"sha256:{DIGEST}") -> dict[str, object]:
    return {"mediaType": f"application/vnd.ollama.image.{kind}", "digest": digest, "size": 4}


def test_ollama_names_and_blobs(tmp_path):
    ollama_manifest(tmp_path, "registry.ollama.ai/library/llama3.2/3b", layer("template", "sha256:bb"), layer())
    ollama_manifest(tmp_path, "registry.ollama.ai/ann/tuned/latest", layer())
    ollama_manifest(tmp_path, "hf.co/bartowski/Qwen-GGUF/Q4_K_M", layer(), layer("projector"))
    blob = tmp_path / "blobs" / f"sha256-{DIGEST}"
    assert sorted(places.in_ollama(tmp_path)) == [
        ("ann/tuned:latest", blob),
        ("hf.co/bartowski/Qwen-GGUF:Q4_K_M", blob),
        ("llama3.2:3b", blob),
    ]


@pytest.mark.parametrize(
    "manifest",
    ["", "[]", "{}", '{"layers": 3}', '{"layers": [3]}', json.dumps({"layers": [layer(digest="sha256:../../etc")]})],
)
def test_damaged_ollama_manifests_name_nothing(tmp_path, manifest):
    path = tmp_path / "manifests" / "registry.ollama.ai" / "library" / "m" / "latest"
    path.parent.mkdir(parents=True)
    path.write_text(manifest)
    assert list(places.in_ollama(tmp_path)) == []


def test_ollama_folders(user, monkeypatch):
    assert user / ".ollama" / "models" in places.ollama_folders()
    monkeypatch.setenv("OLLAMA_MODELS", str(user / "elsewhere"))
    assert places.ollama_folders() == (user / "elsewhere",)


def test_lm_studio_folders(user):
    assert places.lm_studio_folders() == (user / ".lmstudio" / "models", user / ".cache" / "lm-studio" / "models")
    (user / ".lmstudio-home-pointer").write_text(f"{user / 'studio'}\n")
    (user / "studio").mkdir()
    (user / "studio" / "settings.json").write_text(json.dumps({"downloadsFolder": str(user / "big disk")}))
    assert places.lm_studio_folders()[:2] == (user / "big disk", user / "studio" / "models")


@pytest.mark.skipif(sys.platform != "linux", reason="the folder is Linux's")
def test_llama_cpp_folders(user, monkeypatch):
    assert places.llama_cpp_folders() == (user / ".cache" / "llama.cpp",)
    monkeypatch.setenv("XDG_CACHE_HOME", str(user / "xdg"))
    assert places.llama_cpp_folders() == (user / "xdg" / "llama.cpp",)
    monkeypatch.setenv("LLAMA_CACHE", str(user / "chosen"))
    assert places.llama_cpp_folders() == (user / "chosen",)


def test_hugging_face_folders_by_precedence(user, monkeypatch):
    assert places.hugging_face_folders() == (user / ".cache" / "huggingface" / "hub",)
    for variable, folder in (
        ("XDG_CACHE_HOME", user / "xdg" / "huggingface" / "hub"),
        ("HF_HOME", user / "hf" / "hub"),
        ("HUGGINGFACE_HUB_CACHE", user / "old"),
        ("HF_HUB_CACHE", user / "new"),
    ):
        chosen = folder.parents[1] if variable == "XDG_CACHE_HOME" else folder
        monkeypatch.setenv(variable, str(folder.parent if variable == "HF_HOME" else chosen))
        assert places.hugging_face_folders() == (folder,)


def test_hugging_face_snapshots_are_links_to_blobs(tmp_path):
    repository = tmp_path / "models--org--repo-GGUF"
    blob = touch(repository / "blobs" / DIGEST)
    snapshot = repository / "snapshots" / "0123" / "sub"
    snapshot.mkdir(parents=True)
    (snapshot / "model-Q4_0.gguf").symlink_to(blob)
    assert list(places.in_hugging_face(tmp_path)) == [("model-Q4_0", snapshot / "model-Q4_0.gguf")]


def test_everywhere(user, monkeypatch):
    touch(user / "a" / "mine.gguf")
    touch(user / "b" / "mine-too.gguf")
    monkeypatch.setenv("WORKBENCH_MODELS", f"{user / 'a'}{places.os.pathsep}{user / 'b'}")
    touch(user / "workbench" / "models" / "kept.gguf")
    touch(user / ".lmstudio" / "models" / "org" / "repo" / "studio.gguf")
    monkeypatch.setenv("OLLAMA_MODELS", str(user / "ollama"))
    ollama_manifest(user / "ollama", "registry.ollama.ai/library/m/latest", layer())
    monkeypatch.setenv("LLAMA_CACHE", str(user / "llama"))
    touch(user / "llama" / "org_repo_cpp.gguf")
    touch(user / ".cache" / "huggingface" / "hub" / "models--o--r" / "snapshots" / "1" / "face.gguf")
    assert [(source, name) for source, name, _ in places.everywhere()] == [
        ("WORKBENCH_MODELS", "mine"),
        ("WORKBENCH_MODELS", "mine-too"),
        ("workbench", "kept"),
        ("LM Studio", "studio"),
        ("Ollama", "m:latest"),
        ("llama.cpp", "org_repo_cpp"),
        ("Hugging Face", "face"),
    ]

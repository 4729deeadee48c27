import json
import struct
import zipfile

import pytest

from workbench.errors import ModelFileError
from workbench.models.foreign import explain_foreign
from workbench.models.gguf_header import read_header


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 9\n", "git lfs pull"),
        (b"<!DOCTYPE html><html>Sign in</html>", "web page"),
        (b"\n  <HTML><body>404</body>", "web page"),
        (b'{"error": "Repository not found"}', "JSON"),
        (b"lmgg" + bytes(50), "before GGUF"),
        (b"FUGG" + bytes(50), "byte order"),
        (b"\x1f\x8b" + bytes(50), "gzip"),
        (b"\x80\x02}q", "pickle"),
        (bytes(64), "it begins with b'\\x00\\x00\\x00\\x00'"),
        (b"GG", "cut off after 2 bytes"),
        (b"", "empty"),
    ],
)
def test_says_what_a_file_is_instead(put, data, said):
    with pytest.raises(ModelFileError) as caught:
        read_header(put(data))
    assert said in str(caught.value)


def test_safetensors(put):
    described = json.dumps({"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    data = struct.pack("<Q", len(described)) + described + bytes(4)
    with pytest.raises(ModelFileError, match="safetensors"):
        read_header(put(data))


def test_a_real_zip(tmp_path):
    path = tmp_path / "model.gguf"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("data.pkl", "x")
    with pytest.raises(ModelFileError, match="zip archive"):
        read_header(path)


def test_json_is_not_taken_for_safetensors():
    assert "JSON" in explain_foreign(b'[1, 2, {"a": 1}]', 16)

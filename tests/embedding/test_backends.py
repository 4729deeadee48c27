"""The three backends on an encoder of random weights: the same vectors, the same cuts, clear refusals."""

import shutil
import sys

import numpy as np
import pytest

from workbench.embedding import GgufEmbedder, OnnxEmbedder, SentenceTransformersEmbedder
from workbench.embedding.conversion.store import onnx_of_folder
from workbench.embedding.conversion.to_gguf import write_gguf
from workbench.embedding.sentence_transformers import find_folder
from workbench.errors import InvalidSettings, MissingExtra, ModelFileError, UnknownName, UsageError

TEXTS = [
    "The cat sat on the mat.",
    "the dogs walking home, in rain!",
    "東京 all night",
    "quokka b a aab",
    "",
    "\ud800 cat\0 \x07sat",
    "cat " * 31,
    "and it fell " * 9,
    "cat " * 25_000,
]
CUT = [False, False, False, False, False, False, True, False, True]


@pytest.fixture(scope="module")
def gguf_file(weights, small_bert, tmp_path_factory):
    path = tmp_path_factory.mktemp("gguf") / "small.gguf"
    write_gguf(weights, path, name="small", tokenizer=small_bert / "tokenizer.json", max_tokens=32)
    return path


@pytest.fixture(scope="module")
def embedders(small_bert, gguf_file, one_thread):
    made = {
        "onnx": OnnxEmbedder(small_bert, model=onnx_of_folder(small_bert), n_threads=1),
        "torch": SentenceTransformersEmbedder(small_bert, n_threads=1),
        "torch-onnx": SentenceTransformersEmbedder(small_bert, backend="onnx", n_threads=1),
        "gguf": GgufEmbedder(gguf_file, n_threads=1),
    }
    yield made
    for embedder in made.values():
        embedder.close()


@pytest.fixture(params=["onnx", "torch", "torch-onnx", "gguf"])
def embedder(request, embedders):
    return embedders[request.param]


def test_all_backends_give_the_same_vectors(embedders):
    vectors = {name: embedder.embed(TEXTS) for name, embedder in embedders.items()}
    for name, own in vectors.items():
        assert (own * vectors["torch"]).sum(axis=1).min() > 0.999, name
    assert np.abs(vectors["onnx"] - vectors["torch"]).max() < 1e-5
    spread = vectors["torch"][:4] @ vectors["torch"][:4].T
    assert spread[np.triu_indices(4, 1)].max() < 0.99, "these texts have vectors of their own"


def test_what_is_cut_is_reported_alike(embedder):
    assert embedder.max_tokens == 32
    assert embedder.truncated(TEXTS) == CUT
    one, two = embedder.embed(["cat " * 40, "cat " * 40 + "rain"])
    assert np.abs(one - two).max() < 1e-5


def test_30_words_and_the_two_ends_are_not_cut(embedder):
    assert embedder.truncated(["cat " * 30, "cat " * 31]) == [False, True]


def test_neighbours_have_no_influence(embedder):
    together = embedder.embed(TEXTS)
    alone = np.concatenate([embedder.embed([text]) for text in TEXTS])
    assert np.abs(together - alone).max() < 1e-4


def test_sizes_and_names(embedder, small_bert, gguf_file):
    assert embedder.dimensions == 32
    assert embedder.name in (small_bert.name, "small")
    assert embedder.size_bytes > 32 * 32 * 4


def test_backends_have_fingerprints_of_their_own(embedders):
    assert len({embedder.fingerprint for embedder in embedders.values()}) == len(embedders)


def test_a_shorter_limit_is_kept_by_all(small_bert, gguf_file, one_thread):
    made = [
        OnnxEmbedder(small_bert, model=onnx_of_folder(small_bert), max_tokens=8, n_threads=1),
        SentenceTransformersEmbedder(small_bert, max_tokens=8, n_threads=1),
        GgufEmbedder(gguf_file, max_tokens=8, n_threads=1),
    ]
    texts = ["cat " * 6, "cat " * 7, "rain fell all night and we walked home"]
    vectors = [embedder.embed(texts) for embedder in made]
    assert [embedder.truncated(texts) for embedder in made] == [[False, True, True]] * 3
    assert (vectors[0] * vectors[1]).sum(axis=1).min() > 0.999
    assert (vectors[2] * vectors[1]).sum(axis=1).min() > 0.999
    for embedder in made:
        embedder.close()


def test_prefixes_change_queries_only(small_bert):
    plain = OnnxEmbedder(small_bert, model=onnx_of_folder(small_bert), n_threads=1)
    asking = OnnxEmbedder(small_bert, model=onnx_of_folder(small_bert), n_threads=1, query_prefix="home in ")
    assert np.allclose(asking.embed(["rain"]), plain.embed(["rain"]), atol=1e-5)
    assert np.allclose(asking.embed_query("rain"), plain.embed(["home in rain"])[0], atol=1e-5)
    assert not np.allclose(asking.embed_query("rain"), plain.embed_query("rain"), atol=1e-2)
    assert asking.fingerprint != plain.fingerprint


# -- pooling ----------------------------------------------------------------------------------------------------------


def test_the_first_token_can_stand_for_the_text(small_bert, gguf_file):
    onnx = OnnxEmbedder(small_bert, model=onnx_of_folder(small_bert), pooling="cls", n_threads=1)
    gguf = GgufEmbedder(gguf_file, pooling="cls", n_threads=1)
    mean = GgufEmbedder(gguf_file, n_threads=1)
    assert (onnx.embed(TEXTS) * gguf.embed(TEXTS)).sum(axis=1).min() > 0.999
    assert (mean.embed(TEXTS) * gguf.embed(TEXTS)).sum(axis=1).min() < 0.99
    assert mean.fingerprint != gguf.fingerprint
    for embedder in (onnx, gguf, mean):
        embedder.close()


@pytest.mark.parametrize("make", ["onnx", "gguf"])
def test_an_unknown_pooling_is_refused(small_bert, gguf_file, make):
    makers = {
        "onnx": lambda: OnnxEmbedder(small_bert, model=onnx_of_folder(small_bert), pooling="median"),
        "gguf": lambda: GgufEmbedder(gguf_file, pooling="median"),
    }
    with pytest.raises(InvalidSettings, match="pooling must be"):
        makers[make]()


# -- llama.cpp --------------------------------------------------------------------------------------------------------


def test_many_long_texts_never_overfill_a_batch(gguf_file):
    """llama.cpp ends the process when an encoder is handed more tokens than n_ubatch."""
    embedder = GgufEmbedder(gguf_file, batch_size=256, n_threads=1)
    texts = [f"{'cat ' * (number % 40)} {'dog ' * (number % 7)}" for number in range(300)]
    few = GgufEmbedder(gguf_file, batch_size=1, n_threads=1)
    assert np.abs(embedder.embed(texts) - few.embed(texts)).max() < 1e-4
    embedder.close()
    few.close()


@pytest.mark.parametrize("pooling", ["mean", "last"])
def test_a_decoder_can_embed(tiny, pooling):
    embedder = GgufEmbedder(tiny, pooling=pooling, max_tokens=64, batch_size=4, n_threads=1)
    texts = ["The cat sat.", "cat", "東京 🌍", "x" * 5000, "The cat sat."]
    together = embedder.embed([*texts, ""])
    alone = np.concatenate([embedder.embed([text]) for text in texts])
    assert together.shape == (6, 64)
    assert np.linalg.norm(together, axis=1) == pytest.approx(1, abs=1e-4)
    assert np.abs(together[:5] - alone).max() < 1e-3, "what was embedded before leaves nothing in the cache"
    assert embedder.truncated(texts) == [False, False, False, True, False]
    embedder.close()


def test_limits_beyond_the_file_are_refused(gguf_file):
    with pytest.raises(InvalidSettings, match="at most 32"):
        GgufEmbedder(gguf_file, max_tokens=33)
    with pytest.raises(InvalidSettings, match="at most 256"):
        GgufEmbedder(gguf_file, batch_size=257)


def test_a_cut_off_gguf_is_named(gguf_file, tmp_path):
    (tmp_path / "half.gguf").write_bytes(gguf_file.read_bytes()[: gguf_file.stat().st_size // 2])
    with pytest.raises(ModelFileError, match=r"half\.gguf"):
        GgufEmbedder(tmp_path / "half.gguf")


def test_closing_while_others_embed_ends_them_with_an_error_and_not_the_process(gguf_file):
    import threading

    embedder = GgufEmbedder(gguf_file, n_threads=1)
    embedder.embed(["cat"])
    errors = []

    def work():
        try:
            for _ in range(10_000):
                embedder.embed(["cat sat", "dog " * 20])
        except UsageError as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    embedder.close()
    for thread in threads:
        thread.join(60)
    assert len(errors) == 2


# -- files ------------------------------------------------------------------------------------------------------------


def test_missing_and_damaged_files_are_named(small_bert, tmp_path):
    with pytest.raises(ModelFileError, match="found none"):
        OnnxEmbedder(small_bert)
    folder = tmp_path / "model"
    shutil.copytree(small_bert, folder)
    (folder / "model.onnx").write_bytes(b"not a model")
    with pytest.raises(ModelFileError, match=r"model\.onnx: ONNX Runtime cannot load it"):
        OnnxEmbedder(folder).embed(["a"])
    shutil.copy(onnx_of_folder(small_bert), folder / "model.onnx")
    (folder / "tokenizer.json").write_text("{}")
    with pytest.raises(ModelFileError, match=r"tokenizer\.json: is no tokenizer"):
        OnnxEmbedder(folder).embed(["a"])
    (folder / "tokenizer.json").unlink()
    with pytest.raises(ModelFileError, match=r"tokenizer\.json: is missing"):
        OnnxEmbedder(folder)


def test_the_folders_own_onnx_file_is_taken_first(small_bert, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(small_bert, folder)
    (folder / "onnx").mkdir()
    shutil.copy(onnx_of_folder(small_bert), folder / "onnx" / "model.onnx")
    (folder / "model.safetensors").unlink()
    assert onnx_of_folder(folder) == folder / "onnx" / "model.onnx"
    embedder = SentenceTransformersEmbedder(folder, backend="onnx", n_threads=1)
    assert embedder.embed(["cat"]).shape == (1, 32)


def test_modules_that_onnx_does_not_know_are_refused(small_bert, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(small_bert, folder)
    modules = (folder / "modules.json").read_text().replace("models.Normalize", "models.LayerNorm")
    (folder / "modules.json").write_text(modules)
    for make in (
        lambda: SentenceTransformersEmbedder(folder, backend="onnx"),
        lambda: OnnxEmbedder(folder, model=onnx_of_folder(small_bert)),
    ):
        with pytest.raises(InvalidSettings, match=r"LayerNorm.*torch"):
            make()


def test_an_unknown_model_is_refused_offline_with_the_remedy(monkeypatch):
    monkeypatch.setattr("socket.socket.connect", lambda *_: pytest.fail("nothing may be asked of the network"))
    with pytest.raises(UnknownName, match="local_files_only=False"):
        SentenceTransformersEmbedder("no-such/model-at-all")
    with pytest.raises(UnknownName, match="all-minilm-l6-v2"):
        find_folder("/no/such/folder")


def test_an_unknown_backend_is_refused(small_bert):
    with pytest.raises(InvalidSettings, match="'torch' or 'onnx'"):
        SentenceTransformersEmbedder(small_bert, backend="tensorflow")


@pytest.mark.parametrize(
    ("module", "package"),
    [("onnxruntime", "onnxruntime"), ("tokenizers", "tokenizers"), ("llama_cpp", "llama-cpp-python")],
)
def test_a_missing_package_is_named(small_bert, gguf_file, monkeypatch, module, package):
    from workbench.embedding import gguf

    monkeypatch.setitem(sys.modules, module, None)
    gguf._library.cache_clear()
    embedder = (
        GgufEmbedder(gguf_file)
        if module == "llama_cpp"
        else OnnxEmbedder(small_bert, model=onnx_of_folder(small_bert), n_threads=1)
    )
    with pytest.raises(MissingExtra, match=f"{package} is not installed.*pip install"):
        embedder.embed(["a"])

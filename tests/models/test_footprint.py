import dataclasses
import json
import re
import subprocess
import sys
import tracemalloc
from pathlib import Path

import pytest

from workbench.errors import InvalidSettings, OutOfMemory
from workbench.models import check_fits, estimate, read_model_file
from workbench.models.catalogue import bundled
from workbench.models.footprint import MAX_CONTEXT, largest_context, padded_context
from workbench.settings import EngineSettings
from workbench.testing.tiny_gguf import make_tiny_gguf

MIB = 2**20

# Creates contexts and reports what llama.cpp itself says they take. In a process of its own: logging is global.
MEASURE = """
import json, re, sys
import llama_cpp as llama
said = []
keep = llama.llama_log_callback(lambda level, text, data: said.append(text.decode(errors="replace")))
llama.llama_log_set(keep, None)
types = {"f32": 0, "f16": 1, "q4_0": 2, "q8_0": 8, "q5_1": 7}
path, cases = json.loads(sys.stdin.read())
model = llama.llama_model_load_from_file(path.encode(), llama.llama_model_default_params())
def mib(kind):
    return sum(map(float, re.findall(kind + r" buffer size =\\s+([\\d.]+) MiB", "".join(said))))
for case in cases:
    params = llama.llama_context_default_params()
    params.n_ctx, params.n_batch, params.n_ubatch = case["n_ctx"], case["n_batch"], case["n_ubatch"]
    params.n_seq_max, params.kv_unified, params.swa_full = case["n_seq_max"], case["kv_unified"], case["swa_full"]
    params.type_k, params.type_v = types[case["type_k"]], types[case["type_v"]]
    params.flash_attn_type = int(case["flash_attn"])
    said.clear()
    context = llama.llama_init_from_model(model, params)
    assert context, "".join(said)[-500:]
    size = {"n_ctx": llama.llama_n_ctx(context), "kv": mib("KV"), "out": mib("output"), "compute": mib("compute")}
    print(json.dumps(size))
    llama.llama_free(context)
"""

DEFAULTS = {
    "n_ctx": 2048,
    "n_batch": 512,
    "n_ubatch": 512,
    "n_seq_max": 1,
    "kv_unified": True,
    "swa_full": True,
    "type_k": "f16",
    "type_v": "f16",
    "flash_attn": True,
}
CASES = [
    {**DEFAULTS, **changes}
    for changes in (
        {"n_ctx": 100},
        {"n_ctx": 2048},
        {"n_ctx": 8192, "n_batch": 2048},
        {"n_ctx": 4096, "n_batch": 64, "n_ubatch": 64},
        {"n_seq_max": 4},
        {"n_seq_max": 4, "kv_unified": False},
        {"n_seq_max": 3, "kv_unified": False, "n_ctx": 100},
        {"n_seq_max": 3, "kv_unified": False, "n_ctx": 2048},
        {"type_k": "q8_0", "type_v": "q8_0"},
        {"type_k": "q4_0", "type_v": "q5_1"},
        {"type_k": "f32", "type_v": "f32"},
        {"type_k": "q8_0"},
        {"flash_attn": False, "n_ctx": 4096},
        {"swa_full": False, "n_ctx": 8192},
        {"swa_full": False, "n_ctx": 8192, "n_seq_max": 4, "n_ubatch": 64},
        {"swa_full": False, "n_ctx": 8192, "n_seq_max": 4, "n_ubatch": 64, "kv_unified": False},
    )
]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory):
    path = tmp_path_factory.mktemp("footprint") / "tiny.gguf"
    return read_model_file(make_tiny_gguf(path, n_embd=128, n_head=4, n_head_kv=2, n_layer=3, n_ctx_train=16_384))


def settings_of(case: dict) -> EngineSettings:
    return EngineSettings(**{name: value for name, value in case.items() if name != "n_ctx"})


def assert_agrees_with_llama_cpp(path: Path) -> None:
    """The log gives MiB with two decimals."""
    asked = json.dumps([str(path), CASES])
    child = subprocess.run([sys.executable, "-c", MEASURE], input=asked, capture_output=True, text=True, timeout=240)
    assert child.returncode == 0, child.stderr
    reported = [json.loads(line) for line in child.stdout.splitlines()]
    assert len(reported) == len(CASES)
    model = read_model_file(path)
    for case, said in zip(CASES, reported, strict=True):
        ours = estimate(model, settings_of(case), case["n_ctx"])
        assert ours.n_ctx == said["n_ctx"], case
        assert ours.kv_bytes / MIB == pytest.approx(said["kv"], abs=0.011), case
        assert ours.output_bytes / MIB == pytest.approx(said["out"], abs=0.011), case
        assert said["compute"] <= ours.compute_bytes / MIB <= 1.2 * said["compute"] + 3, case


def test_agrees_with_llama_cpp_on_a_tiny_model(model):
    assert_agrees_with_llama_cpp(model.path)


@pytest.mark.model
@pytest.mark.skipif(not bundled("smollm2-135m").installed, reason="SmolLM2 is not installed")
def test_agrees_with_llama_cpp_on_smollm2():
    assert_agrees_with_llama_cpp(bundled("smollm2-135m").locate())


@pytest.mark.model
@pytest.mark.slow
@pytest.mark.skipif(not bundled("gemma3-270m").installed, reason="Gemma 3 is not installed")
def test_agrees_with_llama_cpp_on_sliding_windows():
    assert_agrees_with_llama_cpp(bundled("gemma3-270m").locate())


def test_by_hand(model):
    n_ctx, settings = 1024, EngineSettings(n_seq_max=2, type_v="q8_0")
    ours = estimate(model, settings, n_ctx)
    assert ours.kv_bytes == 3 * n_ctx * (2 * 32 * 2 + 2 * 32 // 32 * 34)
    assert ours.output_bytes == 2 * 261 * 4
    assert ours.weights_bytes == model.weights_bytes
    assert ours.total_bytes == ours.weights_bytes + ours.kv_bytes + ours.output_bytes + ours.compute_bytes


def test_contexts_are_padded_as_llama_cpp_does():
    assert [padded_context(n_ctx, EngineSettings()) for n_ctx in (1, 256, 257)] == [256, 256, 512]
    assert padded_context(1000, EngineSettings(n_seq_max=3, kv_unified=False)) == 3 * 512


@pytest.mark.parametrize("n_ctx", [10**9, 2**31, 2**63])
def test_what_no_machine_holds_is_refused_at_once_and_without_allocating(model, n_ctx):
    tracemalloc.start()
    with pytest.raises(OutOfMemory) as caught:
        check_fits(model, EngineSettings(), n_ctx)
    assert tracemalloc.get_traced_memory()[1] < 16 * MIB
    tracemalloc.stop()
    assert caught.value.need_bytes > estimate(model, EngineSettings(), n_ctx).kv_bytes > caught.value.have_bytes
    assert re.search(r"needs [\d,.]+ GiB, this machine has [\d,.]+ GiB", str(caught.value))


def test_the_remedy_names_the_largest_context_that_fits(model):
    have = estimate(model, EngineSettings(), 8192).total_bytes + 1000
    with pytest.raises(OutOfMemory, match="largest n_ctx that fits is 8,192;"):
        check_fits(model, EngineSettings(), 8193, available_bytes=have)
    with pytest.raises(OutOfMemory, match=r"fits is 8,192 \(the model was trained for 16,384\)"):
        check_fits(model, EngineSettings(), 20_000, available_bytes=have)
    check_fits(model, EngineSettings(), 8192, available_bytes=have)


def test_when_nothing_fits(model):
    with pytest.raises(OutOfMemory, match="Not even a context of 256"):
        check_fits(model, EngineSettings(), 512, available_bytes=1000)
    assert largest_context(model, EngineSettings(), 1000) is None


def test_loaded_weights_are_not_counted_again(model):
    have = estimate(model, EngineSettings(), 512).context_bytes
    check_fits(model, EngineSettings(), 512, available_bytes=have, weights_loaded=True)
    with pytest.raises(OutOfMemory):
        check_fits(model, EngineSettings(), 512, available_bytes=have)


def test_beyond_what_llama_cpp_counts(model):
    check_fits(model, EngineSettings(), MAX_CONTEXT, available_bytes=2**60)
    with pytest.raises(InvalidSettings, match="counts to"):
        check_fits(model, EngineSettings(), MAX_CONTEXT + 1, available_bytes=2**60)
    for n_ctx in (0, -5):
        with pytest.raises(InvalidSettings, match="at least 1"):
            estimate(model, EngineSettings(), n_ctx)


def test_a_model_without_attention_keeps_no_kv(model):
    none = dataclasses.replace(model, layers=(), n_head=(0,), n_head_kv=(0,))
    assert estimate(none, EngineSettings(flash_attn=False), 4096).kv_bytes == 0


def test_widths_that_differ_are_padded_for_v_without_flash_attention(model):
    wide, narrow = model.layers[0], dataclasses.replace(model.layers[0], v_width=16)
    mixed = dataclasses.replace(model, layers=(wide, narrow))
    with_flash = estimate(mixed, EngineSettings(), 256).kv_bytes
    without = estimate(mixed, EngineSettings(flash_attn=False), 256).kv_bytes
    assert with_flash == 256 * 2 * (64 + 64 + 64 + 16)
    assert without == 256 * 2 * 4 * 64
